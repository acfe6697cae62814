// SPDX-License-Identifier: GPL-2.0-only

//! The machine whose registers are accessed, and the board's model as such a machine.

use oob::time::{Instant, Ns};
use vboard::bcm2835::board::{Block, Board};
use vboard::memory::{BusError, BusMemory};
use vboard::slaves::Slaves;

/// The bus address of the memory of both machines.
pub(crate) const MEMORY_BUS: u32 = 0xc010_0000;
/// The size of that memory in bytes.
pub(crate) const MEMORY_LEN: usize = 0x2000;
/// The size of the flash in bytes.
pub(crate) const FLASH_LEN: usize = 4 << 20;

pub(crate) trait Machine {
    fn read(&mut self, block: Block, offset: u32) -> u32;
    fn write(&mut self, block: Block, offset: u32, value: u32);
    /// Copies data into the memory, at `offset` from its start.
    fn load(&mut self, offset: u32, data: &[u8]);
    /// A copy of the whole memory.
    fn memory(&mut self) -> Vec<u8>;
}

/// The byte of the flash at an address.
pub(crate) fn flash_byte(at: usize) -> u8 {
    // Neighbouring bytes differ, and so do bytes that are 64, 128, 256... apart.
    (at.wrapping_mul(0x9e37_79b1) >> 13) as u8
}

/// A slave that streams the flash's content. It ignores the bytes that it receives and the line
/// that is active.
#[derive(Debug)]
struct Stream(usize);

impl Slaves for Stream {
    fn select(&mut self, _line: u8, _now: Instant) {}

    fn exchange(&mut self, _line: u8, _now: Instant, _mosi: u8) -> u8 {
        let byte = flash_byte(self.0 % FLASH_LEN);
        self.0 += 1;
        byte
    }

    fn deselect(&mut self, _line: u8, _now: Instant) {}
}

#[derive(Debug)]
struct Ram(Vec<u8>);

impl Ram {
    fn range(&self, bus: u32, len: usize) -> Result<std::ops::Range<usize>, BusError> {
        let from = bus.checked_sub(MEMORY_BUS).ok_or(BusError)? as usize;
        if from + len > self.0.len() {
            Err(BusError)
        } else {
            Ok(from..from + len)
        }
    }
}

impl BusMemory for Ram {
    fn read(&self, bus: u32, out: &mut [u8]) -> Result<(), BusError> {
        out.copy_from_slice(&self.0[self.range(bus, out.len())?]);
        Ok(())
    }

    fn write(&mut self, bus: u32, data: &[u8]) -> Result<(), BusError> {
        let range = self.range(bus, data.len())?;
        self.0[range].copy_from_slice(data);
        Ok(())
    }
}

pub(crate) struct Model {
    board: Board<Stream, Ram>,
    now: Instant,
}

impl Model {
    pub(crate) fn new() -> Self {
        let now = Instant(0);
        Self {
            board: Board::new(Stream(0), Ram(vec![0; MEMORY_LEN]), 250, now),
            now,
        }
    }

    /// Lets a second pass, which is enough for 128 bytes at the slowest clock.
    fn finish(&mut self) {
        self.now = self.now.after(Ns(1_000_000_000));
        self.board.advance(self.now);
    }
}

impl Machine for Model {
    fn read(&mut self, block: Block, offset: u32) -> u32 {
        let value = self.board.read(self.now, block, offset);
        self.finish();
        value
    }

    fn write(&mut self, block: Block, offset: u32, value: u32) {
        self.board.write(self.now, block, offset, value);
        self.finish();
    }

    fn load(&mut self, offset: u32, data: &[u8]) {
        self.board
            .memory()
            .write(MEMORY_BUS + offset, data)
            .expect("in range");
    }

    fn memory(&mut self) -> Vec<u8> {
        self.board.memory().0.clone()
    }
}
