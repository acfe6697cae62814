// SPDX-License-Identifier: GPL-2.0-only

//! Frames that a timer starts.

use crate::rig::*;
use oob::host::Thread;
use oob::time::{Clock, Instant, Ns};
use oob_spi::controller::*;
use oob_spi::errno::*;
use std::cell::Cell;
use std::rc::Rc;

const PERIOD: Ns = Ns(1_000_000);

/// A rig whose timer starts chip select 0's frames on full milliseconds, from 2 ms on.
fn ticking(path: Path) -> Rc<Rig> {
    let rig = Rig::on(path);
    rig.set_timer(0, Instant(2_000_000), PERIOD);
    rig
}

#[test]
fn frames_keep_the_timers_grid_and_run_waits_for_their_ends() {
    for path in [Path::Fifo, Path::SlowFifo, Path::Dma] {
        let rig = ticking(path);
        for k in 0..3 {
            rig.run().unwrap();
            assert_eq!(rig.host.now(), Instant(2_000_000 + k * PERIOD.0 + WIRE.0));
            rig.pass(Ns(300_000));
        }
        let dates = [2_000_000, 3_000_000, 4_000_000].map(Instant);
        assert_eq!(*rig.hardware.dates.borrow(), dates);
        let stats = rig.stats();
        assert_eq!((stats.frames, stats.overruns, stats.worst_ns), (3, 0, 0));
    }
}

#[test]
fn frames_go_on_without_a_thread_and_stop_with_oob_mode() {
    let rig = ticking(Path::Dma);
    rig.host.run_until(Instant(10_500_000));
    let frames = rig.stats().frames;
    assert_eq!(frames, 9);
    rig.disable();
    rig.pass(Ns(10_000_000));
    assert_eq!(rig.hardware.pulses().len() as u64, frames);
}

#[test]
fn a_trigger_that_finds_a_frame_under_way_is_an_overrun() {
    let rig = Rig::on(Path::Dma);
    rig.enable(1).unwrap();
    rig.enable(2).unwrap();
    rig.set_timer(0, Instant(2_000_000), PERIOD);
    // Chip select 1's timer fires in the middle of each of chip select 0's frames.
    rig.set_timer(1, Instant(2_000_000 + WIRE.0 / 2), PERIOD);
    rig.host.run_until(Instant(4_500_000));
    assert_eq!((rig.bus.stats(0).frames, rig.bus.stats(1).frames), (3, 0));
    assert_eq!(
        (rig.bus.stats(0).overruns, rig.bus.stats(1).overruns),
        (0, 3)
    );
    // A call during a timer's frame is refused.
    rig.host.run_until(Instant(5_000_000 + 1_000));
    assert_eq!(rig.bus.run(&rig.host.oob(), 2, ME), Err(RunError::Busy));
}

#[test]
fn dates_at_which_the_timer_was_held_up_are_overruns() {
    let rig = ticking(Path::Dma);
    rig.host.run_until(Instant(2_500_000));
    rig.host.elapse(Ns(3_200_000));
    rig.host.run_until(Instant(6_500_000));
    let stats = rig.stats();
    assert_eq!((stats.frames, stats.overruns), (3, 2));
    let dates = [2_000_000, 5_700_000, 6_000_000].map(Instant);
    assert_eq!(*rig.hardware.dates.borrow(), dates);
}

#[test]
fn a_timers_frame_whose_completion_is_lost_is_ended_by_a_later_tick() {
    let rig = ticking(Path::Dma);
    rig.script([Frame::Stuck, Frame::Good]);
    // The limit is 10.256 ms: ticks 2 to 11 find the frame in flight; tick 12 ends it and starts
    // the next.
    assert_eq!(rig.run(), Err(RunError::Stuck));
    assert_eq!(rig.stats().overruns, 10);
    rig.run().unwrap();
    assert_eq!((rig.stats().frames, rig.stats().timeouts), (1, 1));
}

#[test]
fn a_thread_that_waits_learns_of_a_stuck_frame_before_the_timers_next_date() {
    let rig = Rig::on(Path::Dma);
    rig.set_timer(0, Instant(2_000_000), Ns(3_600_000_000_000));
    rig.script([Frame::Stuck]);
    assert_eq!(rig.run(), Err(RunError::Stuck));
    // The frame's limit, and the time until the thread looks again.
    assert!(rig.host.now() <= Instant(2_000_000 + 10_256_000 + 50_000_000 + 1));
    assert_eq!(rig.stats().timeouts, 1);
}

#[test]
fn a_processor_that_is_held_up_does_not_make_a_frame_stuck() {
    let rig = ticking(Path::Dma);
    let host = &rig.host;
    let machine = rig.clone();
    Thread::run(host, &host.inband(), c"stall", 98, move |oob, me| {
        me.sleep_until(oob, Instant(1_500_000)).unwrap();
        machine.host.elapse(Ns(60_000_000));
    })
    .unwrap();
    rig.run().unwrap();
    assert_eq!((rig.stats().frames, rig.stats().timeouts), (1, 0));
}

