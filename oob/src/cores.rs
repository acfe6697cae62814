// SPDX-License-Identifier: GPL-2.0-only
//! The cores: what implements the out-of-band stage.
//!
//! ```text
//!   host          a process, in virtual time (feature `host`)
//!   kernel_core   a kernel module: the core that the target kernel has
//!     +- evl        a kernel with CONFIG_EVL
//!     '- shim       any other kernel
//! ```

#[cfg(all(target_os = "none", oob_core_evl))]
mod evl;
#[cfg(feature = "host")]
pub mod host;
#[cfg(target_os = "none")]
pub mod kernel_core;
#[cfg(all(target_os = "none", not(oob_core_evl)))]
pub mod shim;
