// SPDX-License-Identifier: GPL-2.0-only

//! Work that the out-of-band stage queues and an in-band worker runs.

use crate::support::check::{accepted, refused};
use crate::support::device::Device;
use crate::support::task;
use crate::test::{Guest, On, Test};
use anyhow::{Result, ensure};
use oob_trial::PATH;
use oob_trial::services::{End, WORK_CALLS, WORK_CANCEL, WORK_DROP, WORK_DURING, WORK_WAIT, Work};
use rustix::io::Errno;
use rustix::thread::gettid;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

pub(crate) const TESTS: &[Test] = &[
    Test::smoke(
        "stage work: work runs once per call, in another thread, and may sleep",
        On::Any,
        once_each,
    ),
    Test::new(
        "stage work: calls during a run cause one more run",
        On::Any,
        during,
    ),
    Test::new(
        "stage work: a waiter gets the work's result",
        On::Any,
        waited_for,
    ),
    Test::new(
        "stage work: a signal ends the wait, and the work still runs",
        On::Any,
        interrupted,
    ),
    Test::new(
        "stage work: a deadline ends the wait, and the work still runs",
        On::Any,
        timed_out,
    ),
    Test::new(
        "stage work: cancel waits for the run and wakes waiters of the next, and later calls work",
        On::Any,
        cancelled,
    ),
    Test::new(
        "stage work: dropping work waits for its run, and nothing runs afterwards",
        On::Any,
        dropped,
    ),
];

fn play(command: u32, mut args: Work) -> Result<Work> {
    let trial = Device::open_path(PATH)?;
    accepted("the scene", trial.ioctl(command, &mut args))?;
    Ok(args)
}

fn once_each(guest: &Guest) -> Result<()> {
    for from_interrupt in [0, 1] {
        let calls = guest.count(30, 300);
        let seen = play(
            WORK_CALLS,
            Work {
                calls,
                from_interrupt,
                takes_ns: 200_000,
                ..Work::default()
            },
        )?;
        let expected = Work {
            first_calls: calls,
            begun: calls,
            ended: calls,
            ..Work::default()
        };
        ensure!(seen == expected, "{seen:?}");
    }
    Ok(())
}

fn during(_: &Guest) -> Result<()> {
    let seen = play(WORK_DURING, Work::default())?;
    let expected = Work {
        first_calls: 2,
        begun: 2,
        ended: 2,
        ..Work::default()
    };
    ensure!(seen == expected, "{seen:?}");
    Ok(())
}

const WAITED_FOR: Work = Work {
    calls: 0,
    from_interrupt: 0,
    takes_ns: 1_000_000,
    until_ns: u64::MAX,
    result: -42,
    end: End::None as u32,
    first_calls: 0,
    begun: 0,
    ended: 0,
    in_caller: 0,
};

fn waited_for(_: &Guest) -> Result<()> {
    let seen = task::oob(|| play(WORK_WAIT, WAITED_FOR))?;
    let expected = Work {
        result: -42,
        end: End::Had as u32,
        begun: 1,
        ended: 1,
        ..Work::default()
    };
    ensure!(seen == expected, "{seen:?}");
    // Only attached threads may make this call.
    let trial = Device::open_path(PATH)?;
    refused(
        "WORK_WAIT",
        trial.ioctl(WORK_WAIT, &mut WAITED_FOR.clone()),
        Errno::PERM,
    )
}

fn interrupted(_: &Guest) -> Result<()> {
    task::take_interrupts();
    // A signal that comes before the wait is lost. So there are many, and the work takes longer
    // than they need.
    let takes_ns = 2_000_000_000;
    let is_over = AtomicBool::new(false);
    let seen = task::oob(|| {
        let me = gettid().as_raw_nonzero().get();
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Acquire) {
                    thread::sleep(Duration::from_millis(50));
                    task::interrupt(me);
                }
            });
            let seen = play(
                WORK_WAIT,
                Work {
                    takes_ns,
                    ..WAITED_FOR
                },
            );
            is_over.store(true, Ordering::Release);
            seen
        })
    })?;
    let expected = Work {
        end: End::Interrupted as u32,
        begun: 1,
        ended: 1,
        ..Work::default()
    };
    ensure!(seen == expected, "{seen:?}");
    Ok(())
}

fn timed_out(_: &Guest) -> Result<()> {
    // The deadline passes during the run, or before the run has begun.
    for (takes_ns, ahead) in [(1_000_000_000, 300), (100_000_000, 0)] {
        let seen = task::oob(|| {
            let until_ns = task::date(Duration::from_millis(ahead));
            play(
                WORK_WAIT,
                Work {
                    takes_ns,
                    until_ns,
                    ..WAITED_FOR
                },
            )
        })?;
        // The work runs once, to its end.
        ensure!(
            (seen.end, seen.result, seen.ended) == (End::TimedOut as u32, 0, 1),
            "{seen:?}"
        );
    }
    Ok(())
}

fn cancelled(guest: &Guest) -> Result<()> {
    for _ in 0..guest.count(3, 30) {
        let seen = play(WORK_CANCEL, Work::default())?;
        let expected = Work {
            end: End::Closed as u32,
            first_calls: 1,
            begun: 1,
            ended: 2,
            ..Work::default()
        };
        ensure!(seen == expected, "{seen:?}");
    }
    Ok(())
}

fn dropped(guest: &Guest) -> Result<()> {
    for _ in 0..guest.count(3, 30) {
        let seen = play(WORK_DROP, Work::default())?;
        let expected = Work {
            end: End::Closed as u32,
            begun: 1,
            ended: 1,
            ..Work::default()
        };
        ensure!(seen == expected, "{seen:?}");
    }
    Ok(())
}
