// SPDX-License-Identifier: GPL-2.0-only

//! Tests of the board alone, through its registers, with dates that the test chooses.

mod dma;
mod dma_frames;
mod faults;
mod random;
mod spi;

use super::{Block, Board};
use crate::memory::{BusError, BusMemory};
use crate::slaves::Slaves;
use oob::time::{Instant, Ns};

// CS of SPI0.
const TA: u32 = 1 << 7;
const DMAEN: u32 = 1 << 8;
const INTD: u32 = 1 << 9;
const INTR: u32 = 1 << 10;
const ADCS: u32 = 1 << 11;
const CLEAR: u32 = 3 << 4;
const DONE: u32 = 1 << 16;
const RXD: u32 = 1 << 17;
const TXD: u32 = 1 << 18;
const RXR: u32 = 1 << 19;
const RXF: u32 = 1 << 20;
// Offsets in SPI0.
const CS: u32 = 0x00;
const FIFO: u32 = 0x04;
const CLK: u32 = 0x08;
const DLEN: u32 = 0x0c;
const DC: u32 = 0x14;
// Offsets in a DMA channel.
const CONBLK_AD: u32 = 0x04;
const TI: u32 = 0x08;
const SOURCE_AD: u32 = 0x0c;
const DEST_AD: u32 = 0x10;
const TXFR_LEN: u32 = 0x14;
const NEXTCONBK: u32 = 0x1c;
const DEBUG: u32 = 0x20;
const INT_STATUS: u32 = 0xfe0;
const ENABLE: u32 = 0xff0;
// CS of a DMA channel.
const ACTIVE: u32 = 1 << 0;
const END: u32 = 1 << 1;
const INT: u32 = 1 << 2;
const DREQ: u32 = 1 << 3;
const PAUSED: u32 = 1 << 4;
const HELD: u32 = 1 << 5;
const WAITING: u32 = 1 << 6;
const ERROR: u32 = 1 << 8;
const ABORT: u32 = 1 << 30;
const RESET: u32 = 1 << 31;
// TI.
const INTEN: u32 = 1 << 0;
const TDMODE: u32 = 1 << 1;
const WAIT_RESP: u32 = 1 << 3;
const D_INC: u32 = 1 << 4;
const D_DREQ: u32 = 1 << 6;
const D_IGNORE: u32 = 1 << 7;
const S_INC: u32 = 1 << 8;
const S_DREQ: u32 = 1 << 10;
const S_IGNORE: u32 = 1 << 11;
const SPI_TX: u32 = 6 << 16;
const SPI_RX: u32 = 7 << 16;

const FIFO_BUS: u32 = 0x7e20_4004;
/// Memory of the rig.
const BASE: u32 = 0xc000_0000;
/// Where the rig keeps control blocks, the frame to send and the received one.
const BLOCKS: u32 = BASE;
const SENT: u32 = BASE + 0x1_0000;
const RECEIVED: u32 = BASE + 0x3_0000;

/// A slave on every line. It answers each byte with the complement and records all bytes.
#[derive(Debug, Default, Clone, PartialEq)]
struct Recorder {
    seen: Vec<u8>,
    selected: Vec<(u8, bool, u64)>,
}

impl Slaves for Recorder {
    fn select(&mut self, line: u8, now: Instant) {
        self.selected.push((line, true, now.0));
    }

    fn exchange(&mut self, _line: u8, _now: Instant, mosi: u8) -> u8 {
        self.seen.push(mosi);
        !mosi
    }

    fn deselect(&mut self, line: u8, now: Instant) {
        self.selected.push((line, false, now.0));
    }
}

#[derive(Clone, PartialEq)]
struct Ram(Vec<u8>);

impl std::fmt::Debug for Ram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ram")
    }
}

impl Ram {
    fn range(&self, bus: u32, len: usize) -> Result<std::ops::Range<usize>, BusError> {
        let from = bus.checked_sub(BASE).ok_or(BusError)? as usize;
        let range = from..from + len;
        if range.end > self.0.len() {
            Err(BusError)
        } else {
            Ok(range)
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

/// A board at 250 MHz with 256 KiB of memory, and the date.
struct Rig {
    board: Board<Recorder, Ram>,
    now: Instant,
}

impl Rig {
    fn new() -> Self {
        Self {
            board: Board::new(
                Recorder::default(),
                Ram(vec![0; 256 << 10]),
                250,
                Instant(0),
            ),
            now: Instant(0),
        }
    }

    fn wait(&mut self, ns: u64) {
        self.now = self.now.after(Ns(ns));
    }

    fn get(&mut self, offset: u32) -> u32 {
        self.board.read(self.now, Block::Spi0, offset)
    }

    fn set(&mut self, offset: u32, value: u32) {
        self.board.write(self.now, Block::Spi0, offset, value);
    }

    fn channel(&mut self, n: u32, offset: u32) -> u32 {
        self.board.read(self.now, Block::Dma, n * 0x100 + offset)
    }

    fn set_channel(&mut self, n: u32, offset: u32, value: u32) {
        self.board
            .write(self.now, Block::Dma, n * 0x100 + offset, value);
    }

    fn dma(&mut self, offset: u32) -> u32 {
        self.board.read(self.now, Block::Dma, offset)
    }

    fn put(&mut self, bus: u32, data: &[u8]) {
        self.board.memory().write(bus, data).unwrap();
    }

    fn at(&mut self, bus: u32, len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        self.board.memory().read(bus, &mut out).unwrap();
        out
    }

    /// Writes control block number `slot` and returns its address.
    fn block(&mut self, slot: u32, words: [u32; 6]) -> u32 {
        let at = BLOCKS + slot * 32;
        for (index, word) in (0..).zip(words) {
            self.put(at + index * 4, &word.to_le_bytes());
        }
        at
    }

    fn start(&mut self, n: u32, block: u32) {
        self.set_channel(n, CONBLK_AD, block);
        self.set_channel(n, 0, ACTIVE);
    }

    /// Starts a full-duplex frame from `SENT` to `RECEIVED` by channels `tx` and `rx`, with DLEN
    /// set and chip select 0 active.
    fn frame(&mut self, tx: u32, rx: u32, len: u32) {
        let words = len.next_multiple_of(4);
        let out = self.block(
            0,
            [
                WAIT_RESP | D_DREQ | S_INC | SPI_TX,
                SENT,
                FIFO_BUS,
                words,
                0,
                0,
            ],
        );
        let back = self.block(
            1,
            [
                INTEN | WAIT_RESP | S_DREQ | D_INC | SPI_RX,
                FIFO_BUS,
                RECEIVED,
                len,
                0,
                0,
            ],
        );
        self.set(DLEN, len);
        self.set(CS, TA | DMAEN | DONE);
        self.start(rx, back);
        self.start(tx, out);
    }

    /// Processes all pending events, and returns the date at which a line changed last.
    fn drain(&mut self) -> Instant {
        for _ in 0..100_000 {
            let Some(next) = self.board.next_event() else {
                let last = self.now;
                self.wait(10_000_000);
                self.board.advance(self.now);
                return last;
            };
            self.now = self.now.max(next);
            self.board.advance(self.now);
        }
        panic!("never ends")
    }
}

/// `len` bytes, each different from its neighbours.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 256 + 3) as u8).collect()
}

fn complement(data: &[u8]) -> Vec<u8> {
    data.iter().map(|byte| !byte).collect()
}

fn sent(rig: &mut Rig, len: usize) -> Vec<u8> {
    let data = pattern(len);
    rig.put(SENT, &data);
    data
}
