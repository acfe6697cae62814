// SPDX-License-Identifier: GPL-2.0-only

//! Locks and in-band waiting.
//!
//! The C part of each lock lies in memory of its own, so a lock may be moved before it is used.

use crate::alloc::KBox;
use crate::error::Result;
use crate::inband::Inband;
use crate::time::monotonic_ns;
use core::cell::UnsafeCell;
use core::ffi::{CStr, c_ulong, c_void};
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ops::{Deref, DerefMut};

/// Whether this processor has its interrupts off, as in a hard interrupt's handler or under a raw spinlock: a read-side section
/// of RCU, too. Says no where they are masked by other means than the processor's flag (arm64 with pseudo-NMIs, Xen).
#[inline(always)]
pub fn interrupts_are_off() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        const IF: u64 = 1 << 9;
        let flags: u64;
        // SAFETY: reads the flags, by way of the stack, which is as it was then.
        unsafe { core::arch::asm!("pushfq", "pop {}", out(reg) flags, options(preserves_flags)) };
        flags & IF == 0
    }
    #[cfg(target_arch = "aarch64")]
    {
        const I: u64 = 1 << 7;
        let daif: u64;
        // SAFETY: reads a register that every kernel may read.
        unsafe {
            core::arch::asm!("mrs {}, daif", out(reg) daif, options(nostack, preserves_flags))
        };
        daif & I != 0
    }
}

/// What lockdep tells locks apart by; one static for each place that makes locks.
#[repr(transparent)]
#[derive(Debug)]
pub struct LockClass(UnsafeCell<MaybeUninit<bindings::lock_class_key>>);

// SAFETY: only the kernel touches the content, and synchronises that itself.
unsafe impl Sync for LockClass {}

impl LockClass {
    /// A new class.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(UnsafeCell::new(MaybeUninit::zeroed()))
    }

    /// For C.
    pub fn key(&'static self) -> *mut bindings::lock_class_key {
        self.0.get().cast()
    }
}

/// A lock that masks interrupts and never sleeps, on PREEMPT_RT too: the only one that hard interrupt code may take. On
/// EVL it is a hard spinlock, which both stages may take. Nothing may sleep while it is held, and no type sees to that: who has
/// a token keeps it.
pub struct RawSpinLock<T> {
    lock: KBox<UnsafeCell<MaybeUninit<bindings::oobkit_spinlock_t>>>,
    data: UnsafeCell<T>,
}

// SAFETY: the lock makes access to the data exclusive.
unsafe impl<T: Send> Sync for RawSpinLock<T> {}
// SAFETY: moving the lock moves the data.
unsafe impl<T: Send> Send for RawSpinLock<T> {}

impl<T> RawSpinLock<T> {
    /// Allocates.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(
        inband: &Inband<'_>,
        data: T,
        name: &'static CStr,
        class: &'static LockClass,
    ) -> Result<Self> {
        let lock = KBox::new(inband, UnsafeCell::new(MaybeUninit::zeroed()))?;
        // SAFETY: the memory is there for as long as the lock, name and class for ever.
        unsafe { bindings::raw_spin_lock_init(lock.get().cast(), name.as_ptr(), class.key()) };
        Ok(Self {
            lock,
            data: UnsafeCell::new(data),
        })
    }

    /// Takes the lock with interrupts off.
    #[inline]
    pub fn lock(&self) -> RawSpinGuard<'_, T> {
        // SAFETY: initialised in `new`.
        let flags = unsafe { bindings::hard_spin_lock_irqsave(self.lock.get().cast()) };
        RawSpinGuard {
            lock: self,
            flags,
            here: PhantomData,
        }
    }
}

/// Holds a [`RawSpinLock`].
pub struct RawSpinGuard<'a, T> {
    lock: &'a RawSpinLock<T>,
    flags: c_ulong,
    here: PhantomData<*mut ()>,
}

impl<T> Deref for RawSpinGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T> DerefMut for RawSpinGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held, by this guard alone.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T> Drop for RawSpinGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: held since the guard was made, with these flags.
        unsafe { bindings::hard_spin_unlock_irqrestore(self.lock.lock.get().cast(), self.flags) };
    }
}

/// A lock that sleeps, for in-band task context.
pub struct Mutex<T> {
    lock: KBox<UnsafeCell<MaybeUninit<bindings::mutex>>>,
    data: UnsafeCell<T>,
}

