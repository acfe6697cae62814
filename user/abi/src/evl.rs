// SPDX-License-Identifier: MIT OR Apache-2.0

//! EVL's own system calls, and what makes a thread EVL's: numbers and layouts of its ABI level 32 (uapi/evl/*.h,
//! uapi/asm-generic/dovetail.h).

use crate::ioc;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What marks a number as one of EVL's calls.
const EVL: i64 = 0x1000_0000;

/// `oob_read`.
pub const OOB_READ: i64 = EVL;
/// `oob_write`.
pub const OOB_WRITE: i64 = EVL | 1;
/// `oob_ioctl`.
pub const OOB_IOCTL: i64 = EVL | 2;

/// The core's device. A process that has it open is tied to EVL.
pub const CONTROL: &str = "/dev/evl/control";
/// Makes the calling thread EVL's.
pub const CLONE_THREAD: &str = "/dev/evl/thread/clone";

/// `struct evl_clone_req`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CloneRequest {
    /// Address of the element's name, or 0.
    pub name: u64,
    /// Address of its attributes, or 0.
    pub attributes: u64,
    /// None are used here.
    pub flags: u32,
    /// Out: the element's numbers.
    pub ids: [u32; 3],
    /// Out: its descriptor.
    pub fd: u32,
    /// Padding.
    pub pad: u32,
}

/// `struct evl_sched_attrs`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SchedAttrs {
    /// `SCHED_FIFO` here.
    pub policy: i32,
    /// 1 to 98.
    pub priority: i32,
    /// For policies not used here.
    pub rest: [u64; 2],
}

/// Of [`CLONE_THREAD`].
pub const CLONE: u32 = ioc::iowr::<CloneRequest>(b'f', 0);
/// Of a thread's descriptor.
pub const SET_SCHEDPARAM: u32 = ioc::iow::<SchedAttrs>(b'T', 1);
