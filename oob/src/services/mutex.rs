// SPDX-License-Identifier: GPL-2.0-only

//! A lock for threads of the out-of-band stage, with priority inheritance: what the cores' locks
//! have in common.
//!
//! ```text
//!   lock(&Oob) --- the caller has it already? --yes--> Deadlock
//!       |                   no
//!       v
//!   the core's lock: its holder runs with the priority of the highest thread that waits
//!       |
//!       v
//!   MutexGuard: &mut T, until it is dropped, by the thread that locked
//! ```
//!
//! Rules: no hard interrupt takes it; the holder may wait, and then all who want the lock wait with
//! it. That two threads take two locks in opposite orders is not found out here.

use crate::record::Wait;
use crate::stage::{MayWait, Oob};
use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicUsize, Ordering};

/// Why a lock was not had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockError {
    /// The calling thread holds it. By its source, EVL also finds out that it holds what the holder
    /// waits for, which was not tried. On the shim and the host core two such threads wait for
    /// ever; the host's `finish` reports them as stuck.
    Deadlock,
    /// A signal or a forced unblock came first, or the thread was asked to stop.
    Interrupted,
}

/// A core's lock.
///
/// # Safety
///
/// At most one thread holds it at a time, from a successful `lock` or `try_lock` to its `unlock`.
pub unsafe trait RawMutex {
    /// Takes it, waiting where another thread has it; not called by the holder.
    ///
    /// # Errors
    ///
    /// [`LockError`]; then the lock was not taken.
    fn lock(&self) -> Result<(), LockError>;

    /// Takes it if it is free; whether it was.
    fn try_lock(&self) -> bool;

    /// Gives it back.
    ///
    /// # Safety
    ///
    /// The calling thread holds it.
    unsafe fn unlock(&self);

    /// Tells the calling thread from any other that lives; not 0.
    fn current(&self) -> usize;
}

/// Over the lock `R` of some core.
pub struct Mutex<T, R> {
    raw: R,
    /// 0 while nobody has it. A thread finds its own number here only if it has written that
    /// itself.
    owner: AtomicUsize,
    value: UnsafeCell<T>,
}

// SAFETY: the lock makes access to the value exclusive.
unsafe impl<T: Send, R: Sync> Sync for Mutex<T, R> {}

impl<T, R> fmt::Debug for Mutex<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").finish_non_exhaustive()
    }
}

impl<T, R: RawMutex> Mutex<T, R> {
    /// Of a core's lock that nobody holds.
    pub const fn over(raw: R, value: T) -> Self {
        Self {
            raw,
            owner: AtomicUsize::new(0),
            value: UnsafeCell::new(value),
        }
    }

    /// Takes the lock, waiting where another thread has it.
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

    /// Takes the lock if nobody has it, the calling thread included.
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

/// Holds a [`Mutex`]. It stays in the thread that locked:
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
        // SAFETY: the lock is held.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T, R: RawMutex> DerefMut for MutexGuard<'_, T, R> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held, by this guard alone.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T, R: RawMutex> Drop for MutexGuard<'_, T, R> {
    fn drop(&mut self) {
        self.mutex.owner.store(0, Ordering::Relaxed);
        // SAFETY: held since the guard was made, by this thread, which the guard has not left.
        unsafe { self.mutex.raw.unlock() };
    }
}
