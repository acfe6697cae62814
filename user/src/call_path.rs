// SPDX-License-Identifier: MIT OR Apache-2.0

//! How a program makes exchange calls, the calls of its loop.
//!
//! ```text
//!   mainline kernel with the kit's shim    ioctl(2)
//!   kernel with EVL                        EVL's oob_ioctl, which EVL serves out-of-band
//! ```
//!
//! A session finds out which of the two the kernel needs when it enters oob mode.

use crate::evl;
use crate::sys::{self, argument_size};
use rustix::io::Errno;
use std::os::fd::AsFd;
use zerocopy::{FromBytes, IntoBytes};

/// The system call that carries exchange calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallPath {
    /// `ioctl`.
    Shim,
    /// EVL's own system call.
    Evl,
}

impl CallPath {
    /// The path of the running kernel.
    pub(crate) fn of_this_kernel() -> Self {
        match evl::is_present() {
            true => Self::Evl,
            false => Self::Shim,
        }
    }

    /// Makes the call `OPCODE`, which takes no argument.
    #[inline]
    pub(crate) fn command<const OPCODE: u32>(self, fd: impl AsFd) -> Result<(), Errno> {
        const { assert!(argument_size(OPCODE) == 0) };
        match self {
            Self::Shim => sys::command::<OPCODE>(fd),
            // SAFETY: the opcode encodes an argument of size 0, as asserted above, so the kernel
            // reads no memory.
            Self::Evl => unsafe { evl::oob_ioctl(fd, OPCODE, 0) },
        }
    }

    /// Makes the call `OPCODE` with `value`. The kernel reads `value`, writes it, or does both.
    #[inline]
    pub(crate) fn exchange<const OPCODE: u32, T: FromBytes + IntoBytes>(
        self,
        fd: impl AsFd,
        value: &mut T,
    ) -> Result<(), Errno> {
        const { assert!(argument_size(OPCODE) == size_of::<T>()) };
        match self {
            Self::Shim => sys::exchange::<OPCODE, T>(fd, value),
            Self::Evl => {
                let argument = (&raw mut *value).expose_provenance();
                // SAFETY: `argument` is the address of a `T`, borrowed until the call returns, and
                // the opcode encodes the size of `T`. Any bytes form a valid `T` (`FromBytes`); all
                // of them are initialised (`IntoBytes`).
                unsafe { evl::oob_ioctl(fd, OPCODE, argument) }
            }
        }
    }
}
