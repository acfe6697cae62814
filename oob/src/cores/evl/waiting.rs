// SPDX-License-Identifier: GPL-2.0-only

//! Lines of waiting threads of either stage: [`crate::monitor`] over hard spinlocks.
//!
//! ```text
//!   who waits    sleeps on                              is woken by
//!   EVL thread   an EVL flag, on its own stack          raising it; the end of the hard lock lets it run
//!   task         itself, by schedule_hrtimeout          an irq_work, on its own stack: waking a task is in-band's
//! ```
//!
//! Rules:
//! 1. EVL threads stand before tasks in a line, whatever their priorities.
//! 2. A thread that holds the out-of-band token but cannot go there, because a signal wants it in-band, waits as a task.
//! 3. Wake-ups happen under a hard lock, so EVL schedules when the outermost one is released.

use crate::kernel_core::Monotonic;
use crate::latch::Park;
use crate::monitor::{self, HardLock, MonitorState, Threads};
use crate::record::Wait;
use crate::semaphore::{self, Overflow};
use crate::stage::{MayWait, Oob};
use crate::time::{Clock, Instant};
use crate::wait::WaitError;
use core::cell::{Cell, UnsafeCell};
use core::mem::MaybeUninit;
use kernel::bindings as b;
use kernel::sync::RawSpinLock;
use kernel::task;

/// The threads of the kernel, as those who wait.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tasks;

// SAFETY: a spinlock round a value in its own box, which only its own guards reach.
unsafe impl<T> HardLock<T> for RawSpinLock<T> {
    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        let result = f(&mut self.lock());
        // SAFETY: always allowed; does nothing where interrupts are off, as inside another hard lock.
        unsafe { b::evl_reschedule() };
        result
    }
}

/// The higher priority of an EVL thread, whatever a task's is.
const ABOVE_TASKS: i32 = 100;

/// Where one thread waits.
///
/// # Invariants
///
/// The waiter is initialised, and stays where it is until it is left in [`Waiter::with`]; or it is of [`Waiter::none`].
pub(crate) struct Waiter {
    waiter: UnsafeCell<MaybeUninit<b::oobkit_waiter>>,
    was_unblocked: Cell<bool>,
}

impl Waiter {
    /// For who only wakes others: that touches their seats alone.
    pub(crate) const fn none() -> Self {
        Self {
            waiter: UnsafeCell::new(MaybeUninit::uninit()),
            was_unblocked: Cell::new(false),
        }
    }

    /// Calls `f` with a waiter for the calling thread, whose token `_stage` is.
    pub(crate) fn with<S: MayWait, R>(_stage: &S, f: impl FnOnce(&Self) -> R) -> R {
        let waiter = Self::none();
        // SAFETY: the calling thread may wait on the stage of its token; the waiter is left below.
        unsafe { b::evl_waiter_init(waiter.as_ptr(), S::IS_OOB) };
        let result = f(&waiter);
        // SAFETY: initialised above; the thread is in no line any more, so nobody wakes it.
        unsafe { b::evl_waiter_leave(waiter.as_ptr()) };
        result
    }

    const fn as_ptr(&self) -> *mut b::oobkit_waiter {
        self.waiter.get().cast()
    }

    fn is_oob(&self) -> bool {
        // SAFETY: initialised by the invariants; nobody waits on one of `none`.
        unsafe { b::evl_waiter_is_oob(self.as_ptr()) }
    }
}

// SAFETY: `current` is the waiter itself, on which a thread sits until it has left its wait. There is no other implementation in
// a module, and nobody waits for a latch on a waiter, which is this crate's own: a flag here is EVL's. So whoever leaves, leaves a
// line, and only after its lock was released.
unsafe impl Park for Waiter {
    fn current(&self) -> usize {
        self.as_ptr().expose_provenance()
    }

    fn prepare(&self) {
        self.prepare_interruptible();
    }

    fn cancel(&self) {
        if !self.is_oob() {
            // SAFETY: task context.
            unsafe { b::set_current_state(b::TASK_RUNNING) };
        }
    }

    fn sleep_until(&self, date: Instant) -> bool {
        if self.is_oob() {
            // SAFETY: the waiter's own thread, out-of-band.
            let ended = unsafe { b::evl_waiter_wait_until(self.as_ptr(), super::evl_date(date)) };
            self.was_unblocked
                .set(ended == super::UNBLOCKED || ended == super::STOPPED);
            // EVL may be early by what it takes for its own latency.
            return false;
        }
        let mut expires = date.0.min(i64::MAX.cast_unsigned()).cast_signed();
        // SAFETY: the state was set by `prepare_interruptible`; the date lives through the call.
        unsafe {
            b::schedule_hrtimeout(&raw mut expires, b::hrtimer_mode::HRTIMER_MODE_ABS_HARD) == 0
        }
    }

