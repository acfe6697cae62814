// SPDX-License-Identifier: GPL-2.0-only

//! Kernel threads of the out-of-band stage: starting them with a priority and a processor, and
//! stopping them in any wait.

use crate::support::check::{HANG, accepted, eventually, refused};
use crate::support::device::Device;
use crate::support::task;
use crate::test::{Guest, On, Test};
use anyhow::{Context, Result, ensure};
use oob_trial::PATH;
use oob_trial::services::{End, Place, Start, Stopped, THREAD_START, THREAD_STOP};
use rustix::io::Errno;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) const TESTS: &[Test] = &[
    Test::smoke(
        "stage thread: stopping a thread ends its wait at once, and every later wait",
        On::Any,
        stopped,
    ),
    Test::new(
        "stage thread: stopping a thread that has just started leaves nothing behind",
        On::Any,
        stopped_at_once,
    ),
    Test::new(
        "stage thread: a thread runs with the requested priority on the requested processor",
        On::Any,
        as_asked,
    ),
    Test::new(
        "stage thread: a thread that waits for a flag counts neither as load nor as a hung task",
        On::Shim,
        idle,
    ),
    Test::new(
        "stage thread: starting a thread with a bad priority or processor is refused",
        On::Any,
        no_such,
    ),
    Test::new(
        "stage thread: closing the file stops its thread",
        On::Any,
        closed,
    ),
];

/// The threads wait for ever, so any limit tells a stop that wakes the thread from one that does
/// not.
const AT_ONCE: Duration = HANG;

const PLACES: [Place; 6] = [
    Place::Monitor,
    Place::Semaphore,
    Place::Flag,
    Place::Mutex,
    Place::Computing,
    Place::Sleep,
];

fn start(trial: &Device, args: Start) -> Result<(), Errno> {
    trial.set(THREAD_START, args)
}

fn usual(place: Place) -> Start {
    Start {
        priority: 50,
        cpu: -1,
        place: place as u32,
        at_once: 0,
    }
}

fn stop(trial: &Device) -> Result<Stopped> {
    accepted("THREAD_STOP", trial.get(THREAD_STOP))
}

fn stopped(guest: &Guest) -> Result<()> {
    let trial = Device::open_path(PATH)?;
    for _ in 0..guest.count(3, 30) {
        for place in PLACES {
            accepted("THREAD_START", start(&trial, usual(place)))?;
            let seen = stop(&trial)?;
            let interrupted = End::Interrupted as u32;
            let as_promised = (seen.first, seen.second) == (interrupted, interrupted)
                && seen.was_early == 0
                && seen.left == 0;
            ensure!(as_promised, "{place:?}: {seen:?}");
            let took = Duration::from_nanos(seen.took_ns);
            ensure!(took < AT_ONCE, "{place:?}: {seen:?}");
        }
    }
    Ok(())
}

fn stopped_at_once(guest: &Guest) -> Result<()> {
    let trial = Device::open_path(PATH)?;
    for n in 0..guest.count(50, 500) {
        let place = PLACES[n as usize % PLACES.len()];
        // The new thread may begin at once on another processor, or preempt this one. Both cases
        // are wanted.
        let args = Start {
            at_once: 1,
            ..usual(place)
        };
        accepted("THREAD_START", start(&trial, args))?;
        let seen = stop(&trial)?;
        ensure!(seen.left == 0, "{place:?}: {seen:?}");
        // A thread that had not begun never waits.
        let ends = [End::None as u32, End::Interrupted as u32];
        ensure!(ends.contains(&seen.first), "{place:?}: {seen:?}");
    }
    Ok(())
}

/// The /proc folder of the trial's thread.
fn folder() -> Result<PathBuf> {
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        // A process may end between the two reads.
        if fs::read_to_string(path.join("comm")).is_ok_and(|name| name == "oob-trial\n") {
            return Ok(path);
        }
    }
    anyhow::bail!("the trial has no thread")
}

/// Field `n` of a thread's stat file, counted as in proc(5). Field 3 is the first one after the
/// name.
fn field(folder: &Path, n: usize) -> Result<String> {
    let stat = fs::read_to_string(folder.join("stat"))?;
    let (_, rest) = stat.rsplit_once(')').context("no name in stat")?;
    let field = rest.split_whitespace().nth(n - 3);
    Ok(field.unwrap_or_default().to_owned())
}

/// A thread's policy, its priority, and the processors that it may use.
fn scheduling(folder: &Path) -> Result<(String, String, String)> {
    let status = fs::read_to_string(folder.join("status"))?;
    let mut lines = status.lines();
    let cpus = lines.find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    Ok((
        field(folder, 41)?,
        field(folder, 40)?,
        cpus.unwrap_or_default().trim().to_owned(),
    ))
}

/// Stopping a thread returns when its body has returned. /proc shows the thread until it has been
/// scheduled away for good.
fn is_gone() -> Result<()> {
    eventually("the thread is gone", || Ok(folder().is_err()))
}

fn as_asked(_: &Guest) -> Result<()> {
    let trial = Device::open_path(PATH)?;
    let home = task::home()?.unwrap_or(0);
    for (priority, cpu) in [(1, home), (98, 0), (98, home)] {
        let args = Start {
            priority,
            cpu: i32::try_from(cpu)?,
            ..usual(Place::Monitor)
        };
        accepted("THREAD_START", start(&trial, args))?;
        let seen = scheduling(&folder()?)?;
        let expected = ("1".to_owned(), priority.to_string(), cpu.to_string());
        ensure!(seen == expected, "{seen:?}, not {expected:?}");
        stop(&trial)?;
        is_gone()?;
    }
    Ok(())
}

fn idle(_: &Guest) -> Result<()> {
    let trial = Device::open_path(PATH)?;
    accepted("THREAD_START", start(&trial, usual(Place::Flag)))?;
    let folder = folder()?;
    eventually("its state is I", || Ok(field(&folder, 3)? == "I"))?;
    stop(&trial).map(drop)
}

fn no_such(_: &Guest) -> Result<()> {
    let trial = Device::open_path(PATH)?;
    for (priority, cpu) in [(0, 0), (99, 0), (-1, 0), (50, 100_000), (50, i32::MAX)] {
        let args = Start {
            priority,
            cpu,
            ..usual(Place::Monitor)
        };
        refused("THREAD_START", start(&trial, args), Errno::INVAL)?;
        ensure!(folder().is_err(), "a refused call has started a thread");
    }
    refused(
        "THREAD_STOP",
        trial.get::<Stopped>(THREAD_STOP),
        Errno::SRCH,
    )
}

fn closed(_: &Guest) -> Result<()> {
    for place in PLACES {
        let trial = Device::open_path(PATH)?;
        accepted("THREAD_START", start(&trial, usual(place)))?;
        folder()?;
        drop(trial);
        is_gone()?;
    }
    Ok(())
}
