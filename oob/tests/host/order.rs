// SPDX-License-Identifier: GPL-2.0-only

//! The order in which threads run: dates are exact, and oob threads run by priority.

use crate::{END, Log, hog, log, oob};
use oob::host::{Host, Interference, RunError, Stuck, Thread, explore};
use oob::time::{Clock, Instant, Ns};
use oob::wait::WaitError;
use std::cell::Cell;
use std::rc::Rc;

/// All interference except interrupts-off sections.
pub(crate) const NOISY: Interference = Interference {
    odds: 2,
    burst: Ns(2_000),
    stall: Ns(3_000),
    hard_off: Ns(0),
};

#[test]
fn every_kind_of_wait_ends_exactly_at_its_date() {
    explore(0..200, |host| {
        host.disturb(NOISY);
        let (host_, done) = (host.clone(), Rc::new(Cell::new(false)));
        let of_thread = done.clone();
        let inband = &host.inband();
        let (flag, sem) = (host.flag(inband), host.semaphore(inband, 0));
        let monitor = host.monitor(inband, ());
        oob(host, 50, move |oob, me| {
            for step in [1, 77, 1_000, 12_345] {
                let date = |n: u64| host_.now().after(Ns(n));
                let first = date(step);
                me.sleep_until(oob, first).unwrap();
                assert_eq!(host_.now(), first);
                let second = date(step);
                let timed_out = Err(WaitError::TimedOut);
                assert_eq!(oob::wait::Flag::wait_until(&flag, oob, second), timed_out);
                assert_eq!(host_.now(), second);
                let third = date(step);
                assert_eq!(sem.down_until(oob, &host_, third), timed_out);
                assert_eq!(host_.now(), third);
                let last = date(step);
                let never = |(): &mut ()| None::<()>;
                assert_eq!(monitor.wait_until(oob, &host_, last, never), timed_out);
                assert_eq!(host_.now(), last);
                // A computation takes its stated time: in-band code does not interrupt it.
                host_.compute(Ns(step));
                assert_eq!(host_.now(), last.after(Ns(step)));
            }
            of_thread.set(true);
        });
        (0..3).for_each(|_| hog(host, 40, Ns(500)));
        host.finish(END).unwrap();
        assert!(done.get());
    });
}

#[test]
fn waiters_are_woken_by_priority_and_equals_in_order_of_arrival() {
    explore(0..200, |host| {
        host.disturb(NOISY);
        let (sem, order) = (Rc::new(host.semaphore(&host.inband(), 0)), log());
        // In the order of arrival, which is that of their dates.
        let priorities = [30, 98, 10, 30, 1, 98, 30];
        for (nth, priority) in priorities.into_iter().enumerate() {
            let (host_, sem, order) = (host.clone(), sem.clone(), order.clone());
            oob(host, priority, move |oob, me| {
                let date = Instant(10_000 + 10 * nth as u64);
                me.sleep_until(oob, date).unwrap();
                sem.down_until(oob, &host_, Instant::NEVER).unwrap();
                order.borrow_mut().push((priority, nth));
            });
        }
        hog(host, 30, Ns(700));
        let (host_, ups) = (host.clone(), sem.clone());
        host.at(Instant(20_000), move || {
            (0..7).for_each(|_| ups.up(&host_).unwrap());
        });
        host.finish(END).unwrap();
        let mut wanted: Vec<_> = priorities.into_iter().zip(0..).collect();
        wanted.sort_by_key(|(priority, nth)| (-priority, *nth));
        assert_eq!(*order.borrow(), wanted);
    });
}

/// Starts one thread of each priority. Each computes and logs when.
fn contest(host: &Host, spans: &Log<(i32, Instant, Instant)>) {
    for priority in [20, 60, 40] {
        let (host_, spans) = (host.clone(), spans.clone());
        oob(host, priority, move |oob, me| {
            let begin = Instant(5_000 + 100 * priority as u64);
            me.sleep_until(oob, begin).unwrap();
            let begin = host_.now();
            host_.compute(Ns(10_000));
            spans.borrow_mut().push((priority, begin, host_.now()));
        });
    }
}

#[test]
fn a_higher_priority_preempts_at_its_date_in_the_middle_of_a_computation() {
    let host = Host::new();
    let spans = log();
    contest(&host, &spans);
    host.finish(END).unwrap();
    let at = Instant;
    let wanted = [
        (60, at(11_000), at(21_000)),
        (40, at(9_000), at(29_000)),
        (20, at(7_000), at(37_000)),
    ];
    assert_eq!(*spans.borrow(), wanted);
}

#[test]
fn two_processors_serve_the_two_highest() {
    let host = Host::new();
    host.set_processors(2);
    let spans = log();
    contest(&host, &spans);
    host.finish(END).unwrap();
    let at = Instant;
    let wanted = [
        (40, at(9_000), at(19_000)),
        (60, at(11_000), at(21_000)),
        // This thread lost its processor to the thread of priority 60 from 11 us to 19 us.
        (20, at(7_000), at(25_000)),
    ];
    assert_eq!(*spans.borrow(), wanted);
}

#[test]
fn priorities_end_at_98_and_a_thread_that_never_ends_is_reported() {
    let host = Host::new();
    for priority in [0, 99] {
        let thread = Thread::run(&host, &host.inband(), c"", priority, |_, _| {});
        assert_eq!(thread.err(), Some(RunError::Priority));
    }
    let (host_, flag) = (host.clone(), host.flag(&host.inband()));
    oob(&host, 1, move |oob, _| {
        let _keep = host_;
        _ = oob::wait::Flag::wait_until(&flag, oob, Instant::NEVER);
    });
    let stuck = Err(Stuck(vec!["oob".into()]));
    assert_eq!(host.finish(END), stuck);
}
