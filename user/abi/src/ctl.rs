// SPDX-License-Identifier: MIT OR Apache-2.0

//! `/dev/oob/ctl`: how a thread joins the out-of-band stage of a mainline kernel.

use crate::ioc;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Path of the control device.
pub const PATH: &str = "/dev/oob/ctl";

/// Attaches the calling thread. It must hold `CAP_SYS_NICE` (else `EPERM`, whatever else is wrong) and be `SCHED_FIFO`
/// with priority 1 to 98 (else `EINVAL`); a thread that is attached already gets `EBUSY`, a full table `ENOSPC`.
pub const ATTACH: u32 = ioc::iow::<Attach>(b'o', 1);

/// Detaches the calling thread; `ESRCH` where it is not attached. A thread that ends is detached by itself.
pub const DETACH: u32 = ioc::io(b'o', 2);

/// Argument of [`ATTACH`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Attach {
    /// Zero.
    pub reserved: [u32; 4],
}
