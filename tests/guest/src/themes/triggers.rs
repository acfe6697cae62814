// SPDX-License-Identifier: GPL-2.0-only

//! Frames that a timer starts.

use crate::support::board;
use crate::support::check::{HANG, accepted, eventually, refused};
use crate::support::frames::Frames;
use crate::support::motor::{DMA_HZ, FIFO_HZ, Motor};
use crate::support::task::{self, Spot, date};
use crate::test::{Guest, On, Test};
use anyhow::{Context, Result, bail, ensure};
use oobkit_abi::spi as abi;
use rustix::io::Errno;
use std::thread;
use std::time::Duration;

const PERIOD_NS: u64 = 5_000_000;

pub(crate) const TESTS: &[Test] = &[
    Test::smoke(
        "triggers: a timer starts FIFO frames, and RUN waits for them",
        On::Vboard,
        |_| frames_of_a_timer(FIFO_HZ),
    ),
    Test::new(
        "triggers: a timer starts DMA frames, and RUN waits for them",
        On::Vboard,
        |_| frames_of_a_timer(DMA_HZ),
    ),
    Test::new(
        "raspi3b: a timer starts frames on a board without DMA",
        On::Raspi3b,
        without_motor,
    ),
    Test::new(
        "triggers: a second thread that waits for a timer's frame gets EALREADY",
        On::Spi,
        one_waiter,
    ),
    Test::new(
        "triggers: removing the timer wakes the waiting thread",
        On::Spi,
        waiter_leaves,
    ),
    Test::new(
        "triggers: a waiting thread returns ETIME at its deadline",
        On::Spi,
        waiter_in_time,
    ),
    Test::new(
        "triggers: a signal ends the wait for a timer's frame",
        On::Spi,
        waiter_signalled,
    ),
    Test::new(
        "triggers: a timer's frame that finds the bus busy is counted as an overrun",
        On::Vboard,
        overruns,
    ),
];

fn frames_of_a_timer(speed: u32) -> Result<()> {
    let mut motor = Motor::on(speed)?;
    motor.set(0, 0);
    let before = board::number("motor_accepted")?;
    let device = &motor.frames.device;
    // The timer runs on the processor that calls SET_TRIGGER. It shall be the waiting thread's: see
    // `task::home`.
    task::oob(|| {
        let first = date(Duration::from_millis(50));
        accepted("SET_TRIGGER", device.set_timer(first, PERIOD_NS))?;
        for n in 0..40 {
            motor.frames.spoil(0);
            accepted("RUN", motor.frames.device.run())
                .with_context(|| format!("frame {n}, {:?}", device.stats()))?;
            motor.status()?;
            let earliest = first + n * PERIOD_NS;
            ensure!(
                date(Duration::ZERO) >= earliest,
                "frame {n} came before its date"
            );
        }
        Ok(())
    })?;
    // The timer also starts frames while no thread waits.
    let frames = device.stats()?.frames;
    ensure!(frames >= 40, "{frames} frames");
    eventually("ten frames more", || {
        Ok(device.stats()?.frames >= frames + 10)
    })?;
    accepted("SET_TRIGGER", device.set_trigger(abi::Trigger::default()))?;
    let stats = device.stats()?;
    thread::sleep(Duration::from_millis(50));
    ensure!(
        device.stats()?.frames == stats.frames,
        "the timer still starts frames"
    );
    ensure!(stats.timeouts == 0, "{stats:?}");
    let grew = board::number("motor_accepted")? - before;
    ensure!(
        grew == stats.frames,
        "{} frames, {grew} commands",
        stats.frames
    );
    task::oob(|| accepted("RUN after the timer was removed", motor.frames.device.run()))
}

fn without_motor(_: &Guest) -> Result<()> {
    let frames = Frames::on(0, 16, 0)?;
    task::oob(|| {
        accepted("SET_TRIGGER", frames.device.set_timer(0, PERIOD_NS))?;
        for _ in 0..40 {
            accepted("RUN", frames.device.run())?;
        }
        Ok(())
    })?;
    let stats = frames.device.stats()?;
    ensure!(stats.frames >= 40 && stats.timeouts == 0, "{stats:?}");
    Ok(())
}

/// A chip select whose timer starts its first frame in 600 s.
fn far_timer() -> Result<Frames> {
    let frames = Frames::on(0, 16, 0)?;
    let first = date(Duration::from_secs(600));
    accepted("SET_TRIGGER", frames.device.set_timer(first, PERIOD_NS))?;
    Ok(frames)
}

