// SPDX-License-Identifier: GPL-2.0-only

use super::*;
use crate::bcm2835::board::{Block, Board};
use crate::memory::{BusError, BusMemory};
use crate::slaves::motor::Motor;
use crate::slaves::{Sockets, Unconnected};
use proptest::prelude::*;

struct Bench {
    flash: Flash<Vec<u8>>,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self {
            flash: Flash::new(vec![0xff; FLASH_LEN]),
            now: Instant(0),
        }
    }

    fn run(&mut self, out: &[u8]) -> Vec<u8> {
        self.now = self.now.after(Ns(1_000));
        self.flash.select(self.now);
        let answer = out
            .iter()
            .map(|byte| self.flash.exchange(self.now, *byte))
            .collect();
        self.flash.deselect(self.now);
        answer
    }

    fn status(&mut self) -> u8 {
        self.run(&[RDSR, 0])[1]
    }

    fn wait(&mut self, time: Ns) {
        self.now = self.now.after(time);
    }

    fn read(&mut self, address: usize, len: usize) -> Vec<u8> {
        let mut out = with_address(READ, address);
        out.resize(4 + len, 0);
        self.run(&out)[4..].to_vec()
    }

    fn program(&mut self, address: usize, data: &[u8]) {
        self.run(&[WREN]);
        let mut out = with_address(PP, address);
        out.extend(data);
        self.run(&out);
        self.wait(PAGE_PROGRAM_TIME);
    }
}

fn with_address(command: u8, address: usize) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(address).unwrap().to_be_bytes();
    vec![command, a, b, c]
}

#[test]
fn rdid_answers_the_jedec_id() {
    let mut bench = Bench::new();
    assert_eq!(bench.run(&[RDID, 0, 0, 0, 0])[1..], [0xef, 0x40, 0x14, 0]);
    let mut sfdp = with_address(RDSFDP, 0);
    sfdp.extend([0; 5]);
    assert_eq!(bench.run(&sfdp)[5..], [0xff; 4]);
}

#[test]
fn both_reads_stream_and_wrap() {
    let mut bench = Bench::new();
    bench.program(FLASH_LEN - 2, &[1, 2]);
    bench.program(0, &[3, 4]);
    assert_eq!(bench.read(FLASH_LEN - 2, 4), [1, 2, 3, 4]);
    let mut fast = with_address(FAST_READ, FLASH_LEN - 2);
    fast.extend([0; 5]);
    assert_eq!(bench.run(&fast)[5..], [1, 2, 3, 4]);
}

#[test]
fn a_program_needs_write_enable_and_takes_its_time() {
    let mut bench = Bench::new();
    let program = [PP, 0, 0, 0, 0x12];
    bench.run(&program);
    assert_eq!(bench.read(0, 1), [0xff]);
    bench.run(&[WREN]);
    assert_eq!(bench.status(), WEL);
    bench.run(&[WRDI]);
    bench.run(&program);
    assert_eq!(bench.read(0, 1), [0xff]);
    bench.run(&[WREN]);
    bench.run(&program);
    assert_eq!(bench.status(), WIP);
    // While it is busy, the flash ignores other commands.
    assert_eq!(bench.read(0, 1), [0xff]);
    assert_eq!(bench.run(&[RDID, 0])[1], 0xff);
    bench.wait(PAGE_PROGRAM_TIME);
    assert_eq!(bench.status(), 0);
    assert_eq!(bench.read(0, 1), [0x12]);
}

#[test]
fn erases_reach_exactly_their_area() {
    for (command, len, time) in [
        (SE_4K, 4 << 10, SECTOR_ERASE_TIME),
        (BE_64K, 64 << 10, BLOCK_ERASE_TIME),
    ] {
        let mut bench = Bench::new();
        bench.flash.storage.fill(0);
        bench.run(&[WREN]);
        bench.run(&with_address(command, 3 * len + 17));
        bench.wait(Ns(time.0 - 2_000));
        assert_eq!(bench.status(), WIP);
        bench.wait(Ns(2_000));
        assert_eq!(bench.status(), 0);
        let erased: Vec<usize> = (0..FLASH_LEN)
            .filter(|at| bench.flash.content()[*at] == 0xff)
            .collect();
        assert_eq!(erased, (3 * len..4 * len).collect::<Vec<_>>());
    }
    let mut bench = Bench::new();
    bench.flash.storage.fill(0);
    bench.run(&[WREN]);
    bench.run(&[CE]);
    bench.wait(CHIP_ERASE_TIME);
    assert!(bench.flash.content().iter().all(|byte| *byte == 0xff));
}

