// SPDX-License-Identifier: GPL-2.0-only

//! Locks and in-band waiting.
//!
//! The C part of each lock lies in a box, so the Rust value may be moved.

use crate::alloc::KBox;
use crate::error::Result;
use crate::inband::Inband;
use crate::time::monotonic_ns;
use core::cell::UnsafeCell;
use core::ffi::{CStr, c_ulong, c_void};
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ops::{Deref, DerefMut};

/// Whether this processor's interrupts are off, as in a hard interrupt handler or under a raw
/// spinlock. Such code is also in an RCU read-side section. Returns false if interrupts are masked
/// by other means than the processor's flag (arm64 with pseudo-NMIs, Xen).
#[inline(always)]
pub fn interrupts_are_off() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        const IF: u64 = 1 << 9;
        let flags: u64;
        // SAFETY: copies the flags to a register by the stack, which is unchanged afterwards.
        unsafe { core::arch::asm!("pushfq", "pop {}", out(reg) flags, options(preserves_flags)) };
        flags & IF == 0
    }
    #[cfg(target_arch = "aarch64")]
    {
        const I: u64 = 1 << 7;
        let daif: u64;
        // SAFETY: reads a register that kernel code may read.
        unsafe {
            core::arch::asm!("mrs {}, daif", out(reg) daif, options(nostack, preserves_flags))
        };
        daif & I != 0
    }
}

/// A lockdep class. Each place that creates locks has one static.
#[repr(transparent)]
#[derive(Debug)]
pub struct LockClass(UnsafeCell<MaybeUninit<bindings::lock_class_key>>);

// SAFETY: only lockdep touches the content, under its own lock.
unsafe impl Sync for LockClass {}

impl LockClass {
    /// A new class.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(UnsafeCell::new(MaybeUninit::zeroed()))
    }

    /// The class for the C functions.
    pub fn key(&'static self) -> *mut bindings::lock_class_key {
        self.0.get().cast()
    }
}

/// A lock that masks interrupts and never sleeps, on PREEMPT_RT, too: the only lock that hard
/// interrupt code may take. On EVL it is a hard spinlock, which both stages may take. The holder
/// must not sleep. No type checks that: a holder that has a token can use it.
pub struct RawSpinLock<T> {
    lock: KBox<UnsafeCell<MaybeUninit<bindings::oobkit_spinlock_t>>>,
    data: UnsafeCell<T>,
}

// SAFETY: the lock makes access to the data exclusive, so threads that share the lock use the data
// one at a time.
unsafe impl<T: Send> Sync for RawSpinLock<T> {}
// SAFETY: sending the lock sends the data, which is Send; the C lock lies in a box and belongs to
// no thread.
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
        // SAFETY: the box keeps the C lock in place while the lock lives; name and class are
        // static.
        unsafe { bindings::raw_spin_lock_init(lock.get().cast(), name.as_ptr(), class.key()) };
        Ok(Self {
            lock,
            data: UnsafeCell::new(data),
        })
    }

    /// Takes the lock and turns interrupts off.
    #[inline]
    pub fn lock(&self) -> RawSpinGuard<'_, T> {
        // SAFETY: `new` initialised the lock.
        let flags = unsafe { bindings::hard_spin_lock_irqsave(self.lock.get().cast()) };
        RawSpinGuard {
            lock: self,
            flags,
            here: PhantomData,
        }
    }
}

/// The guard of a [`RawSpinLock`].
pub struct RawSpinGuard<'a, T> {
    lock: &'a RawSpinLock<T>,
    flags: c_ulong,
    here: PhantomData<*mut ()>,
}

impl<T> Deref for RawSpinGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this guard holds the lock, so no other code reaches the data.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T> DerefMut for RawSpinGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this guard holds the lock, so no other code reaches the data, and the guard is
        // borrowed uniquely.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T> Drop for RawSpinGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `lock` took the lock with these flags, on this thread: a guard is not Send.
        unsafe { bindings::hard_spin_unlock_irqrestore(self.lock.lock.get().cast(), self.flags) };
    }
}

/// A sleeping lock for in-band task context.
pub struct Mutex<T> {
    lock: KBox<UnsafeCell<MaybeUninit<bindings::mutex>>>,
    data: UnsafeCell<T>,
}

