// SPDX-License-Identifier: GPL-2.0-only

//! Monitors and semaphores: [`crate::monitor`] over hard spinlocks. A wake-up happens under a hard
//! lock, so EVL schedules when the outermost hard lock is released.

use super::waiter::Waiter;
use crate::lock::HardLock;
use crate::monitor::{self, MonitorState};
use crate::record::Wait;
use crate::semaphore::{self, Overflow};
use crate::stage::{MayWait, Oob};
use crate::time::Instant;
use crate::wait::WaitError;
use kernel::bindings as b;
use kernel::sync::RawSpinLock;

/// The threads of the kernel. On this core it carries nothing: each wait makes its own [`Waiter`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Tasks;

// SAFETY: the value lies in the spinlock's own box, and only a guard of the spinlock reaches it;
// `with` holds the one guard that can exist while `f` runs.
unsafe impl<T> HardLock<T> for RawSpinLock<T> {
    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        let result = f(&mut self.lock());
        // SAFETY: callable in any context: it does nothing while interrupts are off, as they are
        // inside another hard lock.
        unsafe { b::evl_reschedule() };
        result
    }
}

/// A value under a hard lock, and the threads of either stage that wait for a condition on it.
pub struct Monitor<T>(monitor::Monitor<RawSpinLock<MonitorState<T>>>);

impl<T> Monitor<T> {
    /// A monitor over a lock that [`monitor_lock`](crate::kernel_core::monitor_lock) made.
    pub const fn new(lock: RawSpinLock<MonitorState<T>>) -> Self {
        Self(monitor::Monitor::new(lock))
    }

    /// Waits until `ready`, called under the lock, returns a value.
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
    /// A semaphore over a lock that [`monitor_lock`](crate::kernel_core::monitor_lock) made round
    /// the initial count.
    pub const fn new(lock: RawSpinLock<MonitorState<u32>>) -> Self {
        Self(semaphore::Semaphore::new(lock))
    }

    /// See [`semaphore::Semaphore::down_until`].
    ///
    /// # Errors
    ///
    /// See [`WaitError`]; the count is unchanged.
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
    /// [`Overflow`]; the count is unchanged.
    pub fn up(&self, _: &Tasks) -> core::result::Result<(), Overflow> {
        self.0.up(&Waiter::none())
    }

    /// See [`semaphore::Semaphore::close`].
    pub fn close(&self, _: &Tasks) {
        self.0.close(&Waiter::none());
    }
}
