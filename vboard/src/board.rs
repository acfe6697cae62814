// SPDX-License-Identifier: GPL-2.0-only

//! The board (being written: DMA).

use crate::bus::BusMemory;
use crate::faults::Faults;
use crate::irq::IrqLines;
use crate::slave::{ChipSelect, Slaves};
pub use crate::spi::SpiCounts;
use crate::spi::{Spi, Wires};
use crate::ticks::{CoreClock, NEVER, Tick};
use evl::time::Instant;

/// A block of registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// SPI0.
    Spi0,
    /// The DMA controller: channel n at `n * 0x100`, INT_STATUS at 0xfe0, ENABLE at 0xff0.
    Dma,
}

/// SPI0, the DMA controller, what they reach, and the faults between them.
#[derive(Debug)]
pub struct Board<S, M> {
    clock: CoreClock,
    now: Tick,
    spi: Spi,
    slaves: S,
    memory: M,
    faults: Faults,
}

impl<S: Slaves, M: BusMemory> Board<S, M> {
    /// A board that is reset at `now`, with a core clock of `core_mhz` (250 on BCM2835..2837, 500 on BCM2711).
    pub const fn new(slaves: S, memory: M, core_mhz: u32, now: Instant) -> Self {
        Self {
            clock: CoreClock::new(core_mhz, now),
            now: 0,
            spi: Spi::new(),
            slaves,
            memory,
            faults: Faults {
                spi_tx_dreq_stuck: false,
                spi_rx_dreq_stuck: false,
                bus_error_at: None,
                lost_irqs: None,
                miso_noise: None,
                hung_channels: 0,
            },
        }
    }

    /// Reads a register.
    pub fn read(&mut self, now: Instant, block: Block, offset: u32) -> u32 {
        self.advance(now);
        match block {
            Block::Spi0 => self.spi.read(self.now, offset),
            Block::Dma => 0,
        }
    }

    /// Writes a register.
    pub fn write(&mut self, now: Instant, block: Block, offset: u32, value: u32) {
        self.advance(now);
        match block {
            Block::Spi0 => {
                let mut wires = Wires {
                    slaves: &mut self.slaves,
                    clock: &self.clock,
                    faults: &mut self.faults,
                };
                self.spi.write(self.now, offset, value, &mut wires);
            }
            Block::Dma => {}
        }
    }

    /// Brings everything to `now`; a date before the last one is taken as the last one.
    pub fn advance(&mut self, now: Instant) {
        let to = self.clock.tick(now).max(self.now);
        while self.spi.end <= to {
            let mut wires = Wires {
                slaves: &mut self.slaves,
                clock: &self.clock,
                faults: &mut self.faults,
            };
            self.spi.finish(&mut wires);
        }
        self.now = to;
    }

    /// The earliest date at which, without any further register access, an interrupt line may change.
    pub fn next_event(&self) -> Option<Instant> {
        (self.spi.end != NEVER).then(|| self.clock.date(self.spi.end))
    }

    /// The lines that are high now.
    pub fn irq_lines(&self) -> IrqLines {
        IrqLines::new(self.spi.irq(), 0)
    }

    /// The faults in force, to be changed; the change takes effect from the board's last date on.
    pub fn with_faults<R>(&mut self, change: impl FnOnce(&mut Faults) -> R) -> R {
        change(&mut self.faults)
    }

    /// What chip-select line 0, 1 or 2 went through.
    pub fn chip_select(&self, line: u8) -> ChipSelect {
        self.spi.chip_select(line, &self.clock)
    }

    /// What went wrong in SPI0.
    pub fn spi_counts(&self) -> SpiCounts {
        self.spi.counts()
    }

    /// The slaves.
    pub fn slaves(&mut self) -> &mut S {
        &mut self.slaves
    }

    /// The memory.
    pub fn memory(&mut self) -> &mut M {
        &mut self.memory
    }
}
