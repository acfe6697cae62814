// SPDX-License-Identifier: GPL-2.0-only
//! The Raspberry Pi 3B with the overlay for silicon.
//!
//! QEMU's SPI block has no DMA mode, so this machine only shows that the driver binds, and the
//! frames that go through the FIFO. It has no spi-nor, because the flash would stay selected
//! forever.

use super::machine::Machine;
use super::raspi3b;

pub(super) static MACHINE: Machine = Machine {
    name: "raspi3b-overlay",
    overlays: &["bcm2835/overlays/oob-spi0.dts"],
    flash: None,
    stock_modules: &[],
    ..raspi3b::MACHINE
};
