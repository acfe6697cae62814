// SPDX-License-Identifier: GPL-2.0-only

//! The mutex of the out-of-band stage: its owner inherits the priority of the highest waiter.

use crate::support::check::accepted;
use crate::support::device::Device;
use crate::support::task;
use crate::test::{Guest, On, Test};
use anyhow::{Result, bail, ensure};
use oob_trial::PATH;
use oob_trial::services::{
    End, Inversion, MUTEX_INVERSION, MUTEX_KEPT, MUTEX_PLACES, MUTEX_TWICE, Places, Twice,
};
use rustix::thread::gettid;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

pub(crate) const TESTS: &[Test] = &[
    Test::smoke(
        "stage mutex: the owner inherits the priority of the highest waiter",
        On::Any,
        inheritance,
    ),
    Test::new(
        "stage mutex: an owner that itself waits for another mutex is queued by its inherited priority",
        On::Any,
        in_line,
    ),
    Test::new(
        "stage mutex: locking a mutex twice returns an error to its owner",
        On::Any,
        recursion,
    ),
    Test::new("stage mutex: a signal ends the wait", On::Any, interrupted),
];

fn inversion(is_mutex: bool) -> Result<Inversion> {
    let trial = Device::open_path(PATH)?;
    let mut args = Inversion {
        cpu: u32::try_from(task::home()?.unwrap_or(0))?,
        is_mutex: is_mutex.into(),
        hold_ns: 10_000_000,
        middle_ns: 100_000_000,
        ..Inversion::default()
    };
    accepted("MUTEX_INVERSION", trial.ioctl(MUTEX_INVERSION, &mut args))?;
    Ok(args)
}

fn inheritance(guest: &Guest) -> Result<()> {
    for _ in 0..guest.count(1, 30) {
        let seen = inversion(true)?;
        ensure!(
            seen.middle_was_first == 0 && seen.waited_ns >= seen.hold_ns / 2,
            "{seen:?}"
        );
    }
    // With a semaphore, which has no owner, the same scene shows the inversion that the mutex
    // prevents.
    let seen = inversion(false)?;
    ensure!(
        seen.middle_was_first == 1 && seen.waited_ns >= seen.middle_ns,
        "the scene shows no inversion: {seen:?}"
    );
    Ok(())
}

fn in_line(_: &Guest) -> Result<()> {
    let trial = Device::open_path(PATH)?;
    let mut args = Places {
        cpu: u32::try_from(task::home()?.unwrap_or(0))?,
        ..Places::default()
    };
    accepted("MUTEX_PLACES", trial.ioctl(MUTEX_PLACES, &mut args))?;
    ensure!((args.low, args.middle) == (1, 2), "{args:?}");
    Ok(())
}

fn recursion(_: &Guest) -> Result<()> {
    let trial = Device::open_path(PATH)?;
    let seen: Twice = task::oob(|| accepted("MUTEX_TWICE", trial.get(MUTEX_TWICE)))?;
    let expected = Twice {
        first: End::Had as u32,
        second: End::Deadlock as u32,
        is_busy: 1,
        after: End::Had as u32,
    };
    ensure!(seen == expected, "{seen:?}");
    Ok(())
}

fn interrupted(_: &Guest) -> Result<()> {
    task::take_interrupts();
    let trial = Device::open_path(PATH)?;
    let over = AtomicBool::new(false);
    let end = task::oob(|| {
        let me = gettid().as_raw_nonzero().get();
        thread::scope(|scope| {
            let over = &over;
            // A signal that comes before the thread waits is lost, so there are many.
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(100));
                    task::interrupt(me);
                }
            });
            let end = accepted("MUTEX_KEPT", trial.call(MUTEX_KEPT, 0));
            over.store(true, Ordering::Relaxed);
            end
        })
    })?;
    if end != End::Interrupted as i32 {
        bail!("the wait ended with {end}");
    }
    Ok(())
}
