// SPDX-License-Identifier: GPL-2.0-only

//! How the driver reaches registers and time: on silicon, or on a board that another module
//! simulates.

use crate::dma::Channel;
use crate::spi::Spi;
use core::convert::Infallible;
use kernel::io::IoMem;
use oob::io::Mmio;
use oob::kernel_core::Monotonic;
use oob::time::Clock;
use vboard::table::{BoardClock, Window};

/// A kind of hardware.
pub(super) trait Hw: Send + Sync + 'static {
    type Mmio: Mmio + Send + Sync + 'static;
    type Clock: Clock + Send + Sync + 'static;
}

/// Silicon, or a model of it in the emulator.
pub(super) struct Silicon;

impl Hw for Silicon {
    type Mmio = IoMem;
    type Clock = Monotonic;
}

/// A board that another module simulates.
pub(super) struct Simulated;

impl Hw for Simulated {
    type Mmio = Window;
    type Clock = BoardClock;
}

pub(super) type SpiOf<H> =
    Spi<<H as Hw>::Mmio, <H as Hw>::Clock, Channel<<H as Hw>::Mmio>, Infallible>;
