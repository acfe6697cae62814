// SPDX-License-Identifier: GPL-2.0-only

//! Entering and leaving oob mode: settings, the buffer's layout, its mappings, and the counters.

use crate::support::check::{accepted, refused};
use crate::support::device::Device;
use crate::support::frames::Frames;
use crate::support::motor::{DMA_HZ, FIFO_HZ, Motor};
use crate::support::task;
use crate::test::{Guest, On, Test};
use anyhow::{Result, ensure};
use oobkit_abi::spi as abi;
use rustix::io::Errno;

pub(crate) const TESTS: &[Test] = &[
    Test::new(
        "life: ENABLE lays the buffer out as EVL does",
        On::Spi,
        layout,
    ),
    Test::new(
        "life: a chip select's settings are read back, and ENABLE uses them",
        On::Spi,
        settings,
    ),
    Test::new(
        "life: each ENABLE gives a buffer of zeroes",
        On::Spi,
        fresh_buffer,
    ),
    Test::smoke(
        "life: ENABLE and DISABLE work 200 times in turn",
        On::Spi,
        on_and_off,
    ),
    Test::new(
        "life: GET_INFO returns the clock, the path, the wire time and the time limit",
        On::Vboard,
        info,
    ),
    Test::new(
        "life: ENABLE sets the counters to zero, except `rejected`",
        On::Spi,
        counters,
    ),
    Test::new(
        "life: a mapping outlives DISABLE",
        On::Spi,
        mapping_outlives,
    ),
    Test::new(
        "life: an old mapping stays separate from the buffer of the next ENABLE",
        On::Spi,
        two_generations,
    ),
    Test::new(
        "life: ENABLE returns EUSERS when too many former buffers are mapped",
        On::Spi,
        kept_buffers,
    ),
    Test::new(
        "life: a second open file of the process shares oob mode",
        On::Spi,
        second_open,
    ),
];

fn layout(_: &Guest) -> Result<()> {
    let device = Device::open(0)?;
    // The TX area begins at a cache line. Lines have 64 bytes on all machines that the tests run
    // on.
    for (len, tx, buffer) in [
        (1, 64, 128),
        (64, 64, 128),
        (65, 128, 256),
        (140, 192, 384),
        (4096, 4096, 8192),
    ] {
        let setup = accepted("ENABLE", device.enable(len, 0))?;
        ensure!(
            (setup.rx_offset, setup.tx_offset, setup.iobuf_len) == (0, tx, buffer),
            "frames of {len} bytes: {setup:?}"
        );
        drop(accepted("mmap", device.map(&setup))?);
        accepted("DISABLE", device.disable())?;
    }
    Ok(())
}

fn settings(_: &Guest) -> Result<()> {
    let device = Device::open(0)?;
    let other = Device::open(1)?;
    let untouched = other.settings()?;
    accepted("WR_MODE32", device.set(abi::WR_MODE32, 3_u32))?;
    accepted("WR_BITS_PER_WORD", device.set(abi::WR_BITS_PER_WORD, 8_u8))?;
    accepted(
        "WR_MAX_SPEED_HZ",
        device.set(abi::WR_MAX_SPEED_HZ, 2_000_000_u32),
    )?;
    ensure!(
        device.settings()? == (3, 8, 2_000_000),
        "read back: {:?}",
        device.settings()?
    );
    accepted("WR_MODE", device.set(abi::WR_MODE, 1_u8))?;
    let mut mode = 0_u8;
    accepted("RD_MODE", device.ioctl(abi::RD_MODE, &mut mode))?;
    ensure!(mode == 1, "RD_MODE: {mode}");
    ensure!(
        other.settings()? == untouched,
        "the other chip select's settings changed"
    );
    let setup = accepted("ENABLE at the device's speed", device.enable(16, 0))?;
    let info = accepted("GET_INFO", device.info())?;
    ensure!(
        setup.frame_len == 16 && (1_900_000..=2_000_000).contains(&info.effective_hz),
        "{setup:?} {info:?}"
    );
    accepted("DISABLE", device.disable())?;
    accepted("WR_MODE32", device.set(abi::WR_MODE32, 0_u32))?;
    // Restores the default, which is the controller's highest clock.
    accepted(
        "WR_MAX_SPEED_HZ",
        device.set(abi::WR_MAX_SPEED_HZ, u32::MAX),
    )
}

fn fresh_buffer(_: &Guest) -> Result<()> {
    for turn in 0..4 {
        let frames = Frames::on(0, 4096, 0)?;
        let mut all = vec![1; frames.setup.iobuf_len as usize];
        frames.mapping.read(0, &mut all);
        ensure!(
            all.iter().all(|byte| *byte == 0),
            "turn {turn}: old bytes in a new buffer"
        );
        frames.mapping.write(0, &vec![0xa5; all.len()]);
    }
    Ok(())
}

fn on_and_off(_: &Guest) -> Result<()> {
    let device = Device::open(0)?;
    for turn in 0..200 {
        let len = 1 + turn % 100;
        accepted(&format!("ENABLE {turn}"), device.enable(len, 0))?;
        accepted(&format!("DISABLE {turn}"), device.disable())?;
        refused("DISABLE again", device.disable(), Errno::NXIO)?;
    }
    Ok(())
}

