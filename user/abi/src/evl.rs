// SPDX-License-Identifier: MIT OR Apache-2.0

//! What EVL's own system calls are called by (uapi/evl/syscall.h, uapi/asm-generic/dovetail.h).

/// What marks a number as one of EVL's calls.
const EVL: i64 = 0x1000_0000;

/// `oob_read`.
pub const OOB_READ: i64 = EVL;
/// `oob_write`.
pub const OOB_WRITE: i64 = EVL | 1;
/// `oob_ioctl`.
pub const OOB_IOCTL: i64 = EVL | 2;
