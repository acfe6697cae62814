// SPDX-License-Identifier: GPL-2.0-only

//! Building blocks of the scenes.

use crate::services::End;
use core::sync::atomic::{AtomicU32, Ordering};
use kernel::error::{Error, Result, code};
use kernel::time::sleep_us;
use oob::kernel_core::{Monitor, Monotonic, Tasks, monitor_lock};
use oob::mutex::LockError;
use oob::stage::{Inband, MayWait, Oob};
use oob::time::{Clock, Instant, Ns};
use oob::wait::WaitError;

/// Ticks of the cycle counter, or why nothing was timed.
#[cfg(not(oob_core_evl))]
pub(super) type Timed<E> = core::result::Result<u64, E>;

/// A scene that takes longer has failed.
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

/// A number that one thread sets and others read.
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

    /// Waits until the number is at least `value`.
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

/// Calls `f` with the out-of-band token, if the thread of this system call belongs to that stage.
#[inline(always)]
pub(super) fn with_oob<R>(f: impl FnOnce(&Oob<'_>) -> R) -> Option<R> {
    // SAFETY: all callers are in a system call, in task context, with no lock held, and use no
    // in-band token in `f`.
    unsafe { oob::kernel_core::with_oob(f) }
}

/// Computes for `span`, in any context.
pub(super) fn compute(span: Ns) {
    Monotonic.spin_until(Monotonic.now().after(span));
}

/// Computes for `span` and can be preempted, also in a kernel that does not preempt kernel code by
/// itself.
pub(super) fn compute_preempted(_stage: &impl MayWait, span: Ns) {
    let end = Monotonic.now().after(span);
    while Monotonic.now() < end {
        // SAFETY: the token proves a thread that may wait.
        #[cfg(not(oob_core_evl))]
        unsafe {
            kernel::bindings::cond_resched();
        };
    }
}

/// Calls `f` out-of-band, in a thread that made an in-band call and belongs to the out-of-band
/// stage.
pub(super) fn by_oob<R>(f: impl FnOnce(&Oob<'_>) -> R) -> Result<R> {
    let result = with_oob(f);
    // SAFETY: the thread is in a call and holds no lock.
    #[cfg(oob_core_evl)]
    unsafe {
        kernel::bindings::evl_leave_oob();
    };
    result.ok_or(code::EPERM)
}

/// A monitor whose condition never holds: waits end by their deadline.
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
