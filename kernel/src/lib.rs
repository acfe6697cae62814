// SPDX-License-Identifier: GPL-2.0-only

//! Safe layer over the kernel's C interface, as far as the kit's drivers need one.
//!
//! The crate uses the names of Rust-for-Linux's crate `kernel` and, as far as it goes, its signatures, so that a driver can later
//! move into the tree. It does not need a kernel with `CONFIG_RUST`: its declarations come from crate `bindings`, which reads the
//! headers of the target kernel.
//!
//! ```text
//!   module.rs of each crate  ->  kernel  ->  bindings  ->  the running kernel
//! ```
//!
//! Rules:
//! - a function that allocates, may sleep, or belongs to the in-band stage takes the in-band token. `docs/stage.md`, section 2,
//!   lists the exceptions; the main one is `drop`, which also belongs in-band;
//! - a function that can fail returns `error::Result`;
//! - a panic becomes a BUG with the panic's message.
//!
//! In a process the crate has only [`inband`].
#![no_std]

#[cfg(target_os = "none")]
pub mod alloc;
#[cfg(target_os = "none")]
pub mod debugfs;
#[cfg(target_os = "none")]
pub mod dma;
#[cfg(target_os = "none")]
pub mod error;
#[cfg(target_os = "none")]
pub mod file;
pub mod inband;
#[cfg(target_os = "none")]
pub mod io;
#[cfg(target_os = "none")]
pub mod miscdevice;
#[cfg(target_os = "none")]
pub mod mm;
#[cfg(target_os = "none")]
mod panic;
#[cfg(target_os = "none")]
pub mod platform;
#[cfg(target_os = "none")]
pub mod poll;
#[cfg(target_os = "none")]
pub mod print;
#[cfg(target_os = "none")]
pub mod sync;
#[cfg(target_os = "none")]
pub mod task;
#[cfg(target_os = "none")]
pub mod time;
#[cfg(target_os = "none")]
pub mod tracepoint;
#[cfg(target_os = "none")]
pub mod uaccess;

#[cfg(target_os = "none")]
pub use bindings;
#[cfg(target_os = "none")]
pub use error::{Error, Result};
