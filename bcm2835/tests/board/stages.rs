// SPDX-License-Identifier: GPL-2.0-only

//! Frames of an oob thread while the in-band stage is busy, has page faults, and switches
//! interrupts off.

use crate::rig::{FULL, LITE, NO_DMA, Rig, setup};
use oob::host::{Host, Interference, Task, Thread};
use oob::time::{Clock, Instant, Ns};
use std::cell::RefCell;
use std::rc::Rc;

const PERIOD: Ns = Ns(1_000_000);

/// Runs 10 frames, one in each period, of an oob thread beside two busy in-band threads. Returns
/// each frame's begin and end, and when the in-band threads were done.
fn loop_of_frames(
    seed: u64,
    channels: Option<(u8, u8)>,
    interference: Interference,
) -> (Vec<(Instant, Instant)>, Instant) {
    let host = Host::seeded(seed);
    let mut rig = Rig::on_host(host.clone(), channels);
    let (frame, _) = rig.prepare(&setup(0, 32, 5_000_000));
    rig.start();
    host.disturb(interference);
    let dates = Rc::new(RefCell::new(Vec::new()));
    let (of_thread, clock) = (dates.clone(), host.clone());
    Thread::run(&host, &host.inband(), c"loop", 80, move |oob, me| {
        for nth in 1..=10 {
            me.sleep_until(oob, Instant(nth * PERIOD.0)).unwrap();
            let begin = clock.now();
            rig.exchange(0, &frame, nth as usize);
            of_thread.borrow_mut().push((begin, clock.now()));
        }
    })
    .unwrap();
    for _ in 0..2 {
        let of_task = host.clone();
        Task::run(&host, &host.inband(), c"tool", move |_, _| {
            (0..40).for_each(|_| of_task.compute(Ns(110_000)));
        });
    }
    host.finish(Instant(1_000_000_000)).unwrap();
    (dates.take(), host.now())
}

const NOISY: Interference = Interference {
    odds: 2,
    burst: Ns(50_000),
    stall: Ns(80_000),
    hard_off: Ns(0),
};

#[test]
fn in_band_changes_no_date_of_a_frame() {
    for channels in [FULL, LITE, NO_DMA] {
        let (quiet, end) = loop_of_frames(0, channels, Interference::NONE);
        for seed in 0..30 {
            let (noisy, noisy_end) = loop_of_frames(seed, channels, NOISY);
            assert_eq!(noisy, quiet, "seed {seed}");
            assert!(noisy_end > end, "seed {seed}");
        }
    }
}

#[test]
fn interrupts_off_delay_the_begin_and_the_completion_of_a_frame_by_as_much() {
    let hard_off = Ns(5_000);
    let interference = Interference { hard_off, ..NOISY };
    let (quiet, _) = loop_of_frames(0, FULL, Interference::NONE);
    let mut latest = 0;
    for seed in 0..100 {
        let (noisy, _) = loop_of_frames(seed, FULL, interference);
        for (noisy, quiet) in noisy.iter().zip(&quiet) {
            let begin = noisy.0.since(quiet.0).0;
            let end = noisy.1.since(quiet.1).0;
            assert!(begin <= hard_off.0, "seed {seed}");
            assert!(end <= 2 * hard_off.0, "seed {seed}");
            latest = latest.max(end);
        }
    }
    assert!(latest > hard_off.0 / 2, "{latest}");
}
