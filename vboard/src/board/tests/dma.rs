// SPDX-License-Identifier: GPL-2.0-only

use super::*;
use crate::irq::IrqLine;

fn sent(rig: &mut Rig, len: usize) -> Vec<u8> {
    let data = pattern(len);
    rig.put(SENT, &data);
    data
}

#[test]
fn frames_of_every_kind_arrive() {
    for (tx, rx) in [(4, 5), (7, 8), (0, 14)] {
        for clk in [2, 16, 100] {
            for len in [1, 2, 3, 4, 5, 31, 32, 33, 63, 64, 65, 100, 256, 1023, 1024] {
                let mut rig = Rig::new();
                let data = sent(&mut rig, len as usize);
                rig.put(RECEIVED, &vec![0x77; len as usize + 8]);
                rig.set(CLK, clk);
                rig.frame(tx, rx, len);
                rig.drain();
                let case = format!("channels {tx} {rx}, divider {clk}, {len} bytes");
                assert_eq!(rig.board.slaves().seen, data, "{case}");
                assert_eq!(rig.at(RECEIVED, len as usize), complement(&data), "{case}");
                assert_eq!(rig.at(RECEIVED + len, 8), [0x77; 8], "{case}");
                assert!(
                    rig.board.irq_lines().contains(IrqLine::Dma(rx as u8)),
                    "{case}"
                );
                assert!(
                    !rig.board.irq_lines().contains(IrqLine::Dma(tx as u8)),
                    "{case}"
                );
                assert_eq!(
                    rig.channel(rx, 0) & (ACTIVE | END | INT),
                    END | INT,
                    "{case}"
                );
                assert_eq!(rig.channel(tx, 0) & (ACTIVE | END | INT), END, "{case}");
                assert_eq!(rig.channel(rx, CONBLK_AD), 0);
                assert_eq!(rig.get(CS) & (DONE | RXD), DONE, "{case}");
                assert_eq!(rig.board.spi_counts().overruns, 0, "{case}");
            }
        }
    }
}

#[test]
fn a_frame_takes_little_more_than_its_wire_time() {
    for (len, most) in [(32, 1_150), (256, 1_050), (1024, 1_020)] {
        let mut rig = Rig::new();
        rig.set(CLK, 26);
        rig.frame(4, 5, len);
        let took = rig.drain().0;
        let wire = u64::from(len) * 8 * 26 * 4;

        assert!(
            took > wire && took * 1_000 <= wire * most,
            "{len} bytes: {took} ns, wire {wire} ns"
        );
    }
}

#[test]
fn a_long_frame_costs_few_steps_and_few_looks() {
    let mut rig = Rig::new();
    rig.set(CLK, 26);
    rig.frame(4, 5, 1024);
    let mut looks = 0;
    while let Some(next) = rig.board.next_event() {
        looks += 1;
        rig.now = next;
        rig.board.advance(next);
    }
    assert!(rig.board.irq_lines().contains(IrqLine::Dma(5)));
    // Two fetches, then one or two looks for the end.
    assert!(looks <= 6, "{looks} looks");
    assert!(rig.board.steps() <= 80, "{} steps", rig.board.steps());
}

#[test]
fn the_same_descriptors_serve_frame_after_frame() {
    let mut rig = Rig::new();
    rig.set(CLK, 10);
    for round in 0..5 {
        let data: Vec<u8> = pattern(48).iter().map(|byte| byte ^ round).collect();
        rig.put(SENT, &data);
        rig.frame(4, 5, 48);
        rig.drain();
        assert_eq!(rig.at(RECEIVED, 48), complement(&data));
        rig.set_channel(5, 0, INT | END);
        assert!(rig.board.irq_lines().is_empty());
        rig.set(CS, DONE | CLEAR);
    }
}

