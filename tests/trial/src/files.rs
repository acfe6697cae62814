// SPDX-License-Identifier: GPL-2.0-only

//! A file of the stage: a mailbox that holds one letter.
//!
//! ```text
//!   write: puts a letter in    read: waits for a letter, takes it out    poll: IN if there is one, else OUT
//!   ECHO   on either stage       PAUSE   out-of-band only       ARM   a timer puts a letter in
//!   ECHO_NOW   out-of-band only, and not on EVL
//! ```
//!
//! In-band threads can also read, without waiting; they cannot write.

use oobkit_abi::ioc;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Path of the device.
pub const PATH: &str = "/dev/oob/trial-files";

/// The largest size of a letter in bytes.
pub const LETTER: usize = 64;

/// The letter that the timer writes.
pub const FROM_TIMER: &[u8] = b"from the timer";

/// Returns the value plus one, and the stage that served the call.
pub const ECHO: u32 = ioc::iowr::<Echo>(b'T', 32);
/// Waits for an event that never comes.
pub const PAUSE: u32 = ioc::iow::<Pause>(b'T', 33);
/// Arms a timer that puts [`FROM_TIMER`] into the mailbox.
pub const ARM: u32 = ioc::iow::<Arm>(b'T', 34);

/// As [`ECHO`], but copies under a hard lock.
pub const ECHO_NOW: u32 = ioc::iowr::<Echo>(b'T', 35);

/// Argument of [`ECHO`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Echo {
    /// In and out.
    pub value: u64,
    /// Out: [`OOB`] or [`INBAND`].
    pub stage: u32,
    /// Zero.
    pub reserved: u32,
}

/// Served out-of-band.
pub const OOB: u32 = 1;
/// Served in-band.
pub const INBAND: u32 = 2;

/// Argument of [`PAUSE`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Pause {
    /// The kind of wait: one of the three constants below.
    pub what: u32,
    /// Zero.
    pub reserved: u32,
    /// Date on `CLOCK_MONOTONIC`.
    pub until_ns: u64,
}

/// A flag.
pub const FLAG: u32 = 1;
/// A monitor.
pub const MONITOR: u32 = 2;
/// A semaphore.
pub const SEMAPHORE: u32 = 3;

/// Argument of [`ARM`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Arm {
    /// Date on `CLOCK_MONOTONIC`.
    pub at_ns: u64,
}
