// SPDX-License-Identifier: GPL-2.0-only

//! The shim core, as the kit's modules on a mainline kernel use it.
//!
//! | service | by |
//! | --- | --- |
//! | thread | a `SCHED_FIFO` task that attached itself; `oob_shim.ko` keeps the list |
//! | monitor, semaphore | [`crate::monitor`] over a raw spinlock: waiters by priority, woken by `wake_up_process` |
//! | flag | [`crate::latch`] over `wake_up_process`, and an hrtimer for the deadline: one scheduling per wait |
//! | mutex | [`crate::mutex`] over `rt_mutex` |
//! | kernel thread | a kthread, `SCHED_FIFO` |
//! | work | [`crate::work`] over an unbound workqueue, see `kernel_core/work.rs` |
//! | timer | hrtimer in hard mode |

mod mutex;
mod thread;
mod waiting;

pub use mutex::{Mutex, MutexGuard, RtMutex};
pub use thread::{Running, Thread};
pub use waiting::{Monitor, Semaphore};

pub use crate::kernel_core::Monotonic;
use crate::latch::{Latch, Park};
use crate::record::Wait;
use crate::stage::{Inband, MayWait, Oob};
use crate::table::Table;
use crate::time::{Clock, Instant};
use crate::wait::{Flag, WaitError};
use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};
use kernel::bindings as b;
use kernel::error::Result;
use kernel::sync::interrupts_are_off;
use kernel::time::{HrTimer, TimerHandler};

unsafe extern "C" {
    /// The threads that are attached.
    static oobkit_oob_shim_attached: Table;
}

/// Calls `f` with the out-of-band token where the calling thread is attached.
///
/// # Safety
///
/// The caller is in a system call: task context, nothing held that forbids sleeping. `f` uses no in-band token.
#[inline(always)]
pub unsafe fn with_oob<R>(f: impl FnOnce(&Oob<'_>) -> R) -> Option<R> {
    // SAFETY: in a module that this one cannot be loaded without.
    let attached = unsafe { &oobkit_oob_shim_attached };
    let record = attached.get(kernel::task::current().addr())?;
    // SAFETY: only the task itself can detach it. An attached task in a system call, by contract, may wait; it stays attached until the call ends.
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

// SAFETY: `current` is the task itself, as it is in the other implementation here. Its memory is given back a grace period
// after its end at the earliest, and `wake` is inside a read-side section from before its closure runs.
unsafe impl Park for Tasks {
    #[inline]
    fn current(&self) -> usize {
        kernel::task::current().expose_provenance()
    }

    #[inline]
    fn prepare(&self) {
        // SAFETY: task context; every path goes on to `cancel` or `sleep_until`.
        unsafe { b::set_current_uninterruptible() };
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
    unsafe fn wake(&self, f: impl FnOnce() -> Option<usize>) {
        // A read-side section of RCU, too, and the cheapest one, but for interrupts that are off already.
        let is_inside = interrupts_are_off();
        if !is_inside {
            // SAFETY: always allowed.
            unsafe { b::preempt_disable() };
        }
        if let Some(task) = f() {
            let task = core::ptr::with_exposed_provenance_mut::<b::task_struct>(task);
            // SAFETY: by contract the task was in its wait when `f` looked, inside this read-side section; its memory
            // is given back a grace period after its end at the earliest.
            unsafe { b::wake_up_process(task) };
        }
        if !is_inside {
            // SAFETY: pairs with the one above.
            unsafe { b::preempt_enable() };
        }
    }
}

/// A latched event on which a task waits.
///
/// The timer of its deadlines is its own: one that `schedule_hrtimeout` makes for each wait has to be unmade after it, on
/// the way to the thread that was waited for.
pub struct TaskFlag {
    latch: Latch,
    timer: HrTimer<Sleeper>,
}

/// The task to be woken when the timer expires, as long as that task is in `sleep_until`; else 0, and once it has been.
struct Sleeper(AtomicUsize);

impl TimerHandler for Sleeper {
    #[inline]
    fn expired(&self, _missed: u64) {
        let task = self.0.load(Ordering::Relaxed);
        self.0.store(0, Ordering::Release);
        if task != 0 {
            let task = core::ptr::with_exposed_provenance_mut::<b::task_struct>(task);
            // SAFETY: a task that was in `sleep_until` when its address was read, here, with interrupts off: its memory is
            // given back a grace period after its end, so not before they are on again.
            unsafe { b::wake_up_process(task) };
        }
    }
}

impl fmt::Debug for TaskFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskFlag")
            .field("latch", &self.latch)
            .finish_non_exhaustive()
    }
}

impl TaskFlag {
    /// Not raised. Allocates.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(inband: &Inband<'_>) -> Result<Self> {
        Ok(Self {
            latch: Latch::new(),
            timer: HrTimer::new(inband, Sleeper(AtomicUsize::new(0)))?,
        })
    }
}

/// A task that waits for a flag.
struct FlagWaiter<'a>(&'a HrTimer<Sleeper>);

// SAFETY: as for `Tasks`, which does it.
unsafe impl Park for FlagWaiter<'_> {
    #[inline]
    fn current(&self) -> usize {
        Tasks.current()
    }

    #[inline]
    fn prepare(&self) {
        Tasks.prepare();
    }

    #[inline]
    fn cancel(&self) {
        Tasks.cancel();
    }

    #[inline]
    fn sleep_until(&self, date: Instant) -> bool {
        let Sleeper(sleeper) = self.0.handler();
        if date != Instant::NEVER {
            sleeper.store(self.current(), Ordering::Relaxed);
            self.0.start(date.0, 0);
        }
        // SAFETY: the state was set by `prepare`.
        unsafe { b::schedule() };
        if date == Instant::NEVER {
            return false;
        }
        let has_expired = sleeper.load(Ordering::Acquire) == 0;
        if !has_expired {
            // A handler that has begun is not to wake this task once it sleeps elsewhere.
            // SAFETY: the waiting task, which holds nothing of the handler's: that takes no lock.
            unsafe { self.0.cancel_spinning() };
            sleeper.store(0, Ordering::Relaxed);
        }
        has_expired
    }

    #[inline]
    fn now(&self) -> Instant {
        Tasks.now()
    }

    #[inline]
    fn is_stopped(&self) -> bool {
        Tasks.is_stopped()
    }

    #[inline]
    unsafe fn wake(&self, f: impl FnOnce() -> Option<usize>) {
        // SAFETY: by contract.
        unsafe { Tasks.wake(f) };
    }
}

impl Flag for TaskFlag {
    #[inline]
    fn clear(&self) {
        self.latch.clear();
    }

    #[inline]
    fn raise(&self) {
        self.latch.raise(&Tasks);
    }

    #[inline]
    fn wait_until(&self, oob: &Oob<'_>, deadline: Instant) -> core::result::Result<(), WaitError> {
        let _recorded = oob.waits_for(Wait::Flag);
        self.latch.wait_until(&FlagWaiter(&self.timer), deadline)
    }
}
