// SPDX-License-Identifier: GPL-2.0-only

//! Out-of-band SPI: fixed-size frames, their life cycle, and the spidev-compatible device.
//!
//! ```text
//!   user:    open  ENABLE      mmap  { RUN | RUN_UNTIL | RUN_LIST }*   DISABLE  close
//!   kernel edge (module/): files, user memory, mapping, timers
//!   core:    Bus -- checks, gate, claim, frames, fail-safe, statistics       (pure)
//!   traits:  Controller (registers), Env (clock, flags, timers)
//! ```
//!
//! `docs/spi.md` walks each actor through the protocol. A new controller starts from
//! `examples/template.rs`.
//!
//! | file | what it has |
//! | --- | --- |
//! | [`controller`], [`inband`] | what a controller does, out of band and for ordinary messages |
//! | [`bus`] | the bus, and what it can be asked |
//! | `life`, `setup`, `oob_mode`, [`request`] | its in-band calls; the gate and the owner |
//! | `exchange`, `timer_wait`, `events` | exchange calls; timers and the interrupt |
//! | `engine`, `claiming`, `frames`, `fail_safe` | the claim's guard, and what its holder does |
//! | `chip_select`, `counters` | the state of one chip select |
//! | [`mod@env`] | what a bus needs from its surroundings |
//! | [`validate`], [`layout`], [`errno`] | checks of arguments, the frame memory, the errors |
//! | [`vtable`], `registration` | how a controller's module registers its bus with this one |
//! | `spi_controller` | the bridge to mainline's `spi_controller` |
//! | `module` | the kernel edge |
//!
//! The fail-safe: a stop frame, set beforehand (SET_STOP), brings the device to rest. It is sent
//! when the owner closes or dies, when the controller is unbound, or after a number of misses in a
//! row. A miss is a deadline that passed, a frame that failed, or a watch period without an
//! exchange call. After too many misses, exchange calls return `EOWNERDEAD` until DISABLE and
//! ENABLE. No frame follows the stop frame.
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
