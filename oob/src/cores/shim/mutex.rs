// SPDX-License-Identifier: GPL-2.0-only

//! The mutex: the kernel's own lock with priority inheritance. The kernel exports no wait with a
//! deadline for it.

use crate::mutex::{self, LockError, RawMutex};
use crate::stage::Inband;
use core::cell::UnsafeCell;
use core::ffi::CStr;
use core::mem::MaybeUninit;
use kernel::alloc::KBox;
use kernel::bindings as b;
use kernel::error::Result;
use kernel::sync::LockClass;

/// An `rt_mutex` in a box.
///
/// # Invariants
///
/// `new` initialised the mutex.
pub struct RtMutex(KBox<UnsafeCell<MaybeUninit<b::rt_mutex>>>);

// SAFETY: threads may call the kernel's functions for one mutex side by side: that is what a mutex
// is for.
unsafe impl Sync for RtMutex {}
// SAFETY: the mutex lies in a box, so it does not move with this value.
unsafe impl Send for RtMutex {}

impl RtMutex {
    fn new(inband: &Inband<'_>, name: &'static CStr, class: &'static LockClass) -> Result<Self> {
        let lock = KBox::new(inband, UnsafeCell::new(MaybeUninit::zeroed()))?;
        let lock = Self(lock);
        // SAFETY: the box keeps the mutex in place for as long as it lives; name and class are
        // static.
        unsafe { b::__rt_mutex_init(lock.as_ptr(), name.as_ptr(), class.key()) };
        Ok(lock)
    }

    fn as_ptr(&self) -> *mut b::rt_mutex {
        self.0.get().cast()
    }
}

// SAFETY: an rt_mutex has one owner at a time, from a lock that returned 0 or a trylock that
// returned 1 to its unlock.
unsafe impl RawMutex for RtMutex {
    fn lock(&self) -> core::result::Result<(), LockError> {
        // SAFETY: `new` initialised the mutex; callers of `lock` hold the out-of-band token, so
        // this is a task that may sleep.
        match unsafe { b::rt_mutex_lock_interruptible(self.as_ptr()) } {
            0 => Ok(()),
            _ => Err(LockError::Interrupted),
        }
    }

    fn try_lock(&self) -> bool {
        // SAFETY: `new` initialised the mutex; callers of `try_lock` hold the out-of-band token, so
        // this is task context.
        unsafe { b::rt_mutex_trylock(self.as_ptr()) != 0 }
    }

    unsafe fn unlock(&self) {
        // SAFETY: `new` initialised the mutex, and the caller holds it.
        unsafe { b::rt_mutex_unlock(self.as_ptr()) };
    }

    fn current(&self) -> usize {
        kernel::task::current().addr()
    }
}

/// A value under a lock with priority inheritance.
pub type Mutex<T> = mutex::Mutex<T, RtMutex>;

/// The guard of a [`Mutex`].
pub type MutexGuard<'a, T> = mutex::MutexGuard<'a, T, RtMutex>;

impl<T> Mutex<T> {
    /// An unlocked mutex. Allocates. Mutexes that one thread holds at the same time need different
    /// classes.
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
