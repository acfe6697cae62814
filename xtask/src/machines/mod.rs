// SPDX-License-Identifier: GPL-2.0-only
//! The emulated machines.
//!
//! Each has two serial lines. The console carries the kernel's log and nothing else. The data line
//! carries the command's output and the files that it left in /out.
//!
//! ```text
//!              -serial       1st            2nd               3rd
//!   x86_64                   console ttyS0  data ttyS1
//!   raspi3b                  data ttyAMA0   console ttyS1
//!   imx8mp                   (unused)       console ttymxc1   data ttymxc2
//! ```

mod imx8mp;
mod machine;
mod raspi3b;
mod raspi3b_overlay;
mod x86_64;

use clap::ValueEnum;

pub(crate) use machine::{Machine, Serial};

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

impl Name {
    /// The machine of this name.
    pub(crate) fn machine(self) -> &'static Machine {
        match self {
            Self::X86_64 => &x86_64::MACHINE,
            Self::Raspi3b => &raspi3b::MACHINE,
            Self::Raspi3bOverlay => &raspi3b_overlay::MACHINE,
            Self::Imx8mp => &imx8mp::MACHINE,
        }
    }
}
