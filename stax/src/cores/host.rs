// SPDX-License-Identifier: GPL-2.0-only

//! The stage lock on the host core: the same backend as in a kernel, in virtual time.

use crate::lock::Stax;
use crate::queue::Queue;
use crate::sleeping::SleepingBackend;
use oob::host::{Host, HostLock, HostWaitQueue};
use oob::stage::Inband;

/// The backend of the host core: threads of both stages sleep; an [`Atomic`](crate::Atomic) caller
/// spins.
pub type HostBackend = SleepingBackend<HostLock<Queue>, HostWaitQueue, Host>;

/// A stage lock on the host core.
pub type StageLock<T> = Stax<T, HostBackend>;

/// A free stage lock of the machine `host`.
pub fn new<T>(host: &Host, inband: &Inband<'_>, value: T) -> StageLock<T> {
    let queue = HostLock::new(host, Queue::new());
    let waiters = || host.wait_queue(inband);
    let backend = SleepingBackend::new(queue, waiters(), waiters(), host.clone());
    Stax::new(value, backend)
}
