// SPDX-License-Identifier: GPL-2.0-only

//! RUN, RUN_UNTIL and RUN_LIST that are refused: each returns its errno, sends nothing and is
//! counted.

use crate::support::check::{HANG, accepted, refused};
use crate::support::device::Device;
use crate::support::frames::Frames;
use crate::support::mapping::Mapping;
use crate::support::task;
use crate::test::{Guest, On, Test};
use crate::themes::refused_setup::refuses;
use anyhow::{Result, bail, ensure};
use oobkit_abi::spi as abi;
use rustix::io::Errno;
use rustix::mm::ProtFlags;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use zerocopy::IntoBytes;

pub(crate) const TESTS: &[Test] = &[
    Test::smoke(
        "refused: RUN returns EPERM to a thread that is not attached",
        On::Spi,
        not_attached,
    ),
    Test::new(
        "refused: RUN returns EPERM to a thread that has detached",
        On::Spi,
        detached,
    ),
    Test::new(
        "refused: RUN returns ENXIO while oob mode is off",
        On::Spi,
        off,
    ),
    Test::new(
        "refused: RUN_UNTIL returns EINVAL when its reserved field is not zero",
        On::Spi,
        reserved,
    ),
    Test::new(
        "refused: RUN_LIST sends nothing when its statuses cannot be written",
        On::Spi,
        list_into_read_only,
    ),
    Test::new(
        "refused: RUN during an in-band call works or returns EAGAIN",
        On::Spi,
        beside_set_up,
    ),
];

/// Fails unless the device refuses RUN, RUN_UNTIL and RUN_LIST with `errno`.
fn calls(errno: Errno, device: &Device) -> Result<()> {
    refuses("RUN", errno, device, Device::run)?;
    refuses("RUN_UNTIL", errno, device, |device| {
        device.run_until(u64::MAX)
    })?;
    let given = crate::themes::list::list(&[0]);
    let mut list = given;
    refuses("RUN_LIST", errno, device, |device| {
        device.run_list(&mut list)
    })?;
    ensure!(list == given, "RUN_LIST: the list was written to");
    Ok(())
}

fn not_attached(_: &Guest) -> Result<()> {
    let frames = Frames::on(0, 16, 0)?;
    calls(Errno::PERM, &frames.device)?;
    // A new thread inherits the policy of an attached thread, but not its attachment.
    task::oob(|| {
        thread::scope(|scope| task::join(scope.spawn(|| calls(Errno::PERM, &frames.device))))
    })
}

fn detached(_: &Guest) -> Result<()> {
    let frames = Frames::on(0, 16, 0)?;
    let attached = task::become_oob(task::home()?)?;
    accepted("RUN", frames.device.run())?;
    drop(attached);
    calls(Errno::PERM, &frames.device)
}

fn off(_: &Guest) -> Result<()> {
    let device = Device::open(0)?;
    task::oob(|| calls(Errno::NXIO, &device))
}

fn reserved(_: &Guest) -> Result<()> {
    let frames = Frames::on(0, 16, 0)?;
    task::oob(|| {
        let request = abi::RunUntil {
            deadline_ns: u64::MAX,
            reserved: 1,
        };
        refuses("reserved", Errno::INVAL, &frames.device, |device| {
            device.set(abi::RUN_UNTIL, request)
        })
    })
}

fn list_into_read_only(_: &Guest) -> Result<()> {
    let frames = Frames::on(0, 16, 0)?;
    let page = rustix::param::page_size();
    let argument = Mapping::anonymous(page, ProtFlags::READ | ProtFlags::WRITE)?;
    argument.write(0, crate::themes::list::list(&[0]).as_bytes());
    let argument = argument.read_only()?;
    task::oob(|| {
        refuses("RUN_LIST", Errno::FAULT, &frames.device, |device| {
            device.call(abi::RUN_LIST, argument.address())
        })?;
        accepted("RUN", frames.device.run())
    })
}

fn beside_set_up(guest: &Guest) -> Result<()> {
    let frames = Frames::on(0, 1024, 0)?;
    let over = AtomicBool::new(false);
    let start = Instant::now();
    thread::scope(|scope| {
        let meddler = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                accepted("SET_STOP", frames.device.set_stop(0, 0))?;
                // On one processor, the runner needs this pause to run.
                thread::sleep(Duration::from_micros(20));
            }
            Ok(())
        });
        let runner = scope.spawn(|| {
            let _attached = task::become_oob(task::home()?)?;
            let mut good = 0;
            while good < guest.count(200, 1000).into() && start.elapsed() < HANG {
                match frames.device.run() {
                    Ok(()) => good += 1,
                    Err(Errno::AGAIN) => {}
                    Err(errno) => bail!("RUN during SET_STOP: {errno}"),
                }
                thread::sleep(Duration::from_micros(50));
            }
            Ok(good)
        });
        let good = task::join(runner);
        over.store(true, Ordering::Relaxed);
        task::join(meddler)?;
        let good = good?;
        ensure!(good > 0, "no RUN succeeded");
        let stats = frames.device.stats()?;
        ensure!(stats.frames == good && stats.timeouts == 0, "{stats:?}");
        Ok(())
    })?;
    refused(
        "DISABLE twice",
        frames.device.disable().and(frames.device.disable()),
        Errno::NXIO,
    )
}
