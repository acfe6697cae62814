// SPDX-License-Identifier: GPL-2.0-only

//! Frames of the virtual board: both paths transfer the right bytes, in time, with the right chip
//! select.

use crate::support::board::{self, Board, Fault};
use crate::support::check::{HANG, accepted, refused};
use crate::support::device::Device;
use crate::support::frames::Frames;
use crate::support::motor::{DMA_HZ, FIFO_HZ, Motor, status};
use crate::support::random::Random;
use crate::support::task::{self, date};
use crate::test::{Guest, On, Test};
use anyhow::{Error, Result, bail, ensure};
use motor_frame::FLAG_ENABLE;
use oobkit_abi::spi as abi;
use rustix::io::Errno;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// A chip select without a device: every byte reads 0xff.
const UNCONNECTED: u8 = 2;

pub(crate) const TESTS: &[Test] = &[
    Test::new(
        "frames: FIFO frames return the motor's status",
        On::Vboard,
        |guest| motor_frames(guest, FIFO_HZ, abi::PATH_FIFO),
    ),
    Test::smoke(
        "frames: DMA frames return the motor's status",
        On::Vboard,
        |guest| motor_frames(guest, DMA_HZ, abi::PATH_DMA),
    ),
    Test::new(
        "frames: the test detects noise on the wire",
        On::Vboard,
        noise,
    ),
    Test::new(
        "frames: a frame of any length arrives whole, and changes no byte outside the RX area",
        On::Vboard,
        lengths,
    ),
    Test::new(
        "frames: 1024-byte frames to an unconnected chip select read 0xff",
        On::Vboard,
        unconnected,
    ),
    Test::new(
        "frames: the flash returns its ID and its content on both paths",
        On::Vboard,
        flash,
    ),
    Test::new(
        "frames: thousands of frames each end with their completion",
        On::Vboard,
        no_lost_completion,
    ),
    Test::new(
        "frames: RUN_UNTIL with a deadline in the past sends nothing",
        On::Vboard,
        too_late,
    ),
    Test::new(
        "frames: a deadline that passes during a frame does not cut the frame short",
        On::Vboard,
        late,
    ),
    Test::new(
        "frames: a second RUN at the same time returns EALREADY",
        On::Spi,
        two_threads,
    ),
    Test::new(
        "frames: chip-select delays are at least as long as SET_DELAYS says",
        On::Vboard,
        delays,
    ),
];

fn motor_frames(guest: &Guest, speed: u32, path: u32) -> Result<()> {
    let mut motor = Motor::on(speed)?;
    ensure!(
        motor.frames.path()? == path,
        "the frames use the wrong path"
    );
    let count = guest.count(1000, 10_000);
    let accepted_before = board::number("motor_accepted")?;
    let refused_before = board::number("motor_refused")?;
    let mut motor = task::oob(move || {
        motor.works(count)?;
        Ok(motor)
    })?;
    let grew = board::number("motor_accepted")? - accepted_before;
    ensure!(
        grew == u64::from(count),
        "{count} commands were sent, {grew} accepted"
    );
    ensure!(
        board::number("motor_refused")? == refused_before,
        "the motor refused commands"
    );
    // The motor obeys: its position changes.
    task::oob(move || {
        let start = motor.exchange(FLAG_ENABLE, motor_frame::DRIVE_FULL)?;
        thread::sleep(Duration::from_millis(50));
        let end = motor.exchange(0, 0)?;
        let way = end.position.get().wrapping_sub(start.position.get());
        ensure!(way > 100, "50 ms of full drive moved it by {way} counts");
        Ok(())
    })
}

fn noise(_: &Guest) -> Result<()> {
    let mut motor = Motor::on(FIFO_HZ)?;
    task::oob(move || {
        motor.works(20)?;
        let noise = Fault::new("fault_miso_noise", 20)?;
        let mut bad = 0;
        for _ in 0..200 {
            motor.set(0, 0);
            accepted("RUN", motor.frames.device.run())?;
            bad += u32::from(motor.status().is_err());
        }
        ensure!(
            (20..=180).contains(&bad),
            "{bad} of 200 frames were bad with one byte in 20 wrong"
        );
        drop(noise);
        motor.set(0, 0);
        accepted("RUN", motor.frames.device.run())?;
        motor.works(20)
    })
}

