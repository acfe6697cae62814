// SPDX-License-Identifier: GPL-2.0-only

//! RUN_LIST: frames of several chip selects in one call.

use crate::support::board::{self, Fault};
use crate::support::check::{HANG, accepted, refused};
use crate::support::device::Device;
use crate::support::frames::Frames;
use crate::support::motor::{DMA_HZ, FIFO_HZ, status};
use crate::support::task::{self, date};
use crate::test::{Guest, On, Test};
use anyhow::{Result, ensure};
use motor_frame::Command;
use oobkit_abi::spi as abi;
use rustix::io::Errno;
use std::time::Duration;
use zerocopy::IntoBytes;

/// A status that no call sets.
const UNTOUCHED: i32 = 77;

pub(crate) const TESTS: &[Test] = &[
    Test::smoke(
        "list: one RUN_LIST exchanges the frames of three chip selects",
        On::Vboard,
        three,
    ),
    Test::new(
        "raspi3b: one RUN_LIST exchanges frames of two chip selects",
        On::Raspi3b,
        two,
    ),
    Test::new(
        "list: RUN_LIST refuses a bad list whole, and sends no frame",
        On::Spi,
        bad_lists,
    ),
    Test::new(
        "list: RUN_LIST cancels the frames after one that failed",
        On::Vboard,
        cancelled,
    ),
    Test::new(
        "list: RUN_LIST's deadline applies to the whole list",
        On::Vboard,
        deadline,
    ),
];

/// A list with one entry for each chip select.
pub(crate) fn list(chip_selects: &[u8]) -> abi::RunList {
    let mut list = abi::RunList {
        count: chip_selects.len() as u32,
        ..abi::RunList::default()
    };
    for entry in &mut list.entries {
        entry.status = UNTOUCHED;
    }
    for (entry, chip_select) in list.entries.iter_mut().zip(chip_selects) {
        entry.chip_select = *chip_select;
    }
    list
}

/// The statuses of the used entries.
fn statuses(list: &abi::RunList) -> Vec<i32> {
    let used = list.entries.iter().take(list.count as usize);
    used.map(|entry| entry.status).collect()
}

fn three(guest: &Guest) -> Result<()> {
    for speed in [FIFO_HZ, DMA_HZ] {
        let motor = Frames::on(0, 16, speed)?;
        let flash = Frames::on(1, 8, speed)?;
        let nothing = Frames::on(2, 1024, 20_000_000)?;
        flash.fill(&[0x9f, 0, 0, 0, 0, 0, 0, 0]);
        task::oob(|| {
            for n in 1..=guest.count(200, 2000) as u16 {
                motor.fill(Command::new(n, 0, 0).as_bytes());
                for frames in [&motor, &flash, &nothing] {
                    frames.spoil(0x55);
                }
                let mut list = list(&[0, 1, 2, 0]);
                accepted("RUN_LIST", motor.device.run_list(&mut list))?;
                ensure!(statuses(&list) == [0; 4], "statuses {:?}", statuses(&list));
                // The motor's second frame returns the sequence number of its first one.
                let status = status(&motor.received())?;
                ensure!(status.sequence.get() == n, "list {n}: {status:?}");
                ensure!(
                    flash.received()[1..4] == [0xef, 0x40, 0x14],
                    "flash: {:02x?}",
                    flash.received()
                );
                ensure!(
                    nothing.received().iter().all(|byte| *byte == 0xff),
                    "chip select 2 is not all 0xff"
                );
            }
            Ok(())
        })?;
        ensure!(
            motor.device.stats()?.frames == 2 * flash.device.stats()?.frames,
            "the motor's frames are not twice the flash's"
        );
    }
    Ok(())
}

fn two(_: &Guest) -> Result<()> {
    let first = Frames::on(0, 16, 0)?;
    let second = Frames::on(1, 64, 0)?;
    task::oob(|| {
        for _ in 0..100 {
            let mut list = list(&[0, 1, 1, 0]);
            accepted("RUN_LIST", second.device.run_list(&mut list))?;
            ensure!(statuses(&list) == [0; 4], "statuses {:?}", statuses(&list));
        }
        Ok(())
    })?;
    let frames = (first.device.stats()?.frames, second.device.stats()?.frames);
    ensure!(frames == (200, 200), "{frames:?} frames are counted");
    Ok(())
}

