// SPDX-License-Identifier: GPL-2.0-only

//! The services that all cores share: each is generic over the traits that a core implements
//! ([`crate::threads`], [`crate::lock`]), so one implementation runs in kernels, in a process, and
//! under loom.

pub mod claim;
pub mod gate;
pub mod latch;
pub mod long_wait;
pub mod monitor;
pub mod mutex;
pub mod pool;
pub mod relay;
pub mod semaphore;
pub mod work;