// SAFETY: the lock makes access to the data exclusive, so threads that share the lock use the data
// one at a time.
unsafe impl<T: Send> Sync for Mutex<T> {}
// SAFETY: sending the lock sends the data, which is Send; the C lock lies in a box and belongs to
// no thread.
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
        // SAFETY: the box keeps the C lock in place while the lock lives; name and class are
        // static.
        unsafe { bindings::mutex_init(lock.get().cast(), name.as_ptr(), class.key()) };
        Ok(Self {
            lock,
            data: UnsafeCell::new(data),
        })
    }

    /// Takes the lock. Sleeps.
    pub fn lock(&self, _inband: &Inband<'_>) -> MutexGuard<'_, T> {
        // SAFETY: `new` initialised the lock; the token proves that the caller may sleep.
        unsafe { bindings::mutex_lock(self.lock.get().cast()) };
        MutexGuard {
            lock: self,
            here: PhantomData,
        }
    }
}

/// The guard of a [`Mutex`].
pub struct MutexGuard<'a, T> {
    lock: &'a Mutex<T>,
    here: PhantomData<*mut ()>,
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this guard holds the lock, so no other code reaches the data.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this guard holds the lock, so no other code reaches the data, and the guard is
        // borrowed uniquely.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: `lock` took the lock on this thread: a guard is not Send.
        unsafe { bindings::mutex_unlock(self.lock.lock.get().cast()) };
    }
}

/// A queue of in-band tasks that wait for a condition.
pub struct WaitQueue(KBox<UnsafeCell<MaybeUninit<bindings::wait_queue_head_t>>>);

// SAFETY: threads may call the functions for one wait queue side by side; they take the queue's
// lock.
unsafe impl Sync for WaitQueue {}
// SAFETY: the queue lies in a box, so it does not move with this value, and belongs to no thread.
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
        // SAFETY: the box keeps the queue in place while this value lives; name and class are
        // static.
        unsafe { bindings::init_waitqueue_head(queue.get().cast(), name.as_ptr(), class.key()) };
        Ok(Self(queue))
    }

    /// Sleeps until `condition` returns true, at most `ms` milliseconds. Returns whether it did.
    /// Signals do not end the sleep.
    pub fn wait<F: FnMut() -> bool>(
        &self,
        _inband: &Inband<'_>,
        ms: u32,
        mut condition: F,
    ) -> bool {
        unsafe extern "C" fn call<F: FnMut() -> bool>(argument: *mut c_void) -> bool {
            // SAFETY: `wait` passes a pointer to its own `condition`, which outlives this call and
            // which no other code uses meanwhile.
            (unsafe { &mut *argument.cast::<F>() })()
        }
        let argument = (&raw mut condition).cast::<c_void>();
        let queue = self.0.get().cast();
        let end = monotonic_ns().saturating_add(u64::from(ms).saturating_mul(1_000_000));
        let mut ms = ms;
        loop {
            // SAFETY: the function only computes.
            let jiffies = unsafe { bindings::msecs_to_jiffies(ms) }.cast_signed();
            // The tick under way counts as one but is shorter.
            let jiffies = jiffies.saturating_add(1);
            // SAFETY: `new` initialised the queue. `argument` points to the `F` that `call::<F>`
            // takes, and that lives through the call. The token proves that the caller may sleep.
            let left =
                unsafe { bindings::wait_event_timeout(queue, Some(call::<F>), argument, jiffies) };
            if left != 0 {
                return true;
            }
            // On EVL ticks may come late, so their count can be behind the clock.
            let rest = end.saturating_sub(monotonic_ns());
            if rest == 0 {
                return false;
            }
            ms = u32::try_from(rest.div_ceil(1_000_000)).unwrap_or(u32::MAX);
        }
    }

    /// Wakes all waiters. Takes the queue's lock, which sleeps on PREEMPT_RT.
    pub fn wake_all(&self, _inband: &Inband<'_>) {
        // SAFETY: `new` initialised the queue; the token proves that the caller may sleep on its
        // lock.
        unsafe { bindings::wake_up_all(self.0.get().cast()) };
    }
}
