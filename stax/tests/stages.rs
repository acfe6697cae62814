// SPDX-License-Identifier: GPL-2.0-only

//! The real lock on the host core: threads of two stages with priorities, in-band interference, and every order of
//! their services that a seed chooses.
#![cfg(not(loom))]

use oob::host::{Host, HostLock, Interference, Monitor, Running, Task, Thread, explore};
use oob::monitor::WaitQueue;
use oob::record::Wait;
use oob::stage::{MayWait, Oob};
use oob::time::{Clock, Instant, Ns};
use oob::wait::WaitError;
use stax::queue::Queue;
use stax::{Backend, LockError, Side, Stage, Stax};
use std::cell::Cell;
use std::rc::Rc;

/// A line of the host core's.
struct HostWaitQueue {
    host: Host,
    monitor: Monitor<()>,
    /// Or a thread goes to sleep on a look that it had before it was in line.
    looks_in_line: bool,
}

impl WaitQueue for HostWaitQueue {
    fn wait(
        &self,
        what: Wait,
        stage: &impl MayWait,
        deadline: Instant,
        ready: impl Fn() -> bool,
    ) -> Result<(), WaitError> {
        let mut looks = 0;
        let ready = |(): &mut ()| {
            looks += 1;
            // The monitor looks once before it lines up, then in line, then after each wake-up.
            let is_told = self.looks_in_line || looks != 2;
            (is_told && ready()).then_some(())
        };
        self.monitor
            .wait_for(what, stage, &self.host, deadline, ready)
    }

    fn wake_all(&self) {
        self.monitor.update_and_wake_all(&self.host, |()| ());
    }
}

/// As in a kernel.
type SleepingBackend = stax::SleepingBackend<HostLock<Queue>, HostWaitQueue, Host>;

fn lines(host: &Host, looks_in_line: bool) -> SleepingBackend {
    let line = || HostWaitQueue {
        host: host.clone(),
        monitor: host.monitor(&host.inband(), ()),
        looks_in_line,
    };
    let queue = HostLock::new(host, Queue::new());
    SleepingBackend::new(queue, line(), line(), host.clone())
}

const END: Instant = Instant(1_000_000_000);
const NOISY: Interference = Interference {
    odds: 20,
    burst: Ns(100),
    stall: Ns(300),
    hard_off: Ns(50),
};

/// Who is inside, as they say themselves, and what came of the calls.
#[derive(Debug, Default)]
struct Inside {
    sides: [Cell<u32>; 2],
    most: Cell<u32>,
    sections: Cell<u32>,
    timed_out: Cell<u32>,
    interrupted: Cell<u32>,
    dead: Cell<u32>,
}

fn add(count: &Cell<u32>) {
    count.set(count.get() + 1);
}

impl Inside {
    /// A section in which the thread loses the processor, or may.
    fn section<S: Stage + MayWait>(&self, host: &Host, stage: &S) {
        let side = S::SIDE;
        let [mine, others] = [side, side.other()].map(|side| &self.sides[side as usize]);
        add(mine);
        add(&self.sections);
        self.most.set(self.most.get().max(mine.get()));
        assert_eq!(others.get(), 0, "both stages are inside");
        match host.random(1) {
            0 => host.compute(Ns(100)),
            // A signal ends it, and is left for the next wait.
            _ => _ = host.sleep_until_date(stage, host.now().after(Ns(100))),
        }
        assert_eq!(others.get(), 0, "both stages are inside");
        mine.set(mine.get() - 1);
    }
}

/// The lock, and the same counts beside it: for those who did not get in.
struct Rig {
    stax: Stax<Rc<Inside>, SleepingBackend>,
    inside: Rc<Inside>,
}

/// A few locks by all ways in.
fn turns<S: Stage + MayWait>(host: &Host, rig: &Rig, stage: &S, me: &Running<'_>) {
    for _ in 0..4 {
        let choice = host.random(5);
        let deadline = host.now().after(Ns(50 * choice));
        let end = match choice {
            0..2 => rig.stax.lock_until(stage, deadline),
            _ => rig.stax.lock(stage),
        };
        match end {
            Ok(guard) => {
                guard.section(host, stage);
                if choice == 3 {
                    let inner = guard.nest().unwrap();
                    drop(guard);
                    inner.section(host, stage);
                }
            }
            Err(LockError::TimedOut) => add(&rig.inside.timed_out),
            Err(LockError::Dead) => add(&rig.inside.dead),
            Err(LockError::Interrupted) => {
                assert!(me.take_signal());
                add(&rig.inside.interrupted);
            }
            Err(LockError::Overflow) => panic!("so few cannot be too many"),
        }
        let _ = me.sleep_until(stage, host.now().after(Ns(70 * choice)));
    }
}

