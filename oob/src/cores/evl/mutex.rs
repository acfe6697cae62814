// SPDX-License-Identifier: GPL-2.0-only

//! The mutex: EVL's lock with priority inheritance.
//!
//! Only threads that are out-of-band can take it. A thread that a signal keeps in-band does not get
//! the lock: its wait is interrupted. A holder that was brought in-band goes back out-of-band to
//! unlock, if it can.

use crate::mutex::{self, LockError, RawMutex};
use crate::stage::Inband;
use core::cell::UnsafeCell;
use core::ffi::CStr;
use core::mem::MaybeUninit;
use kernel::alloc::KBox;
use kernel::bindings as b;
use kernel::error::Result;
use kernel::sync::LockClass;

/// An `evl_kmutex` in a box.
///
/// # Invariants
///
/// The mutex is initialised from `new` to `drop`.
pub struct EvlMutex(KBox<UnsafeCell<MaybeUninit<b::evl_kmutex>>>);

// SAFETY: threads may call EVL's mutex functions for one mutex side by side: that is what a mutex
// is for.
unsafe impl Sync for EvlMutex {}
// SAFETY: the mutex lies in a box, so it does not move with this value.
unsafe impl Send for EvlMutex {}

const DEADLOCK: i32 = b::EDEADLK.cast_signed().wrapping_neg();

impl EvlMutex {
    fn new(inband: &Inband<'_>) -> Result<Self> {
        let lock = KBox::new(inband, UnsafeCell::new(MaybeUninit::zeroed()))?;
        let lock = Self(lock);
        // SAFETY: the pointer is to memory of a mutex's size, which the box keeps until `drop`.
        unsafe { b::evl_init_kmutex(lock.as_ptr()) };
        Ok(lock)
    }

    fn as_ptr(&self) -> *mut b::evl_kmutex {
        self.0.get().cast()
    }
}

// SAFETY: EVL's mutex has one owner at a time, from a lock or trylock that returned 0 to its
// unlock.
unsafe impl RawMutex for EvlMutex {
    fn lock(&self) -> core::result::Result<(), LockError> {
        // SAFETY: callers of `lock` hold the out-of-band token, so this is an EVL thread that may
        // switch stages.
        if !unsafe { b::evl_enter_oob() } {
            return Err(LockError::Interrupted);
        }
        // SAFETY: `new` initialised the mutex, and the thread is out-of-band now.
        match unsafe { b::evl_lock_kmutex(self.as_ptr()) } {
            0 => Ok(()),
            DEADLOCK => Err(LockError::Deadlock),
            _ => Err(LockError::Interrupted),
        }
    }

    fn try_lock(&self) -> bool {
        // SAFETY: callers of `try_lock` hold the out-of-band token, so this is an EVL thread that
        // may switch stages.
        if !unsafe { b::evl_enter_oob() } {
            return false;
        }
        // SAFETY: `new` initialised the mutex, and the thread is out-of-band now.
        unsafe { b::evl_trylock_kmutex(self.as_ptr()) == 0 }
    }

    unsafe fn unlock(&self) {
        // SAFETY: the caller holds the mutex, so it is an EVL thread that may switch stages. If it
        // cannot go out-of-band now, EVL also accepts the unlock in-band.
        unsafe { b::evl_enter_oob() };
        // SAFETY: `new` initialised the mutex, and the caller holds it.
        unsafe { b::evl_unlock_kmutex(self.as_ptr()) };
    }

    fn current(&self) -> usize {
        kernel::task::current().addr()
    }
}

impl Drop for EvlMutex {
    fn drop(&mut self) {
        // SAFETY: `new` initialised the mutex. No thread holds it or waits for it: both would
        // borrow it. Mutexes are dropped in-band, the kit's rule for values that hold memory.
        unsafe { b::evl_destroy_kmutex(self.as_ptr()) };
    }
}

/// A value under a lock with priority inheritance.
pub type Mutex<T> = mutex::Mutex<T, EvlMutex>;

/// The guard of a [`Mutex`].
pub type MutexGuard<'a, T> = mutex::MutexGuard<'a, T, EvlMutex>;

impl<T> Mutex<T> {
    /// An unlocked mutex. Allocates. EVL gives its locks names and lockdep classes of its own, so
    /// these arguments are unused.
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
