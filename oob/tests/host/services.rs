// SPDX-License-Identifier: GPL-2.0-only

//! Threads, work, interrupts, timers and poll heads, as drivers use them.

use crate::{END, hog, log, oob};
use oob::host::{
    Handled, Handler, Host, Interrupt, PollHead, Running, Task, Thread, Work, explore, poll,
};
use oob::stage::{Inband, Oob};
use oob::time::{Clock, Instant, Ns, Timer};
use oob::wait::{Flag, WaitError};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

#[test]
fn a_thread_is_stopped_out_of_its_wait_and_joined() {
    explore(0..100, |host| {
        let turns = Rc::new(Cell::new(0));
        let of_thread = turns.clone();
        let thread = Thread::run(host, &host.inband(), c"loop", 20, move |oob, me| {
            while !me.should_stop() {
                of_thread.set(of_thread.get() + 1);
                if me.sleep_until(oob, Instant::NEVER).is_err() {
                    me.take_signal();
                }
            }
        })
        .unwrap();
        let (host_, of_task) = (host.clone(), turns.clone());
        Task::run(host, &host.inband(), c"owner", move |inband, _| {
            host_.compute(Ns(100));
            // The forced unblock ends one wait; the thread starts the next one.
            thread.unblock();
            host_.compute(Ns(100));
            assert_eq!(of_task.get(), 2);
            thread.stop(inband);
            assert_eq!(of_task.get(), 2);
        });
        host.finish(END).unwrap();
    });
}

#[test]
fn a_stop_ends_every_kind_of_wait_and_later_waits() {
    type Wait = Box<dyn Fn(&Host, &Oob<'_>) -> Result<(), WaitError>>;
    let waits: [fn(&Host) -> Wait; 4] = [
        |host| {
            let flag = host.flag(&host.inband());
            Box::new(move |_, oob| flag.wait_until(oob, END))
        },
        |host| {
            let semaphore = host.semaphore(&host.inband(), 0);
            Box::new(move |host, oob| semaphore.down_until(oob, host, END))
        },
        |_| Box::new(|host, oob| host.sleep_until_date(oob, END)),
        |host| {
            let head = PollHead::new(host, &host.inband());
            Box::new(move |host, oob| poll(host, oob, &[&head], 1, END, || 0).map(drop))
        },
    ];
    for wait in waits {
        let host = Host::new();
        let (host_, ends) = (host.clone(), Rc::new(Cell::new(0)));
        let of_thread = ends.clone();
        let wait = wait(&host);
        let body = move |oob: &Oob<'_>, _: &Running<'_>| {
            for _ in 0..2 {
                let is_over = wait(&host_, oob) == Err(WaitError::Interrupted);
                of_thread.set(of_thread.get() + u32::from(is_over));
            }
        };
        let thread = Thread::run(&host, &host.inband(), c"waiter", 20, body).unwrap();
        host.run_until(Instant(1_000));
        thread.stop(&host.inband());
        assert_eq!(ends.get(), 2);
        assert_eq!(host.now(), Instant(1_000));
    }
}

#[test]
fn a_stop_from_the_test_runs_the_machine_until_the_thread_has_ended() {
    let host = Host::new();
    let (host_, done) = (host.clone(), Rc::new(Cell::new(false)));
    let of_thread = done.clone();
    let thread = Thread::run(&host, &host.inband(), c"slow", 20, move |_, me| {
        while !me.should_stop() {
            host_.relax();
        }
        host_.compute(Ns(5_000));
        of_thread.set(true);
    })
    .unwrap();
    host.run_until(Instant(9_000));
    thread.stop(&host.inband());
    assert!(done.get());
    assert!(host.now() >= Instant(14_000));
}

#[test]
fn a_signal_stays_until_it_is_taken() {
    let host = Host::new();
    let host_ = host.clone();
    let task = Task::run(&host, &host.inband(), c"user", move |inband, me| {
        let date = Instant(50_000);
        for _ in 0..2 {
            assert_eq!(me.sleep_until(inband, date), Err(WaitError::Interrupted));
            assert_eq!(host_.now(), Instant(3_000));
        }
        assert!(me.take_signal());
        assert!(!me.take_signal());
        assert_eq!(me.sleep_until(inband, date), Ok(()));
        assert_eq!(host_.now(), date);
    });
    host.at(Instant(3_000), move || task.signal());
    host.finish(END).unwrap();
}

#[test]
fn work_runs_in_band_once_per_call_and_a_caller_can_wait_for_its_result() {
    explore(0..200, |host| {
        let runs = Rc::new(Cell::new(0));
        let (host_, of_work) = (host.clone(), runs.clone());
        let work = Rc::new(Work::new(host, &host.inband(), move |_| {
            // The host gives this token to in-band callers only.
            let _ = host_.inband();
            host_.compute(Ns(2_000));
            of_work.set(of_work.get() + 1);
            of_work.get()
        }));
        let (of_thread, of_runs) = (work.clone(), runs.clone());
        oob(host, 60, move |oob, _| {
            assert!(of_thread.call());
            // No in-band thread has run since.
            assert!(!of_thread.call());
            assert_eq!(of_runs.get(), 0);
            let result = of_thread.call_and_wait(oob, Instant::NEVER).unwrap();
            assert_eq!(result, of_runs.get());
            // A run that began before the call must not end the wait.
            let before = of_runs.get();
            assert!(of_thread.call_and_wait(oob, Instant::NEVER).unwrap() > before);
        });
        hog(host, 10, Ns(300));
        Task::run(host, &host.inband(), c"closer", move |inband, me| {
            me.sleep_until(inband, Instant(30_000)).unwrap();
            work.call();
            work.flush(inband);
            let all = runs.get();
            assert_eq!(all, 3);
            work.call();
            work.cancel(inband);
            me.sleep_until(inband, Instant(60_000)).unwrap();
            // The call was taken back, or it ran before the cancellation.
            assert!(runs.get() <= all + 1);
            let left = runs.get();
            work.call();
            drop(work);
            me.sleep_until(inband, Instant(90_000)).unwrap();
            assert!(runs.get() <= left + 1);
        });
        host.finish(END).unwrap();
    });
}

#[test]
fn a_cancellation_ends_the_wait_for_work_and_the_work_does_not_run() {
    let ends = log();
    explore(0..100, |host| {
        let (runs, end) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(None)));
        let of_work = runs.clone();
        let work = Work::new(host, &host.inband(), move |_| {
            of_work.set(of_work.get() + 1);
            7
        });
        let work = Rc::new(work);
        let (of_thread, of_task) = (work.clone(), work.clone());
        let result = end.clone();
        oob(host, 60, move |oob, _| {
            result.set(Some(of_thread.call_and_wait(oob, Instant::NEVER)));
        });
        Task::run(host, &host.inband(), c"owner", move |inband, _| {
            of_task.cancel(inband);
        });
        host.finish(END).unwrap();
        let end = end.get().unwrap();
        match end {
            Ok(result) => assert_eq!((result, runs.get()), (7, 1)),
            Err(error) => assert_eq!((error, runs.get()), (WaitError::Closed, 0)),
        }
        ends.borrow_mut().push(end.is_ok());
    });
    // The seed chooses which in-band thread runs first: the task, or the worker.
    assert!(ends.borrow().contains(&true) && ends.borrow().contains(&false));
}

