// SPDX-License-Identifier: GPL-2.0-only

//! The mutex between real threads, over a spinlock of the process.

use oob::mutex::{LockError, Mutex, RawMutex};
use oob::stage::Oob;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// A lock that spins, and gives up once `is_interrupted` is set.
#[derive(Default)]
struct Raw {
    is_held: AtomicBool,
    is_interrupted: AtomicBool,
    waiting: AtomicUsize,
}

// SAFETY: only one thread can change `is_held` from false to true, and it holds the lock until it
// changes it back.
unsafe impl RawMutex for &Raw {
    fn lock(&self) -> Result<(), LockError> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        while !self.try_lock() {
            if self.is_interrupted.load(Ordering::Relaxed) {
                return Err(LockError::Interrupted);
            }
            thread::yield_now();
        }
        Ok(())
    }

    fn try_lock(&self) -> bool {
        !self.is_held.swap(true, Ordering::Acquire)
    }

    unsafe fn unlock(&self) {
        self.is_held.store(false, Ordering::Release);
    }

    fn current(&self) -> usize {
        thread_local!(static HERE: u8 = const { 0 });
        HERE.with(|here| std::ptr::from_ref(here).addr())
    }
}

fn oob() -> Oob<'static> {
    // SAFETY: a thread of the test may wait anywhere.
    unsafe { Oob::assume() }
}

#[test]
fn locking_twice_is_a_deadlock_and_afterwards_others_get_the_lock() {
    let raw = Raw::default();
    let mutex = Mutex::over(&raw, 0);
    let oob = &oob();
    for turn in 0..3 {
        let mut guard = mutex.lock(oob).unwrap();
        assert_eq!(mutex.lock(oob).err(), Some(LockError::Deadlock));
        assert!(mutex.try_lock(oob).is_none());
        assert_eq!(*guard, turn);
        *guard += 1;
    }
    assert_eq!(
        raw.waiting.load(Ordering::Relaxed),
        0,
        "no thread had to wait"
    );
    assert_eq!(*mutex.try_lock(oob).unwrap(), 3);
}

#[test]
fn an_interrupted_wait_does_not_take_the_lock() {
    let raw = Raw::default();
    let mutex = Mutex::over(&raw, ());
    let oob = &oob();
    let guard = mutex.lock(oob).unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| mutex.lock(&self::oob()).map(drop));
        while raw.waiting.load(Ordering::Relaxed) < 1 {
            thread::yield_now();
        }
        raw.is_interrupted.store(true, Ordering::Relaxed);
        assert_eq!(waiter.join().unwrap(), Err(LockError::Interrupted));
    });
    assert_eq!(mutex.lock(oob).err(), Some(LockError::Deadlock));
    drop(guard);
    assert!(mutex.lock(oob).is_ok());
}

#[test]
fn additions_under_the_lock_are_not_lost() {
    let raw = Raw::default();
    let mutex = Mutex::over(&raw, 0_usize);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5_000 {
                    let oob = self::oob();
                    let mut sum = mutex.lock(&oob).unwrap();
                    let old = *sum;
                    std::hint::black_box(&mut *sum);
                    *sum = old + 1;
                }
            });
        }
    });
    assert_eq!(*mutex.lock(&oob()).unwrap(), 20_000);
}
