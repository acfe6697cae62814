// SPDX-License-Identifier: GPL-2.0-only

//! Properties of every sequence of accesses.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    Read(Block, u32),
    Write(Block, u32, u32),
    Wait(u64),
}

/// An access to a register that has a function, with a value that has an effect.
fn op() -> impl Strategy<Value = Op> {
    let cs = (any::<u32>(), any::<bool>()).prop_map(|(value, ta)| {
        Op::Write(
            Block::Spi0,
            CS,
            value & 0x03e1_3f7f | if ta { TA } else { 0 },
        )
    });
    prop_oneof![
        4 => (0..8u32).prop_map(|n| Op::Read(Block::Spi0, n * 4)),
        2 => cs,
        6 => any::<u32>().prop_map(|value| Op::Write(Block::Spi0, FIFO, value)),
        1 => (0..40u32).prop_map(|value| Op::Write(Block::Spi0, CLK, value)),
        1 => (0..200u32).prop_map(|value| Op::Write(Block::Spi0, DLEN, value)),
        1 => any::<u32>().prop_map(|value| Op::Write(Block::Spi0, DC, value & 0x3f3f_3f3f)),
        2 => (3..10u32, 0..9u32).prop_map(|(n, reg)| Op::Read(Block::Dma, n * 0x100 + reg * 4)),
        4 => (3..10u32, prop_oneof![Just(ACTIVE), Just(0), Just(INT | END), Just(ABORT | ACTIVE), Just(RESET)])
            .prop_map(|(n, value)| Op::Write(Block::Dma, n * 0x100, value)),
        3 => (3..10u32, 0..12u32).prop_map(|(n, slot)| Op::Write(Block::Dma, n * 0x100 + CONBLK_AD, BLOCKS + slot * 32)),
        1 => any::<u32>().prop_map(|value| Op::Write(Block::Dma, ENABLE, value | 0x30)),
        8 => (0..3_000u64).prop_map(Op::Wait),
        2 => (0..60_000u64).prop_map(Op::Wait),
    ]
}

/// A control block: SPI in either direction, memory to memory, or random words, chained to any
/// other.
fn block() -> impl Strategy<Value = [u32; 6]> {
    let address = || {
        prop_oneof![
            6 => (0..400u32).prop_map(|at| SENT + at),
            6 => (0..400u32).prop_map(|at| RECEIVED + at),
            1 => Just(FIFO_BUS),
            1 => any::<u32>(),
        ]
    };
    let next = prop_oneof![3 => Just(0), 1 => (0..12u32).prop_map(|slot| BLOCKS + slot * 32)];
    let ti = prop_oneof![
        Just((WAIT_RESP | D_DREQ | S_INC | SPI_TX, 1)),
        Just((WAIT_RESP | S_DREQ | D_INC | SPI_RX, 2)),
        Just((D_DREQ | S_INC | SPI_TX, 1)),
        Just((S_INC | D_INC, 0)),
        any::<u32>().prop_map(|ti| (ti & !(0x1e << 16), 0)),
    ];
    (
        ti,
        any::<bool>(),
        address(),
        address(),
        0..300u32,
        any::<u32>(),
        next,
    )
        .prop_map(|((ti, end), inten, source, dest, len, stride, next)| {
            let source = if end == 2 { FIFO_BUS } else { source };
            let dest = if end == 1 { FIFO_BUS } else { dest };
            [
                ti & !INTEN | u32::from(inten),
                source,
                dest,
                len,
                stride,
                next,
            ]
        })
}

fn rig(blocks: &[[u32; 6]]) -> Rig {
    let mut rig = Rig::new();
    rig.put(SENT, &pattern(1024));
    for (slot, block) in (0..).zip(blocks) {
        rig.block(slot, *block);
    }
    rig
}

fn play(rig: &mut Rig, ops: &[Op], mut wait: impl FnMut(&mut Rig, u64)) -> Vec<u32> {
    let mut seen = Vec::new();
    for op in ops {
        match op {
            Op::Read(block, offset) => seen.push(rig.board.read(rig.now, *block, *offset)),
            Op::Write(block, offset, value) => rig.board.write(rig.now, *block, *offset, *value),
            Op::Wait(ns) => wait(rig, *ns),
        }
    }
    seen
}