#[test]
fn a_call_beside_a_cancellation_gets_a_run_or_the_error_closed() {
    let ends = log();
    explore(0..300, |host| {
        host.set_processors(2);
        let (runs, told) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let of_work = runs.clone();
        let work = Work::new(host, &host.inband(), move |_| {
            of_work.set(of_work.get() + 1);
            0
        });
        let work = Rc::new(work);
        let (of_thread, of_told) = (work.clone(), told.clone());
        oob(host, 60, move |oob, _| {
            for _ in 0..3 {
                let end = of_thread.call_and_wait(oob, Instant::NEVER);
                of_told.set(of_told.get() + i32::from(end.is_ok()));
            }
        });
        Task::run(host, &host.inband(), c"owner", move |inband, _| {
            (0..3).for_each(|_| work.cancel(inband));
        });
        host.finish(END).unwrap();
        assert_eq!(told, runs);
        ends.borrow_mut().push(told.get());
    });
    assert!((1..3).all(|told| ends.borrow().contains(&told)));
}

#[test]
fn a_deadline_ends_the_wait_for_work_and_not_the_work() {
    let host = Host::new();
    let (begun, ended) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let (host_, begun_, ended_) = (host.clone(), begun.clone(), ended.clone());
    let work = Work::new(&host, &host.inband(), move |_| {
        begun_.set(begun_.get() + 1);
        host_.compute(Ns(10_000));
        ended_.set(ended_.get() + 1);
        begun_.get()
    });
    let work = Rc::new(work);
    let (of_thread, host_) = (work.clone(), host.clone());
    let (begun_, ended_) = (begun.clone(), ended.clone());
    oob(&host, 60, move |oob, _| {
        let late = Err(WaitError::TimedOut);
        let seen = || (begun_.get(), ended_.get());
        // No in-band thread has run since, so the call stays pending.
        assert_eq!(of_thread.call_and_wait(oob, host_.now()), late);
        assert!(!of_thread.call());
        assert_eq!(seen(), (0, 0));
        // A later call belongs to the run that the first call requested. This wait ends in the
        // middle of that run.
        let date = host_.now().after(Ns(5_000));
        assert_eq!(of_thread.call_and_wait(oob, date), late);
        assert_eq!((host_.now(), seen()), (date, (1, 0)));
        // From here on a call requests the next run, and no caller gets the first run's result.
        assert_eq!(of_thread.call_and_wait(oob, host_.now()), late);
        let end = Instant(1_000_000);
        assert_eq!(of_thread.call_and_wait(oob, end), Ok(2));
        assert_eq!(seen(), (2, 2));
        assert!(host_.now() < end);
    });
    host.finish(END).unwrap();
    assert_eq!((begun.get(), ended.get()), (2, 2));
    // No caller waits for this result; the work runs once.
    assert!(work.call());
    host.finish(END).unwrap();
    assert_eq!((begun.get(), ended.get()), (3, 3));
}

