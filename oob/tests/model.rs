// SPDX-License-Identifier: GPL-2.0-only

//! The latch and the monitor under loom: every interleaving, in some models up to a number of
//! preemptions, and every reordering that the memory model allows.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p oob --release --test model
//!
//!   raiser: its mark (relaxed), raise        waiter: waits until it has seen all marks
//!   clock:  lets the date pass, wakes        stray:  wakes without an event
//! ```
//!
//! All models check: no thread sleeps for ever, which loom reports as a deadlock; a waiter sees
//! what was written before its event; an event is consumed once. Threads sleep as in a kernel: a
//! wake-up counts from `prepare` on, and an earlier one is discarded.
#![cfg(loom)]

use loom::model::Builder;
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use oob::latch::Latch;
use oob::lock::HardLock;
use oob::monitor::MonitorState;
use oob::semaphore::Semaphore;
use oob::stage::Oob;
use oob::threads::{Park, Threads};
use oob::time::Instant;
use oob::wait::WaitError;

/// A date that passes when the clock's thread lets it pass; a past date; no date.
const SOON: Instant = Instant(1);
const PAST: Instant = Instant(0);
const NEVER: Instant = Instant::NEVER;

/// The first thread's number; a latch uses 0 and 1 itself.
const FIRST: usize = 2;

#[derive(Default)]
struct Sleeper {
    is_woken: Mutex<bool>,
    wake_up: Condvar,
}

/// All threads that may sleep, and the date.
#[derive(Default)]
struct World {
    sleepers: [Sleeper; 2],
    date: AtomicU64,
}

impl World {
    fn wake(&self, thread: usize) {
        let sleeper = &self.sleepers[thread - FIRST];
        *sleeper.is_woken.lock().unwrap() = true;
        sleeper.wake_up.notify_one();
    }

    /// Lets the date pass and wakes the thread, as a timer does.
    fn let_date_pass(&self, thread: usize) {
        self.date.store(SOON.0, Ordering::Relaxed);
        self.wake(thread);
    }
}

/// One thread of the world.
struct Me<'a>(&'a World, usize);

impl Me<'_> {
    fn sleeper(&self) -> &Sleeper {
        &self.0.sleepers[self.1 - FIRST]
    }
}

// SAFETY: `current` returns a thread's number, and `wake` looks it up in a list; no implementation
// here takes it for an address.
unsafe impl Park for Me<'_> {
    fn current(&self) -> usize {
        self.1
    }

    fn prepare(&self) {
        *self.sleeper().is_woken.lock().unwrap() = false;
    }

    fn cancel(&self) {}

    fn sleep_until(&self, date: Instant) -> bool {
        let mut is_woken = self.sleeper().is_woken.lock().unwrap();
        while !*is_woken && self.now() < date {
            is_woken = self.sleeper().wake_up.wait(is_woken).unwrap();
        }
        self.now() >= date
    }

    fn now(&self) -> Instant {
        Instant(self.0.date.load(Ordering::Relaxed))
    }

    unsafe fn wake(&self, f: impl FnOnce() -> Option<usize>) {
        if let Some(thread) = f() {
            self.0.wake(thread);
        }
    }
}

// SAFETY: `wake_waiter` is the trait's own; `wake` looks the number up in a list.
unsafe impl Threads for Me<'_> {
    fn priority(&self) -> i32 {
        0
    }

    fn prepare_interruptible(&self) {
        self.prepare();
    }

    fn is_interrupted(&self) -> bool {
        false
    }
}

fn check(preemptions: Option<usize>, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = preemptions;
    builder.max_branches = 100_000;
    builder.check(model);
}

/// A latch, the marks of its raisers, and the world.
#[derive(Default)]
struct Event {
    latch: Latch,
    marks: [AtomicBool; 2],
    world: World,
}

impl Event {
    fn raise(&self, n: usize) {
        self.marks[n].store(true, Ordering::Relaxed);
        // The raiser does not sleep, so its number is not used.
        self.latch.raise(&Me(&self.world, 0));
    }

    fn wait(&self, deadline: Instant) -> Result<(), WaitError> {
        self.latch.wait_until(&Me(&self.world, FIRST), deadline)
    }

    /// Waits until it has seen the marks of `count` raisers.
    fn wait_for(&self, count: usize) {
        let seen = |mark: &AtomicBool| mark.load(Ordering::Relaxed);
        while !self.marks.iter().take(count).all(seen) {
            self.wait(NEVER).unwrap();
        }
    }
}

fn spawn(event: &Arc<Event>, f: impl FnOnce(&Event) + 'static) -> thread::JoinHandle<()> {
    let event = event.clone();
    thread::spawn(move || f(&event))
}

#[test]
fn one_raise_ends_one_wait() {
    check(None, || {
        let event = Arc::new(Event::default());
        let raiser = spawn(&event, |event| event.raise(0));
        event.wait(NEVER).unwrap();
        let mark = &event.marks[0];
        assert!(
            mark.load(Ordering::Relaxed),
            "the waiter sees what was written before the raise"
        );
        raiser.join().unwrap();
        assert_eq!(event.wait(PAST), Err(WaitError::TimedOut), "consumed");
    });
}

#[test]
fn two_raisers_are_both_seen() {
    check(Some(3), || {
        let event = Arc::new(Event::default());
        let raisers = [0, 1].map(|n| spawn(&event, move |event| event.raise(n)));
        event.wait_for(2);
        for raiser in raisers {
            raiser.join().unwrap();
        }
    });
}

