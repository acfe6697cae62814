// SPDX-License-Identifier: GPL-2.0-only

//! The mutex: its owner inherits priorities, and what that prevents.
//!
//! ```text
//!   low 10:  locks |#####            #####| unlocks
//!   mid 50:        |     (computes)  . . .|=========     with inheritance it waits for the end of the section;
//!   high 90:             waits ===========|####          without it, high waits for mid
//! ```

use crate::host::{Host, LockError, Mutex, Running, Stuck, Thread, explore};
use crate::stage::Oob;
use crate::time::{Clock, Instant, Ns};
use crate::wait::Flag;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::vec::Vec;

const SECTION: Ns = Ns(1_000);
const MIDDLE: Ns = Ns(50_000);

/// How long the highest thread waits for the lowest thread's section while a thread between them
/// computes.
fn inversion(host: &Host, mutex: Mutex<u32>) -> Ns {
    let mutex = Rc::new(mutex);
    let waited = Rc::new(Cell::new(Ns(0)));
    let inband = host.inband();
    let (host_, of_low) = (host.clone(), mutex.clone());
    Thread::run(host, &inband, c"low", 10, move |oob, _| {
        let mut guard = of_low.lock(oob).unwrap();
        host_.compute(SECTION);
        *guard += 1;
    })
    .unwrap();
    let host_ = host.clone();
    Thread::run(host, &inband, c"mid", 50, move |oob, me| {
        me.sleep_until(oob, Instant(1_400)).unwrap();
        host_.compute(MIDDLE);
    })
    .unwrap();
    let (host_, of_high) = (host.clone(), waited.clone());
    Thread::run(host, &inband, c"high", 90, move |oob, me| {
        me.sleep_until(oob, Instant(1_300)).unwrap();
        let before = host_.now();
        *mutex.lock(oob).unwrap() += 1;
        of_high.set(host_.now().since(before));
    })
    .unwrap();
    host.finish(Instant(1_000_000)).unwrap();
    waited.get()
}

#[test]
fn the_highest_thread_waits_for_the_section_and_not_for_the_thread_in_the_middle() {
    explore(0..200, |host| {
        let waited = inversion(host, Mutex::new(host, &host.inband(), 0));
        assert_eq!(waited, Ns(SECTION.0 - 300));
    });
    // Without inheritance it waits for the thread in the middle, too.
    let host = Host::new();
    let waited = inversion(&host, Mutex::without_inheritance(&host, 0));
    assert_eq!(waited, Ns(SECTION.0 - 300 + MIDDLE.0));
}

#[test]
fn a_chain_of_owners_inherits_and_gives_back_what_it_inherited() {
    let host = Host::new();
    let (a, b) = (
        Rc::new(Mutex::new(&host, &host.inband(), ())),
        Rc::new(Mutex::new(&host, &host.inband(), ())),
    );
    let seen = Rc::new(RefCell::new(Vec::new()));
    let inband = host.inband();
    let (host_, of_low, log) = (host.clone(), a.clone(), seen.clone());
    Thread::run(&host, &inband, c"low", 10, move |oob, _| {
        use crate::threads::Threads;
        let guard = of_low.lock(oob).unwrap();
        host_.compute(Ns(1_000));
        log.borrow_mut().push(("low", host_.priority()));
        drop(guard);
        log.borrow_mut().push(("low", host_.priority()));
    })
    .unwrap();
    let (host_, of_mid, log) = (host.clone(), b.clone(), seen.clone());
    Thread::run(&host, &inband, c"mid", 20, move |oob, me| {
        use crate::threads::Threads;
        me.sleep_until(oob, Instant(1_100)).unwrap();
        let outer = of_mid.lock(oob).unwrap();
        let inner = a.lock(oob).unwrap();
        log.borrow_mut().push(("mid", host_.priority()));
        drop(outer);
        log.borrow_mut().push(("mid", host_.priority()));
        drop(inner);
    })
    .unwrap();
    let log = seen.clone();
    Thread::run(&host, &inband, c"high", 30, move |oob, me| {
        me.sleep_until(oob, Instant(1_200)).unwrap();
        drop(b.lock(oob).unwrap());
        log.borrow_mut().push(("high", 30));
    })
    .unwrap();
    host.finish(Instant(1_000_000)).unwrap();
    let wanted = [
        ("low", 30),
        ("mid", 30),
        ("high", 30),
        ("mid", 20),
        ("low", 10),
    ];
    assert_eq!(*seen.borrow(), wanted);
}

