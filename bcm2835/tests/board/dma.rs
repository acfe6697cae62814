// SPDX-License-Identifier: GPL-2.0-only

//! Frames by DMA, and DMA that fails.

use crate::rig::{FULL, LITE, Rig, answers, payload, setup};
use oob::long_wait::LongWait;
use oob::time::{Clock, Ns};
use oob::wait::Flag;
use oob_spi::controller::{
    Controller, Delays, FrameKind, FrameMemory, MODE_CS_HIGH, MODE_NO_CS, Outcome, Path,
    PrepareError, Pulse, Setup, TransferError,
};
use oob_spi::validate::MAX_SPIN;
use vboard::bcm2835::faults::{Faults, Noise};
use vboard::bcm2835::irq::IrqLine;

#[test]
fn every_length_arrives_both_ways_on_full_and_lite_channels() {
    for channels in [FULL, LITE] {
        let mut rig = Rig::new(channels);
        rig.host.set_quantum(Ns(200));
        let medium = (1..=200).map(|len| (len, 20_000_000));
        let long = [(65_529, 62_500_000), (65_532, 62_500_000)];
        for (len, speed) in medium.chain(long) {
            // DMA moves short frames where they are slow: at 100 kHz even one byte is slow.
            let speed = if len <= 64 { 100_000 } else { speed };
            let (frame, prepared) = rig.prepare(&setup(1, len, speed));
            assert_eq!(prepared.path, Path::Dma);
            rig.start();
            // More than one frame: DLEN has counted down, and DONE has to be written back.
            for salt in 0..3 {
                rig.exchange(1, &frame, salt);
            }
        }
    }
}

#[test]
fn the_cycle_is_hardly_longer_than_the_wire() {
    for (len, per_mille) in [(32, 1_150), (256, 1_050), (1_024, 1_020)] {
        let mut rig = Rig::new(FULL);
        let (frame, prepared) = rig.prepare(&setup(0, len, 5_000_000));
        assert_eq!(prepared.path, Path::Dma);
        rig.start();
        rig.exchange(0, &frame, 0);
        let begin = rig.host.now();
        for _ in 0..10 {
            rig.run(0).unwrap();
        }
        let cycle = rig.host.now().since(begin).0 / 10;
        assert!(
            cycle * 1_000 <= prepared.wire.0 * per_mille,
            "{len}: {cycle}"
        );
    }
}

#[test]
fn the_slave_sees_the_delays_of_the_set_up() {
    let mut rig = Rig::new(FULL);
    let wanted = Setup {
        delays: Delays {
            setup: Ns(3_000),
            hold: Ns(2_000),
            inactive: Ns(7_000),
        },
        ..setup(2, 150, 10_000_000)
    };
    let (frame, _) = rig.prepare(&wanted);
    rig.start();
    for salt in 0..4 {
        rig.exchange(2, &frame, salt);
        let seen = rig.board.chip_select(2);
        assert!(
            Ns(3_000) <= seen.setup && seen.setup < Ns(4_500),
            "{seen:?}"
        );
        assert!(Ns(2_000) <= seen.hold && seen.hold < Ns(5_000), "{seen:?}");
        let inactive = seen.inactive;
        assert!(
            salt == 0 || Ns(7_000) <= inactive && inactive < Ns(8_000),
            "{seen:?}"
        );
    }
}

#[test]
fn regular_and_stop_frames_have_descriptors_of_their_own() {
    let mut rig = Rig::new(FULL);
    let (frame, _) = rig.prepare(&setup(0, 77, 10_000_000));
    rig.start();
    frame.send(&payload(77, 1));
    frame.set_stop(&payload(77, 2));
    for (which, salt) in [
        (FrameKind::Stop, 2),
        (FrameKind::Regular, 1),
        (FrameKind::Stop, 2),
    ] {
        rig.run_within(0, which, Ns(1_000_000)).unwrap();
        assert_eq!(rig.sent(0), payload(77, salt));
        assert_eq!(frame.received(), answers(rig.seed(0), 77));
    }
}

