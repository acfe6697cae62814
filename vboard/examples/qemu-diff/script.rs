// SPDX-License-Identifier: GPL-2.0-only

//! The random sequences of accesses, and how they are played to both machines.

use crate::differences::{Context, compared};
use crate::machine::{MEMORY_BUS, MEMORY_LEN, Machine};
use vboard::bcm2835::board::Block;

const CS: u32 = 0x00;
const FIFO: u32 = 0x04;
const CLK: u32 = 0x08;
const DLEN: u32 = 0x0c;
const LTOH: u32 = 0x10;
const DC: u32 = 0x14;

const CLEAR_TX: u32 = 1 << 4;
const CLEAR_RX: u32 = 1 << 5;
const TA: u32 = 1 << 7;
const DMAEN: u32 = 1 << 8;
/// The bits that select a slave: CS, CSPOL, CSPOL0..2.
const SELECT: u32 = 0x00e0_0043;
/// The size of each FIFO in bytes.
const DEPTH: usize = 64;

/// The result of a sequence.
pub(crate) struct Outcome {
    pub(crate) mismatch: Option<String>,
    pub(crate) compared: u64,
    pub(crate) log: Vec<String>,
}

/// Plays sequence number `sequence` of `seed` to both machines.
pub(crate) fn play(
    seed: u64,
    sequence: u64,
    model: &mut dyn Machine,
    other: &mut dyn Machine,
) -> Outcome {
    let mut player = Player {
        random: Random::new(seed, sequence),
        model,
        other,
        seen: Context::default(),
        in_tx: 0,
        in_rx: 0,
        outcome: Outcome {
            mismatch: None,
            compared: 0,
            log: Vec::new(),
        },
    };
    if sequence % 4 == 3 {
        player.dma()
    } else {
        player.spi()
    }
    player.outcome
}

/// xorshift64 (Marsaglia, 2003).
struct Random(u64);

impl Random {
    fn new(seed: u64, sequence: u64) -> Self {
        let mixed = (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ sequence)
            .wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Self(mixed | 1)
    }

    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }

    fn below(&mut self, limit: u32) -> u32 {
        self.next() % limit
    }

    fn chance(&mut self, one_in: u32) -> bool {
        self.below(one_in) == 0
    }
}

struct Player<'a> {
    random: Random,
    model: &'a mut dyn Machine,
    other: &'a mut dyn Machine,
    seen: Context,
    /// The bytes in the model's FIFOs.
    in_tx: usize,
    in_rx: usize,
    outcome: Outcome,
}

