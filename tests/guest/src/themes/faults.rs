// SPDX-License-Identifier: GPL-2.0-only

//! Failing hardware: a frame that does not end times out, and the next frame works.

use crate::support::board::Fault;
use crate::support::check::{accepted, refused};
use crate::support::device::Device;
use crate::support::frames::Frames;
use crate::support::motor::{DMA_HZ, Motor};
use crate::support::task::{self, Spot, date};
use crate::test::{Guest, On, Test};
use anyhow::{Result, bail, ensure};
use rustix::io::Errno;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const TESTS: &[Test] = &[
    Test::smoke(
        "faults: RUN returns ETIMEDOUT when the completion interrupt is lost, and the next RUN works",
        On::Vboard,
        |_| recovers("fault_lost_irqs", 1, Errno::TIMEDOUT),
    ),
    Test::new(
        "faults: RUN returns ETIMEDOUT when the TX request never comes, and the next RUN works",
        On::Vboard,
        |_| recovers("fault_tx_dreq", 1, Errno::TIMEDOUT),
    ),
    Test::new(
        "faults: RUN returns ETIMEDOUT when the RX request never comes, and the next RUN works",
        On::Vboard,
        |_| recovers("fault_rx_dreq", 1, Errno::TIMEDOUT),
    ),
    Test::new(
        "faults: RUN returns ETIMEDOUT when the DMA channels hang, and the next RUN works",
        On::Vboard,
        |_| recovers("fault_hung_channels", 0xffff, Errno::TIMEDOUT),
    ),
    Test::new(
        "faults: RUN returns EREMOTEIO after a bus error, and the next RUN works",
        On::Vboard,
        |_| recovers("fault_bus_error_at", SPI_FIFO, Errno::REMOTEIO),
    ),
    Test::new(
        "faults: RUN returns ETIMEDOUT when the timer's frame that it waits for times out",
        On::Vboard,
        timer_frame,
    ),
    Test::new(
        "faults: DISABLE returns although a frame never ends, and the next session works",
        On::Vboard,
        disable_with_stuck_frame,
    ),
    Test::new(
        "faults: RUN and GET_INFO return ESHUTDOWN while DISABLE waits for a frame",
        On::Vboard,
        call_during_disable,
    ),
    Test::new(
        "faults: close in the middle of a DMA frame waits for the frame's end",
        On::Vboard,
        close_in_frame,
    ),
    Test::new(
        "faults: a process that is killed in the middle of a DMA frame leaves the bus free",
        On::Vboard,
        killed_in_frame,
    ),
];

/// The bus address of the SPI block's FIFO.
const SPI_FIFO: u64 = 0x7e20_4004;

/// One faulty frame between good ones, five times. A bus error during DMA raises no interrupt, so
/// the driver finds it when the frame times out, like the other faults.
fn recovers(fault: &'static str, value: u64, errno: Errno) -> Result<()> {
    let mut motor = Motor::on(DMA_HZ)?;
    motor.frames.must_be_dma()?;
    let limit = accepted("GET_INFO", motor.frames.device.info())?.limit_ns;
    task::oob(move || {
        for round in 1..=5 {
            motor.works(3)?;
            let fault = Fault::new(fault, value)?;
            motor.set(0, 0);
            let start = Instant::now();
            refused("RUN", motor.frames.device.run(), errno)?;
            let took = start.elapsed();
            // The lower bound is the promise. The upper one only rules out a wait by another clock.
            ensure!(
                took >= Duration::from_nanos(limit) && took < Duration::from_secs(8),
                "given up after {took:?} with a limit of {limit} ns"
            );
            drop(fault);
            // The motor may have received the whole command or a part of it, so its sequence number
            // is set anew.
            motor.set(0, 0);
            accepted("the next RUN", motor.frames.device.run())?;
            motor.status()?;
            motor.works(3)?;
            let stats = motor.frames.device.stats()?;
            let counted = match errno {
                Errno::REMOTEIO => (0, round),
                _ => (round, 0),
            };
            ensure!(
                (stats.timeouts, stats.bus_errors) == counted && stats.frames == 7 * round,
                "round {round}: {stats:?}"
            );
        }
        Ok(())
    })
}

fn timer_frame(_: &Guest) -> Result<()> {
    let motor = Motor::on(DMA_HZ)?;
    let device = &motor.frames.device;
    task::oob(|| {
        accepted("SET_TRIGGER", device.set_timer(0, 100_000_000))?;
        accepted("RUN", device.run())?;
        let fault = Fault::new("fault_hung_channels", 0xffff)?;
        let mut result = device.run();
        // A good frame may have ended just before the fault, and this call then returned its
        // result.
        if result.is_ok() {
            result = device.run();
        }
        refused("RUN", result, Errno::TIMEDOUT)?;
        drop(fault);
        for _ in 0..5 {
            if device.run().is_ok() {
                return motor.status().map(drop);
            }
        }
        bail!("the timer's frames fail after the fault is gone")
    })
}

