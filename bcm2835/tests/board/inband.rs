// SPDX-License-Identifier: GPL-2.0-only

//! In-band transfers, alone and between oob sessions.

use crate::rig::{FULL, NO_DMA, Rig, answers, payload, setup};
use oob::host::Host;
use oob::long_wait::LongWait;
use oob::time::{Clock, Ns};
use oob_spi::controller::{Controller, FrameKind};
use oob_spi::inband::{Buffers, InbandController, InbandError, InbandSetup};
use std::cell::RefCell;
use std::sync::atomic::{AtomicU8, Ordering};

/// Sleeps in virtual time, 10 us longer than the span, as a kernel might.
struct Sleeper {
    host: Host,
    spans: RefCell<Vec<Ns>>,
}

impl Sleeper {
    fn pass(&self, span: Ns) -> bool {
        self.spans.borrow_mut().push(span);
        self.host
            .run_until(self.host.now().after(Ns(span.0 + 10_000)));
        true
    }
}

fn sleeper(rig: &Rig) -> Sleeper {
    Sleeper {
        host: rig.host.clone(),
        spans: RefCell::default(),
    }
}

fn atomics(bytes: &[u8]) -> Vec<AtomicU8> {
    bytes.iter().copied().map(AtomicU8::new).collect()
}

fn bytes(atomics: &[AtomicU8]) -> Vec<u8> {
    atomics
        .iter()
        .map(|byte| byte.load(Ordering::Relaxed))
        .collect()
}

fn at(chip_select: u8, speed_hz: u32) -> InbandSetup {
    InbandSetup {
        chip_select,
        mode: 0,
        speed_hz,
    }
}

/// Sends a message of one transfer, and checks what both ends received.
fn message(rig: &mut Rig, cs: u8, len: usize, speed: u32) -> Vec<Ns> {
    let host = rig.host.clone();
    let inband = host.inband();
    let sleep = sleeper(rig);
    let (tx, rx) = (atomics(&payload(len, 9)), atomics(&vec![0; len]));
    rig.spi.set_cs_inband(&inband, cs, 0, true).unwrap();
    let hz = rig
        .spi
        .transfer_inband(
            &inband,
            &at(cs, speed),
            Buffers::Both(&tx, &rx),
            &LongWait::new(&|span| sleep.pass(span)),
        )
        .unwrap();
    rig.spi.set_cs_inband(&inband, cs, 0, false).unwrap();
    assert!(hz <= speed);
    assert_eq!(rig.sent(cs), payload(len, 9));
    assert_eq!(bytes(&rx), answers(rig.seed(cs), len));
    rig.at_rest();
    sleep.spans.into_inner()
}

#[test]
fn every_length_arrives_with_and_without_sleeps() {
    for len in (0..=200).chain([4_000, 70_000]) {
        let mut rig = Rig::new(NO_DMA);
        let spans = message(&mut rig, 1, len, 50_000_000);
        assert!(spans.is_empty());
        let spans = message(&mut rig, 1, len, 4_000_000);
        // It sleeps through waits above 30 us, which is 15 bytes of 2.016 us.
        assert!(spans.iter().all(|span| *span > Ns(30_000)));
        assert_eq!(spans.is_empty(), len <= 14, "{len}: {spans:?}");
    }
}

#[test]
fn one_way_transfers_and_one_buffer_for_both() {
    let mut rig = Rig::new(NO_DMA);
    let host = rig.host.clone();
    let (inband, sleep) = (host.inband(), sleeper(&rig));
    for len in [1, 64, 100] {
        let buffer = atomics(&payload(len, 4));
        let mut go = |buffers| {
            let set = at(0, 10_000_000);
            rig.spi
                .transfer_inband(
                    &inband,
                    &set,
                    buffers,
                    &LongWait::new(&|span| sleep.pass(span)),
                )
                .unwrap();
            rig.at_rest();
            rig.sent(0)
        };
        assert_eq!(go(Buffers::Send(&buffer)), payload(len, 4));
        assert_eq!(bytes(&buffer), payload(len, 4));
        assert_eq!(go(Buffers::Both(&buffer, &buffer)), payload(len, 4));
        assert_eq!(bytes(&buffer), answers(3, len));
        assert_eq!(go(Buffers::Receive(&buffer)), vec![0; len]);
        assert_eq!(bytes(&buffer), answers(3, len));
    }
}

#[test]
fn the_chip_select_stays_active_through_a_message_of_several_speeds() {
    let mut rig = Rig::new(NO_DMA);
    let host = rig.host.clone();
    let (inband, sleep) = (host.inband(), sleeper(&rig));
    rig.spi.set_cs_inband(&inband, 2, 0, true).unwrap();
    for (part, speed) in [(0, 1_000_000), (1, 20_000_000), (2, 5_000_000)] {
        let tx = atomics(&payload(70, part));
        rig.spi
            .transfer_inband(
                &inband,
                &at(2, speed),
                Buffers::Send(&tx),
                &LongWait::new(&|span| sleep.pass(span)),
            )
            .unwrap();
    }
    assert!(rig.slaves[2].borrow().selected);
    rig.spi.set_cs_inband(&inband, 2, 0, false).unwrap();
    let expected: Vec<u8> = (0..3).flat_map(|part| payload(70, part)).collect();
    assert_eq!(rig.slaves[2].borrow().frames, [expected]);
    rig.at_rest();
    // From here on each transfer selects the device by itself.
    let tx = atomics(&payload(5, 7));
    let set = at(2, 1_000_000);
    rig.spi
        .transfer_inband(
            &inband,
            &set,
            Buffers::Send(&tx),
            &LongWait::new(&|span| sleep.pass(span)),
        )
        .unwrap();
    assert_eq!(rig.sent(2), payload(5, 7));
    rig.at_rest();
}