fn lengths(guest: &Guest) -> Result<()> {
    let mut cases: Vec<(u32, u32)> = Vec::new();
    cases.extend((1..=64).map(|len| (len, 62_500_000)));
    cases.extend((1..=64).map(|len| (len, 100_000)));
    cases.extend((65..=133).map(|len| (len, 62_500_000)));
    cases.extend([255, 1021, 1022, 1023, 4095, 4097, 65_531, 65_532].map(|len| (len, 62_500_000)));
    let every_third = guest.is_debug_kernel && !guest.long;
    let step = if every_third { 3 } else { 1 };
    for (len, speed) in cases.into_iter().step_by(step) {
        let frames = Frames::on(UNCONNECTED, len, speed)?;
        let path = frames.path()?;
        ensure!(
            len <= 64 || path == abi::PATH_DMA,
            "{len} bytes through the FIFO"
        );
        let whole = vec![0x55; frames.setup.iobuf_len as usize];
        frames.mapping.write(0, &whole);
        task::oob(|| accepted(&format!("RUN of {len} bytes"), frames.device.run()))?;
        let mut seen = whole.clone();
        frames.mapping.read(0, &mut seen);
        let (received, beside) = seen.split_at(len as usize);
        ensure!(
            received.iter().all(|byte| *byte == 0xff),
            "{len} bytes, path {path}: received {received:02x?}"
        );
        // DMA writes whole words, so it may write the rest of the last word, which is padding.
        let rounding = (len.next_multiple_of(4) - len) as usize;
        let rounding = if path == abi::PATH_DMA { rounding } else { 0 };
        ensure!(
            beside.iter().skip(rounding).all(|byte| *byte == 0x55),
            "{len} bytes, path {path}: bytes beside the frame changed"
        );
    }
    Ok(())
}

fn unconnected(guest: &Guest) -> Result<()> {
    let frames = Frames::on(UNCONNECTED, 1024, 20_000_000)?;
    frames.must_be_dma()?;
    let mut random = Random::new(1);
    task::oob(|| {
        for n in 0..guest.count(200, 5000) {
            let tx: Vec<u8> = (0..1024).map(|_| random.next() as u8).collect();
            frames.fill(&tx);
            frames.spoil(0x55);
            accepted("RUN", frames.device.run())?;
            ensure!(
                frames.received().iter().all(|byte| *byte == 0xff),
                "frame {n} is not all 0xff"
            );
        }
        Ok(())
    })
}

fn flash(_: &Guest) -> Result<()> {
    for (len, path) in [
        (8, abi::PATH_FIFO),
        (64, abi::PATH_FIFO),
        (600, abi::PATH_DMA),
    ] {
        let frames = Frames::on(1, len, 25_000_000)?;
        ensure!(frames.path()? == path, "{len} bytes: the wrong path");
        let mut tx = vec![0; len as usize];
        tx[0] = 0x9f;
        frames.fill(&tx);
        frames.spoil(0x55);
        task::oob(|| accepted("RUN", frames.device.run()))?;
        let seen = frames.received();
        ensure!(seen[1..4] == [0xef, 0x40, 0x14], "ID {seen:02x?}");
        // Reads an address that no test writes to.
        tx[..4].copy_from_slice(&[0x03, 0x0f, 0x00, 0x00]);
        frames.fill(&tx);
        task::oob(|| accepted("RUN", frames.device.run()))?;
        let seen = frames.received();
        ensure!(
            seen[4..].iter().all(|byte| *byte == 0xff),
            "an erased flash reads {seen:02x?}"
        );
    }
    Ok(())
}

fn no_lost_completion(guest: &Guest) -> Result<()> {
    let count = guest.count(10_000, 100_000);
    let mut motor = Motor::on(4_000_000)?;
    motor.frames.must_be_dma()?;
    task::oob(move || {
        for n in 0..count {
            if let Err(error) = motor.exchange(0, 0) {
                bail!("frame {n}: {error}");
            }
        }
        let stats = motor.frames.device.stats()?;
        ensure!(
            stats.frames == u64::from(count) && stats.timeouts == 0,
            "{stats:?}"
        );
        Ok(())
    })
}

fn too_late(_: &Guest) -> Result<()> {
    for speed in [FIFO_HZ, DMA_HZ] {
        let mut motor = Motor::on(speed)?;
        motor.set(0, 0);
        let before = board::number("cs_selections")?;
        task::oob(|| {
            let device = &motor.frames.device;
            for deadline in [0, 1, date(Duration::ZERO)] {
                refused("a past deadline", device.run_until(deadline), Errno::STALE)?;
            }
            Ok(())
        })?;
        ensure!(
            board::number("cs_selections")? == before,
            "the chip select moved"
        );
        let stats = motor.frames.device.stats()?;
        ensure!((stats.frames, stats.missed) == (0, 3), "{stats:?}");
        task::oob(|| {
            let deadline = date(HANG);
            accepted("a deadline ahead", motor.frames.device.run_until(deadline))?;
            accepted("no deadline", motor.frames.device.run_until(u64::MAX))
        })?;
    }
    Ok(())
}