#[test]
fn a_lite_channel_says_so_and_lacks_what_it_lacks() {
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
fn memory_to_memory_runs_at_its_rate_and_shows_its_progress() {
    for (n, word) in [(0, 32), (8, 64)] {
        let mut rig = Rig::new();
        let data = sent(&mut rig, 1000);
        let block = rig.block(0, [S_INC | D_INC | INTEN, SENT, RECEIVED, 1000, 0, 0]);
        rig.start(n, block);
        // 40 core clocks to fetch, then 8 (16) a word.
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
    // Three rows of 8 bytes: 4 bytes skipped in the source, 16 in the destination's rows backwards.
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
    // Fetch and word: 192 ns each.
    assert_eq!(dates, [192, 3 * 192]);
    assert_eq!(rig.at(RECEIVED, 12), data);
    assert_eq!(rig.channel(2, 0) & (ACTIVE | END | INT), END);
}

#[test]
fn a_cyclic_chain_goes_round_until_reset() {
    let mut rig = Rig::new();
    rig.set(CLK, 20);
    let data = sent(&mut rig, 32);
    // Transmit: two periods of 16 bytes, round and round; receive: dropped into 16 bytes, round and round.
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
fn abort_goes_on_with_the_next_control_block() {
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

#[test]
fn dreq_holds_the_channel_and_the_status_says_so() {
    let mut rig = Rig::new();
    rig.set(CLK, 1000);
    rig.frame(4, 5, 64);
    rig.wait(4_000);
    assert_eq!(rig.channel(4, 0), ACTIVE | HELD);
    // Nine words go in until the level is above TDREQ; one byte is already in the shifter.
    assert_eq!(rig.channel(4, TXFR_LEN), 64 - 36);
    assert_eq!(rig.channel(5, 0), ACTIVE | HELD);
    // Below RDREQ = 32 nothing is offered.
    rig.wait(31 * 32_000);
    assert_eq!(rig.channel(5, TXFR_LEN), 64);
    rig.wait(2 * 32_000);
    assert_eq!(rig.channel(5, TXFR_LEN), 60);
}

#[test]
fn the_thresholds_are_those_of_dc() {
    let mut rig = Rig::new();
    rig.set(CLK, 1000);
    rig.set(DC, 0x3008_1010);
    rig.frame(4, 5, 64);
    rig.wait(4_000);
    assert_eq!(rig.channel(4, TXFR_LEN), 64 - 20);
    rig.wait(9 * 32_000);
    assert_eq!(rig.channel(5, TXFR_LEN), 60);
}

#[test]
fn a_filler_overfills_the_transmit_fifo_after_the_end() {
    let mut rig = Rig::new();
    rig.set(CLK, 2);
    let filler = rig.block(
        0,
        [D_DREQ | WAIT_RESP | SPI_TX, SENT, FIFO_BUS, 4, 0, BLOCKS],
    );
    rig.set(DLEN, 8);
    rig.set(CS, TA | DMAEN);
    rig.start(4, filler);
    rig.wait(100_000);
    assert_eq!(rig.get(CS) & DONE, DONE);
    assert_eq!(rig.board.slaves().seen.len(), 8);
    // DREQ stays up until the level is above 32: these bytes would open the next transfer.
    rig.set_channel(4, 0, RESET);
    rig.set(CS, DONE);
    rig.set(CS, TA);
    rig.set(CLK, 2);
    rig.wait(100_000);
    rig.board.advance(rig.now);
    assert_eq!(rig.board.slaves().seen.len(), 8 + 36);
}

#[test]
fn without_wait_resp_the_transmit_fifo_overruns() {
    let mut rig = Rig::new();
    rig.set(CLK, 100);
    sent(&mut rig, 256);
    let block = rig.block(0, [D_DREQ | S_INC | SPI_TX, SENT, FIFO_BUS, 256, 0, 0]);
    rig.set(DLEN, 256);
    rig.set(CS, TA | DMAEN);
    rig.start(4, block);
    rig.wait(20_000);
    rig.board.advance(rig.now);
    assert!(rig.board.spi_counts().overruns > 0);
}

#[test]
fn the_control_word_starts_a_transfer_by_dma_alone() {
    let mut rig = Rig::new();
    rig.set(CLK, 2);
    let data = pattern(20);
    rig.put(SENT, &(20 << 16 | TA | 1).to_le_bytes());
    rig.put(SENT + 4, &data);
    let out = rig.block(
        0,
        [
            WAIT_RESP | D_DREQ | S_INC | SPI_TX,
            SENT,
            FIFO_BUS,
            24,
            0,
            0,
        ],
    );
    let back = rig.block(
        1,
        [
            WAIT_RESP | S_DREQ | D_INC | SPI_RX,
            FIFO_BUS,
            RECEIVED,
            20,
            0,
            0,
        ],
    );
    rig.set(CS, DMAEN);
    rig.start(5, back);
    rig.start(4, out);
    rig.wait(1_000_000);
    rig.board.advance(rig.now);
    assert_eq!(rig.at(RECEIVED, 20), complement(&data));
    assert_eq!(rig.board.chip_select(1).bytes, 20);
}

#[test]
fn mainlines_transmit_only_trick_works() {
    // The receive channel writes CLEAR_RX into CS whenever receive data is offered.
    let mut rig = Rig::new();
    rig.set(CLK, 8);
    let data = sent(&mut rig, 400);
    let keep = TA | DMAEN | 1 << 5;
    rig.put(SENT + 0x1000, &keep.to_le_bytes());
    let cyclic = S_DREQ | WAIT_RESP | SPI_RX;
    let clear = rig.block(1, [cyclic, SENT + 0x1000, 0x7e20_4000, 4, 0, BLOCKS + 32]);
    let out = rig.block(
        0,
        [
            WAIT_RESP | D_DREQ | S_INC | SPI_TX | INTEN,
            SENT,
            FIFO_BUS,
            400,
            0,
            0,
        ],
    );
    rig.set(DLEN, 400);
    rig.set(CS, TA | DMAEN);
    rig.start(5, clear);
    rig.start(4, out);
    rig.wait(400 * 8 * 8 * 4 + 10_000);
    assert_eq!(rig.get(CS) & (DONE | RXD), DONE);
    assert_eq!(rig.board.slaves().seen, data);
}
