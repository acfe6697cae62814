// SPDX-License-Identifier: GPL-2.0-only

use super::*;
use crate::bcm2835::irq::IrqLine;

/// Converts core clocks to nanoseconds at 250 MHz.
const fn ticks(n: u64) -> u64 {
    n * 4
}

#[test]
fn registers_have_the_manuals_reset_values() {
    let mut rig = Rig::new();
    let regs: Vec<u32> = (0..8).map(|n| rig.get(n * 4)).collect();
    assert_eq!(regs, [0x0004_1000, 0, 0, 0, 1, 0x3020_1020, 0, 0]);
}

#[test]
fn a_byte_takes_nine_clocks_of_the_divider_in_polled_mode_and_eight_with_dlen() {
    for (clk, dlen, clocks) in [
        (100, 0, 900),
        (100, 1, 900),
        (100, 2, 800),
        (101, 0, 900),
        (2, 0, 18),
        (0, 0, 9 * 65_536),
        (1, 0, 9 * 65_536),
        (0x1_0064, 0, 900),
    ] {
        let mut rig = Rig::new();
        rig.set(CLK, clk);
        rig.set(DLEN, dlen);
        rig.set(CS, TA);
        assert_eq!(rig.get(CS) & DONE, DONE);
        rig.set(FIFO, 0x1234_56a5);
        assert_eq!(rig.get(CS) & (DONE | RXD | TXD), TXD);
        rig.wait(ticks(clocks) - 1);
        assert_eq!(rig.get(CS) & (DONE | RXD), 0, "{clk} {dlen}");
        rig.wait(1);
        assert_eq!(rig.get(CS) & (DONE | RXD), DONE | RXD, "{clk} {dlen}");
        assert_eq!(rig.get(FIFO), 0x5a);
        assert_eq!(rig.get(CS) & RXD, 0);
    }
}

#[test]
fn a_full_receive_fifo_stops_the_shifter_until_it_is_read() {
    let mut rig = Rig::new();
    rig.set(CLK, 2);
    rig.set(CS, TA);
    let data = pattern(100);
    for byte in &data {
        rig.set(FIFO, (*byte).into());
        rig.wait(1_000);
    }
    assert_eq!(rig.board.slaves().seen.len(), 64);
    assert_eq!(
        rig.get(CS) & (RXF | RXR | RXD | DONE | TXD),
        RXF | RXR | RXD | TXD
    );
    let mut received = Vec::new();
    while rig.get(CS) & RXD != 0 {
        received.push(rig.get(FIFO) as u8);
        rig.wait(1_000);
    }
    assert_eq!(received, complement(&data));
    assert_eq!(rig.get(CS) & (DONE | RXF | RXR), DONE);
}

#[test]
fn flags_follow_the_levels() {
    let mut rig = Rig::new();
    rig.set(CLK, 2);
    rig.set(CS, TA);
    for level in 1..=64u32 {
        rig.set(FIFO, level);
        rig.wait(1_000);
        let flag = |bit, on: bool| if on { bit } else { 0 };
        let expected = RXD | TXD | DONE | flag(RXR, level >= 48) | flag(RXF, level == 64);
        assert_eq!(
            rig.get(CS) & (RXD | TXD | DONE | RXR | RXF),
            expected,
            "{level}"
        );
    }
    for _ in 0..64 {
        assert_ne!(rig.get(CS) & TXD, 0);
        rig.set(FIFO, 0);
    }
    // The shifter is stalled, so the transmit FIFO is full and one more byte is lost.
    assert_eq!(rig.get(CS) & TXD, 0);
    rig.set(FIFO, 0);
    assert_eq!(rig.board.spi_counts().overruns, 1);
    assert_eq!(rig.board.spi_counts().shifted, 64);
}

