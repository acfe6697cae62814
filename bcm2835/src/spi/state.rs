// SPDX-License-Identifier: GPL-2.0-only

//! The controller's state.

use super::job::Job;
use super::parts::{CsLine, Dma, MAX_CHIP_SELECTS, Parts};
use super::registers::Registers;
use super::regs;
use core::fmt;
use core::num::NonZeroU32;
use oob::io::Mmio;
use oob::time::Clock;
use oob_dma::PulseChannel;

/// The controller.
pub struct Spi<M, C, D: PulseChannel, L> {
    pub(super) registers: Registers<M, C, L>,
    pub(super) core_hz: NonZeroU32,
    pub(super) chip_selects: u8,
    pub(super) dma: Option<Dma<D>>,
    pub(super) jobs: [Option<Job<D::Descriptor>>; MAX_CHIP_SELECTS],
    /// The chip select whose CS word, divider and DLEN are in the registers.
    pub(super) programmed: Option<u8>,
    /// The chip select that an in-band message holds active.
    pub(super) held: Option<u8>,
}

impl<M, C, D: PulseChannel, L> fmt::Debug for Spi<M, C, D, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spi")
            .field("core_hz", &self.core_hz)
            .field("chip_selects", &self.chip_selects)
            .field("dma", &self.dma.is_some())
            .field("programmed", &self.programmed)
            .finish_non_exhaustive()
    }
}

impl<M: Mmio, C: Clock, D: PulseChannel, L: CsLine> Spi<M, C, D, L> {
    /// Takes the hardware over and puts it to rest. The first chip select that is neither native
    /// nor has a GPIO line is left out, with all that follow.
    pub fn new(parts: Parts<M, C, D, L>) -> Self {
        let usable = (0..regs::NATIVE_LINES)
            .map(Some)
            .chain(core::iter::repeat(None))
            .zip(&parts.lines)
            .take_while(|(native, line)| native.is_some() || line.is_some())
            .zip(1..=parts.chip_selects)
            .last()
            .map_or(0, |(_, count)| count);
        let mut spi = Self {
            registers: Registers::new(parts.mmio, parts.clock, parts.lines),
            core_hz: parts.core_hz,
            chip_selects: usable,
            dma: parts.dma,
            jobs: [const { None }; MAX_CHIP_SELECTS],
            programmed: None,
            held: None,
        };
        spi.quiesce();
        spi
    }

    /// Stops what is under way. Afterwards everything is as between frames, and no chip select is
    /// programmed.
    pub(super) fn quiesce(&mut self) {
        if let Some(dma) = &self.dma {
            dma.tx.abort(&self.registers.clock);
            dma.rx.abort(&self.registers.clock);
            // No frame is to blame for earlier errors.
            let _ = (dma.tx.take_fault(), dma.rx.take_fault());
        }
        self.registers.rest();
        self.programmed = None;
        self.held = None;
    }

    pub(super) fn has_chip_select(&self, chip_select: u8) -> bool {
        chip_select < self.chip_selects
    }
}
