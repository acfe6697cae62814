// SPDX-License-Identifier: GPL-2.0-only

//! A counting semaphore: up from anywhere, down by threads of the out-of-band stage.

use crate::monitor::{HardLock, Monitor, MonitorState, Threads};
use crate::record::Wait;
use crate::stage::Oob;
use crate::time::Instant;
use crate::wait::WaitError;

/// The count cannot go higher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow;

/// Over the hard lock `L` of some core.
pub struct Semaphore<L>(Monitor<L>);

fn take(count: &mut u32) -> Option<()> {
    *count = count.checked_sub(1)?;
    Some(())
}

impl<L: HardLock<MonitorState<u32>>> Semaphore<L> {
    /// Of a lock round the first count.
    pub const fn new(lock: L) -> Self {
        Self(Monitor::new(lock))
    }

    /// Counts one down, waiting for one where there is none.
    ///
    /// # Errors
    ///
    /// See [`WaitError`]; nothing was counted.
    pub fn down_until(
        &self,
        oob: &Oob<'_>,
        threads: &impl Threads,
        deadline: Instant,
    ) -> Result<(), WaitError> {
        self.0
            .wait_for(Wait::Semaphore, oob, threads, deadline, take)
    }

    /// Counts one down if there is one; whether there was. In any context.
    pub fn try_down(&self) -> bool {
        self.0.update(take).is_some()
    }

    /// Counts one up, and wakes the first waiter. In any context.
    ///
    /// # Errors
    ///
    /// [`Overflow`]; nothing was counted.
    pub fn up(&self, threads: &impl Threads) -> Result<(), Overflow> {
        self.0.update_and_wake_first(threads, |count| {
            *count = count.checked_add(1).ok_or(Overflow)?;
            Ok(())
        })
    }

    /// Ends all waits, those to come too. What was counted can still be had.
    pub fn close(&self, threads: &impl Threads) {
        self.0.close(threads);
    }
}
