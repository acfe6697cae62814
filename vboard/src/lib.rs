// SPDX-License-Identifier: GPL-2.0-only

//! The virtual board: register-level models of controllers, with time in them, and the devices on
//! their buses.
//!
//! ```text
//!   driver under test, in a process                 driver, in a kernel module
//!        | Mmio, interrupt handlers                      | table::Table
//!   bcm2835::host::HostBoard (virtual time)         module.rs (vboard.ko)
//!          \____________________   ____________________/
//!                               \ /
//!                    bcm2835: one folder for each SoC
//!                     |                    |
//!           slaves: motor, flash     memory: what DMA reads and writes
//! ```
//!
//! A driver depends on this crate without the feature `models`: it gets [`table`] and nothing else.
//!
//! Rules for the models:
//! - They do no input or output and read no clock. Each call passes the date, and the board
//!   computes what happened since the previous call. `Board::next_event` returns the date at which
//!   the board must be called again.
//! - They never allocate or panic and use no floating point. The host core and the tests may.
//! - Where the vendor's document is silent or known to be wrong, the comment at the register states
//!   what the model does.
//!
//! In a driver's tests (feature `host`):
//!
//! ```
//! # #[cfg(feature = "host")] {
//! use oob::host::Host;
//! use oob::io::Mmio;
//! use std::{cell::RefCell, rc::Rc};
//! use vboard::bcm2835::{board::Block, host::HostBoard, irq::IrqLine};
//! use vboard::slaves::motor::Motor;
//!
//! let host = Host::new();
//! let board = HostBoard::new(&host);
//! let motor = Rc::new(RefCell::new(Motor::new()));
//! board.attach_slave(0, motor.clone());              // native chip select 0
//! let (spi, dma) = (board.mmio(Block::Spi0), board.mmio(Block::Dma)); // channel n at n * 0x100
//! let memory = board.dma_alloc(64, 32);              // memory.cpu(), memory.bus()
//! board.on_irq(IrqLine::Dma(5), || { /* acknowledge in the DMA window */ });
//! board.set_access_cost(oob::time::Ns(40));
//! board.with_faults(|faults| faults.spi_rx_dreq_stuck = true);
//! assert_eq!(spi.read(0) & (1 << 18), 1 << 18);      // CS.TXD
//! # let _ = (dma, memory, motor);
//! # }
//! ```
#![cfg_attr(not(any(test, feature = "host")), no_std)]

#[cfg(feature = "models")]
pub mod bcm2835;
#[cfg(feature = "models")]
pub mod memory;
#[cfg(feature = "module")]
mod module;
#[cfg(feature = "models")]
pub mod slaves;
pub mod table;
