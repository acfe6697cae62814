// SPDX-License-Identifier: GPL-2.0-only

//! The ready-made locks: one constructor for each core.
//!
//! ```text
//!   kernel_core   stax::new(inband, value)              a module: the evl core or the shim core, as the target kernel has
//!   host          stax::host::new(host, inband, value)  a process: the host core (feature `host`)
//! ```

#[cfg(feature = "host")]
pub mod host;
#[cfg(target_os = "none")]
pub mod kernel_core;
