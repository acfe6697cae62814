// SPDX-License-Identifier: GPL-2.0-only

//! The board: SPI0 and the DMA controller, what they access, and the order of events between them.
//!
//! ```text
//!   read, write, advance(now)
//!        |
//!        v      earliest of: byte in the shifter ends | access of channel n ends
//!      settle <------------------------------------------------------------+
//!        |                                                                 |
//!        +--> wake the channels whose DREQ rose -> note the interrupt lines+
//! ```
//!
//! The board computes only when it is called. Each call first processes all events up to its date,
//! in the order of their dates. If two dates are equal, the shifter comes first, then the lowest
//! channel. Where the result is the same, many bytes are processed in one step: see `batch.rs`.

mod batch;
mod next_interrupt;
mod transfer;

use crate::bcm2835::dma::{Channel, ControlBlock, Dma, Phase};
use crate::bcm2835::faults::Faults;
use crate::bcm2835::irq::IrqLines;
pub use crate::bcm2835::spi::SpiCounts;
use crate::bcm2835::spi::{Spi, Wires};
use crate::bcm2835::ticks::{CoreClock, NEVER, Tick};
use crate::memory::BusMemory;
use crate::slaves::{ChipSelect, Slaves};
use oob::time::Instant;

/// DREQ numbers (BCM2835 ARM Peripherals, 4.2.1.3).
const DREQ_ALWAYS: u8 = 0;
const DREQ_SPI_TX: u8 = 6;
const DREQ_SPI_RX: u8 = 7;

/// A block of registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// SPI0.
    Spi0,
    /// The DMA controller. Channel n is at offset `n * 0x100`, INT_STATUS at 0xfe0, ENABLE at
    /// 0xff0.
    Dma,
}

/// SPI0, the DMA controller, slaves and memory, and the injected faults.
#[derive(Debug)]
pub struct Board<S, M> {
    clock: CoreClock,
    now: Tick,
    /// The date of the next event.
    next: Tick,
    spi: Spi,
    dma: Dma,
    slaves: S,
    memory: M,
    faults: Faults,
    /// The interrupt lines, as they are without faults.
    raw: IrqLines,
    /// The lines whose present assertion a fault hides.
    lost: IrqLines,
    steps: u64,
}

impl<S: Slaves, M: BusMemory> Board<S, M> {
    /// A board that comes out of reset at `now`. Its core clock is `core_mhz` (250 on
    /// BCM2835..2837, 500 on BCM2711).
    pub fn new(slaves: S, memory: M, core_mhz: u32, now: Instant) -> Self {
        Self {
            clock: CoreClock::new(core_mhz, now),
            now: 0,
            next: NEVER,
            spi: Spi::new(),
            dma: Dma::new(),
            slaves,
            memory,
            faults: Faults::default(),
            raw: IrqLines::default(),
            lost: IrqLines::default(),
            steps: 0,
        }
    }

    /// Reads a register. An offset without a register reads 0.
    pub fn read(&mut self, now: Instant, block: Block, offset: u32) -> u32 {
        self.advance(now);
        match block {
            Block::Spi0 => {
                let value = self.spi.read(self.now, offset);
                if Spi::read_changes(offset) {
                    self.settle(self.now);
                }
                value
            }
            Block::Dma => self
                .dma
                .read(offset, |channel| dreq(&self.spi, &self.faults, channel)),
        }
    }

    /// Writes a register. A write to an offset without a register is ignored.
    pub fn write(&mut self, now: Instant, block: Block, offset: u32, value: u32) {
        self.advance(now);
        match block {
            Block::Spi0 => self.write_spi(self.now, offset, value),
            Block::Dma => self.dma.write(self.now, offset, value, |channel| {
                dreq(&self.spi, &self.faults, channel)
            }),
        }
        self.settle(self.now);
    }

    /// Processes all events up to `now`. A date before that of the last call counts as that date.
    pub fn advance(&mut self, now: Instant) {
        let to = self.clock.tick(now).max(self.now);
        if to >= self.next {
            self.run(to);
        }
        self.now = to;
    }

    /// The earliest date at which an interrupt line may change if no register is accessed before.
    pub fn next_event(&self) -> Option<Instant> {
        match self.next_interrupt() {
            NEVER => None,
            tick => Some(self.clock.date(tick)),
        }
    }

    /// The interrupt lines that are high at the date of the last call.
    pub fn irq_lines(&self) -> IrqLines {
        self.raw.without(self.lost)
    }

    /// Changes the injected faults. The change takes effect at the date of the last call.
    pub fn with_faults<R>(&mut self, change: impl FnOnce(&mut Faults) -> R) -> R {
        let result = change(&mut self.faults);
        self.settle(self.now);
        result
    }

    /// The history of chip-select line 0, 1 or 2.
    pub fn chip_select(&self, line: u8) -> ChipSelect {
        self.spi.chip_select(line, &self.clock)
    }

