// SPDX-License-Identifier: GPL-2.0-only

//! The stage lock of a kernel module, on the core of the target kernel.

use crate::lock::Stax;
use crate::queue::Queue;
use crate::sleeping::SleepingBackend;
use kernel::error::Result;
use kernel::sync::{LockClass, RawSpinLock};
use oob::kernel_core::{Monitor, Monotonic, monitor_lock};
use oob::stage::Inband;

/// The backend of a kernel core: threads of both stages sleep; an [`Atomic`](crate::Atomic) caller
/// spins.
pub type KernelBackend = SleepingBackend<RawSpinLock<Queue>, Monitor<()>, Monotonic>;

/// A stage lock on the core of the target kernel.
pub type StageLock<T> = Stax<T, KernelBackend>;

static QUEUE: LockClass = LockClass::new();

/// A free stage lock on the core of the target kernel. Allocates.
///
/// # Errors
///
/// `ENOMEM`.
pub fn new<T>(inband: &Inband<'_>, value: T) -> Result<StageLock<T>> {
    Ok(Stax::new(value, kernel_backend(inband)?))
}

/// The backend alone, for a driver that wraps it. Allocates.
///
/// # Errors
///
/// `ENOMEM`.
pub fn kernel_backend(inband: &Inband<'_>) -> Result<KernelBackend> {
    let queue = RawSpinLock::new(inband, Queue::new(), c"stax queue", &QUEUE)?;
    let oob_waiters = Monitor::new(monitor_lock(inband, ())?);
    let inband_waiters = Monitor::new(monitor_lock(inband, ())?);
    Ok(SleepingBackend::new(
        queue,
        oob_waiters,
        inband_waiters,
        Monotonic,
    ))
}
