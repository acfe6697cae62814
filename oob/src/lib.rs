// SPDX-License-Identifier: GPL-2.0-only

//! The out-of-band stage, as drivers see it.
//!
//! Linux can answer a device in microseconds only if the code that must hurry does not wait for the
//! code that need not. EVL gives the kernel a second, always-preempting stage for that. A driver of
//! this kit is written once, against the traits of this crate; one of three *cores* supplies them:
//!
//! ```text
//!            driver logic (no_std, generic)
//!                       |
//!      stage::{Oob, Inband}  time::Clock  wait::Flag  io::Mmio
//!            |                   |                |
//!       evl (EVL kernel)   shim (mainline)   host (a process, virtual time)
//! ```
//!
//! The host core, `host` (a feature of this crate), is a machine of two stages in virtual time,
//! reproduced from a seed: what is generic here and in `stax` runs on it as it does in a kernel.
//!
//! Rules:
//! - what may sleep in-band takes [`stage::Inband`]; what must hurry takes [`stage::Oob`];
//! - what out-of-band code waits with takes an absolute deadline, which a spurious wake-up never
//!   restarts; but for [`mutex::Mutex::lock`], as mainline's inheriting lock has none: its type
//!   takes none, and `try_lock` does not wait;
//! - in-band, monitors and the stage lock take the same deadlines. Poll heads and a relay's `flush`
//!   wait until a signal, what flushes, cancels or stops something until that is done;
//! - nothing that takes [`stage::Oob`] allocates, maps, touches clocks or panics.
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
#[cfg(target_os = "none")]
pub use services::mapped;
pub use services::{claim, gate, latch, long_wait, monitor, mutex, pool, relay, semaphore, work};

#[cfg(doctest)]
#[doc = include_str!("../../docs/stage.md")]
struct Manual;
