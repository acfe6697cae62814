// SPDX-License-Identifier: GPL-2.0-only

//! Tests of what the host core promises.
#![cfg(not(loom))]

mod latency;
mod lost;
mod order;
mod relay;
mod seeds;
mod services;
mod waiting;

use oob::host::{Host, Running};
use oob::stage::Oob;
use oob::time::{Instant, Ns};
use std::cell::RefCell;
use std::rc::Rc;

/// A date after the end of every run.
const END: Instant = Instant(1_000_000_000);

/// Observations, in their order.
type Log<T> = Rc<RefCell<Vec<T>>>;

fn log<T>() -> Log<T> {
    Rc::default()
}

/// Starts an oob thread.
fn oob(host: &Host, priority: i32, body: impl FnOnce(&Oob<'_>, &Running<'_>) + 'static) {
    oob::host::Thread::run(host, &host.inband(), c"oob", priority, body).unwrap();
}

/// Starts an in-band thread that computes for `span`, `times` times.
fn hog(host: &Host, times: u32, span: Ns) {
    let of_thread = host.clone();
    oob::host::Task::run(host, &host.inband(), c"hog", move |_, _| {
        for _ in 0..times {
            of_thread.compute(span);
        }
    });
}
