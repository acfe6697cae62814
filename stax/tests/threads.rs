// SPDX-License-Identifier: GPL-2.0-only

//! The real code with real threads, and one thread against a simple description of the lock.
#![cfg(not(loom))]

mod host;

use host::{Host, HostSpin, Monotonic, atomic, inband, oob};
use oob::time::{Clock, Instant, Ns};
use proptest::prelude::*;
use stax::{Backend, LockError, Side, Sleep, Stage, Stax, TryLockError};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;

/// The threads inside, as they count themselves.
#[derive(Default)]
struct Inside {
    sides: [AtomicU32; 2],
    sections: AtomicU64,
    /// One note for each thread. The thread writes it, and threads of the other stage read it, both
    /// without atomics. If the lock did not order these accesses, they would be data races, which
    /// ThreadSanitizer finds.
    notes: [[UnsafeCell<u64>; 3]; 2],
}

// SAFETY: a thread that reads or writes a note is inside, and the lock excludes a thread of the
// other stage that does the opposite; the tests check that.
unsafe impl Sync for Inside {}

impl Inside {
    fn section(&self, side: Side, me: usize, spins: u32) {
        let note = self.notes[side as usize][me].get();
        // SAFETY: only this thread writes the note, and the other stage, which reads it, is not
        // inside.
        unsafe { *note += 1 };
        for note in &self.notes[side.other() as usize] {
            // SAFETY: the other stage, which writes the note, is not inside.
            let _ = std::hint::black_box(unsafe { *note.get() });
        }
        self.sides[side as usize].fetch_add(1, Ordering::Relaxed);
        if spins == 0 {
            // The thread also loses the processor while it is inside.
            thread::yield_now();
        }
        for _ in 0..=spins {
            let others = self.sides[side.other() as usize].load(Ordering::Relaxed);
            assert_eq!(others, 0, "both stages are inside");
        }
        self.sides[side as usize].fetch_sub(1, Ordering::Relaxed);
        self.sections.fetch_add(1, Ordering::Relaxed);
    }
}

fn soon(ns: u64) -> Instant {
    Monotonic.now().after(Ns(ns))
}

/// A cheap random number generator.
fn choose(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed >> 11
}

/// Locks at random, by every call that locks, until `stop`. Returns the number of sections.
fn storm<S: Stage, B: Sleep<S>>(
    stax: &Stax<Inside, B>,
    stage: &S,
    thread: usize,
    rounds: u32,
) -> u64 {
    let mut seed = 0x9e37_79b9 + thread as u64 + 3 * S::SIDE as u64;
    let mut sections = 0;
    for _ in 0..rounds {
        let spins = (choose(&mut seed) % 64) as u32;
        let guard = match choose(&mut seed) % 4 {
            0 => match stax.try_lock(stage) {
                Ok(guard) => guard,
                Err(error) => {
                    assert_eq!(error, TryLockError::WouldBlock);
                    continue;
                }
            },
            1 => match stax.lock_until(stage, soon(choose(&mut seed) % 20_000)) {
                Ok(guard) => guard,
                Err(error) => {
                    assert!(matches!(
                        error,
                        LockError::TimedOut | LockError::Interrupted
                    ));
                    continue;
                }
            },
            _ => match stax.lock(stage) {
                Ok(guard) => guard,
                Err(error) => {
                    assert_eq!(error, LockError::Interrupted);
                    continue;
                }
            },
        };
        guard.section(S::SIDE, thread, spins);
        sections += 1;
        if spins & 1 == 0 {
            let inner = guard.nest().unwrap();
            drop(guard);
            inner.section(S::SIDE, thread, spins);
            sections += 1;
        }
    }
    sections
}

