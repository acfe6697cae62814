// SPDX-License-Identifier: GPL-2.0-only
//! An i.MX 8M Plus evaluation kit, with the virtual board.

use super::machine::{Machine, Serial};
use crate::kernels::Arch;

pub(super) static MACHINE: Machine = Machine {
    name: "imx8mp",
    arch: Arch::Arm64,
    default_kernel: "6.12-rt-arm64",
    qemu: "qemu-system-aarch64",
    args: &["-M", "imx8mp-evk", "-m", "1G"],
    serials: &[Serial::Unused, Serial::Console, Serial::Data],
    console: "ttymxc1,115200",
    data: "ttymxc2",
    append: "",
    cpus: 2,
    fixed_cpus: false,
    dtb: Some("freescale/imx8mp-evk.dtb"),
    dtb_without: &[],
    overlays: &[],
    flash: None,
    stock_modules: &["mtd", "spi-nor", "spi-imx"],
    needs_board: true,
};
