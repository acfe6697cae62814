// SPDX-License-Identifier: GPL-2.0-only

//! How tasks sleep and are woken.

use crate::cores::kernel_core::clock::Monotonic;
use crate::stage::MayWait;
use crate::threads::{Park, Threads};
use crate::time::{Clock, Instant};
use kernel::bindings as b;
use kernel::sync::interrupts_are_off;
use kernel::task;

/// The tasks of the kernel, as waiters.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tasks;

impl Tasks {
    /// For a caller that only wakes other threads.
    pub(crate) const fn none() -> Self {
        Self
    }

    /// Calls `f` with a waiter for the calling thread. On this core a waiter has no state.
    pub(crate) fn with<S: MayWait, R>(_stage: &S, f: impl FnOnce(&Self) -> R) -> R {
        f(&Self)
    }
}

// SAFETY: `current` returns the address of the calling task; so does the module's other
// implementation, in `flag.rs`. `wake` runs its closure inside an RCU read-side section. A task
// that was in its wait when the closure ran is freed a grace period after its end at the earliest,
// and so not before that section ends.
unsafe impl Park for Tasks {
    #[inline]
    fn current(&self) -> usize {
        task::current().expose_provenance()
    }

    #[inline]
    fn prepare(&self) {
        // SAFETY: sets the state of the calling task, in task context; every path goes on to
        // `cancel` or `sleep_until`.
        unsafe { b::set_current_uninterruptible() };
    }

    #[inline]
    fn cancel(&self) {
        // SAFETY: sets the state of the calling task, in task context.
        unsafe { b::set_current_state(b::TASK_RUNNING) };
    }

    #[inline]
    fn sleep_until(&self, date: Instant) -> bool {
        if date == Instant::NEVER {
            // SAFETY: `prepare` has set the task's state; a token proved that the task may sleep.
            unsafe { b::schedule() };
            return false;
        }
        let mut expires = date.0.min(i64::MAX.cast_unsigned()).cast_signed();
        let mode = b::hrtimer_mode::HRTIMER_MODE_ABS_HARD;
        // SAFETY: `prepare` has set the task's state, and a token proved that the task may sleep;
        // `expires` lives through the call.
        unsafe { b::schedule_hrtimeout(&raw mut expires, mode) == 0 }
    }

    #[inline]
    fn now(&self) -> Instant {
        Monotonic.now()
    }

    #[inline]
    fn is_stopped(&self) -> bool {
        task::is_stopped()
    }

    #[inline]
    unsafe fn wake(&self, f: impl FnOnce() -> Option<usize>) {
        // Disabled preemption is also an RCU read-side section, and so are disabled interrupts.
        // Where interrupts are off already, nothing is left to do.
        let is_inside = interrupts_are_off();
        if !is_inside {
            // SAFETY: allowed in any context; `preempt_enable` below pairs with it.
            unsafe { b::preempt_disable() };
        }
        if let Some(task) = f() {
            let task = core::ptr::with_exposed_provenance_mut::<b::task_struct>(task);
            // SAFETY: the task was in its wait when `f` returned it, by the caller's promise. That
            // was inside this RCU read-side section, so the task is not freed before the section
            // ends.
            unsafe { b::wake_up_process(task) };
        }
        if !is_inside {
            // SAFETY: pairs with the `preempt_disable` above.
            unsafe { b::preempt_enable() };
        }
    }
}

// SAFETY: `current` returns the address of the calling task, and `wake_waiter` takes such an
// address. A module has no other implementation.
unsafe impl Threads for Tasks {
    #[inline]
    fn priority(&self) -> i32 {
        task::current_effective_priority()
    }

    #[inline]
    fn prepare_interruptible(&self) {
        // SAFETY: sets the state of the calling task, in task context; every path goes on to
        // `cancel` or `sleep_until`.
        unsafe { b::set_current_state(b::TASK_INTERRUPTIBLE) };
    }

    #[inline]
    fn is_interrupted(&self) -> bool {
        task::signal_pending() || task::is_stopped()
    }

    #[inline]
    unsafe fn wake_waiter(&self, thread: usize) {
        let thread = core::ptr::with_exposed_provenance_mut(thread);
        // SAFETY: the task is in a queue whose lock the caller holds, by this method's contract. It
        // must take that lock to leave, so it cannot end meanwhile.
        unsafe { b::wake_up_process(thread) };
    }
}
