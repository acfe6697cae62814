// SPDX-License-Identifier: MIT OR Apache-2.0

//! What EVL's own system calls are called by (uapi/evl/syscall.h, uapi/asm-generic/dovetail.h).

/// `oob_ioctl`: its number among EVL's calls, marked as one of them.
pub const OOB_IOCTL: i64 = 0x1000_0000 | 2;