#[test]
fn reset_ends_an_operation_but_only_when_enabled() {
    let mut bench = Bench::new();
    bench.run(&[WREN]);
    bench.run(&[CE]);
    bench.run(&[RESET]);
    assert_eq!(bench.status(), WIP);
    bench.run(&[RESET_ENABLE]);
    bench.run(&[RESET]);
    bench.wait(RESET_TIME);
    assert_eq!(bench.status(), 0);
}

#[test]
fn the_status_register_can_be_written() {
    let mut bench = Bench::new();
    bench.run(&[WREN]);
    bench.run(&[WRSR, 0x1f]);
    bench.wait(STATUS_WRITE_TIME);
    assert_eq!(bench.status(), 0x1c);
}

/// Reads the ID through SPI0's registers, on the flash's own line and on the others.
#[test]
fn the_flash_answers_only_on_its_own_line() {
    let sockets = Sockets(Unconnected, Flash::new(vec![0xff; FLASH_LEN]), Motor::new());
    let mut board = Board::new(sockets, Nothing, 250, Instant(0));
    let mut now = Instant(0);
    let mut identify = |line: u32| {
        board.write(now, Block::Spi0, 0x08, 10);
        board.write(now, Block::Spi0, 0x00, 1 << 7 | 3 << 4 | line);
        for byte in [RDID, 0, 0, 0] {
            board.write(now, Block::Spi0, 0x04, byte.into());
        }
        now = now.after(Ns(1_000_000));
        let answer: Vec<u32> = (0..4).map(|_| board.read(now, Block::Spi0, 0x04)).collect();
        board.write(now, Block::Spi0, 0x00, 0);
        answer
    };
    assert_eq!(identify(0), [0xff; 4]);
    assert_eq!(identify(1), [0xff, 0xef, 0x40, 0x14]);
    assert_eq!(identify(2)[0], motor_frame::STATUS_MAGIC.into());
    assert_eq!(identify(3), [0xff; 4]);
}

struct Nothing;

impl BusMemory for Nothing {
    fn read(&self, _bus: u32, _out: &mut [u8]) -> Result<(), BusError> {
        Err(BusError)
    }

    fn write(&mut self, _bus: u32, _data: &[u8]) -> Result<(), BusError> {
        Err(BusError)
    }
}

proptest! {
    #[test]
    fn programs_clear_bits_inside_one_page(
        writes in prop::collection::vec((0..2 * PAGE, prop::collection::vec(any::<u8>(), 1..PAGE + 20)), 1..8),
    ) {
        let mut bench = Bench::new();
        let mut expected = vec![0xff; 3 * PAGE];
        for (address, data) in writes {
            bench.program(address, &data);
            let page = address / PAGE * PAGE;
            // Only the last byte that is sent to an address counts.
            let mut sent = [0xff; PAGE];
            for (index, byte) in data.iter().enumerate() {
                sent[(address + index) % PAGE] = *byte;
            }
            for (cell, byte) in expected[page..page + PAGE].iter_mut().zip(sent) {
                *cell &= byte;
            }
        }
        prop_assert_eq!(bench.read(0, 3 * PAGE), expected);
    }

    #[test]
    fn nothing_on_the_wire_upsets_it(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 0..60), len in 0u32..12,
    ) {
        let mut bench = Bench::new();
        bench.flash = Flash::new(vec![0xff; 1 << len]);
        for frame in frames {
            bench.run(&frame);
            bench.wait(Ns(50_000));
        }
    }
}
