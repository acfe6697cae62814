// SPDX-License-Identifier: GPL-2.0-only

//! The BCM2835's SPI0 and DMA controller, as registers with time in them.
//!
//! ```text
//!          host::HostBoard (a process)        vboard.ko (a kernel)
//!                         \                      /
//!                       board::Board<Slaves, BusMemory>
//!                       |              |             |
//!                  spi (FIFOs,    dma (channels,   faults
//!                  shifter, CS)   control blocks)
//!                       |              |
//!                  crate::slaves   crate::memory
//! ```

pub mod board;
pub mod bus;
mod dma;
pub mod faults;
mod fifo;
#[cfg(any(test, feature = "host"))]
pub mod host;
pub mod irq;
mod spi;
mod ticks;
