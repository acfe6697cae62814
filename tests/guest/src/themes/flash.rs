// SPDX-License-Identifier: GPL-2.0-only

//! Flashes on the SPI bus: mainline's spi-nor drives the virtual board's flash. On raspi3b, QEMU
//! has a flash with known content.
//!
//! QEMU does not connect a chip select to raspi3b's flash, so the flash never sees the end of a
//! command. RDID with six more bytes ends by itself. READ never ends, and streams the content again
//! and again.

use crate::support::check::accepted;
use crate::support::frames::Frames;
use crate::support::task;
use crate::test::{Guest, On, Test};
use anyhow::{Context, Result, ensure};
use oobkit::inband::Spidev;
use oobkit_abi::ioc;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

pub(crate) const TESTS: &[Test] = &[
    Test::smoke(
        "flash: mainline's spi-nor driver erases, writes and reads through the kit's controller",
        On::Vboard,
        spi_nor,
    ),
    Test::new(
        "flash: oob frames read what spi-nor wrote",
        On::Vboard,
        by_oob,
    ),
    Test::new(
        "flash: spi-nor waits while oob mode is on, and continues afterwards",
        On::Vboard,
        waits,
    ),
    Test::smoke(
        "raspi3b: the flash's ID arrives through the FIFO, out of band and in band",
        On::Raspi3b,
        identity,
    ),
    Test::new(
        "raspi3b: the flash's whole content arrives through the FIFO, out of band and through spidev",
        On::Raspi3b,
        content,
    ),
];

/// First address of a part of the flash that no other test uses.
const START: u32 = 0x2_0000;

/// Length of that part: one sector, or 64 KiB with full counts.
fn len(guest: &Guest) -> Result<u32> {
    const SIZE: &str = "/sys/class/mtd/mtd0/erasesize";
    let text = fs::read_to_string(SIZE).with_context(|| format!("cannot read {SIZE}"))?;
    let sector = text.trim().parse()?;
    Ok(guest.count(sector, 0x1_0000).max(sector))
}

/// `MEMERASE`'s argument (mtd/mtd-abi.h).
#[repr(C)]
struct Erase {
    start: u32,
    length: u32,
}

const MEMERASE: u32 = ioc::iow::<Erase>(b'M', 2);

fn open() -> Result<File> {
    let file = File::options().read(true).write(true).open("/dev/mtd0");
    file.context("cannot open /dev/mtd0: is spi-nor bound to the flash?")
}

fn erase(mtd: &File, length: u32) -> Result<()> {
    let mut range = Erase {
        start: START,
        length,
    };
    let argument = std::ptr::from_mut(&mut range).expose_provenance();
    accepted(
        "MEMERASE",
        crate::support::device::call(mtd.as_raw_fd(), MEMERASE, argument).map(drop),
    )
}

fn pattern(len: u32) -> Vec<u8> {
    let mut random = crate::support::random::Random::new(5);
    (0..len).map(|_| random.next() as u8).collect()
}

fn read(mtd: &File, len: u32) -> Result<Vec<u8>> {
    let mut seen = vec![0; len as usize];
    mtd.read_exact_at(&mut seen, START.into())?;
    Ok(seen)
}

/// Erases the part and writes the pattern to it.
fn write(mtd: &File, len: u32) -> Result<()> {
    erase(mtd, len)?;
    ensure!(
        read(mtd, len)?.iter().all(|byte| *byte == 0xff),
        "the erased part does not read 0xff"
    );
    mtd.write_all_at(&pattern(len), START.into())?;
    Ok(())
}

fn spi_nor(guest: &Guest) -> Result<()> {
    let device = Path::new("/sys/bus/spi/devices/spi0.1");
    let driver = fs::read_link(device.join("driver")).context("nothing is bound to the flash")?;
    ensure!(driver.ends_with("spi-nor"), "{driver:?} is bound");
    // Kernels before 5.14 have no such file.
    if device.join("spi-nor").exists() {
        let id = fs::read_to_string(device.join("spi-nor/jedec_id"))?;
        ensure!(id.trim() == "ef4014", "spi-nor has read the ID {id}");
    }
    let (mtd, len) = (open()?, len(guest)?);
    write(&mtd, len)?;
    ensure!(
        read(&mtd, len)? == pattern(len),
        "reading does not return what was written"
    );
    erase(&mtd, len)
}

fn by_oob(guest: &Guest) -> Result<()> {
    const CHUNK: u32 = 4096;
    let len = len(guest)?;
    write(&open()?, len)?;
    let frames = Frames::on(1, 4 + CHUNK, 25_000_000)?;
    frames.must_be_dma()?;
    let pattern = pattern(len);
    task::oob(|| {
        for offset in (0..len).step_by(CHUNK as usize) {
            let [_, address @ ..] = (START + offset).to_be_bytes();
            frames.fill(&[0x03]);
            frames
                .mapping
                .write(frames.setup.tx_offset as usize + 1, &address);
            accepted("RUN", frames.device.run())?;
            let expected = pattern.iter().skip(offset as usize).take(CHUNK as usize);
            ensure!(
                frames.received().iter().skip(4).eq(expected),
                "other bytes at {offset:#x}"
            );
        }
        Ok(())
    })
}

