// SPDX-License-Identifier: GPL-2.0-only

//! The controller as an ordinary SPI controller: mainline's spidev uses it when oob mode is off.

use crate::support::board::set_parameter;
use crate::support::check::{HANG, accepted, eventually, refused};
use crate::support::device::Device;
use crate::support::frames::Frames;
use crate::support::motor::{self, DMA_HZ, FIFO_HZ, Motor};
use crate::support::task;
use crate::test::{Guest, On, Test};
use anyhow::{Context, Result, bail, ensure};
use motor_frame::{Command, FRAME_LEN};
use oobkit::inband::{Spidev, TransferError};
use oobkit_abi::spi as abi;
use rustix::io::Errno;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use zerocopy::IntoBytes;

pub(crate) const TESTS: &[Test] = &[
    Test::new(
        "in-band: spidev returns the motor's status while oob mode is off",
        On::Vboard,
        spidev,
    ),
    Test::new(
        "in-band: a message uses its own speed and length, and its device's mode",
        On::Vboard,
        lengths,
    ),
    Test::new(
        "in-band: oob frames and spidev messages in turn both return right data",
        On::Vboard,
        in_turn,
    ),
    Test::smoke(
        "in-band: a message waits while oob mode is on, and runs afterwards",
        On::Spi,
        waits,
    ),
    Test::new(
        "in-band: a message that waits longer than inband_wait_ms fails with EBUSY",
        On::Spi,
        busy,
    ),
    Test::new(
        "in-band: a process that is killed while its message waits ends within inband_wait_ms",
        On::Spi,
        killed,
    ),
    Test::new(
        "in-band: a message of oob mode's owner waits without a deadlock",
        On::Spi,
        own_message,
    ),
    Test::new(
        "in-band: spidev's setup calls do not disturb oob frames",
        On::Vboard,
        set_up,
    ),
    Test::new(
        "in-band: ENABLE succeeds during endless in-band traffic",
        On::Spi,
        endless,
    ),
    Test::new(
        "in-band: ENABLE fails when a message holds the bus longer than enable_wait_ms",
        On::Vboard,
        held,
    ),
];

fn open() -> Result<Spidev> {
    let mut spidev = Spidev::open_path("/dev/spidev0.0")?;
    spidev.configure(0, FIFO_HZ)?;
    Ok(spidev)
}

/// Sends one motor frame through spidev. Returns the sequence number in the answer.
fn motor_frame(spidev: &mut Spidev, sequence: u16) -> Result<u16> {
    let mut rx = [0; FRAME_LEN];
    spidev.transfer(Command::new(sequence, 0, 0).as_bytes(), &mut rx)?;
    Ok(motor::status(&rx)?.sequence.get())
}

fn spidev(guest: &Guest) -> Result<()> {
    let mut spidev = open()?;
    for speed in [FIFO_HZ, DMA_HZ] {
        spidev.configure(0, speed)?;
        motor_frame(&mut spidev, 0)?;
        for n in 1..guest.count(200, 5000) as u16 {
            let seen = motor_frame(&mut spidev, n)?;
            ensure!(
                seen == n - 1,
                "frame {n}: the motor's last command is {seen}"
            );
        }
    }
    Ok(())
}

fn lengths(_: &Guest) -> Result<()> {
    let mut spidev = open()?;
    for speed in [100_000_u32, 20_000_000] {
        spidev.configure(0, speed)?;
        for len in [1, 15, 17, 63, 64, 65, 96, 1000, 4096] {
            let mut rx = vec![0x55; len];
            let start = Instant::now();
            spidev.transfer(&vec![0; len], &mut rx)?;
            let least = Duration::from_nanos(len as u64 * 8 * 1_000_000_000 / u64::from(speed));
            ensure!(
                start.elapsed() >= least,
                "{len} bytes at {speed} Hz in {:?}",
                start.elapsed()
            );
            if len >= FRAME_LEN {
                motor::status(&rx[..FRAME_LEN])?;
                // After its status, the motor sends zeroes.
                let rest = &rx[FRAME_LEN..];
                ensure!(rest.iter().all(|byte| *byte == 0), "{len} bytes: {rx:02x?}");
            }
        }
    }
    Ok(())
}

