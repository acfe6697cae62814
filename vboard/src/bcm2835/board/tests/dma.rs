// SPDX-License-Identifier: GPL-2.0-only

//! A DMA channel alone: control blocks, addresses, pausing, ending.

use super::*;
use crate::bcm2835::irq::IrqLine;

#[test]
fn a_lite_channel_sets_its_bit_and_lacks_the_full_channels_features() {
    let mut rig = Rig::new();
    for n in 0..15 {
        assert_eq!(rig.channel(n, DEBUG) & (1 << 28) != 0, n >= 7, "{n}");
    }
    rig.put(SENT, &[0xaa; 16]);
    let all = S_INC | D_INC | S_IGNORE | D_IGNORE | TDMODE;
    let block = rig.block(0, [all, SENT, RECEIVED, 0x1_0010, 0, 0]);
    rig.start(9, block);
    rig.drain();
    assert_eq!(rig.channel(9, TI), S_INC | D_INC);
    assert_eq!(
        rig.at(RECEIVED, 17),
        [&[0xaa; 16][..], &[0]].concat(),
        "16 of the length's bits count"
    );
}

#[test]
fn source_ignore_supplies_zeroes_and_dest_ignore_drops() {
    let mut rig = Rig::new();
    rig.put(RECEIVED, &[0x55; 40]);
    let block = rig.block(0, [D_INC | S_IGNORE, 1, RECEIVED, 36, 0, 0]);
    rig.start(0, block);
    rig.drain();
    assert_eq!(rig.at(RECEIVED, 40), [&[0; 36][..], &[0x55; 4]].concat());
    let block = rig.block(1, [S_INC | D_IGNORE, RECEIVED, 1, 36, 0, 0]);
    rig.start(1, block);
    rig.drain();
    assert_eq!(rig.channel(1, 0) & (END | ERROR), END);
}

#[test]
fn memory_to_memory_runs_at_the_documented_rate_and_shows_its_progress() {
    for (n, word) in [(0, 32), (8, 64)] {
        let mut rig = Rig::new();
        let data = sent(&mut rig, 1000);
        let block = rig.block(0, [S_INC | D_INC | INTEN, SENT, RECEIVED, 1000, 0, 0]);
        rig.start(n, block);
        // 40 core clocks for the fetch, then 8 for each word (16 on a lite channel).
        let fetched = 160;
        for words in [0, 1, 2, 50, 249] {
            rig.now = Instant(fetched + words * word);
            let bytes = words as u32 * 4;
            assert_eq!(rig.channel(n, TXFR_LEN), 1000 - bytes);
            assert_eq!(rig.channel(n, SOURCE_AD), SENT + bytes);
            assert_eq!(rig.channel(n, DEST_AD), RECEIVED + bytes);
            let arrived = rig.at(RECEIVED, 1000);
            assert_eq!(arrived[..bytes as usize], data[..bytes as usize]);
            assert!(arrived[bytes as usize..].iter().all(|byte| *byte == 0));
            assert_eq!(
                rig.channel(n, 0) & (ACTIVE | END | INT | DREQ),
                ACTIVE | DREQ
            );
        }
        assert_eq!(rig.board.next_event(), Some(Instant(fetched + 250 * word)));
        rig.now = Instant(fetched + 250 * word);
        assert_eq!(rig.channel(n, 0) & (ACTIVE | END | INT), END | INT);
        assert_eq!(rig.dma(INT_STATUS), 1 << n);
        assert_eq!(rig.at(RECEIVED, 1000), data);
        rig.set_channel(n, 0, INT);
        assert_eq!(rig.dma(INT_STATUS), 0);
        assert_eq!(rig.channel(n, 0) & (END | INT), END);
    }
}

#[test]
fn rows_and_strides() {
    let mut rig = Rig::new();
    let data = sent(&mut rig, 64);
    // Three rows of 8 bytes. The source skips 4 bytes after each row, the destination goes back by
    // 16.
    let stride = 0xfff0 << 16 | 4;
    let block = rig.block(
        0,
        [
            S_INC | D_INC | TDMODE,
            SENT,
            RECEIVED + 64,
            2 << 16 | 8,
            stride,
            0,
        ],
    );
    rig.start(0, block);
    rig.drain();
    for (row, at) in [(0, 64), (1, 56), (2, 48)] {
        assert_eq!(rig.at(RECEIVED + at, 8), data[row * 12..row * 12 + 8]);
    }
    assert_eq!(rig.channel(0, TXFR_LEN), 0);
}

#[test]
fn control_blocks_chain_and_each_may_interrupt() {
    let mut rig = Rig::new();
    let data = sent(&mut rig, 12);
    let third = rig.block(2, [S_INC | D_INC | INTEN, SENT + 8, RECEIVED + 8, 4, 0, 0]);
    let second = rig.block(1, [S_INC | D_INC, SENT + 4, RECEIVED + 4, 4, 0, third]);
    let first = rig.block(0, [S_INC | D_INC | INTEN, SENT, RECEIVED, 4, 0, second]);
    rig.start(2, first);
    let mut dates = Vec::new();
    while let Some(next) = rig.board.next_event() {
        rig.now = next;
        if rig.channel(2, 0) & INT != 0 {
            dates.push(next.0);
            rig.set_channel(2, 0, INT | ACTIVE);
        }
    }
    // Each block takes 192 ns: the fetch and one word.
    assert_eq!(dates, [192, 3 * 192]);
    assert_eq!(rig.at(RECEIVED, 12), data);
    assert_eq!(rig.channel(2, 0) & (ACTIVE | END | INT), END);
}

