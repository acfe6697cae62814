// SPDX-License-Identifier: GPL-2.0-only

//! Interrupt lines: a hard handler, and what it forwards.

use crate::support::accepted;
use crate::support::device::Device;
use crate::{Guest, On, Test};
use anyhow::{Context, Result, ensure};
use oob_trial::PATH;
use oob_trial::services::{INTERRUPT, Interrupts};
use rustix::io::Errno;
use std::fs;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "stage: interrupt: each one is handled, and only what is forwarded has an in-band part",
        on: On::DrivenLine,
        run: own_line,
    },
    Test {
        name: "stage: interrupt: the same by the processor's own vector, and one that is not the device's counts so",
        on: On::Vboard,
        run: injected,
    },
    Test {
        name: "stage: interrupt: a line that another driver has is refused",
        on: On::Vboard,
        run: taken,
    },
];

const TIMES: u32 = 20;
const NOT_MINE: u32 = 0;
const FORWARD: u32 = 2;

fn play(line: i32, says: u32) -> Result<Interrupts, Errno> {
    let mut args = Interrupts {
        line,
        says,
        times: TIMES,
        ..Interrupts::default()
    };
    let trial = Device::open_path(PATH).map_err(|_| Errno::NOENT)?;
    trial.exchange(INTERRUPT, &mut args).map(|_| args)
}

fn check(seen: &Interrupts) -> Result<()> {
    let inband = if seen.says == FORWARD { TIMES } else { 0 };
    ensure!(
        (seen.handled, seen.inband, seen.astray) == (TIMES, inband, 0),
        "{seen:?}"
    );
    Ok(())
}

fn own_line(_: &Guest) -> Result<()> {
    (0..=FORWARD).try_for_each(|says| check(&accepted("INTERRUPT", play(-1, says))?))
}

/// A line of the old PC's, edge-triggered as injection needs it, that no device of this machine uses.
const UNUSED: i32 = 7;
/// The serial line, which the console has.
const SERIAL: i32 = 4;

/// How many of a line's interrupts nobody wanted, since it was requested and the last of them that came by itself.
fn unhandled(line: i32) -> Result<u32> {
    let path = format!("/proc/irq/{line}/spurious");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("unhandled "));
    Ok(line.context("no such line")?.trim().parse()?)
}

fn injected(_: &Guest) -> Result<()> {
    for says in 0..=FORWARD {
        match play(UNUSED, says) {
            // The kernel is built without injection.
            Err(Errno::OPNOTSUPP) => return Ok(()),
            seen => check(&accepted("INTERRUPT", seen)?)?,
        }
        let unhandled = unhandled(UNUSED)?;
        ensure!((unhandled > 0) == (says == NOT_MINE), "{says}: {unhandled}");
    }
    Ok(())
}

fn taken(_: &Guest) -> Result<()> {
    match play(SERIAL, FORWARD) {
        Err(Errno::BUSY) => Ok(()),
        other => anyhow::bail!("{other:?}"),
    }
}
