// SPDX-License-Identifier: GPL-2.0-only

//! The stop frame: when it is sent, what it holds, and that no frame follows it.

use crate::rig::*;
use oob::time::{Clock, Instant, Ns};
use oob_spi::controller::*;
use oob_spi::errno::*;
use oobkit_abi::spi as abi;

const STOP: (u8, FrameKind) = (0, FrameKind::Stop);
const PERIOD: Ns = Ns(1_000_000);

#[test]
fn closing_sends_what_tx_held_when_the_stop_frame_was_set() {
    for path in [Path::Fifo, Path::SlowFifo, Path::Dma] {
        let rig = Rig::on(path);
        rig.write_tx(0, 0xb5);
        rig.set_stop(0, Ns(0));
        rig.write_tx(0, 0x99);
        rig.run().unwrap();
        rig.bus.close(&rig.host.inband(), 0, ME);
        assert_eq!(
            *rig.hardware.stopped_with.borrow(),
            [vec![0xb5; FRAME as usize]]
        );
        assert_eq!(rig.hardware.pulses().last(), Some(&STOP));
        assert_eq!(rig.stats().stops, 1);
        // A new session does not have the old one's stop frame.
        rig.enable(0).unwrap();
        assert_eq!(rig.stats().stops, 0);
        rig.bus.close(&rig.host.inband(), 0, ME);
        assert_eq!(rig.stats().stops, 0);
    }
}

#[test]
fn disable_sends_no_stop_frame() {
    let rig = Rig::on(Path::Dma);
    rig.set_stop(3, PERIOD);
    rig.disable();
    rig.pass(Ns(20_000_000));
    assert!(rig.hardware.pulses().is_empty());
}

#[test]
fn the_limit_of_misses_in_a_row_stops_until_enabled_anew() {
    for path in [Path::Fifo, Path::SlowFifo, Path::Dma] {
        let rig = Rig::on(path);
        rig.set_stop(3, Ns(0));
        let late = Ns(WIRE.0 / 2);
        assert_eq!(rig.run_for(late), Err(RunError::Late));
        assert_eq!(rig.run_for(Ns(0)), Err(RunError::TooLate));
        rig.run_for(WIRE).unwrap();
        assert_eq!(rig.run_for(late), Err(RunError::Late));
        assert_eq!(rig.run_for(late), Err(RunError::Late));
        assert!(rig.hardware.stopped_with.borrow().is_empty());
        assert_eq!(rig.run_for(late), Err(RunError::Late));
        rig.pass(WIRE);
        assert_eq!(rig.hardware.stopped_with.borrow().len(), 1);
        assert_eq!((rig.stats().stops, rig.stats().missed), (1, 5));

        assert_eq!(rig.run(), Err(RunError::Stopped));
        assert_eq!(rig.run_for(Ns(0)), Err(RunError::Stopped));
        let inband = rig.host.inband();
        let stop = abi::Stop::default();
        assert_eq!(
            rig.bus.set_stop(&inband, 0, ME, &stop),
            Err(StopError::Stopped)
        );
        let trigger = abi::Trigger::default();
        assert_eq!(
            rig.bus.set_trigger(&inband, 0, ME, &trigger),
            Err(TriggerError::Stopped)
        );
        assert!(rig.bus.info(0).is_ok());
        assert_eq!(rig.enable(0), Err(EnableError::On));
        assert_eq!(
            rig.hardware.pulses().last(),
            Some(&STOP),
            "nothing follows the stop frame"
        );
        rig.disable();
        assert_eq!(
            rig.hardware.stopped_with.borrow().len(),
            1,
            "it was sent already"
        );
        rig.enable(0).unwrap();
        rig.run().unwrap();
    }
}

#[test]
fn the_last_miss_may_be_one_before_the_frame() {
    let rig = Rig::on(Path::Dma);
    rig.set_stop(1, Ns(0));
    assert_eq!(rig.run_for(Ns(0)), Err(RunError::TooLate));
    assert_eq!(rig.hardware.pulses(), [STOP]);
    rig.pass(WIRE);
    assert_eq!(rig.stats().stops, 1);
}

#[test]
fn frames_that_fail_are_misses_for_the_fail_safe() {
    let rig = Rig::on(Path::Dma);
    rig.set_stop(2, Ns(0));
    rig.script([Frame::Stuck, Frame::Broken(TransferError::Bus)]);
    assert_eq!(rig.run(), Err(RunError::Stuck));
    assert_eq!(rig.run(), Err(RunError::Bus));
    assert_eq!(rig.run(), Err(RunError::Stopped));
    assert_eq!(rig.hardware.pulses().last(), Some(&STOP));
    assert_eq!(rig.stats().missed, 0, "no deadline was given");
}

