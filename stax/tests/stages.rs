// SPDX-License-Identifier: GPL-2.0-only

//! The real lock on the host core: threads of two stages with priorities, and in-band interference.
//! The seed chooses the order of their services.
#![cfg(not(loom))]

use oob::host::{Host, HostLock, Interference, Monitor, Running, Task, Thread, explore};
use oob::record::Wait;
use oob::stage::{Inband, MayWait, Oob};
use oob::time::{Clock, Instant, Ns};
use oob::wait::{WaitError, WaitQueue};
use stax::host::StageLock;
use stax::queue::Queue;
use stax::{Backend, LockError, Side, Sleep, SleepingBackend, Stage, Stax};
use std::cell::Cell;
use std::rc::Rc;

/// A wait queue of the host core with a fault: a thread that enters it ignores the check that it
/// makes once it is queued.
struct FaultyQueue {
    host: Host,
    monitor: Monitor<()>,
}

impl WaitQueue for FaultyQueue {
    fn wait(
        &self,
        what: Wait,
        stage: &impl MayWait,
        deadline: Instant,
        ready: impl Fn() -> bool,
    ) -> Result<(), WaitError> {
        let mut checks = 0;
        let ready = |(): &mut ()| {
            checks += 1;
            // The monitor checks once before it queues the thread, then once it is queued, then
            // after each wake-up.
            (checks != 2 && ready()).then_some(())
        };
        self.monitor
            .wait_for(what, stage, &self.host, deadline, ready)
    }

    fn wake_all(&self) {
        self.monitor.update_and_wake_all(&self.host, |()| ());
    }
}

type FaultyBackend = SleepingBackend<HostLock<Queue>, FaultyQueue, Host>;

fn faulty_lock<T>(host: &Host, value: T) -> Stax<T, FaultyBackend> {
    let waiters = || FaultyQueue {
        host: host.clone(),
        monitor: host.monitor(&host.inband(), ()),
    };
    let queue = HostLock::new(host, Queue::new());
    let backend = SleepingBackend::new(queue, waiters(), waiters(), host.clone());
    Stax::new(value, backend)
}

fn lock<T>(host: &Host, value: T) -> StageLock<T> {
    stax::host::new(host, &host.inband(), value)
}

const END: Instant = Instant(1_000_000_000);
const NOISY: Interference = Interference {
    odds: 20,
    burst: Ns(100),
    stall: Ns(300),
    hard_off: Ns(50),
};

/// The threads inside, as they count themselves, and the results of the calls.
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
    /// A section in which the thread loses the processor or may lose it.
    fn section<S: Stage + MayWait>(&self, host: &Host, stage: &S) {
        let side = S::SIDE;
        let [mine, others] = [side, side.other()].map(|side| &self.sides[side as usize]);
        add(mine);
        add(&self.sections);
        self.most.set(self.most.get().max(mine.get()));
        assert_eq!(others.get(), 0, "both stages are inside");
        match host.random(1) {
            0 => host.compute(Ns(100)),
            // A signal ends the sleep, and stays for the next wait.
            _ => _ = host.sleep_until_date(stage, host.now().after(Ns(100))),
        }
        assert_eq!(others.get(), 0, "both stages are inside");
        mine.set(mine.get() - 1);
    }
}

/// The lock, and the same counts beside it, for threads that did not get in.
struct Rig<B> {
    stax: Stax<Rc<Inside>, B>,
    inside: Rc<Inside>,
}

/// Locks a few times, by every call that locks.
fn turns<S: Stage + MayWait, B: Sleep<S>>(host: &Host, rig: &Rig<B>, stage: &S, me: &Running<'_>) {
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
            Err(LockError::Overflow) => panic!("a few entries do not overflow the count"),
        }
        let _ = me.sleep_until(stage, host.now().after(Ns(70 * choice)));
    }
}

/// Runs three threads of each stage, and sends each a signal at a random date.
fn storm<B>(host: &Host, stax: Stax<Rc<Inside>, B>, inside: Rc<Inside>) -> Rc<Rig<B>>
where
    B: for<'a> Sleep<Oob<'a>> + for<'a> Sleep<Inband<'a>> + 'static,
{
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

/// The sums of a thousand storms.
fn storms(processors: usize, destroy: bool) -> Rc<Inside> {
    let total = Rc::new(Inside::default());
    explore(0..1_000, |host| {
        host.set_processors(processors);
        host.disturb(NOISY);
        let rig = storm(host, lock(host, total.clone()), total.clone());
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
fn three_threads_of_each_stage_exclude_the_other_stage_and_all_enter() {
    for processors in [1, 2] {
        let total = storms(processors, false);
        // The runs met all cases: shared sections, and waits that deadlines and signals ended.
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
fn a_waiter_waits_for_the_threads_inside_and_not_for_later_ones() {
    const SECTION: Ns = Ns(1_000);
    let longest = Cell::new(Ns(0));
    explore(0..500, |host| {
        let stax = Rc::new(lock(host, ()));
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
        let inside = Rc::default();
        let stax = faulty_lock(&host, Rc::clone(&inside));
        storm(&host, stax, inside);
        host.finish(END).is_err()
    };
    let found = (0..1_000).find(is_stuck);
    println!("lost at seed {found:?}");
    assert!(found.is_some());
}
