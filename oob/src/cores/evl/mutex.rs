// SPDX-License-Identifier: GPL-2.0-only

//! EVL's lock with priority inheritance.
//!
//! It is for threads that are out-of-band. One that a signal keeps in-band does not get it: its wait is interrupted. One
//! that was brought in-band while it holds the lock goes back to give it up, where it can.

use crate::mutex::{self, LockError, RawMutex};
use crate::stage::Inband;
use core::cell::UnsafeCell;
use core::ffi::CStr;
use core::mem::MaybeUninit;
use kernel::alloc::KBox;
use kernel::bindings as b;
use kernel::error::Result;
use kernel::sync::LockClass;

/// An `evl_kmutex`, in memory of its own.
///
/// # Invariants
///
/// Initialised in `new`, until `drop`.
pub struct EvlMutex(KBox<UnsafeCell<MaybeUninit<b::evl_kmutex>>>);

// SAFETY: EVL's lock synchronises itself.
unsafe impl Sync for EvlMutex {}
// SAFETY: it lies in memory of its own.
unsafe impl Send for EvlMutex {}

const DEADLOCK: i32 = b::EDEADLK.cast_signed().wrapping_neg();

impl EvlMutex {
    fn new(inband: &Inband<'_>) -> Result<Self> {
        let lock = KBox::new(inband, UnsafeCell::new(MaybeUninit::zeroed()))?;
        let lock = Self(lock);
        // SAFETY: the memory is there until `drop`.
        unsafe { b::evl_init_kmutex(lock.as_ptr()) };
        Ok(lock)
    }

    fn as_ptr(&self) -> *mut b::evl_kmutex {
        self.0.get().cast()
    }
}

// SAFETY: what an EVL mutex is.
unsafe impl RawMutex for EvlMutex {
    fn lock(&self) -> core::result::Result<(), LockError> {
        // SAFETY: an EVL thread, by the token that the caller was given.
        if !unsafe { b::evl_enter_oob() } {
            return Err(LockError::Interrupted);
        }
        // SAFETY: initialised; out-of-band.
        match unsafe { b::evl_lock_kmutex(self.as_ptr()) } {
            0 => Ok(()),
            DEADLOCK => Err(LockError::Deadlock),
            _ => Err(LockError::Interrupted),
        }
    }

    fn try_lock(&self) -> bool {
        // SAFETY: as above.
        if !unsafe { b::evl_enter_oob() } {
            return false;
        }
        // SAFETY: as above.
        unsafe { b::evl_trylock_kmutex(self.as_ptr()) == 0 }
    }

    unsafe fn unlock(&self) {
        // SAFETY: as above. Where it cannot go there, EVL takes the lock back in-band, too.
        unsafe { b::evl_enter_oob() };
        // SAFETY: initialised, and held by the caller.
        unsafe { b::evl_unlock_kmutex(self.as_ptr()) };
    }

    fn current(&self) -> usize {
        kernel::task::current().addr()
    }
}

impl Drop for EvlMutex {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`; nobody has it or waits for it any more. In-band.
        unsafe { b::evl_destroy_kmutex(self.as_ptr()) };
    }
}

/// A value under a lock with priority inheritance.
pub type Mutex<T> = mutex::Mutex<T, EvlMutex>;

/// Holds a [`Mutex`].
pub type MutexGuard<'a, T> = mutex::MutexGuard<'a, T, EvlMutex>;

impl<T> Mutex<T> {
    /// Allocates. EVL has names and classes of its own for its locks.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(
        inband: &Inband<'_>,
        value: T,
        _name: &'static CStr,
        _class: &'static LockClass,
    ) -> Result<Self> {
        Ok(Self::over(EvlMutex::new(inband)?, value))
    }
}