#[test]
fn the_watch_dog_stops_a_device_whose_owner_stops_calling() {
    for path in [Path::Fifo, Path::SlowFifo, Path::Dma] {
        let rig = Rig::on(path);
        rig.set_stop(3, PERIOD);
        // One call in each period, at any phase to the watch-dog's timer, prevents a miss.
        for _ in 0..100 {
            rig.run().unwrap();
            rig.pass(Ns(PERIOD.0 - WIRE.0 - 1));
        }
        assert_eq!((rig.stats().missed, rig.stats().stops), (0, 0));
        let last = rig.host.now();
        rig.run().unwrap();
        rig.host.run_until(last.after(Ns(3 * PERIOD.0 - 1)));
        assert_eq!(rig.stats().missed, 2);
        assert!(rig.hardware.stopped_with.borrow().is_empty());
        rig.host.run_until(last.after(Ns(4 * PERIOD.0 + WIRE.0)));
        assert_eq!((rig.stats().missed, rig.stats().stops), (3, 1));
        assert_eq!(rig.run(), Err(RunError::Stopped));
    }
}

#[test]
fn the_watch_dog_does_not_wait_for_a_frame_that_hangs() {
    let rig = Rig::on(Path::Dma);
    rig.set_stop(2, PERIOD);
    rig.script([Frame::Stuck]);
    let begin = rig.host.now();
    assert_eq!(rig.run(), Err(RunError::Stuck));
    // The time limit of a frame is above 10 ms.
    assert!(rig.host.now() <= begin.after(Ns(4 * PERIOD.0)));
    rig.pass(WIRE);
    assert_eq!(rig.hardware.pulses().last(), Some(&STOP));
    let stats = rig.stats();
    assert_eq!((stats.stops, stats.timeouts), (1, 1));
    assert_eq!(rig.run(), Err(RunError::Stopped));
}

#[test]
fn no_handler_spins_for_long() {
    let rig = Rig::new(Path::Fifo);
    let long = abi::Enable {
        frame_len: 2 * FRAME,
        ..enable_args()
    };
    rig.enable_as(0, ME, &long).unwrap();
    let inband = rig.host.inband();
    let mut stop = abi::Stop {
        miss_limit: 1,
        reserved: 0,
        period_ns: PERIOD.0,
    };
    assert_eq!(
        rig.bus.set_stop(&inband, 0, ME, &stop),
        Err(StopError::Spins)
    );
    // This applies without a watch-dog, too: a frame of another chip select may hold the claim when
    // a deadline is missed, and then that frame's handler sends the stop frame.
    stop.period_ns = 0;
    assert_eq!(
        rig.bus.set_stop(&inband, 0, ME, &stop),
        Err(StopError::Spins)
    );
    // A stop frame that is sent when the owner leaves is sent in-band.
    stop.miss_limit = 0;
    assert_eq!(rig.bus.set_stop(&inband, 0, ME, &stop), Ok(()));
    let trigger = abi::Trigger {
        kind: abi::TRIGGER_TIMER,
        reserved: 0,
        first_ns: 0,
        period_ns: PERIOD.0,
    };
    assert_eq!(
        rig.bus.set_trigger(&inband, 0, ME, &trigger),
        Err(TriggerError::Spins)
    );
    assert!(rig.stats().rejected >= 2);
}

#[test]
fn a_frame_that_sleeps_is_given_up_when_the_fail_safe_trips() {
    for path in [Path::SlowFifo, Path::Dma] {
        let rig = Rig::on(path);
        rig.set_stop(1, PERIOD);
        rig.script([Frame::Stuck]);
        let begin = rig.host.now();
        assert_eq!(rig.run(), Err(RunError::Stuck));
        let took = rig.host.now().since(begin);
        assert!(took <= Ns(2 * PERIOD.0), "{path:?}: {took:?}");
        rig.pass(WIRE);
        assert_eq!(rig.hardware.pulses().last(), Some(&STOP));
        assert_eq!(rig.stats().stops, 1, "{path:?}");
    }
}

#[test]
fn a_timers_own_frame_is_given_up_when_the_fail_safe_trips() {
    let rig = Rig::on(Path::Dma);
    rig.set_stop(1, Ns(0));
    rig.set_timer(0, Instant(2_000_000), Ns(3_600_000_000_000));
    rig.script([Frame::Stuck]);
    assert_eq!(rig.run_for(Ns(3_000_000)), Err(RunError::Late));
    rig.pass(WIRE);
    let stats = rig.stats();
    assert_eq!((stats.stops, stats.timeouts), (1, 1));
    assert_eq!(rig.hardware.pulses().last(), Some(&STOP));
}

