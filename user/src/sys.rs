// SPDX-License-Identifier: MIT OR Apache-2.0

//! The plain `ioctl` calls of the kit's devices and spidev. The exchange calls are in
//! `call_path.rs`.

use rustix::io::Errno;
use rustix::ioctl::{NoArg, Updater, ioctl};
use std::os::fd::AsFd;
use zerocopy::{FromBytes, IntoBytes};

/// The argument size that an ioctl number carries (asm-generic/ioctl.h).
pub(crate) const fn argument_size(opcode: u32) -> usize {
    ((opcode >> 16) & 0x3fff) as usize
}

/// Makes the call `OPCODE` with `value`. The kernel reads `value`, writes it, or does both.
pub(crate) fn exchange<const OPCODE: u32, T: FromBytes + IntoBytes>(
    fd: impl AsFd,
    value: &mut T,
) -> Result<(), Errno> {
    const { assert!(argument_size(OPCODE) == size_of::<T>()) };
    // SAFETY: the argument has the size of `T`, as asserted above. Any bytes that the kernel writes
    // form a valid `T` (`FromBytes`), and every byte that it reads is initialised (`IntoBytes`).
    let request = unsafe { Updater::<OPCODE, T>::new(value) };
    // SAFETY: the kit's devices and spidev access no user memory in this call but its argument,
    // which is borrowed until the call returns.
    unsafe { ioctl(fd, request) }
}

/// Makes the call `OPCODE` with a value that the kernel only reads.
pub(crate) fn set<const OPCODE: u32, T: FromBytes + IntoBytes>(
    fd: impl AsFd,
    mut value: T,
) -> Result<(), Errno> {
    exchange::<OPCODE, T>(fd, &mut value)
}

/// Makes the call `OPCODE` and returns the value that the kernel wrote.
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
    // SAFETY: the opcode encodes an argument of size 0, as asserted above.
    let request = unsafe { NoArg::<OPCODE>::new() };
    // SAFETY: a call without an argument gives the kernel no address to access.
    unsafe { ioctl(fd, request) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oobkit_abi::{ctl, spi};

    #[test]
    fn opcodes_encode_the_sizes_of_their_arguments() {
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
    fn an_unknown_call_is_refused_with_enotty() -> std::io::Result<()> {
        let null = std::fs::File::open("/dev/null")?;
        assert_eq!(command::<{ spi::RUN_OOB_XFER }>(&null), Err(Errno::NOTTY));
        assert_eq!(
            get::<{ spi::GET_STATS }, spi::Stats>(&null),
            Err(Errno::NOTTY)
        );
        Ok(())
    }
}