#[test]
fn a_stuck_frame_of_a_timer_does_not_keep_disable_or_others_out() {
    let rig = Rig::on(Path::Dma);
    rig.enable(1).unwrap();
    rig.set_timer(0, Instant(2_000_000), Ns(3_600_000_000_000));
    rig.script([Frame::Stuck, Frame::Good, Frame::Stuck]);
    rig.host.run_until(Instant(3_000_000));
    assert_eq!(rig.bus.run(&rig.host.oob(), 1, ME), Err(RunError::Busy));
    rig.host.run_until(Instant(2_000_000 + 10_256_001));
    rig.bus.run(&rig.host.oob(), 1, ME).unwrap();
    assert_eq!(rig.stats().timeouts, 1);

    rig.set_timer(0, rig.host.now().after(Ns(1)), Ns(3_600_000_000_000));
    rig.pass(Ns(1_000));
    rig.disable();
    let log = rig.hardware.log.borrow();
    assert_eq!(
        log[log.len() - 2..],
        [Did::Finish(0, Outcome::TimedOut), Did::Terminate(0)]
    );
}

#[test]
fn disable_waits_for_the_frame_in_flight() {
    let rig = ticking(Path::Dma);
    rig.host.run_until(Instant(2_001_000));
    rig.disable();
    let log = rig.hardware.log.borrow();
    let end = [
        Did::Finish(0, Outcome::Signalled),
        Did::Terminate(0),
        Did::Stop,
    ];
    assert_eq!(log[log.len() - 3..], end);
    assert_eq!(rig.stats().frames, 1);
}

#[test]
fn an_error_reaches_the_thread_that_waits() {
    let rig = ticking(Path::Dma);
    rig.script([
        Frame::Broken(TransferError::Bus),
        Frame::Refused(TransferError::Bus),
        Frame::AtOnce,
    ]);
    assert_eq!(rig.run(), Err(RunError::Bus));
    assert_eq!(rig.run(), Err(RunError::Bus));
    rig.run().unwrap();
    assert_eq!((rig.stats().bus_errors, rig.stats().frames), (2, 1));
}

#[test]
fn a_deadline_before_the_next_frame_is_missed() {
    let rig = ticking(Path::Dma);
    rig.run().unwrap();
    assert_eq!(rig.run_for(PERIOD), Ok(()));
    assert_eq!(rig.run_for(Ns(PERIOD.0 / 2)), Err(RunError::Late));
    assert_eq!(rig.stats().missed, 1);
}

#[test]
fn only_one_thread_waits_for_a_timers_frame() {
    let rig = ticking(Path::Dma);
    let (second, seen) = (rig.clone(), Rc::new(Cell::new(None)));
    let result = seen.clone();
    let host = &rig.host;
    Thread::run(host, &host.inband(), c"second", 50, move |oob, me| {
        me.sleep_until(oob, Instant(1_500_000)).unwrap();
        result.set(Some(second.run()));
    })
    .unwrap();
    rig.run().unwrap();
    assert_eq!(seen.get(), Some(Err(RunError::Busy)));
}

#[test]
fn a_detached_frame_is_not_ended_by_the_interrupt_of_the_frame_before() {
    let rig = ticking(Path::Dma);
    rig.script([Frame::Stuck, Frame::Good]);
    rig.host.run_until(Instant(2_500_000));
    // The handler of a late interrupt is held up after it has read the claim and before it reads
    // the hardware's status, until the first frame has timed out and the second is in flight.
    rig.bus.interrupt(|| {
        rig.host.run_until(Instant(13_000_000 + 1_000));
        true
    });
    assert_eq!(rig.hardware.pulses().len(), 2);
    assert_eq!((rig.stats().timeouts, rig.stats().frames), (1, 0));
    rig.pass(WIRE);
    assert_eq!(rig.stats().frames, 1);
}

#[test]
fn a_thread_that_waits_for_a_far_frame_leaves_at_a_signal() {
    let rig = Rig::on(Path::Dma);
    rig.set_timer(0, Instant(i64::MAX as u64), PERIOD);
    let waiting = rig.clone();
    rig.host.at(Instant(70_000_000), move || {
        waiting.bus.env().interrupted.set(true)
    });
    assert_eq!(rig.run(), Err(RunError::Interrupted));
    assert_eq!(rig.host.now(), Instant(100_000_000 + 1_000));
    assert_eq!(rig.stats().rejected, 0);
    // Another thread may wait again.
    rig.bus.env().interrupted.set(false);
    rig.set_timer(0, Instant(200_000_000), PERIOD);
    rig.run().unwrap();
}
