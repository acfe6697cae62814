// SPDX-License-Identifier: GPL-2.0-only

//! A promise, and where it can be tested.

use crate::support::board::Board;
use crate::support::device::is_evl;
use crate::support::{fail_nth, program32, task};
use anyhow::Result;

/// A promise and its test.
pub(crate) struct Test {
    /// The promise in one line, `THEME: PROMISE`.
    pub(crate) name: &'static str,
    pub(crate) on: On,
    pub(crate) run: fn(&Guest) -> Result<()>,
    /// The smoke list has this one of its theme.
    pub(crate) is_smoke: bool,
}

impl Test {
    pub(crate) const fn new(name: &'static str, on: On, run: fn(&Guest) -> Result<()>) -> Self {
        Self {
            name,
            on,
            run,
            is_smoke: false,
        }
    }

    /// The one of its theme that exercises most of the path to the kernel.
    pub(crate) const fn smoke(name: &'static str, on: On, run: fn(&Guest) -> Result<()>) -> Self {
        Self {
            name,
            on,
            run,
            is_smoke: true,
        }
    }

    /// The text before the name's first colon.
    pub(crate) fn theme(&self) -> &'static str {
        self.name.split_once(':').map_or("", |(theme, _)| theme)
    }
}

/// Where a promise can be tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    /// Any machine that loads the modules.
    Any,
    /// Any machine whose core is the shim.
    Shim,
    /// Any machine on which software can raise an interrupt line.
    DrivenLine,
    /// Any machine with two processors or more.
    TwoProcessors,
    /// A PC, which has a printer port and serial lines.
    PrinterPort,
    /// Any machine whose core is EVL.
    Evl,
    /// Any board with an SPI bus under the kit's driver, with the shim as its core.
    ShimSpi,
    /// Any board with an SPI bus under the kit's driver.
    Spi,
    /// The virtual board.
    Vboard,
    /// QEMU's raspi3b with a flash on SPI0.
    Raspi3b,
    /// QEMU's raspi3b with the overlay for silicon; no other promise is tested there.
    Overlay,
    /// Any board with an SPI bus under the kit's driver, on a kernel that runs 32-bit programs.
    Compat,
    /// The virtual board, on a kernel that can fail allocations on demand.
    FailingMemory,
}

impl On {
    /// Whether tests of this kind are for this board.
    pub(crate) fn is_for(self, board: Board) -> bool {
        if board == Board::Raspi3bOverlay {
            return self == Self::Overlay;
        }
        match self {
            Self::Any
            | Self::Shim
            | Self::TwoProcessors
            | Self::DrivenLine
            | Self::Evl
            | Self::Spi
            | Self::ShimSpi
            | Self::Compat => true,
            Self::Overlay => false,
            Self::Vboard | Self::FailingMemory => board == Board::Vboard,
            Self::PrinterPort => board == Board::Vboard && cfg!(target_arch = "x86_64"),
            Self::Raspi3b => board == Board::Raspi3b,
        }
    }

    /// Whether only one machine can run tests of this kind.
    pub(crate) fn is_for_one_machine(self) -> bool {
        matches!(self, Self::Overlay | Self::Raspi3b)
    }

    /// Why this kernel cannot run tests of this kind, if it cannot.
    pub(crate) fn obstacle(self) -> Option<&'static str> {
        match self {
            Self::Shim | Self::ShimSpi if is_evl() => Some("a kernel with EVL has no shim"),
            Self::DrivenLine if is_evl() => Some("EVL does not let software raise a line"),
            Self::TwoProcessors if task::processors() < 2 => Some("this machine has one processor"),
            Self::Evl if !is_evl() => Some("this kernel has no EVL"),
            Self::Compat if !program32::can_run() => Some("this kernel runs no 32-bit programs"),
            Self::FailingMemory if !fail_nth::can_fail() => {
                Some("this kernel cannot fail allocations on demand")
            }
            _ => None,
        }
    }
}

/// What a test knows about the machine that it runs on.
pub(crate) struct Guest {
    pub(crate) board: Board,
    /// Every count is in full.
    pub(crate) long: bool,
    /// The kernel checks itself, which makes it several times slower.
    pub(crate) is_debug_kernel: bool,
}

/// By how much a debug kernel's counts are smaller.
const DEBUG_DIVISOR: u32 = 3;

impl Guest {
    /// `long` if every count is in full, else `short`, of which a debug kernel gets a part.
    pub(crate) const fn count(&self, short: u32, long: u32) -> u32 {
        match (self.long, self.is_debug_kernel) {
            (true, _) => long,
            (_, true) => short.div_ceil(DEBUG_DIVISOR),
            _ => short,
        }
    }
}