#[test]
fn storm_of_threads_with_signals_and_deadlines() {
    let stax = Stax::new(Inside::default(), Host::default());
    let left = AtomicU32::new(6);
    let sections: u64 = thread::scope(|scope| {
        let threads: Vec<_> = (0..6)
            .map(|thread| {
                let (stax, left) = (&stax, &left);
                scope.spawn(move || {
                    let sections = match thread < 3 {
                        true => storm(stax, &oob(), thread, 10_000),
                        false => storm(stax, &inband(), thread - 3, 10_000),
                    };
                    left.fetch_sub(1, Ordering::Relaxed);
                    sections
                })
            })
            .collect();
        while left.load(Ordering::Relaxed) > 0 {
            stax.backend().set_interrupted(true);
            thread::yield_now();
            stax.backend().set_interrupted(false);
            thread::sleep(std::time::Duration::from_micros(200));
        }
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    let stage = oob();
    let guard = stax.try_lock(&stage).unwrap();
    assert_eq!(guard.sections.load(Ordering::Relaxed), sections);
    assert_eq!(stax.backend().waiting(Side::Oob), 0);
    assert_eq!(stax.backend().waiting(Side::Inband), 0);
}

#[test]
fn storm_with_in_band_threads_that_spin() {
    let stax = Stax::new(Inside::default(), HostSpin::default());
    thread::scope(|scope| {
        for thread in 0..4 {
            let stax = &stax;
            scope.spawn(move || match thread < 2 {
                true => storm(stax, &oob(), thread, 3_000),
                false => storm(stax, &atomic(), thread - 2, 3_000),
            });
        }
    });
    assert!(stax.try_lock(&atomic()).is_ok());
}

/// Waits until this many threads of `side` wait.
fn until_waiting(host: &Host, side: Side, waiting: u32) {
    while host.waiting(side) != waiting {
        thread::yield_now();
    }
}

#[test]
fn destroying_wakes_both_sides() {
    let stax = Stax::new((), Host::default());
    thread::scope(|scope| {
        let stage = oob();
        let guard = stax.lock(&stage).unwrap();
        let mut waiters = vec![scope.spawn(|| stax.lock(&inband()).map(drop))];
        until_waiting(stax.backend(), Side::Inband, 1);
        // Waits behind the in-band waiter, although its own stage is inside.
        waiters.push(scope.spawn(|| stax.lock(&oob()).map(drop)));
        until_waiting(stax.backend(), Side::Oob, 1);
        stax.destroy();
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), Err(LockError::Dead));
        }
        // A thread inside may still nest and leave.
        let inner = guard.nest().unwrap();
        drop(guard);
        drop(inner);
        stax.destroy();
        assert_eq!(stax.lock(&oob()).map(drop), Err(LockError::Dead));
        assert_eq!(stax.try_lock(&inband()).map(drop), Err(TryLockError::Dead));
    });
}

#[test]
fn new_callers_wait_behind_a_waiter_and_nested_entries_pass() {
    let stax = Stax::new((), Host::default());
    thread::scope(|scope| {
        let stage = oob();
        let guard = stax.lock(&stage).unwrap();
        let waiter = scope.spawn(|| stax.lock(&inband()).map(drop));
        until_waiting(stax.backend(), Side::Inband, 1);
        assert_eq!(
            stax.try_lock(&oob()).map(drop),
            Err(TryLockError::WouldBlock)
        );
        assert_eq!(
            stax.lock_until(&oob(), soon(1_000)).map(drop),
            Err(LockError::TimedOut)
        );
        drop(guard.nest().unwrap());
        drop(guard);
        assert_eq!(waiter.join().unwrap(), Ok(()));
        assert!(stax.try_lock(&oob()).is_ok());
    });
}

#[test]
fn threads_behind_a_waiter_that_gives_up_enter() {
    let stax = Stax::new((), Host::default());
    thread::scope(|scope| {
        let stage = oob();
        let guard = stax.lock(&stage).unwrap();
        let gives_up = scope.spawn(|| stax.lock_until(&inband(), soon(50_000_000)).map(drop));
        until_waiting(stax.backend(), Side::Inband, 1);
        let behind = scope.spawn(|| stax.lock(&oob()).map(drop));
        assert_eq!(gives_up.join().unwrap(), Err(LockError::TimedOut));
        assert_eq!(behind.join().unwrap(), Ok(()));
        drop(guard);
    });
}

