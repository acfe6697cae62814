// SPDX-License-Identifier: GPL-2.0-only

//! The machine, beginning with what needs no threads.

mod inheritance;

use super::*;
use crate::time::Timer;
use crate::wait::{Flag, WaitError};
#[test]
fn a_raise_before_the_wait_is_not_lost() {
    let host = Host::new();
    let flag = host.flag();
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
    let flag = Rc::new(host.flag());
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
    let flag = Rc::new(host.flag());
    let raised = flag.clone();
    host.at(Instant(1_500), move || raised.raise());
    host.elapse(Ns(5_000));
    assert_eq!(flag.wait_until(&host.oob(), Instant(2_000)), Ok(()));
    assert_eq!(host.now(), Instant(6_000));
}

#[test]
fn a_periodic_timer_keeps_its_grid_and_stops() {
    let host = Host::new();
    let dates = Rc::new(RefCell::new(Vec::new()));
    let (seen, clock) = (dates.clone(), host.clone());
    let timer = host.timer(move |_| seen.borrow_mut().push(clock.now().0));
    timer.start(Instant(2_000), Ns(500));
    host.run_until(Instant(3_100));
    timer.stop();
    host.run_until(Instant(9_000));
    assert_eq!(*dates.borrow(), [2_000, 2_500, 3_000]);
}
