// SPDX-License-Identifier: GPL-2.0-only
//! A PC. It has none of the devices that the kit drives, so the virtual board stands in for them.

use super::machine::{Machine, Serial};
use crate::kernels::Arch;

pub(super) static MACHINE: Machine = Machine {
    name: "x86_64",
    arch: Arch::X86_64,
    default_kernel: "6.12-rt-amd64",
    qemu: "qemu-system-x86_64",
    args: &[
        "-M",
        "q35",
        "-cpu",
        "Nehalem",
        "-m",
        "512M",
        // Tests can raise its interrupt line.
        "-parallel",
        "null",
    ],
    serials: &[Serial::Console, Serial::Data],
    console: "ttyS0,115200",
    data: "ttyS1",
    // Without the first argument the refined clock jumps by half a second. The others help with a
    // guest that hangs: on an NMI it prints all processors, locks and blocked tasks.
    append: "tsc=reliable unknown_nmi_panic panic_print=0xc8",
    cpus: 2,
    fixed_cpus: false,
    dtb: None,
    dtb_without: &[],
    overlays: &[],
    flash: None,
    stock_modules: &["mtd", "spi-nor"],
    needs_board: true,
};
