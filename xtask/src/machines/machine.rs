// SPDX-License-Identifier: GPL-2.0-only
//! What the workshop knows about an emulated machine.

use crate::kernels::Arch;

/// A serial line's use.
#[derive(Clone, Copy)]
pub(crate) enum Serial {
    Console,
    Data,
    Unused,
}

/// An emulated machine.
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
    /// The number of processors if none is given. It is one for counted instructions, unless
    /// `fixed_cpus` is set.
    pub(crate) cpus: u32,
    pub(crate) fixed_cpus: bool,
    /// The board's device tree, in the kernel's folder of device trees.
    pub(crate) dtb: Option<&'static str>,
    /// Nodes that are removed from it, because they use the data line.
    pub(crate) dtb_without: &'static [&'static str],
    /// Overlays for it, in the repository.
    pub(crate) overlays: &'static [&'static str],
    /// A NOR flash on its SPI bus, by QEMU's name. The guest finds its content as /flash.img.
    pub(crate) flash: Option<&'static str>,
    /// Stock modules that the guest can load.
    pub(crate) stock_modules: &'static [&'static str],
    /// Whether the virtual board stands in for devices that the machine lacks.
    pub(crate) needs_board: bool,
}
