// SPDX-License-Identifier: GPL-2.0-only

//! Lines of waiting tasks: [`crate::monitor`] over raw spinlocks.

use super::Tasks;
use crate::monitor::{self, HardLock, MonitorState, Threads};
use kernel::bindings as b;
use kernel::sync::RawSpinLock;
use kernel::task;

// SAFETY: `current` is the task itself, which `wake_waiter` here takes; there is no other implementation in a module.
unsafe impl Threads for Tasks {
    #[inline]
    fn priority(&self) -> i32 {
        task::current_effective_priority()
    }

    #[inline]
    fn prepare_interruptible(&self) {
        // SAFETY: task context; every path goes on to `cancel` or `sleep_until`.
        unsafe { b::set_current_state(b::TASK_INTERRUPTIBLE) };
    }

    #[inline]
    fn is_interrupted(&self) -> bool {
        task::signal_pending() || task::is_stopped()
    }

    #[inline]
    unsafe fn wake_waiter(&self, thread: usize) {
        let thread = core::ptr::with_exposed_provenance_mut(thread);
        // SAFETY: by contract a task in a line, which it cannot leave while that one's lock is held.
        unsafe { b::wake_up_process(thread) };
    }
}

// SAFETY: a spinlock round a value in its own box, which only its own guards reach.
unsafe impl<T> HardLock<T> for RawSpinLock<T> {
    #[inline]
    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.lock())
    }
}

/// A value under a raw spinlock, and the tasks that wait until it suits them.
pub type Monitor<T> = monitor::Monitor<RawSpinLock<MonitorState<T>>>;

/// A counting semaphore.
pub type Semaphore = crate::semaphore::Semaphore<RawSpinLock<MonitorState<u32>>>;
