// SPDX-License-Identifier: GPL-2.0-only

//! Frames through the FIFO.

use crate::rig::{FULL, NO_DMA, Rig, answers, payload, setup};
use oob::long_wait::LongWait;
use oob::time::{Clock, Instant, Ns};
use oob_spi::controller::{
    Controller, Delays, FrameKind, FrameMemory, Path, PrepareError, Pulse, TransferError,
};
use oob_spi::validate::MAX_SPIN;

const CS: usize = 0x00;
const FIFO: usize = 0x04;

#[test]
fn every_length_arrives_both_ways_fast_and_slow() {
    // Slow accesses and a fast wire, so that DONE comes before RXR; and the reverse.
    for (speed, access) in [(62_500_000, 200), (4_000_000, 40)] {
        let mut rig = Rig::new(NO_DMA);
        rig.host.set_quantum(Ns(100));
        rig.board.set_access_cost(Ns(access));
        for len in 1..=200 {
            let (frame, prepared) = rig.prepare(&setup(1, len, speed));
            assert_ne!(prepared.path, Path::Dma);
            rig.start();
            for salt in 0..3 {
                rig.exchange(1, &frame, salt);
            }
        }
        assert_eq!(rig.board.spi_counts().aborted, 0);
    }
}

#[test]
fn the_longest_frame_is_refilled_without_a_gap() {
    let mut rig = Rig::new(NO_DMA);
    let (frame, prepared) = rig.prepare(&setup(0, 4096, 1_000_000));
    assert_eq!(rig.spi.limits().max_frame_len, 4096);
    rig.start();
    rig.exchange(0, &frame, 0);
    let slave = rig.slaves[0].borrow();
    let took = slave.dates[4095].since(slave.dates[0]);
    // 4095 bytes of 8 clocks of 1 us: no gap between them, and the announced time.
    assert_eq!(took, Ns(4095 * 8_000));
    assert_eq!(prepared.wire, Ns(4096 * 8_000));
}

#[test]
fn a_short_frame_costs_two_writes_and_one_access_per_byte() {
    let mut rig = Rig::new(NO_DMA);
    let (frame, _) = rig.prepare(&setup(0, 8, 125_000_000));
    rig.start();
    rig.exchange(0, &frame, 0);
    let before = rig.board.accesses();
    rig.log.borrow_mut().clear();
    rig.run(0).unwrap();
    let after = rig.board.accesses();
    assert_eq!(after.spi_writes - before.spi_writes, 8 + 2);
    let reads = after.spi_reads - before.spi_reads;
    assert!((9..=16).contains(&reads), "{reads} reads");
    assert_eq!(after.dma_writes + after.dma_reads, 0);
    // First TA, then the bytes, then TA off with DONE.
    let log = rig.log.borrow();
    assert_eq!(log[0], (CS, 1 << 7));
    assert!(log[1..9].iter().all(|(offset, _)| *offset == FIFO));
    assert_eq!(log[9], (CS, 1 << 16));
}

#[test]
fn the_path_follows_length_and_time() {
    let mut rig = Rig::new(FULL);
    let mut path = |len, speed| rig.prepare(&setup(0, len, speed)).1.path;
    assert_eq!(path(64, 62_500_000), Path::Fifo);
    assert_eq!(path(65, 62_500_000), Path::Dma);
    // 32 bytes at 62.5 MHz / 7 would be 28.7 us; at 8 MHz (divider 32), 32 us.
    assert_eq!(path(32, 10_000_000), Path::Fifo);
    assert_eq!(path(32, 8_000_000), Path::Dma);
    assert_eq!(path(1, 100_000), Path::Dma);
    assert_eq!(rig.spi.limits().max_frame_len, 65_532);
}

#[test]
fn the_stop_frame_is_sent_instead() {
    let mut rig = Rig::new(NO_DMA);
    let (frame, _) = rig.prepare(&setup(0, 12, 10_000_000));
    rig.start();
    frame.send(&payload(12, 1));
    frame.set_stop(&payload(12, 2));
    rig.run_within(0, FrameKind::Stop, Ns(0)).unwrap();
    assert_eq!(rig.sent(0), payload(12, 2));
    rig.run_within(0, FrameKind::Regular, Ns(0)).unwrap();
    assert_eq!(rig.sent(0), payload(12, 1));
    assert_eq!(frame.received(), answers(rig.seed(0), 12));
}

