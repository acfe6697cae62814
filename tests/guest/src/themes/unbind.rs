// SPDX-License-Identifier: GPL-2.0-only

//! Unbinding the driver while its devices are in use.

use crate::support::check::{HANG, accepted, eventually, refused};
use crate::support::device::Device;
use crate::support::frames::Frames;
use crate::support::modules::{bind_to, load_all, unbind};
use crate::support::motor::{DMA_HZ, FIFO_HZ};
use crate::support::task::{self, Spot, become_fifo, try_attach};
use crate::test::{Guest, On, Test};
use anyhow::{Result, bail, ensure};
use oobkit::inband::Spidev;
use oobkit_abi::spi as abi;
use rustix::io::Errno;
use rustix::process::Signal;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

pub(crate) const TESTS: &[Test] = &[
    Test::smoke(
        "unbind: a loop of RUNs ends with ENODEV, and the driver binds again",
        On::Spi,
        during_runs,
    ),
    Test::new(
        "unbind: touching a mapping after unbind raises SIGBUS",
        On::Spi,
        mapping,
    ),
    Test::new(
        "unbind: unbinding during a loop of mmaps revokes the last mapping, too",
        On::Spi,
        during_mmaps,
    ),
    Test::new(
        "unbind: every call through a file that was open returns ENODEV",
        On::Spi,
        open_file,
    ),
    Test::new(
        "unbind: unbinding wakes a thread that waits for a timer's frame",
        On::Spi,
        during_wait,
    ),
    Test::new(
        "unbind: unbinding in the middle of a DMA frame works",
        On::Vboard,
        in_frame,
    ),
    Test::new(
        "unbind: unbinding during in-band traffic works, again and again",
        On::Spi,
        in_traffic,
    ),
    Test::new(
        "unbind: unbinding works while an in-band message waits for the end of oob mode",
        On::Spi,
        with_waiter,
    ),
];

/// Unbinds the driver, calls `f`, and binds the driver again even if `f` failed.
fn unbound<T>(guest: &Guest, f: impl FnOnce() -> Result<T>) -> Result<T> {
    let device = unbind()?;
    let result = f();
    bind_to(&device)?;
    load_all(guest.board)?;
    result
}

fn works() -> Result<()> {
    let frames = Frames::on(0, 16, FIFO_HZ)?;
    task::oob(|| (0..20).try_for_each(|_| accepted("RUN after binding", frames.device.run())))
}

fn during_runs(guest: &Guest) -> Result<()> {
    for round in 0..guest.count(3, 30) {
        let speed = if round % 2 == 0 { FIFO_HZ } else { DMA_HZ };
        let frames = Frames::on(0, 16, speed)?;
        let runs = AtomicU32::new(0);
        thread::scope(|scope| {
            let runner = scope.spawn(|| {
                let _attached = task::become_oob(task::home()?)?;
                loop {
                    match frames.device.run() {
                        Ok(()) => _ = runs.fetch_add(1, Ordering::Relaxed),
                        Err(Errno::NODEV) => return Ok(()),
                        Err(errno) => bail!("RUN ended with {errno}"),
                    }
                    thread::sleep(Duration::from_micros(100));
                }
            });
            while runs.load(Ordering::Relaxed) < 100 && !runner.is_finished() {
                thread::sleep(Duration::from_millis(1));
            }
            unbound(guest, || task::join(runner))
        })?;
        refused("RUN after binding again", frames.device.run(), Errno::PERM)?;
        works()?;
        task::oob(|| {
            refused(
                "RUN through the old file",
                frames.device.run(),
                Errno::NODEV,
            )
        })?;
    }
    Ok(())
}

/// Fails unless SIGBUS ended the child, which accesses a revoked mapping.
fn dies_of_its_mapping(child: &mut task::Process) -> Result<()> {
    let over = child.over()?;
    ensure!(
        over.terminating_signal() == Some(Signal::BUS.as_raw()),
        "the child ended with {over:?}"
    );
    Ok(())
}

fn mapping(guest: &Guest) -> Result<()> {
    for write in [false, true] {
        let mut child = task::fork(|parent| {
            let frames = Frames::on(0, 4000, 0)?;
            frames.received();
            parent.ready()?;
            parent.wait()?;
            if write {
                frames.fill(&[1]);
            } else {
                frames.received();
            }
            bail!("the mapping is still there")
        })?;
        child.ready()?;
        unbound(guest, || {
            child.go()?;
            dies_of_its_mapping(&mut child)
        })?;
    }
    // A mapping that is left after DISABLE is revoked, too.
    let old = Frames::on(0, 16, 0)?;
    accepted("DISABLE", old.device.disable())?;
    unbound(guest, || Ok(()))?;
    drop(old);
    works()
}

fn during_mmaps(guest: &Guest) -> Result<()> {
    let page = rustix::param::page_size();
    for _ in 0..guest.count(5, 50) {
        let mut child = task::fork(|parent| {
            let frames = Frames::on(0, 16, 0)?;
            let map = || frames.device.map_as(page, rustix::mm::MapFlags::SHARED, 0);
            let mut last = map()?;
            parent.ready()?;
            loop {
                match map() {
                    Ok(mapping) => last = mapping,
                    Err(Errno::NODEV) => break,
                    Err(errno) => bail!("mmap ended with {errno}"),
                }
            }
            parent.ready()?;
            parent.wait()?;
            last.read(0, &mut [0]);
            bail!("the last mapping is still there")
        })?;
        child.ready()?;
        unbound(guest, || {
            child.ready()?;
            child.go()?;
            dies_of_its_mapping(&mut child)
        })?;
    }
    works()
}

