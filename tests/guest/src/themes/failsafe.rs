// SPDX-License-Identifier: GPL-2.0-only

//! The stop frame: the motor brakes when its owner ends, fails or hangs.

use crate::support::board::Fault;
use crate::support::check::{accepted, eventually, refused};
use crate::support::device::Device;
use crate::support::motor::{self, DMA_HZ, FIFO_HZ, Motor};
use crate::support::task::{self, become_fifo, try_attach};
use crate::test::{Guest, On, Test};
use anyhow::{Result, ensure};
use motor_frame::{Command, DRIVE_FULL, FLAG_BRAKE, FLAG_ENABLE};
use oobkit::spi;
use oobkit_abi::spi as abi;
use rustix::io::Errno;
use std::thread;
use std::time::Duration;
use zerocopy::IntoBytes;

/// Each test runs on both paths.
const SPEEDS: [u32; 2] = [FIFO_HZ, DMA_HZ];

pub(crate) const TESTS: &[Test] = &[
    Test::new("fail-safe: close sends the stop frame", On::Vboard, close),
    Test::smoke(
        "fail-safe: the kernel sends the stop frame when the owner is killed",
        On::Vboard,
        killed,
    ),
    Test::new(
        "fail-safe: miss_limit missed deadlines in a row send the stop frame",
        On::Vboard,
        misses,
    ),
    Test::new(
        "fail-safe: a good frame sets the count of missed deadlines back to zero",
        On::Vboard,
        row,
    ),
    Test::new(
        "fail-safe: the watchdog sends the stop frame when the owner makes no call",
        On::Vboard,
        hung,
    ),
    Test::new(
        "fail-safe: the watchdog sends nothing while the owner calls in time",
        On::Vboard,
        alive,
    ),
    Test::new(
        "fail-safe: frames that time out count as missed deadlines",
        On::Vboard,
        stuck,
    ),
    Test::new(
        "fail-safe: unbinding the driver sends the stop frame",
        On::Vboard,
        unbound,
    ),
    Test::new(
        "fail-safe: DISABLE sends no stop frame, nor does close when none is set",
        On::Vboard,
        none,
    ),
    Test::new(
        "fail-safe: dropping a session of crate oobkit sends the stop frame, Session::disable does not",
        On::Vboard,
        library,
    ),
    Test::new(
        "fail-safe: the program cannot change the stop frame through its mapping",
        On::Vboard,
        out_of_reach,
    ),
];

/// Drives the motor, with a braking command as the stop frame. The calling thread must be attached.
fn driven(speed: u32, miss_limit: u32, watch_ns: u64) -> Result<Motor> {
    let mut motor = Motor::on(speed)?;
    motor.frames.fill(Command::new(0, FLAG_BRAKE, 0).as_bytes());
    accepted(
        "SET_STOP",
        motor.frames.device.set_stop(miss_limit, watch_ns),
    )?;
    motor.exchange(FLAG_ENABLE, DRIVE_FULL / 4)?;
    ensure!(motor::flags()? == FLAG_ENABLE, "the motor is not driven");
    Ok(motor)
}

fn brakes() -> Result<()> {
    let flags = motor::flags()?;
    ensure!(
        flags == FLAG_BRAKE,
        "the motor does not brake: flags {flags:#x}"
    );
    Ok(())
}

fn close(_: &Guest) -> Result<()> {
    for speed in SPEEDS {
        task::oob(|| {
            drop(driven(speed, 0, 0)?);
            brakes()
        })?;
    }
    Ok(())
}

fn killed(_: &Guest) -> Result<()> {
    for speed in SPEEDS {
        let mut child = task::fork(|parent| {
            become_fifo()?;
            accepted("ATTACH", try_attach()?)?;
            let _motor = driven(speed, 0, 0)?;
            parent.ready()?;
            parent.wait()
        })?;
        child.ready()?;
        ensure!(motor::flags()? == FLAG_ENABLE, "the motor is not driven");
        ensure!(child.kill()?.signaled(), "the child was not killed");
        brakes()?;
    }
    Ok(())
}

/// Fails unless a chip select that sent its stop frame refuses calls, until DISABLE and ENABLE.
fn is_stopped(motor: &Motor) -> Result<()> {
    let device = &motor.frames.device;
    refused("RUN after the stop frame", device.run(), Errno::OWNERDEAD)?;
    refused(
        "RUN_UNTIL after the stop frame",
        device.run_until(u64::MAX),
        Errno::OWNERDEAD,
    )?;
    let mut list = crate::themes::list::list(&[0]);
    refused(
        "RUN_LIST after the stop frame",
        device.run_list(&mut list),
        Errno::OWNERDEAD,
    )?;
    refused(
        "SET_STOP after the stop frame",
        device.set_stop(0, 0),
        Errno::OWNERDEAD,
    )?;
    refused(
        "SET_TRIGGER after the stop frame",
        device.set_trigger(abi::Trigger::default()),
        Errno::OWNERDEAD,
    )?;
    accepted("GET_INFO after the stop frame", device.info())?;
    drop(accepted(
        "mmap after the stop frame",
        device.map(&motor.frames.setup),
    )?);
    let stats = device.stats()?;
    ensure!(stats.stops == 1, "{stats:?}");
    accepted("DISABLE after the stop frame", device.disable())?;
    accepted("ENABLE again", device.enable(16, FIFO_HZ))?;
    accepted("RUN again", device.run())
}

fn misses(_: &Guest) -> Result<()> {
    for speed in SPEEDS {
        task::oob(|| {
            let motor = driven(speed, 3, 0)?;
            for n in 1..=3 {
                ensure!(motor::flags()? == FLAG_ENABLE, "stopped before miss {n}");
                refused("a miss", motor.frames.device.run_until(1), Errno::STALE)?;
            }
            eventually("the motor brakes", || Ok(motor::flags()? == FLAG_BRAKE))?;
            is_stopped(&motor)
        })?;
    }
    Ok(())
}