/// The final state: every register except the FIFO with its address, the slaves, the memory, the
/// interrupt lines.
fn end(
    rig: &mut Rig,
) -> (
    Vec<(u32, u32)>,
    Recorder,
    Ram,
    crate::bcm2835::irq::IrqLines,
) {
    rig.board.advance(rig.now);
    let mut regs: Vec<_> = [CS, CLK, DLEN, DC].map(|at| (at, rig.get(at))).to_vec();
    for at in (0..15).flat_map(|n| (0..9).map(move |reg| n * 0x100 + reg * 4)) {
        regs.push((at | 0x1_0000, rig.dma(at)));
    }
    let slaves = rig.board.slaves().clone();
    let memory = rig.board.memory().clone();
    (regs, slaves, memory, rig.board.irq_lines())
}

/// 400 cases, or `PROPTEST_CASES` if that is more.
fn config() -> ProptestConfig {
    let asked = ProptestConfig::default();
    ProptestConfig {
        cases: asked.cases.max(400),
        ..asked
    }
}

proptest! {
    #![proptest_config(config())]

    /// The result does not depend on how often the board is called, and no line changes between the
    /// dates that `next_event` returns.
    #[test]
    fn frequent_calls_and_late_calls_give_the_same_result(
        blocks in prop::collection::vec(block(), 12), ops in prop::collection::vec(op(), 1..120),
    ) {
        let (mut lazy, mut eager) = (rig(&blocks), rig(&blocks));
        let late = play(&mut lazy, &ops, |rig, ns| rig.wait(ns));
        let mut surprise = None;
        let watched = play(&mut eager, &ops, |rig, ns| {
            let end = rig.now.after(Ns(ns));
            let mut lines = rig.board.irq_lines();
            let mut due = rig.board.next_event();
            while rig.now < end {
                // Every core clock.
                rig.wait(4);
                rig.now = rig.now.min(end);
                rig.board.advance(rig.now);
                if rig.board.irq_lines() != lines && due.is_none_or(|due| due > rig.now) {
                    surprise = Some((rig.now, due));
                }
                if rig.board.irq_lines() != lines || due.is_some_and(|due| due <= rig.now) {
                    lines = rig.board.irq_lines();
                    due = rig.board.next_event();
                }
            }
        });
        prop_assert_eq!(late, watched);
        prop_assert_eq!(surprise, None);
        let (a, b) = (end(&mut lazy), end(&mut eager));
        let differing: Vec<_> = a.0.iter().zip(&b.0).filter(|(a, b)| a != b).collect();
        prop_assert!(differing.is_empty(), "{differing:x?}");
        prop_assert_eq!(a.1, b.1);
        prop_assert!(a.2 == b.2, "memory differs");
        prop_assert_eq!(a.3, b.3);
    }

    /// At any pace, polled bytes come back complemented and in order. None is added or lost.
    #[test]
    fn polled_bytes_are_conserved(
        data in prop::collection::vec(any::<u8>(), 1..300), clk in 0..60u32, pace in 0..2_000u64, burst in 1..80usize,
    ) {
        let mut rig = Rig::new();
        rig.set(CLK, clk | 2);
        rig.set(CS, TA);
        let (mut to_send, mut received) = (data.iter(), Vec::new());
        while received.len() < data.len() {
            for _ in 0..burst {
                if rig.get(CS) & TXD != 0 && let Some(byte) = to_send.next() {
                    rig.set(FIFO, (*byte).into());
                }
            }
            rig.wait(pace + 1);
            while rig.get(CS) & RXD != 0 {
                received.push(rig.get(FIFO) as u8);
            }
        }
        prop_assert_eq!(received, complement(&data));
        prop_assert_eq!(&rig.board.slaves().seen, &data);
        prop_assert_eq!(rig.board.spi_counts().shifted, data.len() as u64);
        prop_assert_eq!(rig.get(CS) & (DONE | RXD), DONE);
    }

    /// A chain from memory to memory copies exactly the requested bytes, at any address.
    #[test]
    fn dma_moves_exactly_the_bytes(
        moves in prop::collection::vec((0..600u32, 0..600u32, 1..400u32), 1..6), n in 0..15u32,
    ) {
        let mut rig = Rig::new();
        let mut expected = pattern(1024);
        rig.put(SENT, &expected);
        let last = moves.len() as u32 - 1;
        for (slot, (from, to, len)) in (0..).zip(moves) {
            let next = if slot == last { 0 } else { BLOCKS + (slot + 1) * 32 };
            rig.block(slot, [S_INC | D_INC, SENT + from, SENT + to, len, 0, next]);
            // Word by word, as the DMA controller does if the ranges overlap.
            for at in (0..len).step_by(4) {
                let bytes = (len - at).min(4) as usize;
                let (from, to) = ((from + at) as usize, (to + at) as usize);
                expected.copy_within(from..from + bytes, to);
            }
        }
        rig.start(n, BLOCKS);
        rig.drain();
        prop_assert_eq!(rig.at(SENT, 1024), expected);
    }
}
