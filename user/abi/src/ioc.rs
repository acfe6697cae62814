// SPDX-License-Identifier: MIT OR Apache-2.0

//! The encoding of ioctl numbers (asm-generic/ioctl.h: 2 bits direction, 14 size, 8 type, 8
//! number).

const WRITE: u32 = 1;
const READ: u32 = 2;

const fn number(direction: u32, group: u8, nr: u8, size: usize) -> u32 {
    assert!(size < 1 << 14);
    #[allow(clippy::cast_possible_truncation)]
    let size = size as u32;
    (direction << 30) | (size << 16) | ((group as u32) << 8) | nr as u32
}

/// `_IO`: no argument.
pub const fn io(group: u8, nr: u8) -> u32 {
    number(0, group, nr, 0)
}

/// `_IOR`: the kernel writes a `T`.
pub const fn ior<T>(group: u8, nr: u8) -> u32 {
    number(READ, group, nr, size_of::<T>())
}

/// `_IOW`: the kernel reads a `T`.
pub const fn iow<T>(group: u8, nr: u8) -> u32 {
    number(WRITE, group, nr, size_of::<T>())
}

/// `_IOWR`: the kernel reads and writes a `T`.
pub const fn iowr<T>(group: u8, nr: u8) -> u32 {
    number(READ | WRITE, group, nr, size_of::<T>())
}