#[test]
fn two_raises_of_one_raiser_are_both_seen() {
    check(None, || {
        let event = Arc::new(Event::default());
        let raiser = spawn(&event, |event| {
            event.raise(0);
            event.raise(1);
        });
        event.wait_for(2);
        raiser.join().unwrap();
    });
}

#[test]
fn a_spurious_wake_up_ends_no_wait() {
    check(Some(3), || {
        let event = Arc::new(Event::default());
        let stray = spawn(&event, |event| event.world.wake(FIRST));
        let raiser = spawn(&event, |event| event.raise(0));
        event.wait(NEVER).unwrap();
        assert!(event.marks[0].load(Ordering::Relaxed));
        stray.join().unwrap();
        raiser.join().unwrap();
        assert_eq!(event.wait(PAST), Err(WaitError::TimedOut));
    });
}

/// `raisers` events and a date that passes: the wait returns an event, or leaves it for the next
/// wait.
fn late(raisers: usize, deadline: Instant) {
    let event = Arc::new(Event::default());
    let mut others: Vec<_> = (0..raisers)
        .map(|n| spawn(&event, move |event| event.raise(n)))
        .collect();
    if deadline == SOON {
        others.push(spawn(&event, |event| event.world.let_date_pass(FIRST)));
    }
    let first = event.wait(deadline);
    others.drain(..).for_each(|other| other.join().unwrap());
    let second = event.wait(PAST);
    match (first, second) {
        (Err(WaitError::TimedOut), Ok(())) => {}
        (Ok(()), Err(WaitError::TimedOut)) => {}
        // One event was consumed before the other was raised.
        (Ok(()), Ok(())) if raisers == 2 => {}
        results => panic!("{results:?}"),
    }
    assert_eq!(event.wait(PAST), Err(WaitError::TimedOut));
}

#[test]
fn a_deadline_loses_no_event() {
    check(None, || late(1, PAST));
    check(Some(4), || late(1, SOON));
}

#[test]
fn a_deadline_loses_no_event_of_two() {
    check(None, || late(2, PAST));
    check(Some(2), || late(2, SOON));
}

/// A second waiter, against the rules of the latch, cannot take the first waiter's wake-up or event
/// for good.
#[test]
fn a_second_waiter_gets_an_error_and_the_first_loses_nothing() {
    check(Some(3), || {
        let event = Arc::new(Event::default());
        let raiser = spawn(&event, |event| event.raise(0));
        let second = spawn(&event, |event| {
            let me = Me(&event.world, FIRST + 1);
            match event.latch.wait_until(&me, PAST) {
                Ok(()) => event.raise(1),
                Err(error) => assert_ne!(error, WaitError::Interrupted),
            }
        });
        match event.wait(NEVER) {
            Err(error) => {
                assert_eq!(error, WaitError::Closed);
                second.join().unwrap();
                event.wait(NEVER).unwrap();
            }
            Ok(()) => second.join().unwrap(),
        }
        assert!(event.marks[0].load(Ordering::Relaxed));
        raiser.join().unwrap();
    });
}

struct Lock<T>(Mutex<T>);

// SAFETY: the value lies in the mutex, and only `with` reaches it, with the mutex held.
unsafe impl<T> HardLock<T> for Lock<T> {
    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.0.lock().unwrap())
    }
}

/// Two threads wait for one count, one of them until `deadline`. If that thread gets the count, it
/// gives it back. So the other thread must get it in the end, whichever was woken.
fn two_waiters(deadline: Instant) {
    struct Shared {
        semaphore: Semaphore<Lock<MonitorState<u32>>>,
        world: World,
    }
    let shared = Arc::new(Shared {
        semaphore: Semaphore::new(Lock(Mutex::new(MonitorState::new(0)))),
        world: World::default(),
    });
    let spawn = |f: fn(&Shared, Instant)| {
        let shared = shared.clone();
        thread::spawn(move || f(&shared, deadline))
    };
    // SAFETY: a thread of the model may wait anywhere.
    let oob = unsafe { Oob::assume() };
    let mut others = vec![
        spawn(|shared, deadline| {
            // SAFETY: a thread of the model may wait anywhere.
            let oob = unsafe { Oob::assume() };
            let me = Me(&shared.world, FIRST + 1);
            match shared.semaphore.down_until(&oob, &me, deadline) {
                Ok(()) => shared.semaphore.up(&me).unwrap(),
                Err(error) => assert_eq!(error, WaitError::TimedOut),
            }
        }),
        spawn(|shared, _| shared.semaphore.up(&Me(&shared.world, 0)).unwrap()),
    ];
    if deadline == SOON {
        others.push(spawn(|shared, _| shared.world.let_date_pass(FIRST + 1)));
    }
    let me = Me(&shared.world, FIRST);
    shared.semaphore.down_until(&oob, &me, NEVER).unwrap();
    others.drain(..).for_each(|other| other.join().unwrap());
    assert!(
        !shared.semaphore.try_down(),
        "no more was counted down than up"
    );
}

#[test]
fn a_waiter_that_gives_up_does_not_lose_a_semaphores_wake_up() {
    check(Some(2), || two_waiters(SOON));
    check(Some(3), || two_waiters(PAST));
}
