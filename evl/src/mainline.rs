// SPDX-License-Identifier: GPL-2.0-only

//! The shim core, as the kit's modules on a mainline kernel use it.
//!
//! | service | by |
//! | --- | --- |
//! | thread | a `SCHED_FIFO` task that attached itself; `evl_shim.ko` keeps the list |
//! | monitor, semaphore | [`crate::monitor`] over a raw spinlock: waiters by priority, woken by `wake_up_process` |
//! | flag | [`crate::latch`] over `schedule_hrtimeout` and `wake_up_process`: one scheduling per wait |
//! | mutex | [`crate::mutex`] over `rt_mutex` |
//! | kernel thread | a kthread, `SCHED_FIFO` |
//! | work | [`crate::work`] over an unbound workqueue, see `kcore/work.rs` |
//! | timer | hrtimer in hard mode |

mod mutex;
mod thread;
mod waiting;

pub use mutex::{Mutex, MutexGuard, RtMutex};
pub use thread::{Running, Thread};
pub use waiting::{Monitor, Semaphore};

pub use crate::kcore::Monotonic;
use crate::latch::{Latch, Park};
use crate::record::{Record, Wait};
use crate::stage::{MayWait, Oob};
use crate::time::{Clock, Instant};
use crate::wait::{Flag, WaitError};
use kernel::bindings as b;
use kernel::error::Result;

unsafe extern "C" {
    /// The calling thread's record, as long as it is attached; null where it is not.
    safe fn oobkit_evl_shim_record() -> *const Record;
}

/// Calls `f` with the out-of-band token where the calling thread is attached.
///
/// The caller is in a system call: task context, nothing held.
#[inline(always)]
pub fn with_oob<R>(f: impl FnOnce(&Oob<'_>) -> R) -> Option<R> {
    // SAFETY: null, or the record of an attached task, which only the task itself can detach.
    let record = unsafe { oobkit_evl_shim_record().as_ref() }?;
    // SAFETY: an attached task in a system call may wait; it stays attached until the call ends.
    Some(f(&unsafe { Oob::recorded(record) }))
}

/// The tasks of the kernel, as those who wait.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tasks;

impl Tasks {
    /// For who only wakes others.
    pub(crate) const fn none() -> Self {
        Self
    }

    /// Calls `f` with where the calling thread may wait; there is nothing to be made for that.
    pub(crate) fn with<S: MayWait, R>(_stage: &S, f: impl FnOnce(&Self) -> R) -> R {
        f(&Self)
    }
}

impl Park for Tasks {
    #[inline]
    fn current(&self) -> usize {
        kernel::task::current().expose_provenance()
    }

    #[inline]
    fn prepare(&self) {
        // SAFETY: task context; every path goes on to `cancel` or `sleep_until`.
        unsafe { b::set_current_state(b::TASK_UNINTERRUPTIBLE) };
    }

    #[inline]
    fn cancel(&self) {
        // SAFETY: task context.
        unsafe { b::set_current_state(b::TASK_RUNNING) };
    }

    #[inline]
    fn sleep_until(&self, date: Instant) -> bool {
        if date == Instant::NEVER {
            // SAFETY: the state was set by `prepare`.
            unsafe { b::schedule() };
            return false;
        }
        let mut expires = date.0.min(i64::MAX.cast_unsigned()).cast_signed();
        let mode = b::hrtimer_mode::HRTIMER_MODE_ABS_HARD;
        // SAFETY: the state was set by `prepare`; the date lives through the call.
        unsafe { b::schedule_hrtimeout(&raw mut expires, mode) == 0 }
    }

    #[inline]
    fn now(&self) -> Instant {
        Monotonic.now()
    }

    #[inline]
    fn is_stopped(&self) -> bool {
        kernel::task::is_stopped()
    }

    #[inline]
    fn wake(&self, f: impl FnOnce() -> Option<usize>) {
        // A read-side section of RCU, too, and the cheapest one.
        // SAFETY: always allowed.
        unsafe { b::preempt_disable() };
        if let Some(task) = f() {
            let task = core::ptr::with_exposed_provenance_mut::<b::task_struct>(task);
            // SAFETY: the task was in `wait_until` when the word was read, inside this read-side section; its memory
            // is given back a grace period after its end at the earliest.
            unsafe { b::wake_up_process(task) };
        }
        // SAFETY: pairs with the one above.
        unsafe { b::preempt_enable() };
    }
}

/// A latched event on which a task waits.
#[derive(Debug)]
pub struct TaskFlag(Latch);

impl TaskFlag {
    /// Not raised.
    ///
    /// # Errors
    ///
    /// None here; on EVL a flag has memory of its own.
    pub const fn new() -> Result<Self> {
        Ok(Self(Latch::new()))
    }
}

impl Flag for TaskFlag {
    #[inline]
    fn clear(&self) {
        self.0.clear();
    }

    #[inline]
    fn raise(&self) {
        self.0.raise(&Tasks);
    }

    #[inline]
    fn wait_until(&self, oob: &Oob<'_>, deadline: Instant) -> core::result::Result<(), WaitError> {
        let _recorded = oob.waits_for(Wait::Flag);
        self.0.wait_until(&Tasks, deadline)
    }
}