#[test]
fn a_frame_is_these_register_writes_in_this_order() {
    let mut rig = Rig::new(FULL);
    let (frame, _) = rig.prepare(&setup(2, 333, 10_000_000));
    rig.start();
    rig.exchange(2, &frame, 0);
    rig.log.borrow_mut().clear();
    rig.started.borrow_mut().clear();
    rig.run(2).unwrap();
    let (cs, dlen, clear) = (0x00, 0x0c, 1 << 4 | 1 << 5);
    let expected = [
        (cs, 2 | clear),
        (dlen, 333),
        (cs, 2 | 1 << 7 | 1 << 8),
        (cs, 2 | clear | 1 << 16),
        (dlen, 0),
    ];
    assert_eq!(*rig.log.borrow(), expected);
    // RX starts first, so it is ready when the first byte arrives.
    assert_eq!(*rig.started.borrow(), [5, 4]);
}

#[test]
fn rounding_bytes_stay_inside_the_padding() {
    let mut rig = Rig::new(FULL);
    for len in 129..=132usize {
        let (frame, _) = rig.prepare(&setup(0, len as u32, 10_000_000));
        // The areas are whole cache lines, 192 bytes here. Nothing beyond the padded frame changes.
        frame.memory.fill(0, &[0xa5; 3 * 192]);
        rig.start();
        rig.run(0).unwrap();
        assert_eq!(rig.sent(0), vec![0xa5; len]);
        let memory = frame.memory.to_vec();
        assert_eq!(memory[..len], answers(rig.seed(0), len));
        assert!(memory[len.next_multiple_of(4)..].iter().all(|b| *b == 0xa5));
    }
}

#[test]
fn chip_selects_take_turns_on_both_paths() {
    let mut rig = Rig::new(FULL);
    let setups = [
        setup(0, 8, 10_000_000),
        setup(1, 301, 20_000_000),
        setup(2, 40, 1_000_000),
    ];
    let frames = setups.map(|setup| rig.prepare(&setup).0);
    rig.start();
    for turn in 0..30 {
        let cs = (turn * 5 + turn / 3) % 3;
        rig.exchange(cs as u8, &frames[cs], turn);
    }
}

#[test]
fn a_gpio_line_is_active_around_the_frame() {
    let mut rig = Rig::with_line(FULL, Some(3));
    let (frame, prepared) = rig.prepare(&setup(3, 200, 10_000_000));
    rig.start();
    rig.line.borrow_mut().clear();
    rig.run(3).unwrap();
    assert_eq!(frame.received(), [0xff; 200]);
    let line = rig.line.borrow();
    let levels: Vec<bool> = line.iter().map(|change| change.1).collect();
    assert_eq!(levels, [true, false]);
    assert!(line[1].0.since(line[0].0) >= prepared.wire);
}

/// Injects a fault, runs frames that must fail as expected, removes the fault, and expects good
/// frames at once.
fn survive(channels: Option<(u8, u8)>, expected: TransferError, fault: impl Fn(&mut Faults, u32)) {
    for len in [40, 129, 1_000] {
        let mut rig = Rig::new(channels);
        rig.host.set_quantum(Ns(100));
        let (frame, prepared) = rig.prepare(&setup(1, len, 5_000_000));
        let (other, _) = rig.prepare(&setup(0, 16, 20_000_000));
        rig.start();
        rig.exchange(1, &frame, 0);
        let tx = frame.memory.bus() + frame.layout.tx_offset as u32;
        for round in 0..3 {
            let limit = Ns(prepared.wire.0 * 2);
            let begin = rig.host.now();
            rig.board.with_faults(|faults| fault(faults, tx));
            let ran = rig.run_within(1, FrameKind::Regular, limit);
            assert_eq!(ran, Err(expected), "{len} bytes");
            // It stops two channels, and makes a few register accesses.
            let took = rig.host.now().since(begin).0;
            assert!(took < limit.0 + 50_000, "{took} of {}", limit.0);
            rig.board.with_faults(|faults| *faults = Faults::default());
            rig.at_rest();
            rig.exchange(0, &other, round);
            rig.exchange(1, &frame, round);
        }
    }
}