fn one_waiter(_: &Guest) -> Result<()> {
    let frames = far_timer()?;
    let device = &frames.device;
    let spot = Spot::default();
    thread::scope(|scope| {
        let first = scope.spawn(|| {
            let _attached = task::become_oob(task::home()?)?;
            spot.here();
            refused("RUN of the first thread", device.run(), Errno::AGAIN)
        });
        let second = spot.asleep().and_then(|_| {
            task::oob(|| {
                (0..20).try_for_each(|_| refused("a second RUN", device.run(), Errno::ALREADY))
            })
        });
        // Removing the timer wakes the first thread.
        let removed = accepted("SET_TRIGGER", device.set_trigger(abi::Trigger::default()));
        second.and(removed).and(task::join(first))
    })
}

/// Lets a thread wait for a frame that is far away, and calls `end`. The thread's RUN must return
/// one of `errnos`.
fn leaves(end: impl FnOnce(&Frames) -> Result<()>, errnos: &[Errno]) -> Result<()> {
    let frames = far_timer()?;
    let spot = Spot::default();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let _attached = task::become_oob(task::home()?)?;
            spot.here();
            match frames.device.run() {
                Err(errno) if errnos.contains(&errno) => Ok(()),
                other => bail!("RUN ended with {other:?}"),
            }
        });
        let result = spot.asleep().and_then(|_| end(&frames));
        task::join(waiter)?;
        result
    })
}

fn waiter_leaves(_: &Guest) -> Result<()> {
    let by_call = |frames: &Frames| {
        let call = abi::Trigger::default();
        accepted("SET_TRIGGER", frames.device.set_trigger(call))
    };
    leaves(by_call, &[Errno::AGAIN])?;
    let off = |frames: &Frames| accepted("DISABLE", frames.device.disable());
    leaves(off, &[Errno::SHUTDOWN, Errno::NXIO])
}

fn waiter_in_time(_: &Guest) -> Result<()> {
    let frames = far_timer()?;
    task::oob(|| {
        let deadline = date(Duration::from_millis(100));
        refused("RUN_UNTIL", frames.device.run_until(deadline), Errno::TIME)?;
        let late = date(Duration::ZERO).saturating_sub(deadline);
        ensure!(
            late < HANG.as_nanos() as u64,
            "{late} ns after the deadline"
        );
        Ok(())
    })?;
    ensure!(frames.device.stats()?.missed == 1, "not counted");
    Ok(())
}

fn waiter_signalled(_: &Guest) -> Result<()> {
    task::take_interrupts();
    let frames = far_timer()?;
    let spot = Spot::default();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let _attached = task::become_oob(task::home()?)?;
            spot.here();
            refused("RUN", frames.device.run(), Errno::INTR)
        });
        task::interrupt(spot.asleep()?);
        task::join(waiter)
    })?;
    // SIGKILL ends the wait, too.
    drop(frames);
    let mut child = task::fork(|parent| {
        let frames = far_timer()?;
        task::oob(|| {
            parent.ready()?;
            Ok(frames.device.run()?)
        })
    })?;
    child.ready()?;
    child.asleep()?;
    ensure!(child.kill()?.signaled(), "the child was not killed");
    let frames = Frames::on(0, 16, 0)?;
    task::oob(|| accepted("RUN afterwards", frames.device.run()))
}

/// The slow frame begins well before the timer's first date and ends well after it. So the timer
/// finds the bus busy.
fn overruns(_: &Guest) -> Result<()> {
    const WIRE: Duration = Duration::from_millis(1_300);
    const FIRST: Duration = Duration::from_millis(800);
    let mut motor = Motor::on(FIFO_HZ)?;
    motor.set(0, 0);
    let timed = &motor.frames.device;
    let slow = Frames::on(2, 16_250, 100_000)?;
    let wire_ns = accepted("GET_INFO", slow.device.info())?.wire_ns;
    ensure!(
        wire_ns >= WIRE.as_nanos() as u64,
        "the slow frame takes {wire_ns} ns"
    );
    let dates = task::oob(|| {
        let start = date(Duration::ZERO);
        let first = start + FIRST.as_nanos() as u64;
        accepted("SET_TRIGGER", timed.set_timer(first, PERIOD_NS))?;
        accepted("RUN of the slow frame", slow.device.run())?;
        // The slow frame ended after this date at the earliest.
        Ok((start + wire_ns - first) / PERIOD_NS)
    })?;
    // A timer that is late counts its missed dates when it comes.
    eventually("an overrun for each date during the slow frame", || {
        Ok(timed.stats()?.overruns >= dates)
    })?;
    let stats = timed.stats()?;
    ensure!(stats.timeouts == 0, "{stats:?}");
    eventually("the timer goes on", || {
        Ok(timed.stats()?.frames > stats.frames)
    })
}