fn open_file(guest: &Guest) -> Result<()> {
    become_fifo()?;
    accepted("ATTACH", try_attach()?)?;
    for on in [true, false] {
        let device = Device::open(0)?;
        if on {
            accepted("ENABLE", device.enable(16, 0))?;
        }
        unbound(guest, || {
            refused("RUN", device.run(), Errno::NODEV)?;
            refused("RUN_UNTIL", device.run_until(u64::MAX), Errno::NODEV)?;
            let mut list = crate::themes::list::list(&[0]);
            refused("RUN_LIST", device.run_list(&mut list), Errno::NODEV)?;
            refused("ENABLE", device.enable(16, 0), Errno::NODEV)?;
            refused("DISABLE", device.disable(), Errno::NODEV)?;
            refused("GET_INFO", device.info(), Errno::NODEV)?;
            refused("SET_STOP", device.set_stop(0, 0), Errno::NODEV)?;
            let trigger = abi::Trigger::default();
            refused("SET_TRIGGER", device.set_trigger(trigger), Errno::NODEV)?;
            refused("WR_MODE", device.set(abi::WR_MODE, 0_u8), Errno::NODEV)?;
            let delays = abi::Delays::default();
            refused(
                "SET_DELAYS",
                device.set(abi::SET_DELAYS, delays),
                Errno::NODEV,
            )?;
            let map = device.map_as(64, rustix::mm::MapFlags::SHARED, 0);
            refused("mmap", map, Errno::NODEV)?;
            ensure!(
                Device::open(0).is_err(),
                "the node can be opened without a bound driver"
            );
            device.stats()?;
            Ok(())
        })?;
    }
    works()
}

fn during_wait(guest: &Guest) -> Result<()> {
    let frames = Frames::on(0, 16, 0)?;
    accepted("SET_TRIGGER", frames.device.set_timer(1 << 62, 50_000_000))?;
    let spot = Spot::default();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let _attached = task::become_oob(task::home()?)?;
            spot.here();
            refused("RUN", frames.device.run(), Errno::NODEV)
        });
        spot.asleep()?;
        unbound(guest, || task::join(waiter))
    })?;
    works()
}

fn in_frame(guest: &Guest) -> Result<()> {
    on_the_wire(unbind, |device| {
        bind_to(&device)?;
        load_all(guest.board)
    })?;
    works()
}

/// A frame that is on the wire when `go` takes the device away comes to its end, and the next RUN
/// finds no device.
pub(crate) fn on_the_wire<T>(
    go: impl FnOnce() -> Result<T>,
    come_back: impl FnOnce(T) -> Result<()>,
) -> Result<()> {
    let frames = Frames::on(2, 65_000, 1_000_000)?;
    frames.must_be_dma()?;
    let spot = Spot::default();
    thread::scope(|scope| {
        let runner = scope.spawn(|| {
            let _attached = task::become_oob(task::home()?)?;
            spot.here();
            accepted("the RUN under way", frames.device.run())?;
            // On a slow machine, another frame may still begin.
            loop {
                match frames.device.run() {
                    Ok(()) => {}
                    Err(Errno::NODEV) => return Ok(()),
                    Err(errno) => bail!("the next one ended with {errno}"),
                }
            }
        });
        spot.asleep()?;
        let gone = go();
        let ran = task::join(runner);
        come_back(gone?)?;
        ran
    })
}

/// Messages that threads send through spidev.
#[derive(Default)]
pub(crate) struct Traffic {
    count: AtomicU32,
    over: AtomicBool,
}

impl Traffic {
    /// Sends messages until the end, and opens spidev again when it is gone.
    pub(crate) fn send(&self) -> Result<()> {
        while !self.over.load(Ordering::Relaxed) {
            let Ok(mut spidev) = Spidev::open_path("/dev/spidev0.0") else {
                thread::sleep(Duration::from_millis(1));
                continue;
            };
            let mut rx = [0; 64];
            while !self.over.load(Ordering::Relaxed) && spidev.transfer(&[0; 64], &mut rx).is_ok() {
                self.count.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Waits until messages are sent.
    pub(crate) fn flows(&self) -> Result<()> {
        let before = self.count.load(Ordering::Relaxed);
        eventually("in-band messages are sent", || {
            Ok(self.count.load(Ordering::Relaxed) > before + 2)
        })
    }

    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn in_traffic(guest: &Guest) -> Result<()> {
    let traffic = Traffic::default();
    thread::scope(|scope| {
        let threads = [
            scope.spawn(|| traffic.send()),
            scope.spawn(|| traffic.send()),
        ];
        let result = (0..guest.count(10, 100)).try_for_each(|_| {
            traffic.flows()?;
            unbound(guest, || Ok(()))
        });
        let result = result.and_then(|()| traffic.flows());
        traffic.end();
        threads.into_iter().try_for_each(task::join)?;
        result
    })?;
    works()
}

fn with_waiter(guest: &Guest) -> Result<()> {
    crate::support::board::set_parameter("inband_wait_ms", 200_000)?;
    let mut spidev = Spidev::open_path("/dev/spidev0.0")?;
    let frames = Frames::on(0, 16, 0)?;
    let start = std::time::Instant::now();
    let spot = Spot::default();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            spot.here();
            let mut rx = [0; 64];
            // Either result is right: the message runs at the end, or fails because the device is
            // gone.
            _ = spidev.transfer(&[0; 64], &mut rx);
            Ok(())
        });
        spot.asleep()?;
        unbound(guest, || task::join(waiter))
    })?;
    ensure!(
        start.elapsed() < HANG,
        "the message waited for {:?}",
        start.elapsed()
    );
    drop(frames);
    works()
}
