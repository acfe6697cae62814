// SPDX-License-Identifier: MIT OR Apache-2.0

//! `/dev/oob/ctl`: how a thread attaches to the out-of-band stage of a mainline kernel.

use crate::ioc;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The path of the control device.
pub const PATH: &str = "/dev/oob/ctl";

/// Attaches the calling thread.
///
/// The thread must hold `CAP_SYS_NICE` (else `EPERM`, which comes before all other errors) and be
/// `SCHED_FIFO` with priority 1 to 98 (else `EINVAL`). If it is already attached, the call fails
/// with `EBUSY`; if the table of threads is full, with `ENOSPC`.
pub const ATTACH: u32 = ioc::iow::<Attach>(b'o', 1);

/// Detaches the calling thread. `ESRCH` if it is not attached. The kernel detaches a thread that
/// ends.
pub const DETACH: u32 = ioc::io(b'o', 2);

/// The argument of [`ATTACH`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Attach {
    /// Zero.
    pub reserved: [u32; 4],
}