    /// SPI0's counters.
    pub fn spi_counts(&self) -> SpiCounts {
        self.spi.counts()
    }

    /// How many steps the model has computed so far, as a measure of its cost.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The slaves.
    pub fn slaves(&mut self) -> &mut S {
        &mut self.slaves
    }

    /// The memory.
    pub fn memory(&mut self) -> &mut M {
        &mut self.memory
    }

    fn run(&mut self, to: Tick) {
        loop {
            let (n, access) = self.dma.earliest(None);
            let byte = self.spi.end;
            if byte.min(access) > to {
                break;
            }
            self.steps = self.steps.wrapping_add(1);
            let done = if byte <= access {
                self.shift(to, access)
            } else {
                self.step(n, access, to.min(byte.wrapping_sub(1)))
            };
            self.settle(done);
        }
    }

    /// Ends bytes in the shifter, up to `to` and up to `access`, the end of a channel's next
    /// access. Stops earlier if a parked channel's DREQ may have risen. Returns the date of the
    /// last byte.
    fn shift(&mut self, to: Tick, access: Tick) -> Tick {
        let mut done = self.spi.end;
        if let Some(batch) = self.next_batch(to, access) {
            return self.move_batch(batch);
        }
        let watched = !self.dma.parked().is_empty();
        while self.spi.end <= to.min(access) {
            done = self.spi.end;
            let mut wires = Wires {
                slaves: &mut self.slaves,
                clock: &self.clock,
                faults: &mut self.faults,
            };
            self.spi.finish(&mut wires);
            if watched && (self.spi.tx_dreq() || self.spi.rx_dreq()) {
                break;
            }
        }
        done
    }

    /// Ends the fetch or access that channel `n` has in flight, at `t`. Returns the date of the
    /// last access.
    fn step(&mut self, n: u8, t: Tick, until: Tick) -> Tick {
        let hung = self.faults.hung_channels & 1u16.wrapping_shl(n.into()) != 0;
        let Some(channel) = self.dma.channel(n).filter(|_| !hung) else {
            self.dma.change(n, Channel::hang);
            return t;
        };
        if channel.phase != Phase::Fetch {
            return self.transfer(n, t, until);
        }
        match self.fetch(channel.block_address()) {
            Some(block) => self.dma.change(n, |channel| {
                channel.load(t, &block, |channel| dreq(&self.spi, &self.faults, channel));
            }),
            None => self.dma.change(n, Channel::fail),
        }
        t
    }

    fn fetch(&self, address: u32) -> Option<ControlBlock> {
        let mut raw = [0; 32];
        self.read_memory(address, &mut raw)?;
        let mut words = raw
            .as_chunks()
            .0
            .iter()
            .map(|word| u32::from_le_bytes(*word));
        Some(ControlBlock {
            ti: words.next()?,
            source: words.next()?,
            dest: words.next()?,
            len: words.next()?,
            stride: words.next()?,
            next: words.next()?,
        })
    }

    fn write_spi(&mut self, t: Tick, offset: u32, value: u32) {
        let mut wires = Wires {
            slaves: &mut self.slaves,
            clock: &self.clock,
            faults: &mut self.faults,
        };
        self.spi.write(t, offset, value, &mut wires);
    }

    /// Called after a change at `t`: resumes the parked channels whose DREQ is high, and computes
    /// the next event's date.
    fn settle(&mut self, t: Tick) {
        for n in self.dma.parked() {
            let ready = self
                .dma
                .channel(n)
                .is_some_and(|channel| dreq(&self.spi, &self.faults, channel));
            if ready {
                self.dma.change(n, |channel| channel.schedule(t, true));
            }
        }
        self.next = self.spi.end.min(self.dma.earliest(None).1);
        self.note_lines();
    }

    fn note_lines(&mut self) {
        let raw = IrqLines::new(self.spi.irq(), self.dma.interrupts());
        let risen = raw.without(self.raw);
        if !risen.is_empty()
            && let Some((line, times)) = &mut self.faults.lost_irqs
            && *times > 0
            && risen.contains(*line)
        {
            *times = times.wrapping_sub(1);
            self.lost = self.lost.with(IrqLines::of(*line));
        }
        self.lost = self.lost.and(raw);
        self.raw = raw;
    }
}

/// Whether the DREQ that paces the channel is high.
fn dreq(spi: &Spi, faults: &Faults, channel: &Channel) -> bool {
    match channel.ti.permap() {
        DREQ_ALWAYS => true,
        DREQ_SPI_TX => spi.tx_dreq() && !faults.spi_tx_dreq_stuck,
        DREQ_SPI_RX => spi.rx_dreq() && !faults.spi_rx_dreq_stuck,
        // The board does not model this peripheral.
        _ => false,
    }
}

#[cfg(test)]
mod tests;