#[test]
fn a_stuck_shifter_ends_in_bounded_time_and_the_next_frame_works() {
    for len in [8, 64, 150] {
        let mut rig = Rig::new(NO_DMA);
        let (frame, prepared) = rig.prepare(&setup(0, len, 10_000_000));
        rig.start();
        rig.exchange(0, &frame, 0);
        rig.stuck.set(true);
        let before = rig.host.now();
        assert_eq!(rig.run(0), Err(TransferError::Stuck));
        let took = rig.host.now().since(before);
        assert!(took < Ns(prepared.wire.0 * 3 + 110_000), "{took:?}");
        rig.stuck.set(false);
        rig.at_rest();
        rig.exchange(0, &frame, 1);
    }
}

#[test]
fn frames_that_are_not_prepared_touch_nothing() {
    let mut rig = Rig::new(NO_DMA);
    rig.prepare(&setup(0, 8, 10_000_000));
    rig.start();
    rig.log.borrow_mut().clear();
    for cs in [1, 3, 255] {
        let pulse = rig.spi.pulse(cs, FrameKind::Regular);
        assert_eq!(pulse, Err(TransferError::NotPrepared));
    }
    rig.spi.terminate(&rig.host.inband(), 0);
    rig.spi.terminate(&rig.host.inband(), 200);
    let pulse = rig.spi.pulse(0, FrameKind::Regular);
    assert_eq!(pulse, Err(TransferError::NotPrepared));
    assert!(rig.log.borrow().is_empty());
}

#[test]
fn impossible_set_ups_are_refused_and_change_nothing() {
    let mut rig = Rig::new(NO_DMA);
    let (frame, _) = rig.prepare(&setup(0, 8, 10_000_000));
    rig.start();
    let tight = FrameMemory {
        stop_offset: frame.layout.len - 7,
        ..frame.layout
    };
    let beyond = FrameMemory {
        rx_offset: usize::MAX - 3,
        ..frame.layout
    };
    let cases = [
        (setup(0, 8, 3_814), frame.layout, PrepareError::Speed),
        (setup(0, 8, 0), frame.layout, PrepareError::Speed),
        (setup(3, 8, 1_000_000), frame.layout, PrepareError::NoDma),
        (setup(0, 0, 1_000_000), frame.layout, PrepareError::NoDma),
        (
            setup(0, 4_097, 1_000_000),
            frame.layout,
            PrepareError::NoDma,
        ),
        (setup(0, 8, 1_000_000), tight, PrepareError::NoDma),
        (setup(0, 8, 1_000_000), beyond, PrepareError::NoDma),
    ];
    rig.log.borrow_mut().clear();
    for (wanted, memory, error) in cases {
        assert_eq!(rig.try_prepare(&wanted, &memory), Err(error));
    }
    assert!(rig.log.borrow().is_empty());
    assert_eq!(rig.spi.pulse(0, FrameKind::Regular), Ok(Pulse::Done));
}

#[test]
fn a_thread_sleeps_between_fills_and_the_bus_does_not_notice() {
    // 48 bytes of 8 us each: a sleep that is late by less than 16 bytes leaves no gap.
    for late in [0, 50_000, 110_000] {
        let mut rig = Rig::new(NO_DMA);
        let (frame, prepared) = rig.prepare(&setup(0, 4096, 1_000_000));
        assert_eq!(prepared.path, Path::SlowFifo);
        rig.start();
        frame.send(&payload(4096, 3));
        let before = rig.host.now();
        let (spans, ended) = rig.run_asleep(0, Ns(late));
        assert_eq!(ended, Ok(()));
        let slept: u64 = spans.iter().map(|span| span.0 + late).sum();
        let spun = rig.host.now().since(before).0 - slept;
        assert!(spun < prepared.wire.0 / 20, "{spun} ns of spinning");
        assert!(spans.len() >= 85, "{}", spans.len());
        let slave = rig.slaves[0].borrow();
        assert_eq!(
            slave.dates[4095].since(slave.dates[0]),
            Ns(4095 * 8_000),
            "late by {late} ns"
        );
        drop(slave);
        assert_eq!(rig.sent(0), payload(4096, 3));
        assert_eq!(frame.received(), answers(rig.seed(0), 4096));
        rig.at_rest();
    }
}

#[test]
fn a_sleep_that_is_far_too_long_pauses_the_bus_by_as_much_and_loses_nothing() {
    let late = 1_000_000;
    for len in [1, 48, 64, 65, 112, 300] {
        let mut rig = Rig::new(NO_DMA);
        let (frame, prepared) = rig.prepare(&setup(0, len, 1_000_000));
        rig.start();
        frame.send(&payload(len as usize, 3));
        let before = rig.host.now();
        let (spans, ended) = rig.run_asleep(0, Ns(late));
        assert_eq!(ended, Ok(()));
        let took = rig.host.now().since(before).0;
        let slept = spans.len() as u64;
        assert!(took <= prepared.wire.0 + slept * late + 20_000, "{len}");
        assert_eq!(slept > 0, len > 3, "{len}: {spans:?}");
        assert_eq!(rig.sent(0), payload(len as usize, 3));
        assert_eq!(frame.received(), answers(rig.seed(0), len as usize));
        rig.at_rest();
    }
}

