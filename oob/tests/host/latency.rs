// SPDX-License-Identifier: GPL-2.0-only

//! In-band code delays out-of-band threads only while it has interrupts off. Out-of-band threads
//! always delay in-band code.

use crate::{END, hog, log, oob};
use oob::host::{Host, Interference};
use oob::time::{Clock, Instant, Ns, Timer};
use oob::wait::Flag;
use std::rc::Rc;

const PERIOD: Ns = Ns(10_000);
const TURNS: u64 = 8;

/// Runs a thread that a timer wakes [`TURNS`] times, beside three in-band threads that compute.
/// Returns the delay of the latest wake-up, and the date at which the in-band threads have ended.
fn run(seed: u64, interference: Interference, turns: u64) -> (Ns, Instant) {
    let host = Host::seeded(seed);
    host.disturb(interference);
    let flag = Rc::new(host.flag(&host.inband()));
    let raised = flag.clone();
    let timer = host.timer(&host.inband(), move |_| raised.raise());
    timer.start(Instant(20_000), PERIOD);
    let (host_, late) = (host.clone(), log());
    let of_thread = late.clone();
    oob(&host, 50, move |oob, _| {
        for turn in 0..turns {
            flag.wait_until(oob, Instant::NEVER).unwrap();
            let date = Instant(20_000 + turn * PERIOD.0);
            of_thread.borrow_mut().push(host_.now().since(date));
            // A third of the processor.
            host_.compute(Ns(PERIOD.0 / 3));
        }
    });
    (0..3).for_each(|_| hog(&host, 60, Ns(500)));
    host.finish(END).unwrap();
    let latest = late.borrow().iter().max().copied();
    (latest.unwrap_or_default(), host.now())
}

const SEEDS: u64 = 1_000;

#[test]
fn interference_delays_in_band_and_never_out_of_band() {
    let quiet = Interference::NONE;
    let noisy = crate::order::NOISY;
    // In-band threads alone take the time that they compute.
    assert_eq!(run(0, quiet, 0).1, Instant(1_000 + 3 * 60 * 500));
    let own = Ns(TURNS * (PERIOD.0 / 3));
    let mut delayed = 0;
    for seed in 0..SEEDS {
        let (latest, end) = run(seed, quiet, TURNS);
        assert_eq!(latest, Ns(0), "seed {seed}");
        assert_eq!(end.0, 1_000 + 3 * 60 * 500 + own.0, "seed {seed}");
        let (latest, noisy_end) = run(seed, noisy, TURNS);
        assert_eq!(latest, Ns(0), "seed {seed}");
        delayed += u32::from(noisy_end > end);
    }
    assert_eq!(delayed, 1_000);
}

#[test]
fn a_wake_up_is_late_at_most_by_an_interrupts_off_section() {
    let hard_off = Ns(800);
    let latest = |seed| {
        let interference = Interference {
            hard_off,
            ..crate::order::NOISY
        };
        run(seed, interference, TURNS).0
    };
    let all: Vec<_> = (0..SEEDS).map(latest).collect();
    let most = all.iter().max().unwrap();
    assert!(*most <= hard_off, "{most:?}");
    // The delays come near the bound, so the test can detect a larger one.
    assert!(*most > Ns(700), "{most:?}");
    assert!(all.iter().filter(|late| late.0 > 0).count() > 500);
}
