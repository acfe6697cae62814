// SPDX-License-Identifier: MIT OR Apache-2.0

//! EVL's own system calls, and the calls that make a thread an EVL thread: numbers and layouts of
//! its ABI level 32 (uapi/evl/*.h, uapi/asm-generic/dovetail.h).

use crate::ioc;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// This bit marks a system call number as one of EVL's.
const EVL: i64 = 0x1000_0000;

/// `oob_read`.
pub const OOB_READ: i64 = EVL;
/// `oob_write`.
pub const OOB_WRITE: i64 = EVL | 1;
/// `oob_ioctl`.
pub const OOB_IOCTL: i64 = EVL | 2;

/// EVL's control device. A process that has it open is known to EVL.
pub const CONTROL: &str = "/dev/evl/control";
/// The device whose [`CLONE`] call makes the calling thread an EVL thread.
pub const CLONE_THREAD: &str = "/dev/evl/thread/clone";

/// `struct evl_clone_req`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CloneRequest {
    /// In: the address of the element's name, or 0.
    pub name: u64,
    /// In: the address of its attributes, or 0.
    pub attributes: u64,
    /// In: flags. The kit uses none.
    pub flags: u32,
    /// Out: the element's numbers.
    pub ids: [u32; 3],
    /// Out: the element's file descriptor.
    pub fd: u32,
    /// Padding.
    pub pad: u32,
}

/// `struct evl_sched_attrs`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SchedAttrs {
    /// The policy: `SCHED_FIFO`.
    pub policy: i32,
    /// The priority: 1 to 98.
    pub priority: i32,
    /// Parameters of policies that the kit does not use.
    pub rest: [u64; 2],
}

/// A call of [`CLONE_THREAD`]: makes the calling thread an EVL thread.
pub const CLONE: u32 = ioc::iowr::<CloneRequest>(b'f', 0);
/// A call of a thread's descriptor: sets the thread's policy and priority.
pub const SET_SCHEDPARAM: u32 = ioc::iow::<SchedAttrs>(b'T', 1);