/// Three threads of each stage, and as many signals at any date.
fn storm(host: &Host, backend: SleepingBackend, inside: &Rc<Inside>) -> Rc<Rig> {
    let inside = Rc::clone(inside);
    let stax = Stax::new(inside.clone(), backend);
    let rig = Rc::new(Rig { stax, inside });
    let inband = host.inband();
    for priority in [10, 20, 20] {
        let (host_, rig_) = (host.clone(), rig.clone());
        let thread = Thread::run(host, &inband, c"oob", priority, move |oob, me| {
            turns(&host_, &rig_, oob, me);
        });
        let thread = thread.unwrap();
        host.at(Instant(1_000 + host.random(2_000)), move || {
            thread.unblock()
        });
    }
    for _ in 0..3 {
        let (host_, rig_) = (host.clone(), rig.clone());
        let task = Task::run(host, &inband, c"in-band", move |inband, me| {
            turns(&host_, &rig_, inband, me);
        });
        host.at(Instant(1_000 + host.random(2_000)), move || task.signal());
    }
    rig
}

/// What a thousand storms came to, all together.
fn storms(processors: usize, destroy: bool) -> Rc<Inside> {
    let total = Rc::new(Inside::default());
    explore(0..1_000, |host| {
        host.set_processors(processors);
        host.disturb(NOISY);
        let rig = storm(host, lines(host, true), &total);
        if destroy {
            let (rig, date) = (rig.clone(), Instant(1_000 + host.random(2_000)));
            let body = move |oob: &Oob<'_>, me: &Running<'_>| {
                me.sleep_until(oob, date).unwrap();
                rig.stax.destroy();
                assert_eq!(rig.stax.lock(oob).map(drop), Err(LockError::Dead));
            };
            Thread::run(host, &host.inband(), c"owner", 90, body).unwrap();
        }
        host.finish(END).unwrap();
        let waiting = |side| rig.stax.backend().with_queue(|queue| queue.waiting(side));
        assert_eq!((waiting(Side::Oob), waiting(Side::Inband)), (0, 0));
    });
    println!("{processors}: {total:?}");
    total
}

#[test]
fn three_threads_of_each_stage_exclude_one_another_and_all_get_in() {
    for processors in [1, 2] {
        let total = storms(processors, false);
        // All of it was met: shared sections, deadlines and signals that ended waits.
        assert!(total.most.get() > 1);
        assert!(total.sections.get() > 20_000, "{}", total.sections.get());
        assert!(total.timed_out.get() > 500, "{}", total.timed_out.get());
        assert!(total.interrupted.get() > 500, "{}", total.interrupted.get());
        assert_eq!(total.dead.get(), 0);
    }
}

#[test]
fn destroying_the_lock_at_any_date_ends_every_wait() {
    for processors in [1, 2] {
        let total = storms(processors, true);
        assert!(total.sections.get() > 5_000, "{}", total.sections.get());
        assert!(total.dead.get() > 5_000, "{}", total.dead.get());
    }
}

#[test]
fn a_waiter_waits_for_those_inside_and_for_nobody_who_comes_later() {
    const SECTION: Ns = Ns(1_000);
    let longest = Cell::new(Ns(0));
    explore(0..500, |host| {
        let stax = Rc::new(Stax::new((), lines(host, true)));
        for _ in 0..3 {
            let (host_, stax) = (host.clone(), stax.clone());
            Task::run(host, &host.inband(), c"in-band", move |inband, _| {
                for _ in 0..10 {
                    let guard = stax.lock(inband).unwrap();
                    host_.compute(SECTION);
                    drop(guard);
                }
            });
        }
        let date = Instant(1_000 + host.random(20_000));
        let (host_, waited) = (host.clone(), Rc::new(Cell::new(Ns(0))));
        let of_thread = waited.clone();
        Thread::run(host, &host.inband(), c"oob", 50, move |oob, me| {
            me.sleep_until(oob, date).unwrap();
            drop(stax.lock(oob).unwrap());
            of_thread.set(host_.now().since(date));
        })
        .unwrap();
        host.finish(END).unwrap();
        assert!(waited.get().0 <= 3 * SECTION.0, "{waited:?}");
        longest.set(longest.get().max(waited.get()));
    });
    assert!(longest.get() > Ns(2 * SECTION.0), "{longest:?}");
}

#[test]
fn a_backend_that_loses_wake_ups_is_found_within_a_thousand_seeds() {
    let is_stuck = |seed: &u64| {
        let host = Host::seeded(*seed);
        host.set_processors(2);
        host.disturb(NOISY);
        storm(&host, lines(&host, false), &Rc::default());
        host.finish(END).is_err()
    };
    let found = (0..1_000).find(is_stuck);
    println!("lost at seed {found:?}");
    assert!(found.is_some());
}