fn in_turn(guest: &Guest) -> Result<()> {
    let mut spidev = open()?;
    task::oob(|| {
        for round in 0..guest.count(30, 300) {
            let speed = if round % 2 == 0 { FIFO_HZ } else { DMA_HZ };
            let mut motor = Motor::on(speed)?;
            motor.works(5)?;
            accepted("DISABLE", motor.frames.device.disable())?;
            motor_frame(&mut spidev, 7)?;
            let seen = motor_frame(&mut spidev, 8)?;
            ensure!(seen == 7, "round {round}: {seen}");
        }
        Ok(())
    })
}

fn waits(_: &Guest) -> Result<()> {
    set_parameter("inband_wait_ms", 200_000)?;
    let mut spidev = open()?;
    let frames = Frames::on(0, 16, FIFO_HZ)?;
    let done = AtomicBool::new(false);
    let spot = task::Spot::default();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let mut rx = [0; FRAME_LEN];
            spot.here();
            let result = spidev.transfer(&[0; FRAME_LEN], &mut rx);
            done.store(true, Ordering::Release);
            result.context("the message that waited")
        });
        let sleeps = spot.waits();
        let during = task::oob(|| {
            for _ in 0..50 {
                accepted("RUN", frames.device.run())?;
                thread::sleep(Duration::from_millis(10));
            }
            ensure!(!done.load(Ordering::Acquire), "the message did not wait");
            Ok(())
        });
        let disabled = accepted("DISABLE", frames.device.disable());
        let waited = task::join(waiter);
        sleeps.and(during).and(disabled).and(waited)
    })
}

fn busy(_: &Guest) -> Result<()> {
    set_parameter("inband_wait_ms", 200)?;
    let mut spidev = open()?;
    let frames = Frames::on(0, 16, FIFO_HZ)?;
    for _ in 0..3 {
        let start = Instant::now();
        let mut rx = [0; FRAME_LEN];
        let result = spidev.transfer(&[0; FRAME_LEN], &mut rx);
        ensure!(result == Err(TransferError::Busy), "{result:?}");
        let took = start.elapsed();
        ensure!(
            took >= Duration::from_millis(200) && took < HANG,
            "failed after {took:?}"
        );
    }
    task::oob(|| accepted("RUN afterwards", frames.device.run()))?;
    accepted("DISABLE", frames.device.disable())?;
    let mut rx = [0; FRAME_LEN];
    spidev
        .transfer(&[0; FRAME_LEN], &mut rx)
        .context("after DISABLE")
}

fn killed(_: &Guest) -> Result<()> {
    // The child must be killed before this limit.
    let limit = Duration::from_secs(3);
    set_parameter("inband_wait_ms", 3000)?;
    let mut child = task::fork(|parent| {
        let mut spidev = open()?;
        parent.wait()?;
        let mut rx = [0; FRAME_LEN];
        Ok(spidev.transfer(&[0; FRAME_LEN], &mut rx)?)
    })?;
    let frames = Frames::on(0, 16, FIFO_HZ)?;
    let start = Instant::now();
    child.go()?;
    child.asleep()?;
    let killed = start.elapsed();
    ensure!(killed < limit, "killed only after {killed:?}");
    ensure!(child.kill()?.signaled(), "the child was not killed");
    let took = start.elapsed();
    // No signal ends the wait, since mainline's drivers expect that signals do not disturb an SPI
    // transfer.
    ensure!(
        took >= limit && took < limit + HANG,
        "ended {took:?} after its message, killed after {killed:?}"
    );
    task::oob(|| accepted("RUN afterwards", frames.device.run()))?;
    accepted("DISABLE", frames.device.disable())?;
    let mut rx = [0; FRAME_LEN];
    Ok(open()?.transfer(&[0; FRAME_LEN], &mut rx)?)
}

