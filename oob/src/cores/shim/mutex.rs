// SPDX-License-Identifier: GPL-2.0-only

//! The kernel's own lock with priority inheritance. It has no wait with a deadline that modules could call.

use crate::mutex::{self, LockError, RawMutex};
use crate::stage::Inband;
use core::cell::UnsafeCell;
use core::ffi::CStr;
use core::mem::MaybeUninit;
use kernel::alloc::KBox;
use kernel::bindings as b;
use kernel::error::Result;
use kernel::sync::LockClass;

/// An `rt_mutex`, in memory of its own.
///
/// # Invariants
///
/// Initialised in `new`.
pub struct RtMutex(KBox<UnsafeCell<MaybeUninit<b::rt_mutex>>>);

// SAFETY: the kernel's lock synchronises itself.
unsafe impl Sync for RtMutex {}
// SAFETY: it lies in memory of its own.
unsafe impl Send for RtMutex {}

impl RtMutex {
    fn new(inband: &Inband<'_>, name: &'static CStr, class: &'static LockClass) -> Result<Self> {
        let lock = KBox::new(inband, UnsafeCell::new(MaybeUninit::zeroed()))?;
        let lock = Self(lock);
        // SAFETY: the memory is there for as long as the lock, name and class for ever.
        unsafe { b::__rt_mutex_init(lock.as_ptr(), name.as_ptr(), class.key()) };
        Ok(lock)
    }

    fn as_ptr(&self) -> *mut b::rt_mutex {
        self.0.get().cast()
    }
}

// SAFETY: what an rt_mutex is.
unsafe impl RawMutex for RtMutex {
    fn lock(&self) -> core::result::Result<(), LockError> {
        // SAFETY: initialised; task context, by the token that the caller was given.
        match unsafe { b::rt_mutex_lock_interruptible(self.as_ptr()) } {
            0 => Ok(()),
            _ => Err(LockError::Interrupted),
        }
    }

    fn try_lock(&self) -> bool {
        // SAFETY: as above.
        unsafe { b::rt_mutex_trylock(self.as_ptr()) != 0 }
    }

    unsafe fn unlock(&self) {
        // SAFETY: initialised, and held by the caller.
        unsafe { b::rt_mutex_unlock(self.as_ptr()) };
    }

    fn current(&self) -> usize {
        kernel::task::current().addr()
    }
}

/// A value under a lock with priority inheritance.
pub type Mutex<T> = mutex::Mutex<T, RtMutex>;

/// Holds a [`Mutex`].
pub type MutexGuard<'a, T> = mutex::MutexGuard<'a, T, RtMutex>;

impl<T> Mutex<T> {
    /// Allocates. Locks that a thread holds at once are of different classes.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(
        inband: &Inband<'_>,
        value: T,
        name: &'static CStr,
        class: &'static LockClass,
    ) -> Result<Self> {
        Ok(Self::over(RtMutex::new(inband, name, class)?, value))
    }
}