fn waits(guest: &Guest) -> Result<()> {
    crate::support::board::set_parameter("inband_wait_ms", 200_000)?;
    let (mtd, len) = (open()?, len(guest)?);
    write(&mtd, len)?;
    let motor = Frames::on(0, 16, 0)?;
    let done = AtomicBool::new(false);
    let spot = task::Spot::default();
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            spot.here();
            let seen = read(&mtd, len);
            done.store(true, Ordering::Release);
            ensure!(seen? == pattern(len), "other bytes");
            Ok(())
        });
        let sleeps = spot.waits();
        let during = task::oob(|| {
            for _ in 0..30 {
                accepted("RUN", motor.device.run())?;
                thread::sleep(Duration::from_millis(10));
            }
            ensure!(!done.load(Ordering::Acquire), "spi-nor did not wait");
            Ok(())
        });
        let disabled = accepted("DISABLE", motor.device.disable());
        task::join(reader)?;
        sleeps.and(during).and(disabled)
    })
}

/// The file that QEMU's flash was made from.
const IMAGE: &str = "/flash.img";
const CLOCK: u32 = 20_000_000;

fn identity(_: &Guest) -> Result<()> {
    let command = [0x9f, 0, 0, 0, 0, 0, 0];
    let is_id = |what, rx: &[u8]| {
        let [_, manufacturer, kind, size, rest @ ..] = rx else {
            anyhow::bail!("{what}: {rx:02x?}");
        };
        let all = [*manufacturer, *kind, *size];
        ensure!(
            !all.contains(&0) && !all.contains(&0xff) && rest == [0; 3],
            "{what}: {rx:02x?}"
        );
        Ok(all)
    };
    let frames = Frames::on(0, 7, CLOCK)?;
    frames.fill(&command);
    let id = task::oob(|| {
        frames.spoil(0x55);
        accepted("RUN", frames.device.run())?;
        let id = is_id("out-of-band", &frames.received())?;
        for _ in 0..500 {
            frames.spoil(0x55);
            accepted("RUN", frames.device.run())?;
            let again = is_id("out-of-band", &frames.received())?;
            ensure!(again == id, "the ID was {id:02x?} and is {again:02x?}");
        }
        Ok(id)
    })?;
    accepted("DISABLE", frames.device.disable())?;
    let mut spidev = Spidev::open_path("/dev/spidev0.0")?;
    spidev.configure(0, CLOCK)?;
    for _ in 0..100 {
        let mut rx = [0x55; 7];
        spidev.transfer(&command, &mut rx)?;
        let again = is_id("in-band", &rx)?;
        ensure!(
            again == id,
            "out-of-band the ID is {id:02x?}, in-band {again:02x?}"
        );
    }
    Ok(())
}

fn content(_: &Guest) -> Result<()> {
    const CHUNK: usize = 4096;
    let image = fs::read(IMAGE).context("no /flash.img: boot with --add flash.img")?;
    let varied = image
        .iter()
        .filter(|byte| ![0, 0xff].contains(byte))
        .count();
    ensure!(
        varied > image.len() / 2,
        "{IMAGE} is too uniform to prove anything"
    );
    // READ from address 0. The content follows the command's four bytes without a gap.
    let command = Frames::on(0, 4, CLOCK)?;
    command.fill(&[0x03, 0, 0, 0]);
    task::oob(|| accepted("RUN", command.device.run()))?;
    accepted("DISABLE", command.device.disable())?;
    // Short frames fit into the FIFO. Long ones make the driver refill it.
    for (part, len) in image.chunks(image.len() / 2).zip([64, CHUNK]) {
        let frames = Frames::on(0, len as u32, CLOCK)?;
        task::oob(|| {
            for (n, expected) in part.chunks(len).enumerate() {
                frames.spoil(0x55);
                accepted("RUN", frames.device.run())?;
                ensure!(
                    frames.received() == expected,
                    "out-of-band, frame {n} of {len} bytes differs"
                );
            }
            Ok(())
        })?;
    }
    // After its end, the content begins again.
    let mut spidev = Spidev::open_path("/dev/spidev0.0")?;
    spidev.configure(0, CLOCK)?;
    for (n, expected) in image.chunks(CHUNK).enumerate() {
        let mut rx = vec![0x55; expected.len()];
        spidev.transfer(&vec![0; expected.len()], &mut rx)?;
        ensure!(rx == expected, "in-band, message {n} differs");
    }
    Ok(())
}