    fn now(&self) -> Instant {
        Monotonic.now()
    }

    unsafe fn wake(&self, f: impl FnOnce() -> Option<usize>) {
        if let Some(waiter) = f() {
            // SAFETY: a thread in a line sits on its waiter until it has left the line, which takes the lock held here.
            unsafe { b::evl_waiter_wake(core::ptr::with_exposed_provenance_mut(waiter)) };
        }
    }
}

// SAFETY: as above; this `wake_waiter` is `wake`.
unsafe impl Threads for Waiter {
    fn priority(&self) -> i32 {
        if !self.is_oob() {
            return task::current_effective_priority();
        }
        // SAFETY: the waiter's own thread, an EVL thread.
        unsafe { b::evl_current_priority() }.saturating_add(ABOVE_TASKS)
    }

    fn prepare_interruptible(&self) {
        // An EVL flag latches: nothing to prepare.
        if !self.is_oob() {
            // SAFETY: task context; every path goes on to `cancel` or `sleep_until`.
            unsafe { b::set_current_state(b::TASK_INTERRUPTIBLE) };
        }
    }

    fn is_interrupted(&self) -> bool {
        self.was_unblocked.get() || task::signal_pending()
    }
}

/// A value under a hard lock, and the threads of either stage that wait until it suits them.
pub struct Monitor<T>(monitor::Monitor<RawSpinLock<MonitorState<T>>>);

impl<T> Monitor<T> {
    /// Of a lock that [`crate::kernel_core::monitor_lock`] made.
    pub const fn new(lock: RawSpinLock<MonitorState<T>>) -> Self {
        Self(monitor::Monitor::new(lock))
    }

    /// Waits until `ready`, called under the lock, gives something.
    ///
    /// # Errors
    ///
    /// See [`monitor::Monitor::wait_until`].
    pub fn wait_until<S: MayWait, R>(
        &self,
        stage: &S,
        tasks: &Tasks,
        deadline: Instant,
        ready: impl FnMut(&mut T) -> Option<R>,
    ) -> core::result::Result<R, WaitError> {
        self.wait_for(Wait::Monitor, stage, tasks, deadline, ready)
    }

    /// See [`monitor::Monitor::wait_for`].
    ///
    /// # Errors
    ///
    /// See [`monitor::Monitor::wait_until`].
    pub fn wait_for<S: MayWait, R>(
        &self,
        what: Wait,
        stage: &S,
        _: &Tasks,
        deadline: Instant,
        ready: impl FnMut(&mut T) -> Option<R>,
    ) -> core::result::Result<R, WaitError> {
        Waiter::with(stage, |waiter| {
            self.0.wait_for(what, stage, waiter, deadline, ready)
        })
    }

    /// See [`monitor::Monitor::update`].
    pub fn update<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        self.0.update(f)
    }

    /// See [`monitor::Monitor::update_and_wake_first`].
    pub fn update_and_wake_first<R>(&self, _: &Tasks, f: impl FnOnce(&mut T) -> R) -> R {
        self.0.update_and_wake_first(&Waiter::none(), f)
    }

    /// See [`monitor::Monitor::update_and_wake_all`].
    pub fn update_and_wake_all<R>(&self, _: &Tasks, f: impl FnOnce(&mut T) -> R) -> R {
        self.0.update_and_wake_all(&Waiter::none(), f)
    }

    /// See [`monitor::Monitor::close`].
    pub fn close(&self, _: &Tasks) {
        self.0.close(&Waiter::none());
    }
}

/// A counting semaphore.
pub struct Semaphore(semaphore::Semaphore<RawSpinLock<MonitorState<u32>>>);

impl Semaphore {
    /// Of a lock that [`crate::kernel_core::monitor_lock`] made round the first count.
    pub const fn new(lock: RawSpinLock<MonitorState<u32>>) -> Self {
        Self(semaphore::Semaphore::new(lock))
    }

    /// See [`semaphore::Semaphore::down_until`].
    ///
    /// # Errors
    ///
    /// See [`WaitError`]; nothing was counted.
    pub fn down_until(
        &self,
        oob: &Oob<'_>,
        _: &Tasks,
        deadline: Instant,
    ) -> core::result::Result<(), WaitError> {
        Waiter::with(oob, |waiter| self.0.down_until(oob, waiter, deadline))
    }

    /// See [`semaphore::Semaphore::try_down`].
    pub fn try_down(&self) -> bool {
        self.0.try_down()
    }

    /// See [`semaphore::Semaphore::up`].
    ///
    /// # Errors
    ///
    /// [`Overflow`]; nothing was counted.
    pub fn up(&self, _: &Tasks) -> core::result::Result<(), Overflow> {
        self.0.up(&Waiter::none())
    }

    /// See [`semaphore::Semaphore::close`].
    pub fn close(&self, _: &Tasks) {
        self.0.close(&Waiter::none());
    }
}
