// SPDX-License-Identifier: GPL-2.0-only

//! `oob_spi.ko`: the kernel edge.
//!
//! ```text
//!   exports.rs     what controllers' modules call
//!      |
//!   registered.rs  a registered bus and its nodes
//!      |
//!   file.rs        /dev/oob/spidev<bus>.<cs>: system calls
//!      |
//!   shared.rs      a bus with its settings, sessions and buffers
//!      |
//!   env.rs         clock, timers, flags, the queue at the gate
//! ```
//!
//! - There is one [`shared::Shared`] for each bus. Its registration and every open file own it, so
//!   a file that outlives the controller still has something to answer `ENODEV` from.
//! - `Shared::inband` is the mutex that the core's first rule requires. User memory is never
//!   touched under it: a page fault takes the memory map's lock, and `mmap` takes this mutex under
//!   that lock.

mod env;
mod exports;
mod file;
mod registered;
mod shared;
