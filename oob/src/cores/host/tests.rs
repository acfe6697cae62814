// SPDX-License-Identifier: GPL-2.0-only

//! The machine without threads, and its tokens.

mod inheritance;

use super::{Host, Running, Task, Thread};
use crate::stage::Oob;
use crate::time::{Clock, Instant, Ns, Timer};
use crate::wait::{Flag, WaitError};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::vec::Vec;

#[test]
fn a_raise_before_the_wait_is_not_lost() {
    let host = Host::new();
    let flag = host.flag(&host.inband());
    flag.raise();
    assert_eq!(flag.wait_until(&host.oob(), host.now()), Ok(()));
    assert_eq!(
        flag.wait_until(&host.oob(), host.now()),
        Err(WaitError::TimedOut)
    );
}

#[test]
fn a_wait_ends_at_its_deadline_or_its_event_whichever_is_first() {
    let host = Host::new();
    let flag = Rc::new(host.flag(&host.inband()));
    let raised = flag.clone();
    host.at(Instant(5_000), move || raised.raise());
    assert_eq!(
        flag.wait_until(&host.oob(), Instant(4_000)),
        Err(WaitError::TimedOut)
    );
    assert_eq!(host.now(), Instant(4_000));
    assert_eq!(flag.wait_until(&host.oob(), Instant(9_000)), Ok(()));
    assert_eq!(host.now(), Instant(5_000));
}

#[test]
fn what_fell_due_while_the_processor_was_busy_still_beats_the_deadline() {
    let host = Host::new();
    let flag = Rc::new(host.flag(&host.inband()));
    let raised = flag.clone();
    host.at(Instant(1_500), move || raised.raise());
    host.elapse(Ns(5_000));
    assert_eq!(flag.wait_until(&host.oob(), Instant(2_000)), Ok(()));
    assert_eq!(host.now(), Instant(6_000));
}

#[test]
fn a_panic_under_a_hard_lock_leaves_it() {
    let host = Host::new();
    let monitor = host.monitor(&host.inband(), 1);
    let panics = || monitor.update(|value| assert_eq!(*value, 2, "as wanted"));
    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
    // No thread may wait under a hard lock.
    let taken = monitor.wait_until(&host.oob(), &host, Instant::NEVER, |value| Some(*value));
    assert_eq!(taken, Ok(1));
    let ended = host.sleep_until_date(&host.oob(), host.now().after(Ns(1_000)));
    assert_eq!(ended, Ok(()));
}

#[test]
fn a_periodic_timer_keeps_its_grid_and_stops() {
    let host = Host::new();
    let dates = Rc::new(RefCell::new(Vec::new()));
    let (seen, clock) = (dates.clone(), host.clone());
    let timer = host.timer(&host.inband(), move |_| {
        seen.borrow_mut().push(clock.now().0)
    });
    timer.start(Instant(2_000), Ns(500));
    host.run_until(Instant(3_100));
    timer.stop(&host.inband());
    host.run_until(Instant(9_000));
    assert_eq!(*dates.borrow(), [2_000, 2_500, 3_000]);
}

#[test]
fn a_token_is_given_on_its_own_stage_only() {
    let host = Host::new();
    // Whether the machine gives each token to the caller.
    let given = |host: Host| {
        let oob = catch_unwind(AssertUnwindSafe(|| _ = host.oob()));
        let inband = catch_unwind(AssertUnwindSafe(|| _ = host.inband()));
        (oob.is_ok(), inband.is_ok())
    };
    let seen = Rc::new(RefCell::new(Vec::new()));
    let note = |place| {
        let (host, seen) = (host.clone(), seen.clone());
        move || seen.borrow_mut().push((place, given(host)))
    };
    let (in_oob, in_task, in_handler) = (note("oob"), note("task"), note("handler"));
    let body = |_: &Oob<'_>, _: &Running<'_>| in_oob();
    Thread::run(&host, &host.inband(), c"oob", 20, body).unwrap();
    Task::run(&host, &host.inband(), c"task", |_, _| in_task());
    host.at(Instant(50_000), in_handler);
    host.finish(Instant(100_000)).unwrap();
    host.run_until(Instant(100_000));
    note("outside")();
    let expected = [
        ("oob", (true, false)),
        ("task", (false, true)),
        ("handler", (false, false)),
        ("outside", (true, true)),
    ];
    assert_eq!(*seen.borrow(), expected);
}
