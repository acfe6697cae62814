// SPDX-License-Identifier: GPL-2.0-only

//! Interrupt lines: a hard handler, and what it forwards.

use crate::support::accepted;
use crate::support::device::Device;
use crate::{Guest, On, Test};
use anyhow::{Result, ensure};
use oob_trial::PATH;
use oob_trial::services::{INTERRUPT, Interrupts};
use rustix::io::Errno;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "stage: interrupt: each one is handled, and only what is forwarded has an in-band part",
        on: On::Any,
        run: own_line,
    },
    Test {
        name: "stage: interrupt: a line that another driver has is refused",
        on: On::Vboard,
        run: taken,
    },
];

const TIMES: u32 = 20;
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

/// The serial line, which the console has.
const SERIAL: i32 = 4;

fn taken(_: &Guest) -> Result<()> {
    match play(SERIAL, FORWARD) {
        Err(Errno::BUSY) => Ok(()),
        other => anyhow::bail!("{other:?}"),
    }
}
