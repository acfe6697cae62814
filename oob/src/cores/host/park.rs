// SPDX-License-Identifier: GPL-2.0-only

//! What the shared services need of a core: sleeping threads, a hard lock, and a wait queue.

use super::machine::Host;
use super::sim_thread::Prepared;
use crate::lock::HardLock;
use crate::monitor::{self, MonitorState};
use crate::record::Wait;
use crate::semaphore;
use crate::stage::{Inband, MayWait};
use crate::threads::Park;
use crate::threads::Threads;
use crate::time::{Clock, Instant};
use crate::wait::{WaitError, WaitQueue};
use std::cell::{Cell, RefCell};
use std::fmt;

// SAFETY: `current` returns a thread's number in the machine, and `wake` looks it up there. No
// implementation in a process takes it for an address, so a thread that has ended cannot be touched
// wrongly.
unsafe impl Park for Host {
    fn current(&self) -> usize {
        self.waiter().number
    }

    fn prepare(&self) {
        self.prepare_as(Prepared::Yes);
    }

    fn cancel(&self) {
        let thread = self.waiter();
        thread.prepared.set(Prepared::No);
        thread.woken.set(false);
        self.point();
    }

    fn sleep_until(&self, date: Instant) -> bool {
        self.sleep(&self.waiter(), date);
        // Handlers that fall due on this very date run before the wait ends.
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
            self.wake_sim_thread(&self.0.stages.thread(thread));
        }
        self.point();
    }
}

// SAFETY: `wake_waiter` is the trait's own; `current` and `wake` use thread numbers, which are
// looked up and never dereferenced.
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
        let thread = self.waiter();
        thread.woken.set(false);
        thread.prepared.set(prepared);
        self.point();
    }

    /// Sleeps until `date`.
    ///
    /// # Errors
    ///
    /// [`WaitError::Interrupted`]: a signal or a forced unblock came first.
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

    /// Sends a thread a signal: its waits end, and so do later ones until it takes the signal.
    pub(super) fn signal_thread(&self, number: usize) {
        let thread = self.0.stages.thread(number);
        thread.signal.set(true);
        if thread.prepared.get() == Prepared::Interruptible {
            self.wake_sim_thread(&thread);
        }
        self.point();
    }

    /// Asks a thread to stop: its present wait ends, and so do all later ones.
    pub(super) fn stop_thread(&self, number: usize) {
        let thread = self.0.stages.thread(number);
        thread.stopping.set(true);
        self.wake_sim_thread(&thread);
        self.point();
    }

    /// A value under a hard lock, and the threads that wait for a condition on it.
    pub fn monitor<T>(&self, _inband: &Inband<'_>, value: T) -> Monitor<T> {
        monitor::Monitor::new(HostLock::new(self, MonitorState::new(value)))
    }

    /// A counting semaphore.
    pub fn semaphore(&self, _inband: &Inband<'_>, count: u32) -> Semaphore {
        semaphore::Semaphore::new(HostLock::new(self, MonitorState::new(count)))
    }
}

/// A value under a hard lock, and the threads that wait for a condition on it.
pub type Monitor<T> = monitor::Monitor<HostLock<MonitorState<T>>>;

/// A counting semaphore.
pub type Semaphore = semaphore::Semaphore<HostLock<MonitorState<u32>>>;

/// The threads that wait for a condition outside the queue.
pub struct HostWaitQueue {
    host: Host,
    monitor: Monitor<()>,
}

impl fmt::Debug for HostWaitQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostWaitQueue").finish_non_exhaustive()
    }
}

impl Host {
    /// An empty wait queue.
    pub fn wait_queue(&self, inband: &Inband<'_>) -> HostWaitQueue {
        HostWaitQueue {
            host: self.clone(),
            monitor: self.monitor(inband, ()),
        }
    }
}

impl WaitQueue for HostWaitQueue {
    fn wait(
        &self,
        what: Wait,
        stage: &impl MayWait,
        deadline: Instant,
        ready: impl Fn() -> bool,
    ) -> Result<(), WaitError> {
        let ready = |(): &mut ()| ready().then_some(());
        self.monitor
            .wait_for(what, stage, &self.host, deadline, ready)
    }

    fn wake_all(&self) {
        self.monitor.update_and_wake_all(&self.host, |()| ());
    }
}

/// A lock that is held with interrupts off. A holder that takes it again panics; on a real
/// processor it would hang.
pub struct HostLock<T> {
    host: Host,
    value: RefCell<T>,
}

impl<T> HostLock<T> {
    /// An unlocked lock.
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

// SAFETY: the value lies in the lock and only `with` reaches it; the `RefCell` makes the borrow
// exclusive.
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

/// Counts one held hard lock until it is dropped, also by a panic.
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