#[test]
fn short_waits_are_spun_and_long_ones_slept() {
    let mut rig = Rig::new(NO_DMA);
    let mut path = |len, speed, hold| {
        let mut wanted = setup(0, len, speed);
        wanted.delays.hold = Ns(hold);
        rig.prepare(&wanted).1.path
    };
    // The control loop's frames, 53 us at most.
    for len in [8, 32, 64] {
        assert_eq!(path(len, 10_000_000, 0), Path::Fifo);
    }
    assert_eq!(path(73, 10_000_000, 0), Path::SlowFifo);
    assert_eq!(path(64, 8_000_000, 0), Path::SlowFifo);
    assert_eq!(path(8, 10_000_000, 30_000), Path::Fifo);
    assert_eq!(path(8, 10_000_000, 30_001), Path::SlowFifo);
}

#[test]
fn a_thread_sleeps_through_long_delays_of_either_path() {
    for (channels, len) in [(NO_DMA, 8), (FULL, 8), (FULL, 200)] {
        let mut rig = Rig::new(channels);
        let mut wanted = setup(0, len, 10_000_000);
        wanted.delays = Delays {
            setup: Ns(300_000),
            hold: Ns(400_000),
            inactive: Ns(500_000),
        };
        let (frame, _) = rig.prepare(&wanted);
        rig.start();
        frame.send(&payload(len as usize, 3));
        rig.run_asleep(0, Ns(5_000)).1.unwrap();
        let (spans, ended) = rig.run_asleep(0, Ns(5_000));
        assert_eq!(ended, Ok(()));
        let [inactive, setup, .., hold] = spans[..] else {
            panic!("{spans:?}")
        };
        assert!((490_000..=500_000).contains(&inactive.0), "{spans:?}");
        assert_eq!((setup, hold), (Ns(300_000), Ns(400_000)));
        let seen = rig.board.chip_select(0);
        assert!(seen.setup >= Ns(300_000), "{seen:?}");
        assert!(seen.hold >= Ns(400_000), "{seen:?}");
        assert!(seen.inactive >= Ns(500_000), "{seen:?}");
        assert_eq!(frame.received(), answers(rig.seed(0), len as usize));
        rig.at_rest();
    }
}

#[test]
fn a_frame_without_a_waiter_is_given_up() {
    let mut rig = Rig::new(NO_DMA);
    let (frame, _) = rig.prepare(&setup(0, 4096, 1_000_000));
    rig.start();
    let host = rig.host.clone();
    let sleep = |span: Ns| {
        host.run_until(host.now().after(span));
        host.now() < Instant(5_000_000)
    };
    let ended = rig
        .spi
        .pulse_may_sleep(0, FrameKind::Regular, &LongWait::new(&sleep));
    assert_eq!(ended, Err(TransferError::Stuck));
    assert!(rig.host.now() < Instant(5_500_000));
    rig.at_rest();
    rig.exchange(0, &frame, 1);
}

#[test]
fn no_handler_spins_longer_than_prepared_spin_on_a_stuck_controller() {
    for (len, speed, hold) in [
        (8, 10_000_000, 0),
        (8, 10_000_000, 90_000),
        (64, 10_000_000, 0),
        (150, 10_000_000, 40_000),
        (200, 10_000_000, 10_000),
    ] {
        let mut rig = Rig::new(NO_DMA);
        let mut wanted = setup(0, len, speed);
        wanted.delays.hold = Ns(hold);
        let (frame, prepared) = rig.prepare(&wanted);
        assert!(prepared.spin <= MAX_SPIN, "{len}: {:?}", prepared.spin);
        rig.start();
        rig.exchange(0, &frame, 0);
        for late in [0, 2_000] {
            // It gets stuck at the start, and in the middle.
            let (stuck, begin) = (rig.stuck.clone(), rig.host.now());
            rig.host.at(begin.after(Ns(late)), move || stuck.set(true));
            assert_eq!(rig.run(0), Err(TransferError::Stuck));
            let took = rig.host.now().since(begin);
            assert!(took.0 <= prepared.spin.0 + 10_000, "{len}: {took:?}");
            rig.stuck.set(false);
            rig.at_rest();
        }
        rig.exchange(0, &frame, 1);
    }
    // A frame that takes longer by itself has a longer `spin`.
    let mut rig = Rig::new(NO_DMA);
    assert!(rig.prepare(&setup(0, 250, 10_000_000)).1.spin > MAX_SPIN);
}
