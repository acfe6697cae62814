// SPDX-License-Identifier: GPL-2.0-only
//! What the workshop knows of an emulated machine.

use crate::kernels::Arch;

/// A serial line's use.
#[derive(Clone, Copy)]
pub(crate) enum Serial {
    Console,
    Data,
    Unused,
}

/// What is to be known of a machine.
pub(crate) struct Machine {
    pub(crate) name: &'static str,
    pub(crate) arch: Arch,
    pub(crate) default_kernel: &'static str,
    pub(crate) qemu: &'static str,
    pub(crate) args: &'static [&'static str],
    pub(crate) serials: &'static [Serial],
    pub(crate) console: &'static str,
    pub(crate) data: &'static str,
    pub(crate) append: &'static str,
    /// Processors when none are asked for; one when instructions are counted, unless `fixed_cpus`.
    pub(crate) cpus: u32,
    pub(crate) fixed_cpus: bool,
    /// The board's description, in the kernel's folder of them.
    pub(crate) dtb: Option<&'static str>,
    /// Nodes of it that are taken out: what holds the data line.
    pub(crate) dtb_without: &'static [&'static str],
    /// Overlays for it, in the repository.
    pub(crate) overlays: &'static [&'static str],
    /// A NOR flash on its SPI bus, as QEMU calls it; the guest finds its content as /flash.img.
    pub(crate) flash: Option<&'static str>,
    /// Stock modules that the guest can load.
    pub(crate) stock_modules: &'static [&'static str],
    /// Whether the virtual board stands for devices that it lacks.
    pub(crate) needs_board: bool,
}