fn bad_lists(_: &Guest) -> Result<()> {
    let frames = Frames::on(0, 16, 0)?;
    let neighbour = Device::open(1)?;
    let with = |change: fn(&mut abi::RunList)| {
        let mut list = list(&[0, 0]);
        change(&mut list);
        list
    };
    let cases = [
        ("no entries", with(|list| list.count = 0), Errno::NODATA),
        ("17 entries", with(|list| list.count = 17), Errno::TOOBIG),
        (
            "4 billion entries",
            with(|list| list.count = u32::MAX),
            Errno::TOOBIG,
        ),
        ("reserved", with(|list| list.reserved = 1), Errno::INVAL),
        (
            "an entry's reserved",
            with(|list| list.entries[1].reserved[2] = 1),
            Errno::INVAL,
        ),
        (
            "no such chip select",
            with(|list| list.entries[1].chip_select = 7),
            Errno::CHRNG,
        ),
        (
            "chip select 255",
            with(|list| list.entries[1].chip_select = 255),
            Errno::CHRNG,
        ),
        (
            "a chip select that is off",
            with(|list| list.entries[1].chip_select = 1),
            Errno::NXIO,
        ),
    ];
    task::oob(|| {
        for (what, good, errno) in cases {
            let mut list = good;
            let before = frames.device.stats()?;
            refused(what, frames.device.run_list(&mut list), errno)?;
            ensure!(list == good, "{what}: the list was written to");
            let after = frames.device.stats()?;
            ensure!(
                after.frames == before.frames && after.rejected == before.rejected + 1,
                "{what}: {before:?}, then {after:?}"
            );
        }
        Ok(())
    })?;
    accepted("ENABLE", neighbour.enable(16, 0))?;
    accepted("SET_TRIGGER", neighbour.set_timer(1 << 62, 10_000_000))?;
    task::oob(|| {
        let mut list = list(&[0, 1]);
        refused(
            "an entry that a timer starts",
            frames.device.run_list(&mut list),
            Errno::OPNOTSUPP,
        )?;
        ensure!(statuses(&list) == [UNTOUCHED; 2], "statuses were set");
        Ok(())
    })
}

fn cancelled(_: &Guest) -> Result<()> {
    let fifo = Frames::on(0, 16, FIFO_HZ)?;
    let dma = Frames::on(2, 1024, 20_000_000)?;
    task::oob(|| {
        let mut list = list(&[0, 2, 0, 0]);
        let fault = Fault::new("fault_hung_channels", 0xffff)?;
        refused(
            "a list with a frame that times out",
            fifo.device.run_list(&mut list),
            Errno::TIMEDOUT,
        )?;
        let [stuck, cancelled] = [Errno::TIMEDOUT, Errno::CANCELED].map(Errno::raw_os_error);
        ensure!(
            statuses(&list) == [0, -stuck, -cancelled, -cancelled],
            "statuses {:?}",
            statuses(&list)
        );
        drop(fault);
        accepted("the same list again", fifo.device.run_list(&mut list))?;
        ensure!(statuses(&list) == [0; 4], "statuses {:?}", statuses(&list));
        Ok(())
    })?;
    let (fifo, dma) = (fifo.device.stats()?, dma.device.stats()?);
    ensure!(
        (fifo.frames, dma.frames, dma.timeouts) == (4, 1, 1),
        "{fifo:?} {dma:?}"
    );
    Ok(())
}

fn deadline(_: &Guest) -> Result<()> {
    let quick = Frames::on(0, 16, FIFO_HZ)?;
    // The slow frame takes 1.02 s on the wire.
    let _slow = Frames::on(2, 12_800, 100_000)?;
    task::oob(|| {
        let mut list = list(&[0, 2, 0]);
        // The deadline is near the slow frame's end, so that a delayed thread still starts that
        // frame before it.
        list.deadline_ns = date(Duration::from_millis(900));
        refused(
            "a deadline within the second frame",
            quick.device.run_list(&mut list),
            Errno::TIME,
        )?;
        let [late, cancelled] = [Errno::TIME, Errno::CANCELED].map(Errno::raw_os_error);
        ensure!(
            statuses(&list) == [0, -late, -cancelled],
            "statuses {:?}",
            statuses(&list)
        );
        list.deadline_ns = 1;
        let before = board::number("cs_selections")?;
        refused(
            "a deadline in the past",
            quick.device.run_list(&mut list),
            Errno::STALE,
        )?;
        let stale = Errno::STALE.raw_os_error();
        ensure!(
            statuses(&list) == [-stale, -cancelled, -cancelled],
            "statuses {:?}",
            statuses(&list)
        );
        ensure!(
            board::number("cs_selections")? == before,
            "the chip select moved"
        );
        list.deadline_ns = date(HANG);
        accepted("a deadline ahead", quick.device.run_list(&mut list))
    })
}
