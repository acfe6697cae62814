// SPDX-License-Identifier: GPL-2.0-only

//! What the host core promises of its machine.
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

/// Long after everything.
const END: Instant = Instant(1_000_000_000);

/// What was seen, in order.
type Log<T> = Rc<RefCell<Vec<T>>>;

fn log<T>() -> Log<T> {
    Rc::default()
}

/// Begins an oob thread.
fn oob(host: &Host, priority: i32, body: impl FnOnce(&Oob<'_>, &Running<'_>) + 'static) {
    oob::host::Thread::run(host, &host.inband(), c"oob", priority, body).unwrap();
}

/// Begins an in-band thread that computes `times` times for `span`.
fn hog(host: &Host, times: u32, span: Ns) {
    let of_thread = host.clone();
    oob::host::Task::run(host, &host.inband(), c"hog", move |_, _| {
        for _ in 0..times {
            of_thread.compute(span);
        }
    });
}
