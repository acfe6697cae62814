// SPDX-License-Identifier: GPL-2.0-only

//! SPI and DMA controllers of the BCM2835 family (BCM2835, 2836, 2837; the legacy channels of
//! BCM2711).
//!
//! ```text
//!    oob_spi::controller::Controller          oob_spi::inband::InbandController
//!                   |                                  |
//!                   +------------- spi::Spi -----------+---- chip-select lines (GPIO)
//!                                     |
//!                        oob_dma::PulseChannel: dma::Channel  x2 (TX, RX)
//!                                     |
//!                              oob::io::Mmio                 dma::Irq <- channel interrupt
//! ```
//!
//! Everything here is logic over register windows. Probing, mapping, interrupts and memory are in
//! `module`, which is built for a kernel only.
#![cfg_attr(not(test), no_std)]

pub mod dma;
#[cfg(feature = "module")]
mod module;
pub mod spi;
