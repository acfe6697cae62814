// SPDX-License-Identifier: GPL-2.0-only
//! A Raspberry Pi 3B with the kit's overlay for QEMU, whose SPI block has no DMA mode.

use super::machine::{Machine, Serial};
use crate::kernels::Arch;

pub(super) const MACHINE: Machine = Machine {
    name: "raspi3b",
    arch: Arch::Arm64,
    default_kernel: "6.12-rt-arm64",
    qemu: "qemu-system-aarch64",
    args: &["-M", "raspi3b"],
    serials: &[Serial::Data, Serial::Console],
    console: "ttyS1,115200",
    data: "ttyAMA0",
    append: "",
    cpus: 4,
    fixed_cpus: true,
    dtb: Some("broadcom/bcm2837-rpi-3-b.dtb"),
    dtb_without: &["/soc/serial@7e201000/bluetooth"],
    overlays: &["bcm2835/overlays/oob-spi0-qemu.dts"],
    flash: Some("w25q80"),
    stock_modules: &["mtd", "spi-nor", "spi-bcm2835"],
    needs_board: false,
};
