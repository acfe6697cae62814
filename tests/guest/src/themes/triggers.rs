// SPDX-License-Identifier: GPL-2.0-only

//! Frames that a timer starts.

use crate::support::board;
use crate::support::check::{accepted, eventually, refused};
use crate::support::frames::Frames;
use crate::support::motor::{DMA_HZ, FIFO_HZ, Motor};
use crate::support::task::{self, Spot, date};
use crate::test::{Guest, On, Test};
use anyhow::{Context, Result, bail, ensure};
use oobkit_abi::spi as abi;
use rustix::io::Errno;
use std::sync::atomic::{AtomicU32, Ordering};
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
    // Where SET_TRIGGER is called, there the timer is: on the waiting thread's processor, see `task::home`.
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
    // It goes on with nobody waiting.
    let frames = device.stats()?.frames;
    ensure!(frames >= 40, "{frames} frames");
    eventually("ten frames more", Duration::from_secs(10), || {
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
    task::oob(|| accepted("RUN by the call again", motor.frames.device.run()))
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

/// Frames whose timer starts none for a long time.
fn far_timer() -> Result<Frames> {
    let frames = Frames::on(0, 16, 0)?;
    let first = date(Duration::from_secs(600));
    accepted("SET_TRIGGER", frames.device.set_timer(first, PERIOD_NS))?;
    Ok(frames)
}

fn one_waiter(_: &Guest) -> Result<()> {
    let frames = far_timer()?;
    let told = AtomicU32::new(0);
    let start = std::time::Instant::now();
    // Both wait again and again; whoever comes second is told so.
    let wait = || {
        let _attached = task::become_oob(task::home()?)?;
        while told.load(Ordering::Relaxed) < 20 && start.elapsed() < Duration::from_secs(20) {
            match frames.device.run_until(date(Duration::from_millis(20))) {
                Err(Errno::TIME | Errno::STALE) => {}
                Err(Errno::ALREADY) => {
                    told.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(1));
                }
                other => bail!("a wait ended with {other:?}"),
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads = [scope.spawn(wait), scope.spawn(wait)];
        threads.into_iter().try_for_each(task::join)
    })?;
    ensure!(
        told.load(Ordering::Relaxed) >= 20,
        "two threads waited at once"
    );
    Ok(())
}

/// Has a thread wait for a frame that is far away, calls `end`, and looks what the thread is told.
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
        ensure!(late < 2_000_000_000, "{late} ns after the deadline");
        Ok(())
    })?;
    ensure!(frames.device.stats()?.missed == 1, "not counted");
    Ok(())
}

fn waiter_signalled(_: &Guest) -> Result<()> {
    extern "C" fn nothing(_: i32) {}
    let handler = nothing as extern "C" fn(i32);
    // SAFETY: the handler does nothing, which is safe at any moment.
    let before = unsafe { libc::signal(libc::SIGUSR1, handler as libc::sighandler_t) };
    ensure!(before != libc::SIG_ERR, "no handler");
    let frames = far_timer()?;
    let spot = Spot::default();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let _attached = task::become_oob(task::home()?)?;
            spot.here();
            refused("RUN", frames.device.run(), Errno::INTR)
        });
        let (process, tid) = (std::process::id(), spot.asleep()?);
        // SAFETY: signals a thread of this process, which has a handler for it.
        unsafe { libc::syscall(libc::SYS_tgkill, process, tid, libc::SIGUSR1) };
        task::join(waiter)
    })?;
    // A killed process's thread leaves, too.
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

fn overruns(_: &Guest) -> Result<()> {
    let mut motor = Motor::on(FIFO_HZ)?;
    motor.set(0, 0);
    // 82 ms on the wire.
    let slow = Frames::on(2, 1024, 100_000)?;
    accepted("SET_TRIGGER", motor.frames.device.set_timer(0, PERIOD_NS))?;
    task::oob(|| {
        for _ in 0..3 {
            match slow.device.run() {
                Ok(()) | Err(Errno::ALREADY) => {}
                Err(errno) => bail!("RUN beside a timer: {errno}"),
            }
        }
        Ok(())
    })?;
    let slow = slow.device.stats()?;
    ensure!(slow.frames > 0, "no frame got between the timer's");
    // Each slow frame is in the way of 16 of the timer's; a timer that is late counts them when it comes.
    eventually("overruns", Duration::from_secs(5), || {
        Ok(motor.frames.device.stats()?.overruns >= 10 * slow.frames)
    })?;
    let stats = motor.frames.device.stats()?;
    ensure!(stats.timeouts == 0, "{stats:?}");
    let frames = stats.frames;
    eventually("the timer goes on", Duration::from_secs(5), || {
        Ok(motor.frames.device.stats()?.frames > frames)
    })
}
