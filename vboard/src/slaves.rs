// SPDX-License-Identifier: GPL-2.0-only

//! The devices on the SPI bus.

pub mod flash;
pub mod motor;

use oob::time::{Instant, Ns};

/// The number of native chip-select lines.
pub const LINES: usize = 3;

/// An SPI slave behind an active-low chip select.
pub trait SpiSlave {
    /// Called when chip select becomes active.
    fn select(&mut self, now: Instant);

    /// Exchanges one byte in each direction, most significant bit first. `now` is the end of the
    /// byte. Called only while chip select is active.
    fn exchange(&mut self, now: Instant, mosi: u8) -> u8;

    /// Called when chip select becomes inactive.
    fn deselect(&mut self, now: Instant);
}

/// The slaves of a board, by chip-select line.
pub trait Slaves {
    /// [`SpiSlave::select`] of the slave on `line`.
    fn select(&mut self, line: u8, now: Instant);

    /// [`SpiSlave::exchange`] of the slave on `line`. Without a slave, MISO stays high.
    fn exchange(&mut self, line: u8, now: Instant, mosi: u8) -> u8;

    /// [`SpiSlave::deselect`] of the slave on `line`.
    fn deselect(&mut self, line: u8, now: Instant);
}

/// A line without a slave: MISO stays high.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unconnected;

impl SpiSlave for Unconnected {
    fn select(&mut self, _now: Instant) {}

    fn exchange(&mut self, _now: Instant, _mosi: u8) -> u8 {
        0xff
    }

    fn deselect(&mut self, _now: Instant) {}
}

/// Three slaves, one on each line.
#[derive(Debug, Default)]
pub struct Sockets<A, B, C>(pub A, pub B, pub C);

impl<A: SpiSlave, B: SpiSlave, C: SpiSlave> Slaves for Sockets<A, B, C> {
    fn select(&mut self, line: u8, now: Instant) {
        match line {
            0 => self.0.select(now),
            1 => self.1.select(now),
            _ => self.2.select(now),
        }
    }

    fn exchange(&mut self, line: u8, now: Instant, mosi: u8) -> u8 {
        match line {
            0 => self.0.exchange(now, mosi),
            1 => self.1.exchange(now, mosi),
            _ => self.2.exchange(now, mosi),
        }
    }

    fn deselect(&mut self, line: u8, now: Instant) {
        match line {
            0 => self.0.deselect(now),
            1 => self.1.deselect(now),
            _ => self.2.deselect(now),
        }
    }
}

/// The history of a chip-select line, as its slave saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChipSelect {
    /// How often the line became active.
    pub selections: u32,
    /// The number of bytes in the last selection.
    pub bytes: u32,
    /// Last selection: from chip select active to the first clock edge.
    pub setup: Ns,
    /// Last selection: from the last clock edge to chip select inactive. Zero while the line is
    /// active.
    pub hold: Ns,
    /// From chip select inactive to the last selection. [`Ns`]`(u64::MAX)` before the second
    /// selection.
    pub inactive: Ns,
}