#[test]
fn ta_off_ends_the_transfer_and_clears_done_and_rxr() {
    let mut rig = Rig::new();
    rig.set(CLK, 100);
    rig.set(CS, TA);
    for _ in 0..50 {
        rig.set(FIFO, 1);
    }
    rig.wait(50 * ticks(900) - 8);
    // The fiftieth byte is still in the shifter.
    assert_eq!(rig.get(CS) & (RXR | DONE), RXR);
    rig.set(CS, 0);
    assert_eq!(rig.get(CS), RXD | TXD);
    rig.wait(1_000_000);
    assert_eq!(rig.board.spi_counts().shifted, 49);
    assert_eq!(rig.board.spi_counts().aborted, 1);
    rig.set(CS, CLEAR);
    assert_eq!(rig.get(CS), TXD, "the clear bits are not kept");
}

#[test]
fn interrupts_are_levels() {
    let mut rig = Rig::new();
    rig.set(CLK, 10);
    rig.set(CS, TA | INTD);
    assert!(
        rig.board.irq_lines().contains(IrqLine::Spi),
        "INTD with an empty FIFO fires at once"
    );
    rig.set(FIFO, 1);
    assert!(rig.board.irq_lines().is_empty());
    let due = rig.board.next_event().unwrap();
    assert_eq!(due, Instant(ticks(90)));
    rig.now = due;
    rig.board.advance(due);
    assert!(rig.board.irq_lines().contains(IrqLine::Spi));
    rig.set(CS, TA | INTR);
    assert!(rig.board.irq_lines().is_empty());
    for _ in 0..47 {
        rig.set(FIFO, 1);
    }
    let began = rig.now;
    let due = rig.board.next_event().unwrap();
    assert_eq!(
        due,
        began.after(Ns(47 * ticks(90))),
        "RXR rises with the 48th byte"
    );
    rig.now = due;
    rig.board.advance(due);
    assert!(rig.board.irq_lines().contains(IrqLine::Spi));
    rig.get(FIFO);
    assert!(rig.board.irq_lines().is_empty());
    assert_eq!(rig.board.next_event(), None);
}

#[test]
fn a_fifo_write_without_ta_is_a_control_word() {
    let mut rig = Rig::new();
    rig.set(CLK, 2);
    rig.set(CS, DMAEN);
    rig.set(FIFO, 7 << 16 | 0x5 << 8 | 0x42);
    assert_eq!(rig.get(DLEN), 7);
    assert_eq!(rig.get(CS), TXD | DMAEN | 0x42 | 0x5 << 21);
    // TA is still 0, so the next write is a control word, too. It starts the transfer.
    rig.set(FIFO, 5 << 16 | TA);
    assert_eq!(rig.board.spi_counts().control_words, 2);
    rig.set(FIFO, 0x4433_2211);
    rig.set(FIFO, 0x8877_6655);
    rig.wait(10_000);
    assert_eq!(rig.get(CS) & RXD, RXD);
    assert_eq!(rig.board.slaves().seen, [0x11, 0x22, 0x33, 0x44, 0x55]);
    assert_eq!(rig.get(DLEN), 0);
    assert_eq!(rig.get(CS) & (DONE | RXD), DONE | RXD);
    assert_eq!(rig.get(FIFO), 0xbbcc_ddee);
    assert_eq!(rig.get(FIFO), 0xaa, "the last word is padded");
    assert_eq!(rig.get(CS) & RXD, 0);
}

#[test]
fn dlen_counts_bytes_and_stops_the_shifter() {
    let mut rig = Rig::new();
    rig.set(CLK, 100);
    rig.set(DLEN, 6);
    rig.set(CS, TA | DMAEN);
    assert_eq!(rig.get(CS) & DONE, 0);
    for _ in 0..3 {
        rig.set(FIFO, 0x0403_0201);
    }
    rig.wait(ticks(800 * 3));
    assert_eq!(rig.get(DLEN), 3);
    rig.wait(ticks(800 * 3) - 1);
    assert_eq!(rig.get(CS) & DONE, 0);
    rig.wait(1);
    assert_eq!(rig.get(CS) & DONE, DONE);
    rig.wait(1_000_000);
    assert_eq!(rig.board.slaves().seen, [1, 2, 3, 4, 1, 2]);
}

