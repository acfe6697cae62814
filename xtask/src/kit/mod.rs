// SPDX-License-Identifier: GPL-2.0-only
//! The kit itself: its modules and programs, as they are built for guests, and the lint of the kernel builds.

mod debian;
pub(crate) mod lint;
pub(crate) mod list;
pub(crate) mod modules;
pub(crate) mod programs;

pub(crate) use debian::debian_rust;