#[test]
fn locking_twice_is_a_deadlock_and_threads_that_wait_for_each_other_are_reported_as_stuck() {
    let host = Host::new();
    let (a, b) = (
        Rc::new(Mutex::new(&host, &host.inband(), ())),
        Rc::new(Mutex::new(&host, &host.inband(), ())),
    );
    let inband = host.inband();
    let (of_first, of_second) = ((a.clone(), b.clone()), (a, b));
    Thread::run(&host, &inband, c"first", 10, move |oob, me| {
        let (a, b) = of_first;
        let guard = a.lock(oob).unwrap();
        assert_eq!(a.lock(oob).map(drop), Err(LockError::Deadlock));
        assert!(a.try_lock(oob).is_none());
        me.sleep_until(oob, Instant(5_000)).unwrap();
        drop(b.lock(oob));
        drop(guard);
    })
    .unwrap();
    Thread::run(&host, &inband, c"second", 20, move |oob, me| {
        let (a, b) = of_second;
        me.sleep_until(oob, Instant(3_000)).unwrap();
        let guard = b.try_lock(oob).unwrap();
        drop(a.lock(oob));
        drop(guard);
    })
    .unwrap();
    let names = ["first", "second"].map(Into::into).into();
    assert_eq!(host.finish(Instant(1_000_000)), Err(Stuck(names)));
}

/// Threads of several priorities lock, are interrupted, and compute inside. One at a time is
/// inside, and no thread is left waiting.
#[test]
fn a_mutex_excludes_and_loses_no_wake_up() {
    for processors in [1, 2] {
        explore(0..500, |host| {
            host.set_processors(processors);
            let (mutex, inside) = (
                Rc::new(Mutex::new(host, &host.inband(), 0)),
                Rc::new(Cell::new(false)),
            );
            let flag = Rc::new(host.flag(&host.inband()));
            let threads: Vec<_> = [10_i32, 20, 20, 30]
                .into_iter()
                .map(|priority| {
                    let (host_, mutex, inside) = (host.clone(), mutex.clone(), inside.clone());
                    let flag = flag.clone();
                    let body = move |oob: &Oob<'_>, me: &Running<'_>| {
                        for _ in 0..4 {
                            let date = host_.now().after(Ns(u64::from(priority.unsigned_abs())));
                            _ = me.sleep_until(oob, date);
                            match mutex.lock(oob) {
                                Ok(mut guard) => {
                                    assert!(!inside.replace(true));
                                    host_.compute(Ns(37));
                                    *guard += 1;
                                    inside.set(false);
                                }
                                Err(error) => {
                                    assert_eq!(error, LockError::Interrupted);
                                    assert!(me.take_signal());
                                }
                            }
                        }
                        flag.raise();
                    };
                    Thread::run(host, &host.inband(), c"locker", priority, body).unwrap()
                })
                .collect();
            let threads = Rc::new(threads);
            let host_ = host.clone();
            for n in 0..6 {
                let (threads, host_) = (threads.clone(), host_.clone());
                let date = Instant(1_000 + 41 * n);
                host.at(date, move || {
                    let chosen = host_.random(3) as usize;
                    threads[chosen].unblock();
                });
            }
            host.finish(Instant(1_000_000)).unwrap();
            assert!(!inside.get());
        });
    }
}
