// SPDX-License-Identifier: GPL-2.0-only

//! The evl core, as the kit's modules on a kernel with EVL use it.
//!
//! | service | by |
//! | --- | --- |
//! | thread | an EVL thread; EVL lets no other one make an out-of-band call |
//! | flag | `evl_flag`, raised latching |
//! | monitor, semaphore | [`crate::monitor`] over a hard spinlock; each waiter sleeps on a flag of its own |
//! | mutex | [`crate::mutex`] over `evl_kmutex` |
//! | kernel thread | `evl_kthread`, stopped by a mark of the kit's and EVL's forced unblock |
//! | work | [`crate::work`] over an unbound workqueue, see `kernel_core/work.rs` |
//! | timer | `evl_timer`: its handler runs in the out-of-band tick |
//!
//! A signal takes a thread in-band from whatever it waits for, and keeps it there until it is back in user space. What
//! it was doing for its device must not end half done, so it waits on in-band, polling: late, but not longer than to
//! its deadline; where it has none, until it is killed.

mod mutex;
mod thread;
mod waiting;

pub use mutex::{Mutex, MutexGuard};
pub use thread::{Running, Thread};
pub(crate) use waiting::Waiter;
pub use waiting::{Monitor, Semaphore, Tasks};

use crate::kernel_core::Monotonic;
use crate::stage::{Inband, Oob};
use crate::time::{Clock, Instant};
use crate::wait::{Flag, WaitError};
use core::cell::UnsafeCell;
use core::fmt;
use core::mem::MaybeUninit;
use kernel::alloc::KBox;
use kernel::bindings as b;
use kernel::error::Result;
use kernel::time::sleep_us;

/// Calls `f` with the out-of-band token where the calling thread is an EVL thread, out-of-band.
///
/// A copy from user memory may have brought it in-band; then it is taken back.
///
/// # Safety
///
/// The caller is in an out-of-band call: task context, nothing held. `f` uses no in-band token.
#[inline(always)]
pub unsafe fn with_oob<R>(f: impl FnOnce(&Oob<'_>) -> R) -> Option<R> {
    // SAFETY: a thread in an out-of-band call, which holds nothing.
    let entered = unsafe { b::evl_enter_oob() };
    // SAFETY: an EVL thread in an out-of-band call may wait; it stays one until the call ends, because only the thread
    // itself can detach.
    entered.then(|| f(&unsafe { Oob::assume() }))
}

/// What EVL ends a wait with whose thread has to go in-band.
const UNBLOCKED: i32 = b::EINTR.cast_signed().wrapping_neg();
/// The same of a kernel thread, which is to stop, and stays where it is.
const STOPPED: i32 = b::ECANCELED.cast_signed().wrapping_neg();

/// A deadline as EVL takes it: date 0 is its word for "no limit", and the last one of some versions' for "do not wait".
fn evl_date(deadline: Instant) -> u64 {
    match deadline {
        Instant::NEVER => 0,
        Instant(date) => date.clamp(1, (i64::MAX - 1).cast_unsigned()),
    }
}

/// A latched event on which an EVL thread waits.
///
/// # Invariants
///
/// The flag is initialised, and its memory stays where it is until it is destroyed in `drop`.
pub struct TaskFlag(KBox<UnsafeCell<MaybeUninit<b::evl_flag>>>);

// SAFETY: EVL's flags synchronise themselves.
unsafe impl Sync for TaskFlag {}
// SAFETY: the flag lies in memory of its own.
unsafe impl Send for TaskFlag {}

impl fmt::Debug for TaskFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskFlag").finish_non_exhaustive()
    }
}

impl TaskFlag {
    /// Not raised. Allocates.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(inband: &Inband<'_>) -> Result<Self> {
        let flag = KBox::new(inband, UnsafeCell::new(MaybeUninit::zeroed()))?;
        let flag = Self(flag);
        // SAFETY: the memory is there until `drop`.
        unsafe { b::evl_init_flag(flag.as_ptr()) };
        Ok(flag)
    }

    fn as_ptr(&self) -> *mut b::evl_flag {
        self.0.get().cast()
    }

    /// Consumes the event, if it is latched.
    fn take(&self) -> bool {
        // SAFETY: initialised in `new`.
        unsafe { b::evl_take_flag(self.as_ptr()) }
    }

    /// The wait of a thread that must not be out-of-band now.
    #[cold]
    fn wait_inband(&self, deadline: Instant) -> core::result::Result<(), WaitError> {
        loop {
            let over = Monotonic.now() >= deadline;
            if self.take() {
                return Ok(());
            }
            if over {
                return Err(WaitError::TimedOut);
            }
            // What has no deadline would poll for ever.
            // SAFETY: task context.
            if deadline == Instant::NEVER && unsafe { b::fatal_signal_pending() } {
                return Err(WaitError::Interrupted);
            }
            // SAFETY: a signal has brought this thread in-band, in a call, where nothing is held.
            sleep_us(&unsafe { Inband::assume() }, 50, 100);
        }
    }
}

impl Flag for TaskFlag {
    fn clear(&self) {
        self.take();
    }

    fn raise(&self) {
        // SAFETY: initialised in `new`.
        unsafe { b::evl_raise_flag(self.as_ptr()) };
    }

    fn wait_until(&self, _oob: &Oob<'_>, deadline: Instant) -> core::result::Result<(), WaitError> {
        // SAFETY: a thread in an out-of-band call, which holds nothing that another thread would wait for in-band.
        if !unsafe { b::evl_enter_oob() } {
            return self.wait_inband(deadline);
        }
        // SAFETY: out-of-band, in a thread that may wait; the flag was initialised in `new`.
        match unsafe { b::evl_wait_flag_until(self.as_ptr(), evl_date(deadline)) } {
            0 => Ok(()),
            UNBLOCKED => self.wait_inband(deadline),
            // An event that came beside the deadline counts.
            _ if self.take() => Ok(()),
            STOPPED => Err(WaitError::Interrupted),
            _ => Err(WaitError::TimedOut),
        }
    }
}

impl Drop for TaskFlag {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`; nobody waits any more. In-band.
        unsafe { b::evl_destroy_flag(self.as_ptr()) };
    }
}
