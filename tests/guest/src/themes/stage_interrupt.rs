// SPDX-License-Identifier: GPL-2.0-only

//! Interrupt lines: the hard handler, and the in-band part of interrupts that it forwards.

use crate::support::check::accepted;
use crate::support::device::{Device, is_evl};
use crate::test::{Guest, On, Test};
use anyhow::{Context, Result, ensure};
use oob_trial::PATH;
use oob_trial::services::{INTERRUPT, Interrupts};
use rustix::io::Errno;
use std::fs;

pub(crate) const TESTS: &[Test] = &[
    Test::smoke(
        "stage interrupt: the handler runs for each interrupt, and the in-band part for each forwarded one",
        On::DrivenLine,
        own_line,
    ),
    Test::new(
        "stage interrupt: a printer port's interrupts are handled, and foreign ones are counted as such",
        On::PrinterPort,
        printer,
    ),
    Test::new(
        "stage interrupt: requesting a line that another driver owns is refused",
        On::PrinterPort,
        taken,
    ),
];

const TIMES: u32 = 20;
const NOT_MINE: u32 = 0;
const FORWARD: u32 = 2;

fn play((line, port): (i32, u32), says: u32) -> Result<Interrupts, Errno> {
    let mut args = Interrupts {
        line,
        port,
        says,
        times: TIMES,
        ..Interrupts::default()
    };
    let trial = Device::open_path(PATH).map_err(|_| Errno::NOENT)?;
    trial.ioctl(INTERRUPT, &mut args).map(|_| args)
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
    (0..=FORWARD).try_for_each(|says| check(&accepted("INTERRUPT", play(OWN, says))?))
}

/// The line of the trial module itself, and no port.
const OWN: (i32, u32) = (-1, 0);
/// The line and the I/O port of the printer port.
const PRINTER: (i32, u32) = (7, 0x378);
/// The line and the I/O port of the console, which another driver owns.
const CONSOLE: (i32, u32) = (4, 0x3f8);

/// How many interrupts of a line no handler accepted, by the kernel's count.
fn unhandled(line: i32) -> Result<u32> {
    let path = format!("/proc/irq/{line}/spurious");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("unhandled "));
    Ok(line.context("no such line")?.trim().parse()?)
}

fn printer(_: &Guest) -> Result<()> {
    for says in 0..=FORWARD {
        check(&accepted("INTERRUPT", play(PRINTER, says))?)?;
        // EVL does not count the out-of-band ones.
        if !is_evl() {
            let unhandled = unhandled(PRINTER.0)?;
            ensure!((unhandled > 0) == (says == NOT_MINE), "{says}: {unhandled}");
        }
    }
    Ok(())
}

fn taken(_: &Guest) -> Result<()> {
    match play(CONSOLE, FORWARD) {
        Err(Errno::BUSY) => Ok(()),
        other => anyhow::bail!("{other:?}"),
    }
}
