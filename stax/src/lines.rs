// SPDX-License-Identifier: GPL-2.0-only

//! The lock in a kernel module: the threads of each stage sleep in a line of their own, and who cannot sleep spins.

use crate::backend::{Backend, End, Sleep, spin};
use crate::queue::Queue;
use crate::stage::{Atomic, Side, Stage};
use evl::kcore::{Monitor, Monotonic, Tasks, guarded};
use evl::monitor::HardLock;
use evl::record::Wait;
use evl::stage::{Inband, MayWait};
use evl::time::Instant;
use evl::wait::WaitError;
use kernel::error::Result;
use kernel::sync::{LockClass, RawSpinLock};

/// For [`crate::Stax::new`] in a kernel module.
pub struct Lines {
    queue: RawSpinLock<Queue>,
    oob: Monitor<()>,
    inband: Monitor<()>,
}

static CLASS: LockClass = LockClass::new();

impl Lines {
    /// Allocates.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(inband: &Inband<'_>) -> Result<Self> {
        Ok(Self {
            queue: RawSpinLock::new(inband, Queue::new(), c"stax queue", &CLASS)?,
            oob: Monitor::new(guarded(inband, ())?),
            inband: Monitor::new(guarded(inband, ())?),
        })
    }

    const fn line(&self, side: Side) -> &Monitor<()> {
        match side {
            Side::Oob => &self.oob,
            Side::Inband => &self.inband,
        }
    }
}

impl Backend for Lines {
    fn with_queue<R>(&self, f: impl FnOnce(&mut Queue) -> R) -> R {
        self.queue.with(f)
    }

    fn wake_all(&self, side: Side) {
        self.line(side).update_and_wake_all(&Tasks, |()| ());
    }
}

impl<S: Stage + MayWait> Sleep<S> for Lines {
    fn sleep(&self, stage: &S, deadline: Instant, ready: impl Fn() -> bool) -> End {
        let line = self.line(S::SIDE);
        let ready = |(): &mut ()| ready().then_some(());
        match line.wait_for(Wait::StageLock, stage, &Tasks, deadline, ready) {
            Ok(()) | Err(WaitError::Closed) => End::Woken,
            Err(WaitError::TimedOut) => End::TimedOut,
            Err(WaitError::Interrupted) => End::Interrupted,
        }
    }
}

impl Sleep<Atomic<'_>> for Lines {
    fn sleep(&self, _: &Atomic<'_>, deadline: Instant, ready: impl Fn() -> bool) -> End {
        spin(&Monotonic, deadline, ready)
    }
}
