// SPDX-License-Identifier: MIT OR Apache-2.0

//! The ioctl calls of the kit's devices and spidev.

use crate::evl;
use rustix::io::Errno;
use rustix::ioctl::{NoArg, Updater, ioctl};
use std::os::fd::AsFd;
use zerocopy::{FromBytes, IntoBytes};

/// The argument size that an ioctl number carries (asm-generic/ioctl.h).
const fn argument_size(opcode: u32) -> usize {
    ((opcode >> 16) & 0x3fff) as usize
}

/// Makes the call `OPCODE` with `value`, which the kernel reads, writes, or both.
pub(crate) fn exchange<const OPCODE: u32, T: FromBytes + IntoBytes>(
    fd: impl AsFd,
    value: &mut T,
) -> Result<(), Errno> {
    const { assert!(argument_size(OPCODE) == size_of::<T>()) };
    // SAFETY: the number says that the argument has the size of `T`; any bytes that the kernel writes make a `T`
    // (`FromBytes`), and every byte it reads is initialised (`IntoBytes`).
    let request = unsafe { Updater::<OPCODE, T>::new(value) };
    // SAFETY: by the kit's and spidev's ABI such a call touches no user memory but its argument.
    unsafe { ioctl(fd, request) }
}

/// As [`exchange`], for a value that the kernel only reads.
pub(crate) fn set<const OPCODE: u32, T: FromBytes + IntoBytes>(
    fd: impl AsFd,
    mut value: T,
) -> Result<(), Errno> {
    exchange::<OPCODE, T>(fd, &mut value)
}

/// As [`exchange`], for a value that the kernel only writes.
pub(crate) fn get<const OPCODE: u32, T: FromBytes + IntoBytes + Default>(
    fd: impl AsFd,
) -> Result<T, Errno> {
    let mut value = T::default();
    exchange::<OPCODE, T>(fd, &mut value)?;
    Ok(value)
}

/// Makes the call `OPCODE`, which takes no argument.
pub(crate) fn command<const OPCODE: u32>(fd: impl AsFd) -> Result<(), Errno> {
    const { assert!(argument_size(OPCODE) == 0) };
    // SAFETY: the number says that there is no argument.
    let request = unsafe { NoArg::<OPCODE>::new() };
    // SAFETY: a call without argument touches no user memory that Rust knows of.
    unsafe { ioctl(fd, request) }
}

/// How exchange calls are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// By `ioctl`.
    Shim,
    /// By EVL's own system call.
    Evl,
}

impl Way {
    /// That of this kernel.
    pub(crate) fn here() -> Self {
        match evl::is_there() {
            true => Self::Evl,
            false => Self::Shim,
        }
    }

    /// Makes the call `OPCODE`, which takes no argument.
    #[inline]
    pub(crate) fn command<const OPCODE: u32>(self, fd: impl AsFd) -> Result<(), Errno> {
        const { assert!(argument_size(OPCODE) == 0) };
        match self {
            Self::Shim => command::<OPCODE>(fd),
            // SAFETY: the number says that there is no argument.
            Self::Evl => unsafe { evl::oob_ioctl(fd, OPCODE, 0) },
        }
    }

    /// Makes the call `OPCODE` with `value`, which the kernel reads, writes, or both.
    #[inline]
    pub(crate) fn exchange<const OPCODE: u32, T: FromBytes + IntoBytes>(
        self,
        fd: impl AsFd,
        value: &mut T,
    ) -> Result<(), Errno> {
        const { assert!(argument_size(OPCODE) == size_of::<T>()) };
        match self {
            Self::Shim => exchange::<OPCODE, T>(fd, value),
            Self::Evl => {
                let argument = (&raw mut *value).expose_provenance();
                // SAFETY: as for `exchange`: the argument has the size of `T`, and any bytes make one.
                unsafe { evl::oob_ioctl(fd, OPCODE, argument) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oobkit_abi::{ctl, spi};

    #[test]
    fn the_numbers_carry_the_sizes_of_their_arguments() {
        assert_eq!(argument_size(spi::ENABLE_OOB_MODE), 24);
        assert_eq!(argument_size(spi::RUN_UNTIL), 16);
        assert_eq!(argument_size(spi::RUN_LIST), 16 + 8 * spi::LIST_MAX);
        assert_eq!(argument_size(spi::SET_TRIGGER), 24);
        assert_eq!(argument_size(spi::SET_STOP), 16);
        assert_eq!(argument_size(spi::GET_STATS), 64);
        assert_eq!(argument_size(spi::GET_INFO), 24);
        assert_eq!(argument_size(spi::SET_DELAYS), 16);
        assert_eq!(argument_size(ctl::ATTACH), 16);
        assert_eq!(argument_size(spi::RUN_OOB_XFER), 0);
    }

    #[test]
    fn a_device_that_does_not_know_a_call_says_so() -> std::io::Result<()> {
        let null = std::fs::File::open("/dev/null")?;
        assert_eq!(command::<{ spi::RUN_OOB_XFER }>(&null), Err(Errno::NOTTY));
        assert_eq!(
            get::<{ spi::GET_STATS }, spi::Stats>(&null),
            Err(Errno::NOTTY)
        );
        Ok(())
    }
}