#[test]
fn a_tx_request_that_never_comes_is_survived() {
    survive(FULL, TransferError::Stuck, |f, _| {
        f.spi_tx_dreq_stuck = true
    });
}

#[test]
fn an_rx_request_that_never_comes_is_survived() {
    survive(FULL, TransferError::Stuck, |f, _| {
        f.spi_rx_dreq_stuck = true
    });
}

#[test]
fn a_lost_interrupt_is_survived() {
    survive(FULL, TransferError::Stuck, |f, _| {
        f.lost_irqs = Some((IrqLine::Dma(5), 1));
    });
    survive(LITE, TransferError::Stuck, |f, _| {
        f.lost_irqs = Some((IrqLine::Dma(10), 1));
    });
}

#[test]
fn channels_whose_access_never_ends_are_survived() {
    survive(FULL, TransferError::Stuck, |f, _| f.hung_channels = 1 << 4);
    survive(FULL, TransferError::Stuck, |f, _| f.hung_channels = 1 << 5);
    survive(LITE, TransferError::Stuck, |f, _| f.hung_channels = 3 << 9);
}

#[test]
fn bus_errors_on_either_side_are_reported_and_survived() {
    // At the begin of the frame to send, after its begin, and at the FIFO.
    survive(FULL, TransferError::Bus, |f, tx| f.bus_error_at = Some(tx));
    survive(FULL, TransferError::Bus, |f, tx| {
        f.bus_error_at = Some(tx + 36)
    });
    survive(LITE, TransferError::Bus, |f, _| {
        f.bus_error_at = Some(0x7e20_4004)
    });
}

#[test]
fn noise_on_the_wire_is_not_reported_as_an_error() {
    let mut rig = Rig::new(FULL);
    let (frame, _) = rig.prepare(&setup(0, 400, 20_000_000));
    rig.start();
    rig.board
        .with_faults(|f| f.miso_noise = Some(Noise::new(7, 20)));
    assert_eq!(rig.run(0), Ok(()));
    assert_ne!(frame.received(), answers(rig.seed(0), 400));
    rig.board.with_faults(|f| f.miso_noise = None);
    rig.exchange(0, &frame, 1);
}

#[test]
fn the_signal_of_another_frame_does_not_end_a_frame() {
    let mut rig = Rig::new(FULL);
    let (frame, _) = rig.prepare(&setup(0, 300, 10_000_000));
    rig.start();
    frame.send(&payload(300, 5));
    rig.flag.clear();
    assert_eq!(rig.spi.pulse(0, FrameKind::Regular), Ok(Pulse::InFlight));
    rig.flag.raise();
    rig.flag
        .wait_until(&rig.host.oob(), rig.host.now())
        .unwrap();
    // The thread that got the wrong signal waits for its frame's end.
    let host = rig.host.clone();
    let sleep = |span: Ns| {
        host.run_until(host.now().after(span));
        true
    };
    assert_eq!(
        rig.spi
            .finish(0, Outcome::Signalled, &LongWait::new(&sleep)),
        Ok(())
    );
    assert_eq!(rig.sent(0), payload(300, 5));
    assert_eq!(frame.received(), answers(rig.seed(0), 300));
    rig.at_rest();
}

#[test]
fn frame_memory_that_dma_cannot_reach_is_refused() {
    let mut rig = Rig::new(FULL);
    let frame = rig.frame(200);
    let good = frame.layout;
    let cases = [
        FrameMemory {
            tx_offset: good.tx_offset + 2,
            ..good
        },
        FrameMemory {
            bus: 1 << 32,
            ..good
        },
        FrameMemory {
            bus: 0xffff_ff00,
            ..good
        },
        // There is room for the frame, but not for its last word.
        FrameMemory {
            len: good.stop_offset + 199,
            ..good
        },
    ];
    let wanted = setup(0, 199, 10_000_000);
    for memory in cases {
        let prepared = rig.try_prepare(&wanted, &memory);
        assert_eq!(prepared, Err(PrepareError::NoDma));
    }
    let long = setup(0, 65_533, 10_000_000);
    assert_eq!(rig.try_prepare(&long, &good), Err(PrepareError::NoDma));
    let pulse = rig.spi.pulse(0, FrameKind::Regular);
    assert_eq!(pulse, Err(TransferError::NotPrepared));
    assert_eq!(
        rig.spi.finish(0, Outcome::Signalled, &LongWait::SPIN),
        Err(TransferError::NotPrepared)
    );
    rig.try_prepare(&wanted, &good).unwrap();
}

