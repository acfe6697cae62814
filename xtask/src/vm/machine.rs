// SPDX-License-Identifier: GPL-2.0-only
//! The machines that are emulated.
//!
//! Each has two serial lines: the console, which carries the kernel's log and nothing else, and the data
//! line, which carries what the command prints and what it left in /out.
//!
//! ```text
//!              -serial       1st            2nd               3rd
//!   x86_64                   console ttyS0  data ttyS1
//!   raspi3b                  data ttyAMA0   console ttyS1
//!   imx8mp                   (unused)       console ttymxc1   data ttymxc2
//! ```

use clap::ValueEnum;

use crate::setup::kernel::Arch;

/// A machine by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Name {
    #[value(name = "x86_64")]
    X86_64,
    #[value(name = "raspi3b")]
    Raspi3b,
    #[value(name = "raspi3b-overlay")]
    Raspi3bOverlay,
    #[value(name = "imx8mp")]
    Imx8mp,
}

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

impl Name {
    /// The machine of this name.
    pub(crate) fn machine(self) -> &'static Machine {
        match self {
            Self::X86_64 => &X86_64,
            Self::Raspi3b => &RASPI3B,
            Self::Raspi3bOverlay => &RASPI3B_OVERLAY,
            Self::Imx8mp => &IMX8MP,
        }
    }
}

static X86_64: Machine = Machine {
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
        // Its line is one that tests can have raised.
        "-parallel",
        "null",
    ],
    serials: &[Serial::Console, Serial::Data],
    console: "ttyS0,115200",
    data: "ttyS1",
    // Without the first the refined clock jumps by half a second. The others are for a guest that hangs: asked by an
    // NMI, it shows all processors, locks and tasks that are blocked.
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

static RASPI3B: Machine = Machine {
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

/// The same board with the overlay that is meant for silicon. QEMU's SPI has no DMA mode, so this is for binding and for
/// what goes through the FIFO; and spi-nor is not there, since its flash would be selected for ever.
static RASPI3B_OVERLAY: Machine = Machine {
    name: "raspi3b-overlay",
    overlays: &["bcm2835/overlays/oob-spi0.dts"],
    flash: None,
    stock_modules: &[],
    ..RASPI3B
};

static IMX8MP: Machine = Machine {
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