#[test]
fn finish_waits_for_queued_in_band_work() {
    let host = Host::new();
    let (host_, date) = (host.clone(), Rc::new(Cell::new(None)));
    let of_work = date.clone();
    let work = Work::new(&host, &host.inband(), move |inband| {
        host_.sleep_until_date(inband, Instant(5_000)).unwrap();
        of_work.set(Some(host_.now()));
        0
    });
    work.call();
    host.finish(END).unwrap();
    assert_eq!(date.get(), Some(Instant(5_000)));
}

/// A handler for which every second interrupt is its own, and which forwards every fourth.
struct Line {
    host: Host,
    calls: Cell<u32>,
    dates: Rc<RefCell<Vec<(char, Instant)>>>,
}

impl Handler for Line {
    fn handle(&self) -> Handled {
        self.calls.set(self.calls.get() + 1);
        match self.calls.get() % 4 {
            1 | 3 => Handled::No,
            2 => Handled::Yes,
            _ => {
                self.dates.borrow_mut().push(('f', self.host.now()));
                Handled::Forward
            }
        }
    }

    fn inband(&self, inband: &Inband<'_>) {
        // The in-band part may wait.
        self.host
            .sleep_until_date(inband, self.host.now().after(Ns(10)))
            .unwrap();
        self.dates.borrow_mut().push(('i', self.host.now()));
    }
}

#[test]
fn an_interrupt_is_handled_at_once_and_its_in_band_part_once_in_band_runs() {
    let host = Host::new();
    let dates = log();
    let line = Line {
        host: host.clone(),
        calls: Cell::new(0),
        dates: dates.clone(),
    };
    let line = Interrupt::new(&host, &host.inband(), line);
    let host_ = host.clone();
    oob(&host, 50, move |oob, me| {
        me.sleep_until(oob, Instant(4_500)).unwrap();
        host_.compute(Ns(10_000));
    });
    hog(&host, 100, Ns(1_000));
    (1..=8).for_each(|n| line.raise_at(Instant(2_000 + 500 * n)));
    host.finish(END).unwrap();
    // The fourth and the eighth interrupt: two forwards before the in-band part begins cause one
    // call.
    let at = Instant;
    let wanted = [
        ('f', at(4_000)),
        ('i', at(4_010)),
        ('f', at(6_000)),
        ('i', at(14_510)),
    ];
    assert_eq!(*dates.borrow(), wanted);
    assert_eq!(line.spurious(), 4);
    assert_eq!(line.handler().calls.get(), 8);
}

#[test]
fn a_timer_reports_missed_periods_and_keeps_its_dates() {
    let host = Host::new();
    let seen = log();
    let (host_, of_timer) = (host.clone(), seen.clone());
    let timer = host.timer(&host.inband(), move |missed| {
        of_timer.borrow_mut().push((host_.now(), missed))
    });
    timer.start(Instant(2_000), Ns(1_000));
    let host_ = host.clone();
    hog(&host, 20, Ns(1_000));
    oob(&host, 50, move |oob, me| {
        me.sleep_until(oob, Instant(3_500)).unwrap();
        // Interrupts are off while the dates 4, 5 and 6 us pass.
        host_.elapse(Ns(2_700));
    });
    host.run_until(Instant(8_500));
    let at = Instant;
    let wanted = [
        (at(2_000), 0),
        (at(3_000), 0),
        (at(6_200), 2),
        (at(7_000), 0),
        (at(8_000), 0),
    ];
    assert_eq!(*seen.borrow(), wanted);
}

#[test]
fn poll_returns_the_wanted_events_of_any_head() {
    const IN: u32 = 1;
    const OUT: u32 = 4;
    explore(0..200, |host| {
        let heads = Rc::new([
            PollHead::new(host, &host.inband()),
            PollHead::new(host, &host.inband()),
        ]);
        let state = Rc::new(Cell::new(0));
        let (host_, of_thread, ready) = (host.clone(), heads.clone(), state.clone());
        oob(host, 50, move |oob, me| {
            let both = [&of_thread[0], &of_thread[1]];
            let ready = || ready.get();
            let events = poll(&host_, oob, &both, IN, Instant::NEVER, ready);
            assert_eq!((events, host_.now()), (Ok(IN), Instant(9_000)));
            let date = Instant(12_000);
            let none = poll(&host_, oob, &both, OUT, date, || 0);
            assert_eq!((none, host_.now()), (Err(WaitError::TimedOut), date));
            assert!(!me.take_signal());
        });
        hog(host, 30, Ns(500));
        for (date, head, event) in [(5_000, 0, OUT), (9_000, 1, IN)] {
            let (heads, state) = (heads.clone(), state.clone());
            host.at(Instant(date), move || {
                state.set(state.get() | event);
                heads[head].signal(event);
            });
        }
        host.finish(END).unwrap();
    });
}