#[test]
fn a_handler_does_not_wait_for_a_frame_that_was_signalled_too_early() {
    for stuck in [false, true] {
        let mut rig = Rig::new(FULL);
        let delays = Delays {
            hold: Ns(40_000),
            ..Delays::default()
        };
        // 52 ms on the wire.
        let (frame, prepared) = rig.prepare(&Setup {
            delays,
            ..setup(0, 65_532, 10_000_000)
        });
        assert!(prepared.spin <= MAX_SPIN, "{:?}", prepared.spin);
        rig.start();
        rig.board
            .with_faults(|f| f.hung_channels = u16::from(stuck) << 5);
        assert_eq!(rig.spi.pulse(0, FrameKind::Regular), Ok(Pulse::InFlight));
        let before = rig.host.now();
        assert_eq!(
            rig.spi.finish(0, Outcome::Signalled, &LongWait::SPIN),
            Err(TransferError::Stuck)
        );
        let took = rig.host.now().since(before);
        // A few register accesses come on top.
        assert!(took.0 <= prepared.spin.0 + 2_000, "{took:?}");
        rig.board.with_faults(|f| f.hung_channels = 0);
        rig.exchange(0, &frame, 1);
    }
}

#[test]
fn an_active_high_native_line_is_refused_by_dma_and_nowhere_else() {
    let high = |cs, len| Setup {
        mode: MODE_CS_HIGH,
        ..setup(cs, len, 10_000_000)
    };
    let mut rig = Rig::with_line(FULL, Some(1));
    let mut prepare = |wanted: &Setup| {
        let frame = rig.frame(wanted.frame_len as usize);
        let prepared = rig.try_prepare(wanted, &frame.layout);
        prepared.map(|prepared| prepared.path)
    };
    assert_eq!(prepare(&high(0, 200)), Err(PrepareError::ActiveHigh));
    // A GPIO line knows its polarity, and without a chip select there is none.
    assert_eq!(prepare(&high(1, 200)), Ok(Path::Dma));
    let none = Setup {
        mode: MODE_CS_HIGH | MODE_NO_CS,
        ..high(0, 200)
    };
    assert_eq!(prepare(&none), Ok(Path::Dma));
}

#[test]
fn dma_frames_are_refused_beside_an_active_high_native_line() {
    let high = |cs| Setup {
        mode: MODE_CS_HIGH,
        ..setup(cs, 16, 10_000_000)
    };
    let mut rig = Rig::new(FULL);
    let frames = [16, 200].map(|len| rig.frame(len));
    let long = setup(1, 200, 10_000_000);
    assert!(rig.try_prepare(&high(0), &frames[0].layout).is_ok());
    let refused = Err(PrepareError::ActiveHigh);
    let beside = rig.try_prepare(&long, &frames[1].layout);
    assert_eq!(beside.map(|prepared| prepared.path), refused);
    // And the reverse order.
    let low = setup(0, 16, 10_000_000);
    assert!(rig.try_prepare(&low, &frames[0].layout).is_ok());
    assert!(rig.try_prepare(&long, &frames[1].layout).is_ok());
    let beside = rig.try_prepare(&high(0), &frames[0].layout);
    assert_eq!(beside.map(|prepared| prepared.path), refused);
    rig.spi.terminate(&rig.host.inband(), 1);
    assert!(rig.try_prepare(&high(0), &frames[0].layout).is_ok());
}