fn info(_: &Guest) -> Result<()> {
    for (speed, path) in [(FIFO_HZ, abi::PATH_FIFO), (DMA_HZ, abi::PATH_DMA)] {
        let motor = Motor::on(speed)?;
        let info = accepted("GET_INFO", motor.frames.device.info())?;
        let bits = 16 * 8 * 1_000_000_000_u64;
        let wire = bits / u64::from(info.effective_hz);
        // The divider is even and rounded up, so the clock is at most what was asked for.
        ensure!(
            info.effective_hz <= speed && info.effective_hz > speed / 10 * 8,
            "clock of {} Hz for {speed} Hz",
            info.effective_hz
        );
        ensure!(info.path == path, "{speed} Hz: path {}", info.path);
        ensure!(
            info.wire_ns.abs_diff(wire) <= wire / 50,
            "wire time {} ns, not {wire} ns",
            info.wire_ns
        );
        ensure!(
            info.limit_ns == 2 * info.wire_ns + 10_000_000,
            "limit {} ns for {} ns on the wire",
            info.limit_ns,
            info.wire_ns
        );
    }
    Ok(())
}

fn counters(_: &Guest) -> Result<()> {
    let frames = Frames::on(0, 16, 0)?;
    let rejected = frames.device.stats()?.rejected;
    task::oob(|| {
        for n in 1..=20 {
            accepted("RUN", frames.device.run())?;
            let stats = frames.device.stats()?;
            ensure!(stats.frames == n, "frame {n} is counted as {stats:?}");
            ensure!(stats.worst_ns > 0, "no worst time");
        }
        refused(
            "RUN_UNTIL with a deadline in the past",
            frames.device.run_until(1),
            Errno::STALE,
        )
    })?;
    let stats = frames.device.stats()?;
    ensure!(
        (stats.missed, stats.rejected, stats.timeouts) == (1, rejected, 0),
        "{stats:?}"
    );
    refused("ENABLE again", frames.device.enable(16, 0), Errno::BUSY)?;
    accepted("DISABLE", frames.device.disable())?;
    accepted("ENABLE", frames.device.enable(16, 0))?;
    let stats = frames.device.stats()?;
    ensure!(
        (stats.frames, stats.missed, stats.worst_ns) == (0, 0, 0),
        "the counters after ENABLE: {stats:?}"
    );
    ensure!(
        stats.rejected == rejected + 1,
        "ENABLE must not reset `rejected`: it was {rejected}, then {stats:?}"
    );
    Ok(())
}

fn mapping_outlives(_: &Guest) -> Result<()> {
    let frames = Frames::on(0, 4000, 0)?;
    let pattern: Vec<u8> = (0..frames.setup.iobuf_len).map(|i| i as u8).collect();
    frames.mapping.write(0, &pattern);
    accepted("DISABLE", frames.device.disable())?;
    let Frames {
        mapping, device, ..
    } = frames;
    drop(device);
    // If the kernel had freed the buffer, these two would get its memory, filled with zeroes.
    let (one, two) = (Frames::on(0, 4000, 0)?, Frames::on(1, 4000, 0)?);
    let mut seen = vec![0; pattern.len()];
    mapping.read(0, &mut seen);
    ensure!(seen == pattern, "the mapping lost its content");
    mapping.write(0, &vec![7; pattern.len()]);
    for other in [one, two] {
        other.mapping.read(0, &mut seen);
        let untouched = seen.iter().all(|byte| *byte == 0);
        ensure!(untouched, "the mapping reaches another buffer");
    }
    Ok(())
}

fn two_generations(_: &Guest) -> Result<()> {
    let old = Frames::on(0, 3000, 0)?;
    old.mapping.write(0, &[0x11; 3000]);
    accepted("DISABLE", old.device.disable())?;
    let Frames {
        mapping, device, ..
    } = old;
    let new = Frames::with(device, 40, 0)?;
    new.fill(&[0; 40]);
    task::oob(|| {
        for _ in 0..50 {
            new.spoil(0x22);
            accepted("RUN", new.device.run())?;
        }
        Ok(())
    })?;
    let mut seen = vec![0; 3000];
    mapping.read(0, &mut seen);
    ensure!(
        seen.iter().all(|byte| *byte == 0x11),
        "the new frames reached the old buffer"
    );
    mapping.write(0, &[0x33; 3000]);
    let mut tx = vec![0; 40];
    new.mapping.read(new.setup.tx_offset as usize, &mut tx);
    ensure!(
        tx.iter().all(|byte| *byte == 0),
        "the old mapping reaches the new buffer"
    );
    Ok(())
}

fn kept_buffers(_: &Guest) -> Result<()> {
    let device = Device::open(0)?;
    let mut mappings = Vec::new();
    for n in 0..abi::BUFFERS_MAX {
        let setup = accepted(&format!("ENABLE {n}"), device.enable(16, 0))?;
        mappings.push(accepted("mmap", device.map(&setup))?);
        accepted("DISABLE", device.disable())?;
    }
    refused(
        "ENABLE with all former buffers mapped",
        device.enable(16, 0),
        Errno::USERS,
    )?;
    mappings.pop();
    accepted("ENABLE with one unmapped", device.enable(16, 0))?;
    accepted("DISABLE", device.disable())
}

fn second_open(_: &Guest) -> Result<()> {
    let frames = Frames::on(0, 16, 0)?;
    let second = Device::open(0)?;
    let info = accepted("GET_INFO", frames.device.info())?;
    ensure!(
        accepted("GET_INFO through the second", second.info())? == info,
        "the two opens see different devices"
    );
    refused(
        "ENABLE through the second",
        second.enable(32, 0),
        Errno::BUSY,
    )?;
    task::oob(|| {
        accepted("RUN through the first", frames.device.run())?;
        // Oob mode belongs to the process, and not to the open file.
        accepted("RUN through the second", second.run())?;
        drop(second);
        accepted("RUN after the second was closed", frames.device.run())
    })?;
    ensure!(frames.device.stats()?.frames == 3, "frames were lost");
    Ok(())
}
