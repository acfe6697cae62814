// SPDX-License-Identifier: GPL-2.0-only

//! Out-of-band SPI: fixed-size frames, their life cycle, and the spidev-compatible device.
//!
//! ```text
//!   user:    open  ENABLE      mmap  { RUN | RUN_UNTIL | RUN_LIST }*   DISABLE  close
//!   kernel edge (module.rs): files, user memory, mapping, timers, interrupts, the ordinary spi_controller
//!   core:    Bus -- gate, validation, claim, frames, fail-safe, statistics          (this crate, pure)
//!   traits:  Controller, Env (clock, flags, timers)
//! ```
//!
//! | file | story |
//! | --- | --- |
//! | [`controller`] | what a controller does |
//! | [`bus`], `life` | the bus and its life cycle, in-band |
//! | `exchange`, `events`, `frames` | exchange calls; timers and the interrupt; what both do |
//! | `claim` | the protocol between them, in one word |
//! | [`gate`] | in-band messages against oob mode |
//! | [`validate`], [`layout`], [`errno`] | what is asked, where it lies, what is refused |
//! | [`vtable`], `registration` | how a controller's module and this one meet |
//! | `module` | the kernel edge |
//!
//! The fail-safe: a stop frame, set beforehand (SET_STOP), brings the device to rest. It is sent when the owner closes or
//! dies, when the controller is unbound, or after so many misses in a row: a deadline that passed, a frame that failed, a
//! watch period without an exchange call. After the last, exchange calls get `EOWNERDEAD` until DISABLE and ENABLE; no
//! frame follows the stop frame.
#![cfg_attr(not(test), no_std)]

pub mod bus;
mod chip_select;
mod claiming;
pub mod controller;
mod counters;
mod engine;
pub mod env;
pub mod errno;
mod events;
mod exchange;
mod fail_safe;
mod frames;
pub mod inband;
pub mod layout;
mod life;
#[cfg(feature = "module")]
mod module;
mod oob_mode;
#[cfg(target_os = "none")]
pub mod registration;
pub mod request;
mod setup;
#[cfg(target_os = "none")]
pub mod spi_controller;
mod sync;
mod timer_wait;
pub mod validate;
pub mod vtable;
