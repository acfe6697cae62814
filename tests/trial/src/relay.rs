// SPDX-License-Identifier: GPL-2.0-only

//! The relay of an open `/dev/oob/trial-files`: out-of-band calls write by it to another file of
//! the process.

use oobkit_abi::ioc;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The size of a message in bytes.
pub const MESSAGE: usize = 16;

/// Creates the relay, once.
pub const OPEN: u32 = ioc::iow::<Open>(b'T', 48);
/// Writes messages, out-of-band.
pub const WRITE: u32 = ioc::iowr::<Write>(b'T', 49);
/// Waits until the accepted messages have been written.
pub const FLUSH: u32 = ioc::io(b'T', 50);
/// Returns the number of lost messages.
pub const LOST: u32 = ioc::ior::<u64>(b'T', 51);

/// Argument of [`OPEN`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Open {
    /// The file to write to.
    pub fd: u32,
    /// The largest number of unwritten messages.
    pub count: u32,
}

/// Argument of [`WRITE`]. Each message holds a number, from `first` on, and `tag`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Write {
    /// In: the second half of each message.
    pub tag: u64,
    /// In: the first message's number.
    pub first: u64,
    /// In: the number of messages.
    pub count: u64,
    /// Out: the number of accepted messages.
    pub taken: u64,
}
