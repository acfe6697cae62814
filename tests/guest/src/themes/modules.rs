// SPDX-License-Identifier: GPL-2.0-only

//! Loading and unloading modules: refused while a module is in use, and possible at any other time.

use crate::support::check::{accepted, eventually, refused};
use crate::support::device::{Device, is_evl};
use crate::support::frames::Frames;
use crate::support::modules::{is_loaded, load_all, names, try_unload, unload};
use crate::support::task::{self, become_fifo, try_attach};
use crate::test::{Guest, On, Test};
use crate::themes::unbind::{Traffic, on_the_wire};
use anyhow::{Result, bail, ensure};
use oobkit_abi::ctl;
use rustix::io::Errno;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

pub(crate) const TESTS: &[Test] = &[
    Test::new(
        "modules: unloading a module that is in use is refused",
        On::Spi,
        in_use,
    ),
    Test::smoke(
        "modules: all modules unload and load again, several times",
        On::Any,
        again,
    ),
    Test::new(
        "modules: all modules unload and load again during in-band traffic",
        On::Spi,
        again_in_traffic,
    ),
    Test::new(
        "modules: the controller's module unloads in the middle of a RUN",
        On::Spi,
        in_run,
    ),
    Test::new(
        "modules: unloading the controller's module lets the frame on the wire end",
        On::Vboard,
        in_frame,
    ),
    Test::new(
        "modules: a thread that was attached before oob_shim was reloaded is attached no longer",
        On::ShimSpi,
        former_core,
    ),
];

/// Unloads all modules, the last one first. Another process may still be closing a file, so a busy
/// module is tried again.
fn unload_all() -> Result<()> {
    for name in names()?.iter().rev().filter(|name| is_loaded(name)) {
        eventually(&format!("{name} unloads"), || match try_unload(name)? {
            Err(Errno::AGAIN) => Ok(false),
            other => accepted("unloading", other).map(|()| true),
        })?;
    }
    Ok(())
}

/// Unloads the users of oob_spi, which are the modules that were loaded after it.
fn unload_controllers() -> Result<()> {
    let names = names()?;
    let mut users = names.iter().rev().take_while(|name| *name != "oob_spi");
    users.try_for_each(|name| unload(name))
}

fn works() -> Result<()> {
    let frames = Frames::on(0, 16, 0)?;
    task::oob(|| (0..20).try_for_each(|_| accepted("RUN", frames.device.run())))
}

fn in_use(guest: &Guest) -> Result<()> {
    // On EVL there is no shim.
    let ctl = match is_evl() {
        true => None,
        false => Some(Device::open_path(ctl::PATH)?),
    };
    let device = Device::open(0)?;
    // Other modules need these, and their files are open.
    let needed = ["oob_shim", "oob_spi"].into_iter();
    for name in needed.skip(usize::from(is_evl())) {
        refused(
            &format!("unloading {name}"),
            try_unload(name)?,
            Errno::AGAIN,
        )?;
    }
    drop(ctl);
    unload_controllers()?;
    // Now only the open file needs oob_spi.
    refused("unloading oob_spi", try_unload("oob_spi")?, Errno::AGAIN)?;
    refused("ENABLE", device.enable(16, 0), Errno::NODEV)?;
    drop(device);
    unload_all()?;
    load_all(guest.board)?;
    works()
}

fn again(guest: &Guest) -> Result<()> {
    for _ in 0..guest.count(5, 50) {
        unload_all()?;
        for name in names()? {
            ensure!(!is_loaded(&name), "{name} is still there");
        }
        load_all(guest.board)?;
        works()?;
    }
    Ok(())
}

fn again_in_traffic(guest: &Guest) -> Result<()> {
    let traffic = Traffic::default();
    thread::scope(|scope| {
        let thread = scope.spawn(|| traffic.send());
        let result = (0..guest.count(2, 50)).try_for_each(|_| {
            traffic.flows()?;
            unload_all()?;
            load_all(guest.board)
        });
        let result = result.and_then(|()| traffic.flows());
        traffic.end();
        task::join(thread)?;
        result
    })?;
    works()
}

fn in_run(guest: &Guest) -> Result<()> {
    for (len, speed) in [(16, 0), (4096, 1_000_000)] {
        let frames = Frames::on(0, len, speed)?;
        let running = AtomicBool::new(false);
        thread::scope(|scope| {
            let runner = scope.spawn(|| {
                let _attached = task::become_oob(task::home()?)?;
                loop {
                    running.store(true, Ordering::Relaxed);
                    match frames.device.run() {
                        Ok(()) => thread::sleep(Duration::from_micros(100)),
                        Err(Errno::NODEV) => return Ok(()),
                        Err(errno) => bail!("RUN ended with {errno}"),
                    }
                }
            });
            while !running.load(Ordering::Relaxed) && !runner.is_finished() {
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(Duration::from_millis(20));
            let unloaded = unload_controllers();
            let ran = task::join(runner);
            load_all(guest.board)?;
            unloaded.and(ran)
        })?;
        drop(frames);
        works()?;
    }
    Ok(())
}

fn in_frame(guest: &Guest) -> Result<()> {
    on_the_wire(unload_controllers, |()| load_all(guest.board))?;
    works()
}

fn former_core(guest: &Guest) -> Result<()> {
    become_fifo()?;
    accepted("ATTACH", try_attach()?)?;
    unload_all()?;
    load_all(guest.board)?;
    let device = Device::open(0)?;
    accepted("ENABLE", device.enable(16, 0))?;
    refused("RUN", device.run(), Errno::PERM)?;
    accepted("ATTACH", try_attach()?)?;
    accepted("RUN", device.run())
}
