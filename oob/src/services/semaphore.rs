// SPDX-License-Identifier: GPL-2.0-only

//! A counting semaphore. Any context may count it up; threads of the out-of-band stage count it
//! down.

use crate::lock::HardLock;
use crate::monitor::{Monitor, MonitorState};
use crate::record::Wait;
use crate::stage::Oob;
use crate::threads::Threads;
use crate::time::Instant;
use crate::wait::WaitError;

/// The count is at its maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow;

/// A semaphore over the hard lock `L` of a core.
pub struct Semaphore<L>(Monitor<L>);

fn take(count: &mut u32) -> Option<()> {
    *count = count.checked_sub(1)?;
    Some(())
}

impl<L: HardLock<MonitorState<u32>>> Semaphore<L> {
    /// A semaphore over a lock that holds the initial count.
    pub const fn new(lock: L) -> Self {
        Self(Monitor::new(lock))
    }

    /// Decrements the count; waits while it is 0.
    ///
    /// # Errors
    ///
    /// See [`WaitError`]; the count is unchanged.
    pub fn down_until(
        &self,
        oob: &Oob<'_>,
        threads: &impl Threads,
        deadline: Instant,
    ) -> Result<(), WaitError> {
        self.0
            .wait_for(Wait::Semaphore, oob, threads, deadline, take)
    }

    /// Decrements the count unless it is 0. Returns whether it did. Callable from any context.
    pub fn try_down(&self) -> bool {
        self.0.update(take).is_some()
    }

    /// Increments the count and wakes the first waiter. Callable from any context.
    ///
    /// # Errors
    ///
    /// [`Overflow`]; the count is unchanged.
    pub fn up(&self, threads: &impl Threads) -> Result<(), Overflow> {
        self.0.update_and_wake_first(threads, |count| {
            *count = count.checked_add(1).ok_or(Overflow)?;
            Ok(())
        })
    }

    /// Closes the semaphore: present and later waits end with [`WaitError::Closed`]. A count above
    /// 0 can still be decremented.
    pub fn close(&self, threads: &impl Threads) {
        self.0.close(threads);
    }
}