#[test]
fn a_stop_frame_waits_for_a_stuck_frame_of_another_chip_select_until_its_limit() {
    let rig = Rig::on(Path::Dma);
    rig.enable(1).unwrap();
    rig.set_stop(1, Ns(0));
    rig.set_timer(1, Instant(2_000_000), Ns(3_600_000_000_000));
    rig.script([Frame::Stuck]);
    rig.host.run_until(Instant(3_000_000));
    assert_eq!(rig.run_for(Ns(0)), Err(RunError::TooLate));
    // No call follows, and the timer's next date is far away.
    rig.host
        .run_until(Instant(2_000_000 + 10_256_001).after(WIRE));
    assert_eq!(rig.stats().stops, 1);
    assert_eq!(rig.bus.stats(1).timeouts, 1);
}

#[test]
fn a_stop_frame_comes_before_the_next_frame_of_another_chip_select() {
    let rig = Rig::on(Path::Dma);
    rig.enable(1).unwrap();
    rig.set_stop(1, Ns(3_600_000_000_000));
    rig.set_timer(1, Instant(2_000_000), Ns(20_000_000));
    rig.script([Frame::Stuck]);
    rig.host.run_until(Instant(3_000_000));
    assert_eq!(rig.run_for(Ns(0)), Err(RunError::TooLate));
    rig.host.run_until(Instant(22_000_001));
    assert_eq!(rig.hardware.pulses(), [(1, FrameKind::Regular), STOP]);
}

#[test]
fn waiting_for_a_timers_frame_counts_as_a_call() {
    let rig = Rig::on(Path::Dma);
    rig.set_stop(3, PERIOD);
    rig.set_timer(0, Instant(20_000_000), PERIOD);
    rig.run().unwrap();
    assert_eq!((rig.stats().missed, rig.stats().stops), (0, 0));
    // After the call has ended, misses count.
    rig.pass(Ns(5_000_000));
    assert_eq!((rig.stats().missed, rig.stats().stops), (3, 1));
}

#[test]
fn a_timers_good_frames_do_not_count_as_calls() {
    let rig = Rig::on(Path::Dma);
    rig.set_stop(3, PERIOD);
    rig.set_timer(0, Instant(2_000_000), PERIOD);
    for _ in 0..10 {
        rig.run().unwrap();
    }
    rig.pass(Ns(6_000_000));
    assert_eq!(rig.stats().stops, 1);
    assert_eq!(rig.hardware.pulses().last(), Some(&STOP));
    assert_eq!(rig.run(), Err(RunError::Stopped));
}

#[test]
fn a_stop_frame_waits_for_the_frame_under_way_and_goes_next() {
    let rig = Rig::on(Path::Dma);
    rig.enable(1).unwrap();
    rig.set_stop(1, PERIOD);
    let due = rig.host.now().after(PERIOD);
    // Chip select 1's frame is in flight when chip select 0's watch-dog trips.
    rig.host.run_until(Instant(due.0 - WIRE.0 / 2));
    let mut frames = abi::RunList {
        count: 3,
        ..abi::RunList::default()
    };
    frames.entries[0].chip_select = 1;
    frames.entries[2].chip_select = 1;
    let failed = rig.bus.run_list(&rig.host.oob(), 1, ME, &mut frames);
    assert_eq!(failed, Err(ListError::Failed(RunError::Stopped)));
    let statuses: Vec<_> = frames.entries[..3]
        .iter()
        .map(|entry| entry.status)
        .collect();
    assert_eq!(statuses, [0, -130, -125]);
    rig.pass(WIRE);
    use Did::*;
    let end = [
        Pulse(1, FrameKind::Regular),
        Finish(1, Outcome::Signalled),
        Pulse(0, FrameKind::Stop),
        Finish(0, Outcome::Signalled),
    ];
    let log = rig.hardware.log.borrow();
    assert_eq!(log[log.len() - 4..], end);
    // The other chip select still works.
    drop(log);
    rig.bus.run(&rig.host.oob(), 1, ME).unwrap();
}

#[test]
fn a_stop_frame_that_failed_is_owed_until_oob_mode_ends() {
    let rig = Rig::on(Path::Dma);
    rig.set_stop(1, PERIOD);
    rig.script([Frame::Stuck]);
    rig.pass(Ns(20_000_000));
    let stats = rig.stats();
    assert_eq!((stats.stops, stats.timeouts), (0, 1));
    rig.disable();
    assert_eq!(rig.stats().stops, 1);
    assert_eq!(rig.hardware.pulses(), [STOP, STOP]);
}

#[test]
fn a_stop_frame_that_is_stuck_at_close_ends_at_its_limit() {
    let rig = Rig::on(Path::Dma);
    rig.set_stop(0, Ns(0));
    rig.script([Frame::Stuck]);
    let before = rig.host.now();
    rig.bus.close(&rig.host.inband(), 0, ME);
    let took = rig.host.now().since(before);
    assert!((10_256_000..10_500_000).contains(&took.0), "{took:?}");
    assert_eq!((rig.stats().stops, rig.stats().timeouts), (0, 1));
    assert_eq!(rig.hardware.log.borrow().last(), Some(&Did::Stop));
    rig.enable(0).unwrap();
    rig.run().unwrap();
}
