// SPDX-License-Identifier: GPL-2.0-only

//! A relay of an open `/dev/oob/trial-files`: out-of-band calls write through it to another file of
//! the process.

use oobkit_abi::ioc;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of a message.
pub const MESSAGE: usize = 16;

/// Makes the relay; once.
pub const OPEN: u32 = ioc::iow::<Open>(b'T', 48);
/// Writes messages, out-of-band.
pub const WRITE: u32 = ioc::iowr::<Write>(b'T', 49);
/// Waits until what was taken has been written.
pub const FLUSH: u32 = ioc::io(b'T', 50);
/// Tells how many messages were lost.
pub const LOST: u32 = ioc::ior::<u64>(b'T', 51);

/// Argument of [`OPEN`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Open {
    /// The file to write to.
    pub fd: u32,
    /// Messages under way at most.
    pub count: u32,
}

/// Argument of [`WRITE`]: messages of a number each, from `first` on, and `tag`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Write {
    /// In: of each message, its second half.
    pub tag: u64,
    /// In: the first message's number.
    pub first: u64,
    /// In: how many.
    pub count: u64,
    /// Out: how many of them were taken.
    pub taken: u64,
}
