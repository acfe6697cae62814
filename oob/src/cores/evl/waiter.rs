// SPDX-License-Identifier: GPL-2.0-only

//! A waiter in a queue, for threads of either stage.
//!
//! ```text
//!   waiter       sleeps on                              is woken by
//!   EVL thread   an EVL flag, on its own stack          raising the flag; it runs once the hard lock is released
//!   task         itself, by schedule_hrtimeout          an irq_work, on its own stack: only in-band may wake a task
//! ```
//!
//! Rules:
//! 1. EVL threads come before tasks in a queue, whatever their priorities.
//! 2. A thread that holds the out-of-band token but cannot go there, because a signal keeps it
//!    in-band, waits as a task.

use super::wait::{STOPPED, UNBLOCKED, evl_date};
use crate::cores::kernel_core::clock::Monotonic;
use crate::stage::MayWait;
use crate::threads::{Park, Threads};
use crate::time::{Clock, Instant};
use core::cell::{Cell, UnsafeCell};
use core::mem::MaybeUninit;
use kernel::bindings as b;
use kernel::task;

/// Added to an EVL thread's priority: it then exceeds that of every task.
const ABOVE_TASKS: i32 = 100;

/// One thread's wait.
///
/// # Invariants
///
/// `state` is initialised and stays in place until [`Waiter::with`] has left it; or the value is
/// from [`Waiter::none`].
pub(crate) struct Waiter {
    state: UnsafeCell<MaybeUninit<b::oobkit_waiter>>,
    was_unblocked: Cell<bool>,
}

impl Waiter {
    /// For a caller that only wakes other threads; that reads only their waiters.
    pub(crate) const fn none() -> Self {
        Self {
            state: UnsafeCell::new(MaybeUninit::uninit()),
            was_unblocked: Cell::new(false),
        }
    }

    /// Calls `f` with a waiter for the calling thread, which the token `_stage` belongs to.
    pub(crate) fn with<S: MayWait, R>(_stage: &S, f: impl FnOnce(&Self) -> R) -> R {
        let waiter = Self::none();
        // SAFETY: the token proves that the calling thread may wait on stage `S`; the waiter stays
        // in this frame until the call of `evl_waiter_leave` below.
        unsafe { b::evl_waiter_init(waiter.as_ptr(), S::IS_OOB) };
        let result = f(&waiter);
        // SAFETY: initialised above. `f` has returned, so the thread is in no queue any more, and
        // no other thread can wake it.
        unsafe { b::evl_waiter_leave(waiter.as_ptr()) };
        result
    }

    const fn as_ptr(&self) -> *mut b::oobkit_waiter {
        self.state.get().cast()
    }

    fn is_oob(&self) -> bool {
        // SAFETY: `with` initialised the waiter; no thread waits with one from `none`.
        unsafe { b::evl_waiter_is_oob(self.as_ptr()) }
    }
}

// SAFETY: `current` returns the waiter's own address, which is valid until `with` returns, and so
// for the whole wait. `wake` takes just such an address. A module has no other implementation. No
// thread waits on a latch here, because this core's flag is EVL's own: so every waiter is in a
// queue, and leaves it only after the queue's lock was released.
unsafe impl Park for Waiter {
    fn current(&self) -> usize {
        self.as_ptr().expose_provenance()
    }

    fn prepare(&self) {
        self.prepare_interruptible();
    }

    fn cancel(&self) {
        if !self.is_oob() {
            // SAFETY: sets the state of the calling task, in task context.
            unsafe { b::set_current_state(b::TASK_RUNNING) };
        }
    }

    fn sleep_until(&self, date: Instant) -> bool {
        if self.is_oob() {
            // SAFETY: `is_oob` holds for the waiter of the calling thread only if `with` found it
            // out-of-band; its token lets it wait.
            let ended = unsafe { b::evl_waiter_wait_until(self.as_ptr(), evl_date(date)) };
            self.was_unblocked
                .set(ended == UNBLOCKED || ended == STOPPED);
            // EVL may wake the thread early, by the latency that it allows for.
            return false;
        }
        let mut expires = date.0.min(i64::MAX.cast_unsigned()).cast_signed();
        // SAFETY: `prepare_interruptible` has set the task's state; `expires` lives through the
        // call.
        unsafe {
            b::schedule_hrtimeout(&raw mut expires, b::hrtimer_mode::HRTIMER_MODE_ABS_HARD) == 0
        }
    }

    fn now(&self) -> Instant {
        Monotonic.now()
    }

    unsafe fn wake(&self, f: impl FnOnce() -> Option<usize>) {
        if let Some(waiter) = f() {
            // SAFETY: the address is that of the waiter of a thread in a queue, by the caller's
            // promise. The thread must take the queue's lock, which the caller holds, before it can
            // leave and free the waiter.
            unsafe { b::evl_waiter_wake(core::ptr::with_exposed_provenance_mut(waiter)) };
        }
    }
}

// SAFETY: `wake_waiter` is the trait's own, which calls `wake` above with an address that `current`
// above returned.
unsafe impl Threads for Waiter {
    fn priority(&self) -> i32 {
        if !self.is_oob() {
            return task::current_effective_priority();
        }
        // SAFETY: the waiter is the calling thread's, and `is_oob` holds for EVL threads only.
        unsafe { b::evl_current_priority() }.saturating_add(ABOVE_TASKS)
    }

    fn prepare_interruptible(&self) {
        // An EVL flag latches, so an EVL thread has nothing to prepare.
        if !self.is_oob() {
            // SAFETY: sets the state of the calling task, in task context; every path goes on to
            // `cancel` or `sleep_until`.
            unsafe { b::set_current_state(b::TASK_INTERRUPTIBLE) };
        }
    }

    fn is_interrupted(&self) -> bool {
        self.was_unblocked.get() || task::signal_pending()
    }
}
