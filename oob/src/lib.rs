// SPDX-License-Identifier: GPL-2.0-only

//! The out-of-band stage, as drivers see it.
//!
//! Linux can answer a device in microseconds only if urgent code never waits for other code. EVL
//! gives the kernel a second stage for that, which preempts all of Linux at any time. A driver of
//! this kit is written once, against the traits of this crate. One of three *cores* implements
//! them:
//!
//! ```text
//!            driver logic (no_std, generic)
//!                       |
//!      stage::{Oob, Inband}  time::Clock  wait::Flag  io::Mmio
//!            |                   |                |
//!       evl (EVL kernel)   shim (mainline)   host (a process, virtual time)
//! ```
//!
//! ```text
//!   cores/                 host; kernel_core over evl or shim        one implementation of the stage each
//!   services/              latch, monitor, semaphore, mutex, pool, relay, work: generic, shared by all cores
//!   stage time wait io irq threads lock record                      tokens and traits
//! ```
//!
//! The host core (feature `host`) is a machine of two stages in virtual time, and a seed reproduces
//! its runs. The generic code of this crate and of `stax` runs on it as in a kernel.
//!
//! Rules:
//! - a function that may sleep in-band takes [`stage::Inband`]; a function that waits out of band
//!   takes [`stage::Oob`];
//! - out-of-band waits take an absolute deadline, which a spurious wake-up never extends. The
//!   exception is [`mutex::Mutex::lock`]: mainline's inheriting lock has no deadline. `try_lock`
//!   does not wait;
//! - in-band, monitors and the stage lock take the same deadlines. Waits on poll heads and a
//!   relay's `flush` end by a signal. A call that flushes, cancels or stops something waits until
//!   that is done;
//! - no function that takes [`stage::Oob`] allocates, maps, touches clocks or panics.
#![cfg_attr(not(feature = "host"), no_std)]

pub mod cores;
pub mod io;
pub mod irq;
pub mod lock;
#[cfg(all(any(doc, doctest), feature = "host"))]
pub mod promises;
pub mod record;
mod services;
pub mod stage;
pub mod threads;
pub mod time;
pub mod wait;

#[cfg(feature = "host")]
pub use cores::host;
#[cfg(target_os = "none")]
pub use cores::kernel_core;
pub use services::{claim, gate, latch, long_wait, monitor, mutex, pool, relay, semaphore, work};

#[cfg(doctest)]
#[doc = include_str!("../../docs/stage.md")]
struct Manual;
