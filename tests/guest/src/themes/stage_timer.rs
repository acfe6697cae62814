// SPDX-License-Identifier: GPL-2.0-only

//! Timers: absolute dates, and a count of those that were missed.

use crate::support::check::accepted;
use crate::support::device::Device;
use crate::test::{Guest, On, Test};
use anyhow::{Result, ensure};
use oob_trial::PATH;
use oob_trial::services::{Dates, TIMER_DATES};

pub(crate) const TESTS: &[Test] = &[
    Test::smoke(
        "stage timer: the handler learns of dates that passed during its last call",
        On::Any,
        held_up,
    ),
    Test::new(
        "stage timer: a timer whose first date is in the past counts the missed dates",
        On::Any,
        in_the_past,
    ),
    Test::new(
        "stage timer: a one-shot timer calls its handler once, however late",
        On::Any,
        once,
    ),
];

const PERIOD_NS: u64 = 2_000_000;

fn play(args: Dates) -> Result<Dates> {
    let (trial, mut seen) = (Device::open_path(PATH)?, args);
    accepted("TIMER_DATES", trial.ioctl(TIMER_DATES, &mut seen))?;
    ensure!(seen.calls >= args.calls && seen.astray == 0, "{seen:?}");
    Ok(seen)
}

fn held_up(guest: &Guest) -> Result<()> {
    for periods in 1..=guest.count(5, 50).into() {
        let seen = play(Dates {
            period_ns: PERIOD_NS,
            held: 3,
            hold_ns: periods * PERIOD_NS + PERIOD_NS / 2,
            calls: 10,
            ..Dates::default()
        })?;
        // The handler is held for `periods` periods and a half. On a slow machine it misses more
        // dates.
        ensure!(seen.missed_next >= periods - 1, "{periods}: {seen:?}");
        ensure!(seen.missed >= seen.missed_next, "{seen:?}");
    }
    // Nothing holds the handler here. A slow machine may miss dates, and the trial checks each
    // count against the clock.
    play(Dates {
        period_ns: PERIOD_NS,
        calls: 100,
        ..Dates::default()
    })?;
    Ok(())
}

fn in_the_past(_: &Guest) -> Result<()> {
    let seen = play(Dates {
        period_ns: PERIOD_NS,
        ago_ns: 7 * PERIOD_NS,
        calls: 5,
        ..Dates::default()
    })?;
    ensure!(seen.missed_first >= 7, "{seen:?}");
    Ok(())
}

fn once(_: &Guest) -> Result<()> {
    let seen = play(Dates {
        ago_ns: 7 * PERIOD_NS,
        calls: 1,
        ..Dates::default()
    })?;
    ensure!((seen.calls, seen.missed) == (1, 0), "{seen:?}");
    Ok(())
}
