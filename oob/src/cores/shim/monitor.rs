// SPDX-License-Identifier: GPL-2.0-only

//! Monitors and semaphores: [`crate::monitor`] over raw spinlocks.

use crate::lock::HardLock;
use crate::monitor::{self, MonitorState};
use kernel::sync::RawSpinLock;

// SAFETY: the value lies in the spinlock's own box, and only a guard of the spinlock reaches it;
// `with` holds the one guard that can exist while `f` runs.
unsafe impl<T> HardLock<T> for RawSpinLock<T> {
    #[inline]
    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.lock())
    }
}

/// A value under a raw spinlock, and the tasks that wait for a condition on it.
pub type Monitor<T> = monitor::Monitor<RawSpinLock<MonitorState<T>>>;

/// A counting semaphore.
pub type Semaphore = crate::semaphore::Semaphore<RawSpinLock<MonitorState<u32>>>;