fn disable_with_stuck_frame(_: &Guest) -> Result<()> {
    for start_by_timer in [false, true] {
        let frames = a_second()?;
        let device = &frames.device;
        let fault = Fault::new("fault_hung_channels", 0xffff)?;
        if start_by_timer {
            // Timers of one processor expire in order. So the frame has begun when this sleep ends.
            task::oob(|| {
                let first = date(Duration::from_millis(5));
                accepted("SET_TRIGGER", device.set_timer(first, 5_000_000_000))?;
                thread::sleep(Duration::from_millis(20));
                Ok(())
            })?;
            accepted("DISABLE", device.disable())?;
        } else {
            let spot = Spot::default();
            thread::scope(|scope| {
                let runner = scope.spawn(|| {
                    let _attached = task::become_oob(task::home()?)?;
                    spot.here();
                    refused("RUN", device.run(), Errno::TIMEDOUT)
                });
                let sleeps = spot.asleep();
                let disabled = accepted("DISABLE", device.disable());
                task::join(runner)?;
                sleeps.and(disabled)
            })?;
        }
        drop(fault);
        drop(frames);
        let mut motor = Motor::on(DMA_HZ)?;
        task::oob(move || motor.works(5))?;
    }
    Ok(())
}

/// Frames that take a second on the wire, by DMA.
fn a_second() -> Result<Frames> {
    let frames = Frames::on(2, 65_000, 500_000)?;
    frames.must_be_dma()?;
    Ok(frames)
}

fn call_during_disable(_: &Guest) -> Result<()> {
    // On a slow machine the frame may be over before DISABLE waits for it.
    for _ in 0..8 {
        if told_during_disable()? {
            return Ok(());
        }
    }
    bail!("in eight rounds, no call came while DISABLE waited");
}

/// Whether RUN and GET_INFO returned ESHUTDOWN while DISABLE waited for a frame's end.
fn told_during_disable() -> Result<bool> {
    let frames = a_second()?;
    let device = &frames.device;
    let spot = Spot::default();
    let told = thread::scope(|scope| {
        let runner = scope.spawn(|| {
            let _attached = task::become_oob(task::home()?)?;
            spot.here();
            accepted("the RUN under way", device.run())
        });
        spot.asleep()?;
        let late = scope.spawn(|| {
            let _attached = task::become_oob(task::home()?)?;
            let mut told = false;
            loop {
                match (device.run(), device.info()) {
                    (Err(Errno::SHUTDOWN), Err(Errno::SHUTDOWN)) => told = true,
                    // DISABLE has not begun, and the frame is under way.
                    (Err(Errno::ALREADY), _) => {}
                    // DISABLE began or ended between the two calls.
                    (Err(Errno::SHUTDOWN), Ok(_) | Err(Errno::NXIO)) => {}
                    (Ok(()), _) if !told => {}
                    (Err(Errno::NXIO), Err(Errno::NXIO)) => return Ok(told),
                    other => bail!("RUN and GET_INFO during DISABLE: {other:?}, told: {told}"),
                }
                thread::sleep(Duration::from_millis(1));
            }
        });
        let disabler = scope.spawn(|| {
            thread::sleep(Duration::from_millis(50));
            accepted("DISABLE", device.disable())
        });
        let results = [task::join(runner), task::join(disabler)];
        let told = task::join(late);
        results.into_iter().collect::<Result<()>>()?;
        told
    })?;
    refused("DISABLE afterwards", device.disable(), Errno::NXIO)?;
    Ok(told)
}

fn close_in_frame(_: &Guest) -> Result<()> {
    let frames = a_second()?;
    let Frames {
        device,
        mapping,
        setup,
    } = frames;
    mapping.write(0, &vec![0x55; setup.frame_len as usize]);
    let fd = device.into_raw();
    let spot = Spot::default();
    thread::scope(|scope| {
        let runner = scope.spawn(|| {
            let _attached = task::become_oob(task::home()?)?;
            spot.here();
            let run = oobkit_abi::spi::RUN_OOB_XFER;
            let result = crate::support::device::call(fd, run, 0);
            accepted("the RUN under way", result.map(drop))
        });
        spot.asleep()?;
        // SAFETY: `into_raw` gave this descriptor to the test, and nothing else closes it.
        let result = unsafe { libc::close(fd) };
        let mut seen = vec![0; setup.frame_len as usize];
        mapping.read(0, &mut seen);
        task::join(runner)?;
        ensure!(result == 0, "close failed");
        ensure!(
            seen.iter().all(|byte| *byte == 0xff),
            "close returned before the frame ended, or cut it short"
        );
        Ok(())
    })?;
    let device = Device::open(2)?;
    accepted("ENABLE afterwards", device.enable(1024, 20_000_000))?;
    task::oob(|| accepted("RUN afterwards", device.run()))
}

fn killed_in_frame(_: &Guest) -> Result<()> {
    let mut child = task::fork(|parent| {
        let frames = a_second()?;
        task::oob(|| {
            parent.ready()?;
            Ok(frames.device.run()?)
        })
    })?;
    child.ready()?;
    child.asleep()?;
    ensure!(child.kill()?.signaled(), "the child was not killed");
    let mut motor = Motor::on(DMA_HZ)?;
    task::oob(move || motor.works(20))
}
