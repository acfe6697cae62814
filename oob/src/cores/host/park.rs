// SPDX-License-Identifier: GPL-2.0-only

//! How the kit's own flag, monitor, semaphore and stage lock run here: threads that sleep, and a hard lock.

use super::Host;
use super::threads::Prepared;
use crate::latch::Park;
use crate::monitor::{self, HardLock, MonitorState, Threads};
use crate::semaphore;
use crate::stage::{Inband, MayWait};
use crate::time::{Clock, Instant};
use crate::wait::WaitError;
use std::cell::{Cell, RefCell};
use std::fmt;

// SAFETY: a number of a thread, which no `wake` in a process takes for an address.
unsafe impl Park for Host {
    fn current(&self) -> usize {
        self.waiter().number
    }

    fn prepare(&self) {
        self.prepare_as(Prepared::Yes);
    }

    fn cancel(&self) {
        let slot = self.waiter();
        slot.prepared.set(Prepared::No);
        slot.woken.set(false);
        self.point();
    }

    fn sleep_until(&self, date: Instant) -> bool {
        self.sleep(&self.waiter(), date);
        // What falls due on that very date comes before the end of the wait.
        self.point();
        Clock::now(self) >= date
    }

    fn now(&self) -> Instant {
        self.point();
        Clock::now(self)
    }

    fn is_stopped(&self) -> bool {
        self.waiter().stopping.get()
    }

    unsafe fn wake(&self, f: impl FnOnce() -> Option<usize>) {
        if let Some(thread) = f() {
            self.wake_slot(&self.0.stages.slot(thread));
        }
        self.point();
    }
}

// SAFETY: as above.
unsafe impl Threads for Host {
    fn priority(&self) -> i32 {
        self.waiter().priority.get()
    }

    fn prepare_interruptible(&self) {
        self.prepare_as(Prepared::Interruptible);
    }

    fn is_interrupted(&self) -> bool {
        self.waiter().is_interrupted()
    }
}

impl Host {
    fn prepare_as(&self, prepared: Prepared) {
        self.point();
        let slot = self.waiter();
        slot.woken.set(false);
        slot.prepared.set(prepared);
        self.point();
    }

    /// Sleeps until `date`.
    ///
    /// # Errors
    ///
    /// [`WaitError::Interrupted`]: by a signal or a forced unblock.
    pub fn sleep_until_date(&self, _stage: &impl MayWait, date: Instant) -> Result<(), WaitError> {
        loop {
            self.prepare_interruptible();
            let end = match () {
                () if Park::now(self) >= date => Ok(()),
                () if self.is_interrupted() => Err(WaitError::Interrupted),
                () => {
                    self.sleep(&self.waiter(), date);
                    continue;
                }
            };
            self.cancel();
            return end;
        }
    }

    /// Interrupts a thread: its waits end, those to come too until it takes the signal.
    pub(super) fn signal_thread(&self, number: usize) {
        let slot = self.0.stages.slot(number);
        slot.signal.set(true);
        if slot.prepared.get() == Prepared::Interruptible {
            self.wake_slot(&slot);
        }
        self.point();
    }

    /// Has a thread end: all its waits do, from now on.
    pub(super) fn stop_thread(&self, number: usize) {
        let slot = self.0.stages.slot(number);
        slot.stopping.set(true);
        self.wake_slot(&slot);
        self.point();
    }

    /// A value under a hard lock, and the threads that wait until it suits them.
    pub fn monitor<T>(&self, _inband: &Inband<'_>, value: T) -> Monitor<T> {
        monitor::Monitor::new(HostLock::new(self, MonitorState::new(value)))
    }

    /// A counting semaphore.
    pub fn semaphore(&self, _inband: &Inband<'_>, count: u32) -> Semaphore {
        semaphore::Semaphore::new(HostLock::new(self, MonitorState::new(count)))
    }
}

/// A value and its waiting threads.
pub type Monitor<T> = monitor::Monitor<HostLock<MonitorState<T>>>;

/// A counting semaphore.
pub type Semaphore = semaphore::Semaphore<HostLock<MonitorState<u32>>>;

/// A lock that is held with interrupts off. Taking it again while holding it panics: on a processor that hangs.
pub struct HostLock<T> {
    host: Host,
    value: RefCell<T>,
}

impl<T> HostLock<T> {
    /// Free.
    pub fn new(host: &Host, value: T) -> Self {
        Self {
            host: host.clone(),
            value: RefCell::new(value),
        }
    }
}

impl<T> fmt::Debug for HostLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostLock").finish_non_exhaustive()
    }
}

// SAFETY: a value of its own, borrowed exclusively; `RefCell` sees to that.
unsafe impl<T> HardLock<T> for HostLock<T> {
    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        self.host.point();
        let held = Held::one_more(&self.host.0.stages.hard_locks);
        let result = f(&mut self.value.borrow_mut());
        drop(held);
        self.host.point();
        result
    }
}

/// One of the locks that are counted, also where what is done under it panics.
struct Held<'a>(&'a Cell<u32>);

impl<'a> Held<'a> {
    fn one_more(locks: &'a Cell<u32>) -> Self {
        locks.set(locks.get() + 1);
        Self(locks)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
