// SPDX-License-Identifier: GPL-2.0-only
//! Builds the kit for guests, modules and programs, and lints the kernel builds.

mod debian;
pub(crate) mod lint;
pub(crate) mod list;
pub(crate) mod modules;
pub(crate) mod programs;

pub(crate) use debian::debian_rust;
