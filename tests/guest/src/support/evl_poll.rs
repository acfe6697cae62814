// SPDX-License-Identifier: GPL-2.0-only

//! Numbers and layouts of EVL's poll, ABI level 32 (uapi/evl/poll.h).

use oobkit_abi::ioc;
use zerocopy::{FromBytes, IntoBytes};

/// `struct evl_poll_ctlreq`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes)]
#[repr(C)]
pub(crate) struct Control {
    pub(crate) action: u32,
    pub(crate) fd: u32,
    pub(crate) events: u32,
    pub(crate) pad: u32,
    pub(crate) value: u64,
}

/// `struct evl_poll_event`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes)]
#[repr(C)]
pub(crate) struct Event {
    pub(crate) fd: u32,
    pub(crate) events: u32,
    pub(crate) value: u64,
}

/// `struct evl_poll_waitreq`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes)]
#[repr(C)]
pub(crate) struct Wait {
    pub(crate) date: u64,
    pub(crate) events: u64,
    pub(crate) count: u32,
    pub(crate) pad: u32,
}

pub(crate) const CONTROL: u32 = ioc::iow::<Control>(b'p', 0);
pub(crate) const WAIT: u32 = ioc::iowr::<Wait>(b'p', 1);