fn own_message(_: &Guest) -> Result<()> {
    set_parameter("inband_wait_ms", 300)?;
    let mut spidev = open()?;
    let frames = Frames::on(0, 16, FIFO_HZ)?;
    let mut rx = [0; FRAME_LEN];
    // This thread cannot leave oob mode while it waits for the end of oob mode.
    let result = spidev.transfer(&[0; FRAME_LEN], &mut rx);
    ensure!(result == Err(TransferError::Busy), "{result:?}");
    accepted("DISABLE", frames.device.disable())?;
    spidev
        .transfer(&[0; FRAME_LEN], &mut rx)
        .context("after DISABLE")
}

fn set_up(guest: &Guest) -> Result<()> {
    let mut spidev = open()?;
    for speed in [FIFO_HZ, DMA_HZ] {
        let mut motor = Motor::on(speed)?;
        let over = AtomicBool::new(false);
        let count = AtomicU32::new(0);
        thread::scope(|scope| {
            let meddler = scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let n = count.fetch_add(1, Ordering::Relaxed);
                    spidev.configure(n % 4, 1_000_000 + n)?;
                }
                Ok(spidev.configure(0, FIFO_HZ)?)
            });
            // Repeats until spidev was set up during the frames.
            let works = eventually("setup calls during frames", || {
                let before = count.load(Ordering::Relaxed);
                task::oob(|| motor.works(guest.count(100, 10_000)))?;
                Ok(count.load(Ordering::Relaxed) > before.saturating_add(1))
            });
            over.store(true, Ordering::Relaxed);
            task::join(meddler)?;
            works
        })?;
    }
    Ok(())
}

fn endless(guest: &Guest) -> Result<()> {
    // The promise is about ENABLE: no message may give up, however long a session takes on a slow
    // machine.
    set_parameter("inband_wait_ms", 200_000)?;
    let over = AtomicBool::new(false);
    let messages = AtomicU32::new(0);
    let traffic = || -> Result<()> {
        let mut spidev = open()?;
        let (tx, mut rx) = ([0; 256], [0; 256]);
        while !over.load(Ordering::Relaxed) {
            match spidev.transfer(&tx, &mut rx) {
                Ok(()) => _ = messages.fetch_add(1, Ordering::Relaxed),
                Err(error) => bail!("in-band traffic: {error}"),
            }
        }
        Ok(())
    };
    let device = Device::open(0)?;
    thread::scope(|scope| {
        let traffic: Vec<_> = (0..4).map(|_| scope.spawn(traffic)).collect();
        let result = (0..guest.count(30, 1000)).try_for_each(|n| {
            accepted(&format!("ENABLE {n}"), device.enable(64, FIFO_HZ))?;
            task::oob(|| accepted("RUN", device.run()))?;
            accepted("DISABLE", device.disable())?;
            let before = messages.load(Ordering::Relaxed);
            eventually("the traffic goes on", || {
                Ok(messages.load(Ordering::Relaxed) > before)
            })
        });
        over.store(true, Ordering::Relaxed);
        for thread in traffic {
            task::join(thread)?;
        }
        result
    })
}

fn held(_: &Guest) -> Result<()> {
    set_parameter("enable_wait_ms", 50)?;
    let mut spidev = open()?;
    // The message takes 655 ms on the wire.
    spidev.configure(0, 50_000)?;
    let device = Device::open(0)?;
    let spot = task::Spot::default();
    thread::scope(|scope| {
        let holder = scope.spawn(|| {
            spot.here();
            let mut rx = [0; 4096];
            spidev.transfer(&[0; 4096], &mut rx)?;
            motor::status(&rx[..FRAME_LEN]).map(drop)
        });
        spot.asleep()?;
        let before = device.stats()?.rejected;
        let result = refused("ENABLE", device.enable(16, FIFO_HZ), Errno::TIME);
        let counted = device.stats()?.rejected;
        task::join(holder)?;
        ensure!(counted == before + 1, "the refusal is not counted");
        result
    })?;
    refused(
        "DISABLE afterwards",
        device.call(abi::DISABLE_OOB_MODE, 0),
        Errno::NXIO,
    )?;
    // After the refused ENABLE, messages are not held back.
    spidev.configure(0, FIFO_HZ)?;
    motor_frame(&mut spidev, 1)?;
    accepted("ENABLE afterwards", device.enable(16, FIFO_HZ).map(drop))
}
