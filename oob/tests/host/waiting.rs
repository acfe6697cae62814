// SPDX-License-Identifier: GPL-2.0-only

//! Monitor and semaphore under interrupts, interference and signals together: no wake-up is lost,
//! and none is invented.

use crate::{END, oob};
use oob::host::{
    Handled, Handler, Host, Interference, Interrupt, Semaphore, Task, Thread, explore,
};
use oob::time::{Clock, Instant, Ns};
use oob::wait::{Flag, WaitError};
use std::cell::Cell;
use std::rc::Rc;

struct Up {
    sem: Rc<Semaphore>,
    host: Host,
    ups: Rc<Cell<u32>>,
}

impl Handler for Up {
    fn handle(&self) -> Handled {
        self.sem.up(&self.host).unwrap();
        self.ups.set(self.ups.get() + 1);
        Handled::Yes
    }
}

#[test]
fn a_semaphore_counts_ups_of_interrupts_and_of_both_stages() {
    for processors in [1, 2] {
        explore(0..500, |host| {
            host.set_processors(processors);
            host.disturb(Interference {
                odds: 4,
                burst: Ns(300),
                stall: Ns(300),
                hard_off: Ns(30),
            });
            let sem = Rc::new(host.semaphore(&host.inband(), 0));
            let (ups, downs) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
            let up = Up {
                sem: sem.clone(),
                host: host.clone(),
                ups: ups.clone(),
            };
            let line = Interrupt::new(host, &host.inband(), up);
            line.raise_at_random(9);
            for priority in [10, 20, 20] {
                let (host_, sem, downs) = (host.clone(), sem.clone(), downs.clone());
                oob(host, priority, move |oob, me| {
                    for nth in 0..4 {
                        let deadline = host_.now().after(Ns(300 + 10 * nth));
                        match sem.down_until(oob, &host_, deadline) {
                            Ok(()) => downs.set(downs.get() + 1),
                            Err(WaitError::TimedOut) => {}
                            Err(error) => {
                                assert_eq!(error, WaitError::Interrupted);
                                assert!(me.take_signal());
                            }
                        }
                        host_.compute(Ns(40));
                    }
                });
            }
            let victim = {
                let (host_, sem, downs) = (host.clone(), sem.clone(), downs.clone());
                Thread::run(host, &host.inband(), c"victim", 30, move |oob, _| {
                    if sem.down_until(oob, &host_, Instant::NEVER).is_ok() {
                        downs.set(downs.get() + 1);
                    }
                })
                .unwrap()
            };
            let (host_, of_task, ups_) = (host.clone(), sem.clone(), ups.clone());
            Task::run(host, &host.inband(), c"tool", move |_, _| {
                of_task.up(&host_).unwrap();
                ups_.set(ups_.get() + 1);
                host_.compute(Ns(700));
                victim.unblock();
            });
            host.finish(END).unwrap();
            let mut left = 0;
            while sem.try_down() {
                left += 1;
            }
            assert_eq!(ups.get(), downs.get() + left);
        });
    }
}

#[test]
fn a_bounded_buffer_over_a_monitor_keeps_all_items_in_order() {
    explore(0..300, |host| {
        host.set_processors(2);
        let buffer = Rc::new(host.monitor(&host.inband(), Vec::new()));
        let (host_, of_task) = (host.clone(), buffer.clone());
        Task::run(host, &host.inband(), c"producer", move |inband, _| {
            for item in 0..8 {
                let put = |buffer: &mut Vec<u32>| (buffer.len() < 2).then(|| buffer.push(item));
                of_task
                    .wait_until(inband, &host_, Instant::NEVER, put)
                    .unwrap();
                of_task.update_and_wake_all(&host_, |_| ());
            }
        });
        let (host_, got) = (host.clone(), crate::log());
        let of_thread = got.clone();
        oob(host, 50, move |oob, _| {
            for _ in 0..8 {
                let get = |buffer: &mut Vec<u32>| (!buffer.is_empty()).then(|| buffer.remove(0));
                let item = buffer.wait_until(oob, &host_, Instant::NEVER, get).unwrap();
                buffer.update_and_wake_all(&host_, |_| ());
                of_thread.borrow_mut().push(item);
            }
        });
        host.finish(END).unwrap();
        assert_eq!(*got.borrow(), (0..8).collect::<Vec<_>>());
    });
}

#[test]
fn a_second_waiter_at_a_flag_gets_an_error_and_does_not_disturb_the_first() {
    let ends = crate::log();
    explore(0..300, |host| {
        host.set_processors(2);
        let (flag, results) = (Rc::new(host.flag(&host.inband())), crate::log());
        for deadline in [Instant::NEVER, Instant(3_000)] {
            let (flag, results) = (flag.clone(), results.clone());
            oob(host, 50, move |oob, _| {
                let end = flag.wait_until(oob, deadline);
                results.borrow_mut().push((deadline, end));
            });
        }
        let raised = flag.clone();
        host.at(Instant(5_000), move || raised.raise());
        assert_eq!(host.finish(END), Ok(()));
        let results = results.take();
        let end_of = |wanted| results.iter().find(|(date, _)| *date == wanted).unwrap().1;
        let pair = (end_of(Instant::NEVER), end_of(Instant(3_000)));
        match pair {
            (Ok(()), Err(WaitError::Closed)) => {}
            (Err(WaitError::Closed), Err(WaitError::TimedOut)) => {}
            pair => panic!("{pair:?}"),
        }
        ends.borrow_mut().push(pair.0.is_ok());
    });
    assert!(ends.borrow().contains(&true) && ends.borrow().contains(&false));
}
