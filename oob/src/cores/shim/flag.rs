// SPDX-License-Identifier: GPL-2.0-only

//! The flag: the kit's latch, woken by `wake_up_process` and by a timer of the flag's own.

use super::tasks::Tasks;
use crate::latch::Latch;
use crate::record::Wait;
use crate::stage::{Inband, MayWait, Oob};
use crate::threads::Park;
use crate::time::Instant;
use crate::wait::{Flag, WaitError};
use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};
use kernel::bindings as b;
use kernel::error::Result;
use kernel::time::{HrTimer, TimerHandler};

/// A latched event for which a task waits.
///
/// The flag has its own timer for deadlines. `schedule_hrtimeout` would set up a timer for each
/// wait and tear it down before the woken thread goes on.
pub struct TaskFlag {
    latch: Latch,
    timer: HrTimer<Sleeper>,
}

/// The task that the timer wakes, while that task is in `sleep_until`; 0 otherwise, and once the
/// timer has woken it.
struct Sleeper(AtomicUsize);

impl TimerHandler for Sleeper {
    #[inline]
    fn expired(&self, _missed: u64) {
        let task = self.0.load(Ordering::Relaxed);
        self.0.store(0, Ordering::Release);
        if task != 0 {
            let task = core::ptr::with_exposed_provenance_mut::<b::task_struct>(task);
            // SAFETY: the task was in `sleep_until` when its address was read above. A task is
            // freed a grace period after its end, and interrupts are off in this handler, so not
            // before the handler returns.
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
    /// A flag that is not raised. Allocates.
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

// SAFETY: `current` and `wake` are those of `Tasks`, which keeps the contract.
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
        // SAFETY: `prepare` has set the task's state; the caller of `wait_until` may sleep, by its
        // token.
        unsafe { b::schedule() };
        if date == Instant::NEVER {
            return false;
        }
        let has_expired = sleeper.load(Ordering::Acquire) == 0;
        if !has_expired {
            // A handler that has begun must not wake this task when it sleeps elsewhere later.
            // SAFETY: this is the waiting task, in task context; the handler takes no lock.
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
        // SAFETY: the caller promises of `f` what `Tasks::wake` requires.
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
