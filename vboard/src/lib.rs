// SPDX-License-Identifier: GPL-2.0-only

//! The virtual board: register-level models of the BCM2835 SPI0 and DMA blocks, with time in them, and what hangs on
//! the SPI bus.
//!
//! ```text
//!     driver logic                                     driver logic in a kernel module
//!          | Mmio, interrupt handlers                        | table of functions
//!     host::HostBoard (a process, virtual time)         module.rs (vboard.ko)
//!          \______________________   ______________________/
//!                                 \ /
//!                      board::Board<Slaves, BusMemory>
//!                      |               |             |
//!                 spi (FIFO,      dma (channels,   faults
//!                 shifter, CS)    control blocks)
//!                      |               |
//!              slave: motor, flash     BusMemory: what DMA reads and writes
//! ```
//!
//! Rules:
//! - the models do no input or output and keep no clock: every call brings the date, and the board computes what has
//!   happened since the last one; [`board::Board::next_event`] says when it wants to be called again;
//! - nothing here allocates, panics, or uses floating point outside of the host core and the tests;
//! - where the vendor's document is silent or known to be wrong, the comment at the register says which way is taken.
//!
//! For a driver's tests (feature `host`):
//!
//! ```
//! # #[cfg(feature = "host")] {
//! use oob::host::Host;
//! use oob::io::Mmio;
//! use std::{cell::RefCell, rc::Rc};
//! use vboard::{board::Block, host::HostBoard, irq::IrqLine, motor::Motor};
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

pub mod board;
pub mod bus;
mod dma;
pub mod faults;
mod fifo;
pub mod flash;
#[cfg(any(test, feature = "host"))]
pub mod host;
pub mod irq;
#[cfg(feature = "module")]
mod module;
pub mod motor;
pub mod slave;
mod spi;
mod ticks;
