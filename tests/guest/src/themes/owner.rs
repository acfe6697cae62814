// SPDX-License-Identifier: GPL-2.0-only

//! Oob mode belongs to the process that entered it.

use crate::support::check::{accepted, refused};
use crate::support::device::{Device, is_evl};
use crate::support::frames::Frames;
use crate::support::task::{self, become_fifo, try_attach};
use crate::test::{Guest, On, Test};
use anyhow::{Result, ensure};
use oobkit_abi::spi as abi;
use rustix::io::Errno;
use rustix::process::Signal;

pub(crate) const TESTS: &[Test] = &[
    Test::smoke(
        "owner: another process may read the counters, and is refused every other call",
        On::Spi,
        other_process,
    ),
    Test::new(
        "owner: a forked child inherits neither oob mode nor the mapping",
        On::Spi,
        child,
    ),
    Test::new(
        "owner: a child that closes a copy of the descriptor does not end oob mode",
        On::Spi,
        close_in_child,
    ),
    Test::new("owner: the owner's close ends oob mode", On::Spi, close),
    Test::new(
        "owner: closing a file whose session is over does not end a later session",
        On::Spi,
        close_late,
    ),
    Test::new(
        "owner: a process that exits or is killed leaves the bus free",
        On::Spi,
        ended,
    ),
];

/// Fails unless the device refuses a process that does not own oob mode. `oob_errno` is the errno
/// of the oob calls.
fn refuses_stranger(device: &Device, neighbour: &Device, oob_errno: Errno) -> Result<()> {
    become_fifo()?;
    accepted("ATTACH", try_attach()?)?;
    refused("RUN", device.run(), oob_errno)?;
    refused("RUN_UNTIL", device.run_until(u64::MAX), oob_errno)?;
    let mut list = abi::RunList {
        count: 1,
        ..abi::RunList::default()
    };
    refused("RUN_LIST", device.run_list(&mut list), oob_errno)?;
    refused(
        "SET_TRIGGER",
        device.set_trigger(abi::Trigger::default()),
        Errno::ACCESS,
    )?;
    refused("SET_STOP", device.set_stop(0, 0), Errno::ACCESS)?;
    refused("DISABLE", device.disable(), Errno::ACCESS)?;
    let map = device.map_as(128, rustix::mm::MapFlags::SHARED, 0);
    refused("mmap", map, Errno::ACCESS)?;
    refused("ENABLE", device.enable(16, 0), Errno::BUSY)?;
    refused(
        "ENABLE of a neighbour on the bus",
        neighbour.enable(16, 0),
        Errno::ACCESS,
    )?;
    accepted("GET_INFO", device.info())?;
    device.stats()?;
    Ok(())
}

fn other_process(_: &Guest) -> Result<()> {
    let mut child = task::fork(|parent| {
        parent.wait()?;
        refuses_stranger(&Device::open(0)?, &Device::open(1)?, Errno::ACCESS)
    })?;
    let frames = Frames::on(0, 16, 0)?;
    let stats = frames.device.stats()?;
    child.go()?;
    child.succeeds()?;
    let after = frames.device.stats()?;
    ensure!(
        after.frames == stats.frames,
        "the other process exchanged frames"
    );
    ensure!(
        after.rejected == stats.rejected + 8,
        "eight calls of chip select 0 were refused, {} counted",
        after.rejected - stats.rejected
    );
    task::oob(|| accepted("RUN afterwards", frames.device.run()))
}

fn child(_: &Guest) -> Result<()> {
    let frames = Frames::on(0, 16, 0)?;
    let neighbour = Device::open(1)?;
    task::in_child(|| {
        refused("RUN, not attached", frames.device.run(), Errno::PERM)?;
        // On EVL, a descriptor is valid only in the process that opened it.
        let oob_errno = match is_evl() {
            true => Errno::BADF,
            false => Errno::ACCESS,
        };
        refuses_stranger(&frames.device, &neighbour, oob_errno)
    })?;
    let mut child = task::fork(|_| {
        frames.received();
        Ok(())
    })?;
    let over = child.over()?;
    ensure!(
        over.terminating_signal() == Some(Signal::SEGV.as_raw()),
        "the child touched the mapping: {over:?}"
    );
    drop(neighbour);
    task::oob(|| accepted("RUN afterwards", frames.device.run()))
}

fn close_in_child(_: &Guest) -> Result<()> {
    let frames = Frames::on(0, 16, 0)?;
    let device = &frames.device;
    task::in_child(|| {
        // The child closes a second descriptor of the parent's open file.
        drop(device.duplicate()?);
        Ok(())
    })?;
    task::oob(|| accepted("RUN afterwards", frames.device.run()))
}

fn close_late(_: &Guest) -> Result<()> {
    let (first, second) = (Device::open(0)?, Device::open(0)?);
    accepted("ENABLE through the first", first.enable(16, 0))?;
    accepted("DISABLE through the second", second.disable())?;
    accepted("ENABLE through the second", second.enable(16, 0))?;
    drop(first);
    accepted("GET_INFO after the first is closed", second.info())?;
    drop(second);
    let third = Device::open(0)?;
    refused("GET_INFO", third.info(), Errno::NXIO)
}

fn close(_: &Guest) -> Result<()> {
    for copies in [0, 2] {
        let frames = Frames::on(0, 16, 0)?;
        let mut kept = Vec::new();
        for _ in 0..copies {
            kept.push(frames.device.duplicate()?);
        }
        let Frames { device, .. } = frames;
        // Closing one of several descriptors of the owner's file is enough to end oob mode.
        drop(device);
        for device in &kept {
            refused("GET_INFO through a copy", device.info(), Errno::NXIO)?;
        }
        let device = Device::open(0)?;
        accepted("ENABLE after close", device.enable(16, 0))?;
        accepted("DISABLE", device.disable())?;
    }
    Ok(())
}

fn ended(_: &Guest) -> Result<()> {
    for killed in [false, true] {
        let mut child = task::fork(|parent| {
            let frames = Frames::on(0, 2048, 0)?;
            let _other = Frames::on(1, 16, 0)?;
            become_fifo()?;
            accepted("ATTACH", try_attach()?)?;
            accepted("RUN", frames.device.run())?;
            parent.ready()?;
            parent.wait()
        })?;
        child.ready()?;
        if killed {
            child.kill()?;
        } else {
            child.go()?;
            child.succeeds()?;
        }
        for chip_select in [0, 1] {
            let device = Device::open(chip_select)?;
            accepted("ENABLE after its owner's end", device.enable(16, 0))?;
            accepted("DISABLE", device.disable())?;
        }
    }
    Ok(())
}
