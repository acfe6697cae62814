// SPDX-License-Identifier: GPL-2.0-only

//! Safe layer over the kernel's C interface, as far as the kit's drivers need one.
//!
//! It carries the names, and as far as it goes the shapes, of Rust-for-Linux's crate `kernel`, so that a driver can later
//! move into the tree. It needs no kernel built with `CONFIG_RUST`: declarations come from `bindings`, which reads the
//! headers of whatever kernel is built for.
//!
//! ```text
//!   module.rs of each crate  ->  kernel  ->  bindings  ->  the running kernel
//! ```
//!
//! Rules: what allocates, may sleep or is in-band's own takes the in-band token, but for what `docs/stage.md`, section 2, lists,
//! dropping above all, which is for in-band, too; what can fail returns [`error::Result`]; a panic is a BUG with its message.
#![no_std]

pub mod alloc;
pub mod debugfs;
pub mod dma;
pub mod error;
pub mod file;
pub mod io;
pub mod miscdevice;
pub mod mm;
pub mod platform;
pub mod poll;
pub mod print;
pub mod sync;
pub mod task;
pub mod time;
pub mod tracepoint;
pub mod uaccess;

pub use bindings;
pub use error::{Error, Result};

mod panic;
