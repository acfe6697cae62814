// SPDX-License-Identifier: GPL-2.0-only

//! What the scenes are made of.

use crate::services::End;
use core::sync::atomic::{AtomicU32, Ordering};
use kernel::error::{Error, Result, code};
use kernel::sync::{LockClass, RawSpinLock};
use kernel::time::sleep_us;
use oob::kernel_core::{Monitor, Monotonic, Tasks, monitor_lock};
use oob::mutex::LockError;
use oob::stage::{Inband, MayWait, Oob};
use oob::time::{Clock, Instant, Ns};
use oob::wait::WaitError;
use stax::queue::Queue;

/// No scene takes longer where all is well.
const PATIENCE: Ns = Ns(20_000_000_000);
pub(super) const ETIMEDOUT: Error = Error::from_errno(kernel::bindings::ETIMEDOUT);

impl From<core::result::Result<(), WaitError>> for End {
    fn from(result: core::result::Result<(), WaitError>) -> Self {
        match result {
            Ok(()) => Self::Had,
            Err(WaitError::TimedOut) => Self::TimedOut,
            Err(WaitError::Interrupted) => Self::Interrupted,
            Err(WaitError::Closed) => Self::Closed,
        }
    }
}

impl From<core::result::Result<(), LockError>> for End {
    fn from(result: core::result::Result<(), LockError>) -> Self {
        match result {
            Ok(()) => Self::Had,
            Err(LockError::Deadlock) => Self::Deadlock,
            Err(LockError::Interrupted) => Self::Interrupted,
        }
    }
}

/// A number that one thread sets and others look at.
#[derive(Default)]
pub(super) struct Cell(AtomicU32);

impl Cell {
    pub(super) fn set(&self, value: u32) {
        self.0.store(value, Ordering::Release);
    }

    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn get(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// Waits until it is `value` at least.
    pub(super) fn reaches(&self, inband: &Inband<'_>, value: u32) -> Result {
        let end = Monotonic.now().after(PATIENCE);
        while self.get() < value {
            if Monotonic.now() > end {
                return Err(ETIMEDOUT);
            }
            sleep_us(inband, 200, 400);
        }
        Ok(())
    }
}

/// What a stage lock is made of in a kernel.
pub(super) type Lines = stax::SleepingBackend<RawSpinLock<Queue>, Monitor<()>, Monotonic>;

static QUEUE: LockClass = LockClass::new();

/// Allocates.
pub(super) fn lines(inband: &Inband<'_>) -> Result<Lines> {
    let queue = RawSpinLock::new(inband, Queue::new(), c"stax queue", &QUEUE)?;
    let oob = Monitor::new(monitor_lock(inband, ())?);
    let inband = Monitor::new(monitor_lock(inband, ())?);
    Ok(Lines::new(queue, oob, inband, Monotonic))
}

/// Calls `f` with the token of a system call whose thread is of the out-of-band stage.
#[inline(always)]
pub(super) fn with_oob<R>(f: impl FnOnce(&Oob<'_>) -> R) -> Option<R> {
    // SAFETY: every user is in a system call, in task context, with nothing held, and uses no in-band token in it.
    unsafe { oob::kernel_core::with_oob(f) }
}

/// Computes, in whatever context.
pub(super) fn compute(span: Ns) {
    Monotonic.spin_until(Monotonic.now().after(span));
}

/// Computes as a thread does that can be preempted: not every kernel preempts one that is inside it by itself.
pub(super) fn compute_preempted(_stage: &impl MayWait, span: Ns) {
    let end = Monotonic.now().after(span);
    while Monotonic.now() < end {
        // SAFETY: a thread that may wait.
        #[cfg(not(oob_core_evl))]
        unsafe {
            kernel::bindings::cond_resched();
        };
    }
}

/// Has the calling thread of an in-band call do something out-of-band, if it is one of that stage.
pub(super) fn by_oob<R>(f: impl FnOnce(&Oob<'_>) -> R) -> Result<R> {
    let result = with_oob(f);
    // SAFETY: nothing is held.
    #[cfg(oob_core_evl)]
    unsafe {
        kernel::bindings::evl_leave_oob();
    };
    result.ok_or(code::EPERM)
}

/// Nothing ever comes of waiting here but time.
pub(super) struct Idle(Monitor<()>);

impl Idle {
    pub(super) fn new(inband: &Inband<'_>) -> Result<Self> {
        Ok(Self(Monitor::new(monitor_lock(inband, ())?)))
    }

    pub(super) fn sleep(&self, stage: &impl MayWait, span: Ns) -> End {
        self.until(stage, Monotonic.now().after(span))
    }

    pub(super) fn until(&self, stage: &impl MayWait, date: Instant) -> End {
        let nothing = |(): &mut ()| None::<()>;
        self.0.wait_until(stage, &Tasks, date, nothing).into()
    }
}
