// SPDX-License-Identifier: GPL-2.0-only

//! The cores: each implements the out-of-band stage for one environment.
//!
//! ```text
//!   host          a process, in virtual time (feature `host`)
//!   kernel_core   a kernel module: the core of the target kernel
//!     +- evl        a kernel with CONFIG_EVL
//!     '- shim       any other kernel
//!   attached      the shim's set of attached threads, which oob_shim.ko owns and the shim core reads
//! ```

pub mod attached;
#[cfg(all(target_os = "none", oob_core_evl))]
mod evl;
#[cfg(feature = "host")]
pub mod host;
#[cfg(target_os = "none")]
pub mod kernel_core;
#[cfg(all(target_os = "none", not(oob_core_evl)))]
pub mod shim;
