// SPDX-License-Identifier: GPL-2.0-only

//! SPI frames by DMA, paced by DREQ and the FIFOs.

use super::*;
use crate::bcm2835::irq::IrqLine;

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
fn a_long_frame_costs_few_steps_and_few_timer_calls() {
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
    // Two calls for the fetches, then one or two for the end of the frame.
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
fn dreq_holds_the_channel_and_its_status_shows_it() {
    let mut rig = Rig::new();
    rig.set(CLK, 1000);
    rig.frame(4, 5, 64);
    rig.wait(4_000);
    assert_eq!(rig.channel(4, 0), ACTIVE | HELD);
    // The channel writes nine words until the level is above TDREQ. One byte is already in the
    // shifter.
    assert_eq!(rig.channel(4, TXFR_LEN), 64 - 36);
    assert_eq!(rig.channel(5, 0), ACTIVE | HELD);
    // Up to a level of 32, RDREQ, the RX DREQ stays low.
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
    // The TX DREQ stays high until the level is above 32. The next transfer would begin with these
    // bytes.
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
    // The receive channel writes CLEAR_RX into CS each time the RX DREQ is high.
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
