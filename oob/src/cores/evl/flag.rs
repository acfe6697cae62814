// SPDX-License-Identifier: GPL-2.0-only

//! The flag: EVL's own.

use super::wait::{STOPPED, UNBLOCKED, evl_date};
use crate::cores::kernel_core::clock::Monotonic;
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

/// A latched event for which an EVL thread waits.
///
/// # Invariants
///
/// The flag is initialised, and its memory stays in place until `drop` destroys it.
pub struct TaskFlag(KBox<UnsafeCell<MaybeUninit<b::evl_flag>>>);

// SAFETY: EVL's flag functions serialise their accesses to the flag by its own lock.
unsafe impl Sync for TaskFlag {}
// SAFETY: the flag lies in a box, so it does not move with this value, and it belongs to no thread.
unsafe impl Send for TaskFlag {}

impl fmt::Debug for TaskFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskFlag").finish_non_exhaustive()
    }
}

impl TaskFlag {
    /// A flag that is not raised. Allocates.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(inband: &Inband<'_>) -> Result<Self> {
        let flag = KBox::new(inband, UnsafeCell::new(MaybeUninit::zeroed()))?;
        let flag = Self(flag);
        // SAFETY: the pointer is to memory of a flag's size, which the box keeps until `drop`.
        unsafe { b::evl_init_flag(flag.as_ptr()) };
        Ok(flag)
    }

    fn as_ptr(&self) -> *mut b::evl_flag {
        self.0.get().cast()
    }

    /// Consumes the event if it is latched.
    fn take(&self) -> bool {
        // SAFETY: `new` initialised the flag.
        unsafe { b::evl_take_flag(self.as_ptr()) }
    }

    /// The wait of a thread that must not be out-of-band now: it polls.
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
            // Without a deadline the thread would poll for ever.
            // SAFETY: reads the signals of the calling thread, which is in task context.
            if deadline == Instant::NEVER && unsafe { b::fatal_signal_pending() } {
                return Err(WaitError::Interrupted);
            }
            // SAFETY: a signal has brought this thread in-band, inside a call that holds no lock.
            sleep_us(&unsafe { Inband::assume() }, 50, 100);
        }
    }
}

impl Flag for TaskFlag {
    fn clear(&self) {
        self.take();
    }

    fn raise(&self) {
        // SAFETY: `new` initialised the flag; any context may raise it.
        unsafe { b::evl_raise_flag(self.as_ptr()) };
    }

    fn wait_until(&self, _oob: &Oob<'_>, deadline: Instant) -> core::result::Result<(), WaitError> {
        // SAFETY: the token proves a thread of the stage, in a call in which it may wait: it holds
        // no lock that keeps it from switching stages.
        if !unsafe { b::evl_enter_oob() } {
            return self.wait_inband(deadline);
        }
        // SAFETY: the thread is out-of-band now and may wait, by its token; `new` initialised the
        // flag.
        match unsafe { b::evl_wait_flag_until(self.as_ptr(), evl_date(deadline)) } {
            0 => Ok(()),
            UNBLOCKED => self.wait_inband(deadline),
            // An event that came at the same time as the deadline counts.
            _ if self.take() => Ok(()),
            STOPPED => Err(WaitError::Interrupted),
            _ => Err(WaitError::TimedOut),
        }
    }
}

impl Drop for TaskFlag {
    fn drop(&mut self) {
        // SAFETY: `new` initialised the flag, and no thread waits for it any more: a waiter would
        // borrow it. Flags are dropped in-band, the kit's rule for values that hold memory.
        unsafe { b::evl_destroy_flag(self.as_ptr()) };
    }
}