// SAFETY: the lock makes access to the data exclusive.
unsafe impl<T: Send> Sync for Mutex<T> {}
// SAFETY: moving the lock moves the data.
unsafe impl<T: Send> Send for Mutex<T> {}

impl<T> Mutex<T> {
    /// Allocates.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(
        inband: &Inband<'_>,
        data: T,
        name: &'static CStr,
        class: &'static LockClass,
    ) -> Result<Self> {
        let lock = KBox::new(inband, UnsafeCell::new(MaybeUninit::zeroed()))?;
        // SAFETY: the memory is there for as long as the lock, name and class for ever.
        unsafe { bindings::mutex_init(lock.get().cast(), name.as_ptr(), class.key()) };
        Ok(Self {
            lock,
            data: UnsafeCell::new(data),
        })
    }

    /// Takes the lock; sleeps.
    pub fn lock(&self, _inband: &Inband<'_>) -> MutexGuard<'_, T> {
        // SAFETY: initialised in `new`.
        unsafe { bindings::mutex_lock(self.lock.get().cast()) };
        MutexGuard {
            lock: self,
            here: PhantomData,
        }
    }
}

/// Holds a [`Mutex`].
pub struct MutexGuard<'a, T> {
    lock: &'a Mutex<T>,
    here: PhantomData<*mut ()>,
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the lock is held.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held, by this guard alone.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: held since the guard was made.
        unsafe { bindings::mutex_unlock(self.lock.lock.get().cast()) };
    }
}

/// A queue of in-band tasks that wait for a condition.
pub struct WaitQueue(KBox<UnsafeCell<MaybeUninit<bindings::wait_queue_head_t>>>);

// SAFETY: the kernel's wait queue synchronises itself.
unsafe impl Sync for WaitQueue {}
// SAFETY: it lies in memory of its own.
unsafe impl Send for WaitQueue {}

impl WaitQueue {
    /// Allocates.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(
        inband: &Inband<'_>,
        name: &'static CStr,
        class: &'static LockClass,
    ) -> Result<Self> {
        let queue = KBox::new(inband, UnsafeCell::new(MaybeUninit::zeroed()))?;
        // SAFETY: the memory is there for as long as the queue, name and class for ever.
        unsafe { bindings::init_waitqueue_head(queue.get().cast(), name.as_ptr(), class.key()) };
        Ok(Self(queue))
    }

    /// Sleeps until `condition` holds, at most `ms`; whether it held. No signal ends it earlier.
    pub fn wait<F: FnMut() -> bool>(
        &self,
        _inband: &Inband<'_>,
        ms: u32,
        mut condition: F,
    ) -> bool {
        unsafe extern "C" fn call<F: FnMut() -> bool>(argument: *mut c_void) -> bool {
            // SAFETY: `wait` passes its own `condition`, which outlives the call and is used by nobody else meanwhile.
            (unsafe { &mut *argument.cast::<F>() })()
        }
        let argument = (&raw mut condition).cast::<c_void>();
        let queue = self.0.get().cast();
        let end = monotonic_ns().saturating_add(u64::from(ms).saturating_mul(1_000_000));
        let mut ms = ms;
        loop {
            // SAFETY: pure arithmetic.
            let jiffies = unsafe { bindings::msecs_to_jiffies(ms) }.cast_signed();
            // The tick that is under way is no whole one.
            let jiffies = jiffies.saturating_add(1);
            // SAFETY: the queue was initialised in `new`; `call` and `argument` belong together.
            let left =
                unsafe { bindings::wait_event_timeout(queue, Some(call::<F>), argument, jiffies) };
            if left != 0 {
                return true;
            }
            // Ticks that came late, as on EVL they may, have left the count of them behind the clock.
            let rest = end.saturating_sub(monotonic_ns());
            if rest == 0 {
                return false;
            }
            ms = u32::try_from(rest.div_ceil(1_000_000)).unwrap_or(u32::MAX);
        }
    }

    /// Wakes all; the queue's lock sleeps on PREEMPT_RT.
    pub fn wake_all(&self, _inband: &Inband<'_>) {
        // SAFETY: initialised in `new`.
        unsafe { bindings::wake_up_all(self.0.get().cast()) };
    }
}