#[test]
fn a_spurious_wake_up_does_not_extend_the_deadline() {
    let stax = Stax::new((), Host::default());
    let stage = oob();
    let guard = stax.lock(&stage).unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let before = Monotonic.now();
            let stage = inband();
            let result = stax.lock_until(&stage, before.after(Ns(30_000_000)));
            assert_eq!(result.map(drop), Err(LockError::TimedOut));
            Monotonic.now().since(before)
        });
        // Spurious wake-ups, which must not restart the timeout.
        while !waiter.is_finished() {
            stax.backend().wake_all(Side::Inband);
            thread::yield_now();
        }
        let took = waiter.join().unwrap();
        assert!(took >= Ns(30_000_000), "{took:?}");
    });
    drop(guard);
    // A lock that can be entered at once is, even after the deadline.
    assert!(stax.lock_until(&oob(), Instant(0)).is_ok());
}

#[test]
fn a_signal_ends_a_wait() {
    let stax = Stax::new((), Host::default());
    let stage = inband();
    let guard = stax.lock(&stage).unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| stax.lock(&oob()).map(drop));
        until_waiting(stax.backend(), Side::Oob, 1);
        stax.backend().set_interrupted(true);
        assert_eq!(waiter.join().unwrap(), Err(LockError::Interrupted));
    });
    assert_eq!(stax.backend().waiting(Side::Oob), 0);
    drop(guard);
}

#[derive(Clone, Copy, Debug)]
enum Do {
    Try(bool),
    Nest(usize),
    Leave(usize),
    Destroy,
}

fn one_of() -> impl Strategy<Value = Do> {
    prop_oneof![
        8 => any::<bool>().prop_map(Do::Try),
        4 => any::<usize>().prop_map(Do::Nest),
        8 => any::<usize>().prop_map(Do::Leave),
        1 => Just(Do::Destroy),
    ]
}

proptest! {
    /// One thread plays both stages without waiting. The lock behaves like a list of the entries.
    #[test]
    fn as_a_list_would(steps in proptest::collection::vec(one_of(), 0..60)) {
        let stax = Stax::new(7, Host::default());
        let (oob, inband) = (oob(), inband());
        let (mut oobs, mut inbands) = (Vec::new(), Vec::new());
        let mut dead = false;
        for step in steps {
            match step {
                Do::Try(true) => match stax.try_lock(&oob) {
                    Ok(guard) => {
                        prop_assert!(inbands.is_empty() && !dead);
                        oobs.push(guard);
                    }
                    Err(TryLockError::Dead) => prop_assert!(dead),
                    Err(error) => {
                        prop_assert_eq!(error, TryLockError::WouldBlock);
                        prop_assert!(!inbands.is_empty() && !dead);
                    }
                },
                Do::Try(false) => match stax.try_lock(&inband) {
                    Ok(guard) => {
                        prop_assert!(oobs.is_empty() && !dead);
                        inbands.push(guard);
                    }
                    Err(TryLockError::Dead) => prop_assert!(dead),
                    Err(error) => {
                        prop_assert_eq!(error, TryLockError::WouldBlock);
                        prop_assert!(!oobs.is_empty() && !dead);
                    }
                },
                Do::Nest(which) => {
                    if let Some(at) = which.checked_rem(oobs.len()) {
                        let inner = oobs[at].nest().unwrap();
                        prop_assert_eq!(*inner, 7);
                        oobs.push(inner);
                    } else if let Some(at) = which.checked_rem(inbands.len()) {
                        let inner = inbands[at].nest().unwrap();
                        inbands.push(inner);
                    }
                }
                Do::Leave(which) => {
                    if let Some(at) = which.checked_rem(oobs.len()) {
                        drop(oobs.swap_remove(at));
                    } else if let Some(at) = which.checked_rem(inbands.len()) {
                        drop(inbands.swap_remove(at));
                    }
                }
                Do::Destroy => {
                    stax.destroy();
                    dead = true;
                }
            }
        }
    }
}