impl Player<'_> {
    fn write(&mut self, block: Block, offset: u32, value: u32) {
        self.outcome
            .log
            .push(format!("write {block:?} {offset:#05x} {value:#010x}"));
        self.model.write(block, offset, value);
        self.other.write(block, offset, value);
    }

    fn read(&mut self, block: Block, offset: u32) {
        let mask = compared(block, offset, &self.seen);
        let (ours, theirs) = (
            self.model.read(block, offset),
            self.other.read(block, offset),
        );
        self.outcome.compared += 1;
        self.outcome.log.push(format!(
            "read  {block:?} {offset:#05x} {ours:#010x} {theirs:#010x}"
        ));
        if (ours ^ theirs) & mask != 0 && self.outcome.mismatch.is_none() {
            self.outcome.mismatch = Some(format!(
                "{block:?} {offset:#05x}: model {ours:#010x}, QEMU {theirs:#010x}, compared {mask:#010x}"
            ));
        }
    }

    /// Plays polled SPI transfers.
    fn spi(&mut self) {
        self.write_cs(CLEAR_TX | CLEAR_RX);
        self.write_cs(0);
        for _ in 0..80 {
            match self.random.below(16) {
                0..4 => self.send(),
                4..7 => self.receive(),
                7 | 8 => self.random_cs(),
                9 => {
                    let register = [CLK, DLEN, LTOH, DC][self.random.below(4) as usize];
                    let value = self.random.next();
                    self.write(Block::Spi0, register, value);
                    self.read(Block::Spi0, register);
                }
                10 => self.control_word(),
                11 => self.dma_mode(),
                _ => self.read(Block::Spi0, CS),
            }
            if self.outcome.mismatch.is_some() {
                break;
            }
        }
        for register in [CS, CLK, DLEN, LTOH, DC] {
            self.read(Block::Spi0, register);
        }
        while self.in_tx + self.in_rx > 0 {
            self.receive_one();
        }
        self.read(Block::Spi0, CS);
        self.write_cs(CLEAR_TX | CLEAR_RX);
    }

    fn write_cs(&mut self, value: u32) {
        self.write(Block::Spi0, CS, value);
        self.seen.cs = value;
        if value & CLEAR_TX != 0 {
            self.in_tx = 0;
        }
        if value & CLEAR_RX != 0 {
            self.in_rx = 0;
        }
        self.seen.ta_fell |= value & TA == 0;
        if value & TA != 0 {
            self.move_on();
        }
    }

    /// Updates the levels: after each access the model's shifter has time to move all bytes for
    /// which there is room.
    fn move_on(&mut self) {
        let moved = self.in_tx.min(DEPTH - self.in_rx);
        self.in_tx -= moved;
        self.in_rx += moved;
    }

    /// Writes up to 130 bytes, about two FIFOs full.
    fn send(&mut self) {
        if self.seen.cs & TA == 0 || self.seen.cs & DMAEN != 0 {
            return;
        }
        self.settle();
        let most = if self.random.chance(6) { 130 } else { 12 };
        for _ in 0..self.random.below(most) + 1 {
            let value = self.random.next();
            self.write(Block::Spi0, FIFO, value);
            self.in_tx = (self.in_tx + 1).min(DEPTH);
            self.move_on();
            self.seen.ta_fell = false;
        }
    }

    fn receive(&mut self) {
        if self.seen.cs & DMAEN != 0 {
            return;
        }
        let most = if self.random.chance(4) { 90 } else { 8 };
        for _ in 0..self.random.below(most) + 1 {
            self.receive_one();
            if self.random.chance(8) {
                self.read(Block::Spi0, CS);
            }
        }
    }

    fn receive_one(&mut self) {
        self.read(Block::Spi0, FIFO);
        self.in_rx = self.in_rx.saturating_sub(1);
        self.seen.ta_fell = false;
        // The model moves these bytes now, QEMU at the next access.
        self.seen.lag = self.in_tx > 0;
        self.move_on();
    }

    /// Reads until no byte waits, so that both machines are in the same state.
    fn settle(&mut self) {
        while self.in_tx > 0 || self.seen.lag {
            self.receive_one();
        }
    }

    fn random_cs(&mut self) {
        self.settle();
        let mut value = self.random.next() & !DMAEN;
        if !self.random.chance(4) {
            value &= !(CLEAR_TX | CLEAR_RX);
        }
        if self.random.chance(3) {
            value &= !TA;
        } else {
            // The model's slave must be selected: line 0 to 2, active low.
            value = value & !SELECT | TA | self.random.below(3);
        }
        self.write_cs(value);
        self.read(Block::Spi0, CS);
    }

    /// Writes the FIFO without TA, and then both registers that this changes.
    fn control_word(&mut self) {
        self.settle();
        let cs = self.seen.cs & !(TA | DMAEN);
        self.write_cs(cs);
        let (word, dlen) = (
            self.random.next() & !(TA | CLEAR_TX | CLEAR_RX),
            self.random.next(),
        );
        self.write(Block::Spi0, FIFO, word);
        self.write(Block::Spi0, DLEN, dlen);
        self.write_cs(cs & !(CLEAR_TX | CLEAR_RX));
        self.read(Block::Spi0, CS);
        self.read(Block::Spi0, DLEN);
    }

    /// Sets and clears DMAEN while the FIFOs are empty.
    fn dma_mode(&mut self) {
        self.settle();
        self.write_cs(CLEAR_TX | CLEAR_RX);
        let value = self.random.next() & !(SELECT | CLEAR_TX | CLEAR_RX) | DMAEN;
        self.write_cs(value);
        self.read(Block::Spi0, CS);
        self.write_cs(value & !(DMAEN | TA) | CLEAR_TX | CLEAR_RX);
        self.read(Block::Spi0, CS);
    }

    /// Plays DMA from memory to memory, with one to four control blocks.
    fn dma(&mut self) {
        let bytes: Vec<u8> = (0..MEMORY_LEN).map(|_| self.random.next() as u8).collect();
        self.model.load(0, &bytes);
        self.other.load(0, &bytes);
        for _ in 0..6 {
            let n = self.random.below(15);
            self.chain(n);
            if self.random.chance(2) {
                let value = self.random.next();
                self.write(Block::Dma, n * 0x100 + 0x20, value);
            }
            for register in 0..9 {
                self.read(Block::Dma, n * 0x100 + register * 4);
            }
            self.read(Block::Dma, 0xfe0);
            self.read(Block::Dma, 0xff0);
            // Only writing 1 clears INT and END. (Bits 28 and 29 are stored.)
            for _ in 0..2 {
                let clear = self.random.next() & 0x30ff_0006;
                self.write(Block::Dma, n * 0x100, clear);
                self.read(Block::Dma, n * 0x100);
                self.read(Block::Dma, 0xfe0);
            }
            self.write(Block::Dma, n * 0x100, 6);
            if self.random.chance(3) {
                self.write(Block::Dma, n * 0x100, 1 << 31);
                self.read(Block::Dma, n * 0x100);
                self.read(Block::Dma, n * 0x100 + 4);
            }
        }
        let (ours, theirs) = (self.model.memory(), self.other.memory());
        self.outcome.compared += (MEMORY_LEN / 4) as u64;
        if let Some(at) = ours.iter().zip(&theirs).position(|(a, b)| a != b)
            && self.outcome.mismatch.is_none()
        {
            let (a, b) = (ours[at], theirs[at]);
            self.outcome.mismatch =
                Some(format!("memory at {at:#x}: model {a:#04x}, QEMU {b:#04x}"));
        }
    }

    fn chain(&mut self, n: u32) {
        let links = self.random.below(4) + 1;
        self.seen.rows = false;
        for link in 0..links {
            let next = if link + 1 == links {
                0
            } else {
                MEMORY_BUS + (link + 1) * 32
            };
            // Random bits: INTEN, WAIT_RESP, DEST_INC, SRC_INC, BURST_LENGTH, PERMAP, WAITS,
            // NO_WIDE_BURSTS; on full channels TDMODE, DEST_IGNORE, SRC_IGNORE, too. PERMAP has no
            // effect without a DREQ bit.
            let mut ti = self.random.next() & 0x07ff_f119;
            let full = n < 7;
            if full {
                ti |= self.random.next() & 0x882;
            }
            // Source and destination stay inside the upper part of the memory for any stride, which
            // may be negative.
            let place = |random: &mut Random| MEMORY_BUS + 0x800 + random.below(0x400) * 4;
            let (source, dest) = (place(&mut self.random), place(&mut self.random));
            let rows = ti & 2 != 0;
            self.seen.rows = rows;
            let words = self.random.below(41).max(rows.into());
            let len = if rows {
                (self.random.below(4) << 16) | (words * 4)
            } else {
                words * 4
            };
            let mut stride = || {
                let span = self.random.below(16) * 4;
                match self.random.chance(2) {
                    true => span.wrapping_neg() & 0xffff,
                    false => span,
                }
            };
            let stride = (stride() << 16) | stride();
            let mut block = Vec::new();
            for word in [ti, source, dest, len, stride, next, 0, 0] {
                block.extend(word.to_le_bytes());
            }
            self.model.load(link * 32, &block);
            self.other.load(link * 32, &block);
            self.outcome.log.push(format!(
                "block {link}: {ti:#x} {source:#x} {dest:#x} {len:#x} {stride:#x}"
            ));
        }
        self.write(Block::Dma, n * 0x100 + 4, MEMORY_BUS);
        self.read(Block::Dma, n * 0x100 + 4);
        self.write(Block::Dma, n * 0x100, 1);
    }
}