#[test]
fn a_cyclic_chain_goes_round_until_reset() {
    let mut rig = Rig::new();
    rig.set(CLK, 20);
    let data = sent(&mut rig, 32);
    // The transmit channel repeats two periods of 16 bytes. The receive channel overwrites the same
    // 16 bytes.
    let tx = S_INC | D_DREQ | WAIT_RESP | SPI_TX;
    let a = rig.block(0, [tx, SENT, FIFO_BUS, 16, 0, BLOCKS + 32]);
    rig.block(1, [tx, SENT + 16, FIFO_BUS, 16, 0, a]);
    let rx = D_INC | S_DREQ | WAIT_RESP | SPI_RX | INTEN;
    let b = rig.block(2, [rx, FIFO_BUS, RECEIVED, 16, 0, BLOCKS + 64]);
    rig.set(DLEN, 0xfff0);
    rig.set(CS, TA | DMAEN);
    rig.start(5, b);
    rig.start(4, a);
    let mut periods = Vec::new();
    while periods.len() < 50 {
        rig.now = rig.board.next_event().unwrap();
        rig.board.advance(rig.now);
        if rig.board.irq_lines().contains(IrqLine::Dma(5)) {
            periods.push(rig.now.0);
            rig.set_channel(5, 0, INT | ACTIVE);
        }
    }
    let period = 16 * 8 * 20 * 4;
    assert!(
        periods
            .windows(2)
            .skip(2)
            .all(|pair| pair[1].abs_diff(pair[0]).abs_diff(period) <= 800)
    );
    assert!(periods[49].abs_diff(periods[9]).abs_diff(40 * period) <= 800);
    let seen = rig.board.slaves().seen.clone();
    assert!(seen.iter().zip(data.iter().cycle()).all(|(a, b)| a == b));
    rig.set_channel(4, 0, RESET);
    rig.set_channel(5, 0, RESET);
    assert_eq!(rig.channel(5, 0) & !DREQ, 0);
    assert_eq!(rig.channel(5, CONBLK_AD), 0);
    rig.drain();
}

#[test]
fn a_paused_channel_finishes_its_access_and_can_be_patched_and_resumed() {
    let mut rig = Rig::new();
    let data = sent(&mut rig, 64);
    let last = rig.block(1, [S_INC | D_INC, SENT + 32, RECEIVED + 32, 32, 0, 0]);
    let block = rig.block(0, [S_INC | D_INC, SENT, RECEIVED, 32, 0, 0]);
    rig.set_channel(3, NEXTCONBK, 4);
    rig.start(3, block);
    rig.now = Instant(160 + 32 * 3 + 5);
    rig.set_channel(3, NEXTCONBK, 4);
    rig.set_channel(3, 0, 0);
    assert_eq!(
        rig.channel(3, 0) & (ACTIVE | PAUSED | WAITING),
        PAUSED | WAITING
    );
    rig.wait(32);
    assert_eq!(rig.channel(3, 0) & (ACTIVE | PAUSED | WAITING), PAUSED);
    assert_eq!(rig.channel(3, TXFR_LEN), 16);
    rig.wait(10_000);
    assert_eq!(rig.channel(3, TXFR_LEN), 16);
    assert_eq!(rig.channel(3, NEXTCONBK), 0);
    rig.set_channel(3, NEXTCONBK, last);
    rig.set_channel(3, 0, ACTIVE);
    rig.drain();
    assert_eq!(rig.at(RECEIVED, 64), data);
}

#[test]
fn abort_starts_the_next_control_block() {
    let mut rig = Rig::new();
    let data = sent(&mut rig, 64);
    let last = rig.block(1, [S_INC | D_INC, SENT + 32, RECEIVED + 32, 32, 0, 0]);
    let block = rig.block(0, [S_INC | D_INC | INTEN, SENT, RECEIVED, 32, 0, last]);
    rig.start(3, block);
    rig.now = Instant(160 + 32 * 3);
    rig.set_channel(3, 0, ABORT | ACTIVE);
    rig.drain();
    assert_eq!(rig.at(RECEIVED, 32), [&data[..12], &[0; 20]].concat());
    assert_eq!(rig.at(RECEIVED + 32, 32), data[32..]);
    assert_eq!(rig.channel(3, 0) & (END | INT), END);
}

#[test]
fn a_disabled_channel_ignores_active() {
    let mut rig = Rig::new();
    let block = rig.block(0, [S_INC | D_INC, SENT, RECEIVED, 32, 0, 0]);
    assert_eq!(rig.dma(ENABLE), 0x7fff);
    let write = |rig: &mut Rig, value| rig.board.write(rig.now, Block::Dma, ENABLE, value);
    write(&mut rig, !(1 << 6));
    rig.start(6, block);
    assert_eq!(rig.channel(6, 0) & ACTIVE, 0);
    assert_eq!(rig.board.next_event(), None);
    write(&mut rig, 0x7fff);
    rig.set_channel(6, 0, ACTIVE);
    rig.drain();
    assert_eq!(rig.channel(6, 0) & END, END);
}

#[test]
fn active_on_an_idle_channel_does_nothing() {
    let mut rig = Rig::new();
    rig.set_channel(0, 0, ACTIVE | INT);
    assert_eq!(rig.channel(0, 0), DREQ);
    assert_eq!(rig.board.next_event(), None);
}
