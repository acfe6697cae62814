// SPDX-License-Identifier: GPL-2.0-only

//! The lock that monitors and semaphores are made of, and the monitor as a wait queue.

use super::chosen::{Monitor, Tasks};
use crate::monitor::MonitorState;
use crate::record::Wait;
use crate::stage::{Inband, MayWait};
use crate::time::Instant;
use crate::wait::{WaitError, WaitQueue};
use core::ffi::CStr;
use kernel::error::Result;
use kernel::sync::{LockClass, RawSpinLock};

static CLASS: LockClass = LockClass::new();
// A static, so that all locks have the name at one address: lockdep compares the addresses, not the
// texts.
static NAME: &CStr = c"oob monitor";

/// A lock for [`Monitor::new`] or [`Semaphore::new`](super::Semaphore::new). Allocates.
///
/// # Errors
///
/// `ENOMEM`.
pub fn monitor_lock<T>(inband: &Inband<'_>, value: T) -> Result<RawSpinLock<MonitorState<T>>> {
    RawSpinLock::new(inband, MonitorState::new(value), NAME, &CLASS)
}

impl WaitQueue for Monitor<()> {
    fn wait(
        &self,
        what: Wait,
        stage: &impl MayWait,
        deadline: Instant,
        ready: impl Fn() -> bool,
    ) -> core::result::Result<(), WaitError> {
        let ready = |(): &mut ()| ready().then_some(());
        self.wait_for(what, stage, &Tasks, deadline, ready)
    }

    fn wake_all(&self) {
        self.update_and_wake_all(&Tasks, |()| ());
    }
}