fn late(_: &Guest) -> Result<()> {
    // The frame takes 1.02 s on the wire. The deadline is near its end, so that a delayed thread
    // still starts the frame before it.
    let frames = Frames::on(0, 12_800, 100_000)?;
    let wire_ns = accepted("GET_INFO", frames.device.info())?.wire_ns;
    frames.spoil(0);
    task::oob(|| {
        let deadline = date(Duration::from_nanos(wire_ns / 10 * 9));
        refused(
            "a deadline during the frame",
            frames.device.run_until(deadline),
            Errno::TIME,
        )
    })?;
    status(&frames.received()[..16])?;
    let stats = frames.device.stats()?;
    ensure!(
        (stats.frames, stats.missed, stats.timeouts) == (1, 1, 0),
        "{stats:?}"
    );
    ensure!(
        stats.worst_ns >= wire_ns,
        "a frame of {wire_ns} ns took {} ns",
        stats.worst_ns
    );
    Ok(())
}

fn two_threads(guest: &Guest) -> Result<()> {
    // Without DMA a thread spins during its frame, and never meets another one on the same
    // processor.
    let cpu = match guest.board {
        Board::Vboard => task::home()?,
        _ => None,
    };
    // On the virtual board the long frame takes 33 ms.
    let long = Frames::on(0, 4096, 1_000_000)?;
    let short = Frames::on(1, 16, 0)?;
    let rejected = |frames: &Frames| Ok::<_, Error>(frames.device.stats()?.rejected);
    let before = [rejected(&long)?, rejected(&short)?];
    let (busy_here, busy_there) = (AtomicU64::new(0), AtomicU64::new(0));
    let over = || busy_here.load(Ordering::Relaxed) > 0 && busy_there.load(Ordering::Relaxed) > 0;
    let start = std::time::Instant::now();
    let hammer = |device: &Device, busy: &AtomicU64| -> Result<()> {
        let _attached = task::become_oob(cpu)?;
        while !over() && start.elapsed() < HANG {
            match device.run() {
                Ok(()) => {}
                Err(Errno::ALREADY) => {
                    busy.fetch_add(1, Ordering::Relaxed);
                }
                Err(errno) => bail!("RUN: {errno}"),
            }
            // If the threads share a processor, the others need this pause to run.
            thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    };
    thread::scope(|scope| {
        let here = scope.spawn(|| hammer(&long.device, &busy_here));
        let too = scope.spawn(|| hammer(&long.device, &busy_here));
        let there = scope.spawn(|| hammer(&short.device, &busy_there));
        task::join(here)?;
        task::join(too)?;
        task::join(there)
    })?;
    ensure!(
        over(),
        "no EALREADY: {busy_here:?} on the same chip select, {busy_there:?} on another one"
    );
    let (stats, other) = (long.device.stats()?, short.device.stats()?);
    ensure!(
        stats.timeouts + other.timeouts == 0 && stats.frames > 0,
        "{stats:?} {other:?}"
    );
    let told = [busy_here.into_inner(), busy_there.into_inner()];
    let counted = [stats.rejected - before[0], other.rejected - before[1]];
    ensure!(
        counted == told,
        "EALREADY was returned {told:?} times and counted {counted:?} times"
    );
    Ok(())
}

fn delays(_: &Guest) -> Result<()> {
    let wanted = abi::Delays {
        setup_ns: 20_000,
        hold_ns: 35_000,
        inactive_ns: 300_000,
        reserved: 0,
    };
    for speed in [FIFO_HZ, DMA_HZ] {
        let device = Device::open(0)?;
        accepted("SET_DELAYS", device.set(abi::SET_DELAYS, wanted))?;
        let mut motor = Motor::over(Frames::with(device, 16, speed)?);
        let selections = board::number("cs_selections")?;
        let motor = task::oob(move || {
            motor.works(2)?;
            for _ in 0..10 {
                motor.works(1)?;
                for (name, least) in [
                    ("cs_setup_ns", 20_000),
                    ("cs_hold_ns", 35_000),
                    ("cs_inactive_ns", 300_000),
                ] {
                    let seen = board::number(name)?;
                    ensure!(seen >= least, "{speed} Hz: {name} {seen}, not {least}");
                }
            }
            // Between two frames without a pause, only the driver keeps the line inactive.
            for _ in 0..10 {
                accepted("RUN", motor.frames.device.run())?;
                accepted("RUN", motor.frames.device.run())?;
                let inactive = board::number("cs_inactive_ns")?;
                ensure!(inactive >= 300_000, "inactive for {inactive} ns");
            }
            Ok(motor)
        })?;
        let grew = board::number("cs_selections")? - selections;
        ensure!(grew == 32, "32 frames, {grew} selections");
        let device = motor.frames.device;
        accepted("DISABLE", device.disable())?;
        accepted(
            "SET_DELAYS",
            device.set(abi::SET_DELAYS, abi::Delays::default()),
        )?;
    }
    Ok(())
}
