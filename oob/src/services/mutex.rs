// SPDX-License-Identifier: GPL-2.0-only

//! The mutex for threads of the out-of-band stage, with priority inheritance: the part that all
//! cores share.
//!
//! ```text
//!   lock(&Oob) --- does the caller hold it? --yes--> Deadlock
//!       |                   no
//!       v
//!   the core's lock: its holder inherits the highest priority of the waiters
//!       |
//!       v
//!   MutexGuard: &mut T, until it is dropped, by the thread that locked
//! ```
//!
//! Rules: no hard interrupt handler takes it. The holder may wait for other events; then all
//! waiters for the lock wait longer, too. This layer does not detect two threads that take two
//! locks in opposite orders.

use crate::record::Wait;
use crate::stage::{MayWait, Oob};
use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicUsize, Ordering};

/// Why a lock was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockError {
    /// The calling thread holds the lock. According to its source, EVL also returns this if the
    /// caller holds a lock that the holder waits for; this was not tried. On the shim and the host
    /// core two such threads wait for ever; the host's `finish` reports them as stuck.
    Deadlock,
    /// A signal or a forced unblock came first, or the thread was asked to stop.
    Interrupted,
}

/// A core's lock.
///
/// # Safety
///
/// At most one thread holds the lock at a time, from a successful `lock` or `try_lock` to its
/// `unlock`.
pub unsafe trait RawMutex {
    /// Takes the lock; waits while another thread holds it. The holder must not call it.
    ///
    /// # Errors
    ///
    /// See [`LockError`]; the lock was not taken.
    fn lock(&self) -> Result<(), LockError>;

    /// Takes the lock if it is free. Returns whether it was.
    fn try_lock(&self) -> bool;

    /// Releases the lock.
    ///
    /// # Safety
    ///
    /// The calling thread holds the lock.
    unsafe fn unlock(&self);

    /// A number that identifies the calling thread among all living threads; not 0.
    fn current(&self) -> usize;
}

/// A mutex over the lock `R` of a core.
pub struct Mutex<T, R> {
    raw: R,
    /// The holder's number; 0 while the lock is free. A thread finds its own number here only if it
    /// wrote it itself.
    owner: AtomicUsize,
    value: UnsafeCell<T>,
}

// SAFETY: the lock makes access to the value exclusive, so threads that share the mutex use the
// value one at a time; it is Send.
unsafe impl<T: Send, R: Sync> Sync for Mutex<T, R> {}

impl<T, R> fmt::Debug for Mutex<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").finish_non_exhaustive()
    }
}

impl<T, R: RawMutex> Mutex<T, R> {
    /// A mutex over a free lock of a core.
    pub const fn over(raw: R, value: T) -> Self {
        Self {
            raw,
            owner: AtomicUsize::new(0),
            value: UnsafeCell::new(value),
        }
    }

    /// Takes the lock; waits while another thread holds it.
    ///
    /// # Errors
    ///
    /// See [`LockError`].
    pub fn lock<'a>(&'a self, oob: &'a Oob<'_>) -> Result<MutexGuard<'a, T, R>, LockError> {
        if self.owner.load(Ordering::Relaxed) == self.raw.current() {
            return Err(LockError::Deadlock);
        }
        if !self.raw.try_lock() {
            let _recorded = oob.waits_for(Wait::Mutex);
            self.raw.lock()?;
        }
        Ok(self.taken())
    }

    /// Takes the lock if it is free. A lock that the calling thread holds is not free.
    pub fn try_lock<'a>(&'a self, _oob: &'a Oob<'_>) -> Option<MutexGuard<'a, T, R>> {
        self.raw.try_lock().then(|| self.taken())
    }

    fn taken(&self) -> MutexGuard<'_, T, R> {
        self.owner.store(self.raw.current(), Ordering::Relaxed);
        MutexGuard {
            mutex: self,
            here: PhantomData,
        }
    }
}

/// The guard of a [`Mutex`]. It stays in the thread that took the lock:
///
/// ```compile_fail,E0277
/// fn is_send<T: Send>() {}
/// fn check<R: oob::mutex::RawMutex + Sync + 'static>() {
///     is_send::<oob::mutex::MutexGuard<'static, u8, R>>();
/// }
/// ```
pub struct MutexGuard<'a, T, R: RawMutex> {
    mutex: &'a Mutex<T, R>,
    here: PhantomData<*mut ()>,
}

impl<T: fmt::Debug, R: RawMutex> fmt::Debug for MutexGuard<'_, T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T, R: RawMutex> Deref for MutexGuard<'_, T, R> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this guard's thread holds the lock, so no other code reaches the value.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T, R: RawMutex> DerefMut for MutexGuard<'_, T, R> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this guard's thread holds the lock, so no other code reaches the value, and the
        // guard is borrowed uniquely.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T, R: RawMutex> Drop for MutexGuard<'_, T, R> {
    fn drop(&mut self) {
        self.mutex.owner.store(0, Ordering::Relaxed);
        // SAFETY: this thread took the lock when the guard was created; the guard is not Send, so
        // it has not left the thread.
        unsafe { self.mutex.raw.unlock() };
    }
}