fn row(_: &Guest) -> Result<()> {
    task::oob(|| {
        let mut motor = driven(FIFO_HZ, 3, 0)?;
        for _ in 0..5 {
            for _ in 0..2 {
                refused("a miss", motor.frames.device.run_until(1), Errno::STALE)?;
            }
            motor.set(FLAG_ENABLE, 0);
            accepted("a good frame", motor.frames.device.run())?;
        }
        ensure!(motor::flags()? == FLAG_ENABLE, "the motor is stopped");
        ensure!(
            motor.frames.device.stats()?.missed == 10,
            "misses are not counted"
        );
        Ok(())
    })
}

fn hung(_: &Guest) -> Result<()> {
    for speed in SPEEDS {
        task::oob(|| {
            let motor = driven(speed, 4, 50_000_000)?;
            eventually("the motor brakes", || Ok(motor::flags()? == FLAG_BRAKE))?;
            ensure!(
                motor.frames.device.stats()?.missed >= 4,
                "the watchdog sent the stop frame before miss_limit"
            );
            is_stopped(&motor)
        })?;
    }
    Ok(())
}

fn alive(_: &Guest) -> Result<()> {
    task::oob(|| {
        // The watchdog would stop an owner without calls after 3 s, and the loop takes longer. A
        // slow emulator may delay the owner by less than that.
        let mut motor = driven(FIFO_HZ, 30, 100_000_000)?;
        for _ in 0..80 {
            thread::sleep(Duration::from_millis(50));
            motor.exchange(FLAG_ENABLE, 0)?;
        }
        ensure!(motor::flags()? == FLAG_ENABLE, "the motor is stopped");
        ensure!(
            motor.frames.device.stats()?.stops == 0,
            "a stop frame was sent"
        );
        Ok(())
    })
}

fn stuck(_: &Guest) -> Result<()> {
    task::oob(|| {
        let mut motor = driven(DMA_HZ, 3, 0)?;
        motor.set(FLAG_ENABLE, 0);
        for _ in 0..3 {
            let _fault = Fault::new("fault_lost_irqs", 1)?;
            refused("RUN", motor.frames.device.run(), Errno::TIMEDOUT)?;
        }
        eventually("the motor brakes", || Ok(motor::flags()? == FLAG_BRAKE))?;
        is_stopped(&motor)
    })
}

fn unbound(guest: &Guest) -> Result<()> {
    for speed in SPEEDS {
        let motor = task::oob(|| driven(speed, 0, 0))?;
        let device = crate::support::modules::unbind()?;
        let result = brakes();
        crate::support::modules::bind_to(&device)?;
        crate::support::modules::load_all(guest.board)?;
        result?;
        refused("GET_INFO", motor.frames.device.info(), Errno::NODEV)?;
    }
    Ok(())
}

fn none(_: &Guest) -> Result<()> {
    task::oob(|| {
        let motor = driven(FIFO_HZ, 5, 0)?;
        accepted("DISABLE", motor.frames.device.disable())?;
        ensure!(
            motor::flags()? == FLAG_ENABLE,
            "DISABLE sent the stop frame"
        );
        drop(motor);
        ensure!(
            motor::flags()? == FLAG_ENABLE,
            "close after DISABLE sent the stop frame"
        );
        let mut motor = Motor::on(FIFO_HZ)?;
        motor.exchange(FLAG_ENABLE, 0)?;
        // A braking command in the TX area is not a stop frame.
        motor.frames.fill(Command::new(9, FLAG_BRAKE, 0).as_bytes());
        drop(motor);
        ensure!(
            motor::flags()? == FLAG_ENABLE,
            "close sent the TX area's content"
        );
        Ok(())
    })
}

fn library(_: &Guest) -> Result<()> {
    let driven = |speed| {
        let mut session = spi::Device::open(0, motor::CHIP_SELECT)?.enable(16, speed)?;
        let stop = Command::new(0, FLAG_BRAKE, 0);
        session.set_stop(stop.as_bytes(), spi::StopPolicy::default())?;
        session.write_tx(Command::new(1, FLAG_ENABLE, DRIVE_FULL / 4).as_bytes())?;
        session.run()?;
        ensure!(motor::flags()? == FLAG_ENABLE, "the motor is not driven");
        anyhow::Ok(session)
    };
    let stops = || anyhow::Ok(Device::open(motor::CHIP_SELECT)?.stats()?.stops);
    for speed in SPEEDS {
        task::oob(|| {
            drop(driven(speed)?);
            brakes()?;
            let sent = stops()?;
            ensure!(sent == 1, "{sent} stop frames");
            driven(speed)?.disable()?;
            ensure!(
                motor::flags()? == FLAG_ENABLE,
                "Session::disable sent the stop frame"
            );
            let sent = stops()?;
            ensure!(sent == 0, "{sent} stop frames");
            Ok(())
        })?;
    }
    Ok(())
}

fn out_of_reach(_: &Guest) -> Result<()> {
    for speed in SPEEDS {
        task::oob(|| {
            let motor = driven(speed, 0, 0)?;
            // Maps and overwrites every page that can be mapped.
            let page = rustix::param::page_size();
            let device: &Device = &motor.frames.device;
            let all = accepted("mmap", device.map_as(page, rustix::mm::MapFlags::SHARED, 0))?;
            all.write(0, &vec![0xee; page]);
            refused(
                "mmap of one page more",
                device.map_as(2 * page, rustix::mm::MapFlags::SHARED, 0),
                Errno::FBIG,
            )?;
            drop(motor);
            brakes()
        })?;
    }
    Ok(())
}