#[test]
fn a_stuck_transfer_releases_the_device_and_the_next_one_works() {
    for held in [false, true] {
        let mut rig = Rig::new(NO_DMA);
        let host = rig.host.clone();
        let (inband, sleep) = (host.inband(), sleeper(&rig));
        let tx = atomics(&payload(90, 1));
        if held {
            rig.spi.set_cs_inband(&inband, 0, 0, true).unwrap();
        }
        rig.stuck.set(true);
        let moved = rig.spi.transfer_inband(
            &inband,
            &at(0, 1_000_000),
            Buffers::Send(&tx),
            &LongWait::new(&|span| sleep.pass(span)),
        );
        assert_eq!(moved, Err(InbandError::Stuck));
        rig.stuck.set(false);
        rig.at_rest();
        // The chip select is not active any more.
        let set = at(0, 1_000_000);
        rig.spi
            .transfer_inband(
                &inband,
                &set,
                Buffers::Send(&tx),
                &LongWait::new(&|span| sleep.pass(span)),
            )
            .unwrap();
        assert_eq!(rig.sent(0), payload(90, 1));
        message(&mut rig, 0, 90, 1_000_000);
    }
}

#[test]
fn each_bad_transfer_has_its_error_and_touches_nothing() {
    let mut rig = Rig::new(NO_DMA);
    let host = rig.host.clone();
    let (inband, sleep) = (host.inband(), sleeper(&rig));
    let (five, six) = (atomics(&[0; 5]), atomics(&[0; 6]));
    rig.log.borrow_mut().clear();
    let mut go = |set: InbandSetup, buffers| {
        rig.spi
            .transfer_inband(
                &inband,
                &set,
                buffers,
                &LongWait::new(&|span| sleep.pass(span)),
            )
            .unwrap_err()
    };
    let good = at(0, 1_000_000);
    assert_eq!(
        go(at(3, 1_000_000), Buffers::Send(&five)),
        InbandError::ChipSelect
    );
    assert_eq!(go(at(0, 3_000), Buffers::Send(&five)), InbandError::Speed);
    assert_eq!(go(good, Buffers::Both(&five, &six)), InbandError::Length);
    let set = rig.spi.set_cs_inband(&inband, 7, 0, true);
    assert_eq!(set, Err(InbandError::ChipSelect));
    assert!(rig.log.borrow().is_empty());
}

#[test]
fn in_band_then_oob_then_in_band() {
    for channels in [NO_DMA, FULL] {
        let mut rig = Rig::new(channels);
        for session in 0..3 {
            message(&mut rig, 0, 33, 8_000_000);
            message(&mut rig, 1, 130, 1_000_000);
            let (short, _) = rig.prepare(&setup(0, 24, 20_000_000));
            let (long, _) = rig.prepare(&setup(1, 101, 10_000_000));
            rig.start();
            for turn in 0..3 {
                rig.exchange(0, &short, session + turn);
                rig.exchange(1, &long, session + turn);
            }
            rig.run_within(1, FrameKind::Stop, Ns(1_000_000)).unwrap();
            rig.spi.terminate(&rig.host.inband(), 0);
            rig.spi.terminate(&rig.host.inband(), 1);
            rig.spi.stop(&rig.host.inband());
            rig.at_rest();
        }
        message(&mut rig, 2, 64, 8_000_000);
    }
}

#[test]
fn what_an_in_band_transfer_programs_does_not_reach_the_next_session() {
    let mut rig = Rig::new(NO_DMA);
    let (frame, _) = rig.prepare(&setup(0, 24, 5_000_000));
    for salt in 0..3 {
        rig.start();
        rig.exchange(0, &frame, salt);
        let slave = rig.slaves[0].borrow();
        assert_eq!(slave.dates[9].since(slave.dates[8]), Ns(8 * 200));
        drop(slave);
        rig.spi.stop(&rig.host.inband());
        message(&mut rig, 0, 24, 1_000_000);
    }
}

#[test]
fn leaving_oob_mode_in_the_middle_of_a_frame_leaves_the_bus_usable() {
    let mut rig = Rig::new(FULL);
    let (frame, _) = rig.prepare(&setup(0, 500, 10_000_000));
    rig.start();
    rig.exchange(0, &frame, 0);
    rig.spi.pulse(0, FrameKind::Regular).unwrap();
    rig.host.run_until(rig.host.now().after(Ns(50_000)));
    rig.spi.stop(&rig.host.inband());
    rig.at_rest();
    message(&mut rig, 0, 100, 8_000_000);
    // The frame that was left behind does not continue here.
    rig.spi.pulse(0, FrameKind::Regular).unwrap();
    rig.host.run_until(rig.host.now().after(Ns(50_000)));
    rig.start();
    rig.exchange(0, &frame, 1);
}