#[test]
fn changing_dmaen_over_bytes_garbles_them() {
    let mut rig = Rig::new();
    rig.set(CLK, 2);
    rig.set(CS, TA);
    rig.set(FIFO, 0x0f);
    rig.wait(1_000);
    rig.set(CS, 0);
    rig.set(CS, DMAEN);
    assert_eq!(rig.board.spi_counts().garbled, 1);
    assert_eq!(rig.get(FIFO), 0x0f, "not the 0xf0 that was received");
    // If the same write clears the FIFOs, nothing is garbled.
    rig.set(CS, CLEAR);
    assert_eq!(rig.board.spi_counts().garbled, 1);
}

#[test]
fn a_dma_transfer_after_an_unanswered_done_does_not_start() {
    let mut rig = Rig::new();
    rig.set(CLK, 2);
    rig.set(CS, TA);
    rig.set(FIFO, 1);
    rig.wait(1_000);
    rig.set(CS, CLEAR);
    rig.set(DLEN, 4);
    rig.set(CS, TA | DMAEN);
    rig.set(FIFO, 0);
    rig.wait(100_000);
    assert_eq!(rig.get(DLEN), 4);
    rig.set(CS, TA | DMAEN | DONE);
    rig.wait(100_000);
    assert_eq!(rig.get(DLEN), 0);
    // A polled transfer starts all the same.
    rig.set(CS, CLEAR);
    rig.set(CS, TA);
    rig.set(FIFO, 1);
    rig.wait(1_000);
    assert_eq!(rig.get(CS) & DONE, DONE);
}

#[test]
fn chip_select_and_its_times_are_recorded() {
    let mut rig = Rig::new();
    rig.set(CLK, 100);
    rig.set(CS, TA | 1);
    rig.wait(500);
    rig.set(FIFO, 1);
    rig.set(FIFO, 2);
    // The ninth clock of the last byte is part of the hold time.
    rig.wait(2 * ticks(900) + 300);
    rig.set(CS, 1);
    let seen = rig.board.chip_select(1);
    assert_eq!((seen.selections, seen.bytes), (1, 2));
    assert_eq!((seen.setup, seen.hold), (Ns(500), Ns(300 + ticks(100))));
    assert_eq!(seen.inactive, Ns(u64::MAX));
    rig.wait(700);
    rig.set(CS, TA | 1);
    assert_eq!(rig.board.chip_select(1).inactive, Ns(700));
    assert_eq!(rig.board.chip_select(0).selections, 0);
    // From one line to another, then to none.
    rig.set(CS, TA | 2);
    rig.set(CS, TA | 3);
    let lines: Vec<_> = rig
        .board
        .slaves()
        .selected
        .iter()
        .map(|(line, on, _)| (*line, *on))
        .collect();
    let expected = [
        (1, true),
        (1, false),
        (1, true),
        (1, false),
        (2, true),
        (2, false),
    ];
    assert_eq!(lines, expected);
    rig.set(FIFO, 1);
    rig.wait(ticks(900));
    rig.board.advance(rig.now);
    assert_eq!(rig.get(CS) & RXD, RXD);
    assert_eq!(rig.board.slaves().seen, [1, 2], "nobody was selected");
}

#[test]
fn an_inverted_line_rests_active() {
    for invert in [1 << 22, 1 << 6] {
        let mut rig = Rig::new();
        rig.set(CS, invert | 1);
        rig.set(CS, invert | 1 | TA);
        let of_line: Vec<_> = rig
            .board
            .slaves()
            .selected
            .iter()
            .filter(|(line, ..)| *line == 1)
            .map(|(_, on, _)| *on)
            .collect();
        assert_eq!(of_line, [true, false]);
    }
}

#[test]
fn adcs_deactivates_chip_select_at_the_end() {
    let mut rig = Rig::new();
    rig.set(CLK, 2);
    rig.set(DLEN, 4);
    rig.set(CS, TA | DMAEN | ADCS);
    rig.set(FIFO, 0);
    rig.wait(ticks(64));
    rig.board.advance(rig.now);
    assert_eq!(
        rig.board.slaves().selected,
        [(0, true, 0), (0, false, ticks(64))]
    );
}
