// SPDX-License-Identifier: GPL-2.0-only

//! Bad arguments of setup calls: each is refused with its errno, changes nothing and is counted.
//!
//! This controller never returns `EBADMSG`, since its words have one byte, nor `EIO`, since its DMA
//! descriptors never run out. The host's tests cover these two.

use crate::support::check::{accepted, refused};
use crate::support::device::{Device, FOLDER};
use crate::support::frames::Frames;
use crate::test::{Guest, On, Test};
use anyhow::{Result, ensure};
use oobkit_abi::spi as abi;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::io::Errno;
use rustix::mm::MapFlags;
use std::fmt::Debug;
use std::os::unix::fs::MetadataExt;

pub(crate) const TESTS: &[Test] = &[
    Test::new(
        "refused: ENABLE returns an errno of its own for each bad argument",
        On::Spi,
        enable,
    ),
    Test::new(
        "refused: ENABLE refuses DMA frames for an active-high chip select",
        On::Vboard,
        active_high,
    ),
    Test::new(
        "refused: bad settings and delays each return their errno",
        On::Spi,
        settings,
    ),
    Test::new(
        "refused: settings and delays cannot change while oob mode is on",
        On::Spi,
        settings_while_on,
    ),
    Test::new(
        "refused: mmap refuses bad lengths, offsets and flags",
        On::Spi,
        mmap,
    ),
    Test::new(
        "refused: mmap through a second device node is refused",
        On::Spi,
        second_node,
    ),
    Test::new(
        "refused: calls that need oob mode return ENXIO while it is off",
        On::Spi,
        off,
    ),
];

/// Everything that a refused call could have changed, without the count of refused calls.
fn state(device: &Device) -> Result<impl PartialEq + Debug + use<>> {
    let stats = abi::Stats {
        rejected: 0,
        ..device.stats()?
    };
    Ok((device.settings()?, device.info(), stats))
}

/// Fails unless the call is refused with `errno`, changes nothing and is counted.
pub(crate) fn refuses<T: Debug>(
    what: &str,
    errno: Errno,
    device: &Device,
    call: impl FnOnce(&Device) -> Result<T, Errno>,
) -> Result<()> {
    let before = state(device)?;
    let counted = device.stats()?.rejected;
    refused(what, call(device), errno)?;
    let count = device.stats()?.rejected - counted;
    ensure!(count == 1, "{what}: counted {count} times");
    let after = state(device)?;
    ensure!(before == after, "{what}: {before:?} became {after:?}");
    Ok(())
}

fn enable(_: &Guest) -> Result<()> {
    let device = Device::open(0)?;
    let base = abi::Enable {
        frame_len: 16,
        ..abi::Enable::default()
    };
    let len = |frame_len| abi::Enable { frame_len, ..base };
    let bits = |bits_per_word| abi::Enable {
        bits_per_word,
        ..base
    };
    let speed = |speed_hz| abi::Enable { speed_hz, ..base };
    let cases = [
        ("frame_len 0", len(0), Errno::NODATA),
        // The DMA engine cannot count so many bytes. The limit also applies to frames that need no
        // DMA.
        ("frame_len 65533", len(65_533), Errno::MSGSIZE),
        ("frame_len 2^32 - 1", len(u32::MAX), Errno::MSGSIZE),
        ("7 bits per word", bits(7), Errno::PROTONOSUPPORT),
        ("9 bits per word", bits(9), Errno::PROTONOSUPPORT),
        ("255 bits per word", bits(255), Errno::PROTONOSUPPORT),
        ("1 Hz", speed(1), Errno::RANGE),
    ];
    for (what, args, errno) in cases {
        let mut passed = args;
        refuses(what, errno, &device, |device| {
            device.ioctl(abi::ENABLE_OOB_MODE, &mut passed)
        })?;
        ensure!(passed == args, "{what}: the argument was written to");
    }
    accepted("ENABLE", device.enable(16, 0))?;
    refuses("ENABLE twice", Errno::BUSY, &device, |device| {
        device.enable(16, 0)
    })?;
    // Output fields may hold anything on the way in, and so may the bytes that are padding in EVL's
    // structure.
    accepted("DISABLE", device.disable())?;
    let mut noise = abi::Enable {
        pad: [0xff; 3],
        iobuf_len: 7,
        tx_offset: u32::MAX,
        rx_offset: 9,
        ..base
    };
    accepted(
        "ENABLE",
        device.ioctl(abi::ENABLE_OOB_MODE, &mut noise).map(drop),
    )
}

/// Makes each setting call with bad arguments.
fn bad_settings(device: &Device) -> Result<()> {
    for mode in [1 << 3, 1 << 4, 1 << 5, 1 << 8, 1 << 31, u32::MAX] {
        let what = format!("mode {mode:#x}");
        refuses(&what, Errno::PROTOTYPE, device, |device| {
            device.set(abi::WR_MODE32, mode)
        })?;
    }
    refuses("mode 8, by 8 bits", Errno::PROTOTYPE, device, |device| {
        device.set(abi::WR_MODE, 8_u8)
    })?;
    for bits in [1_u8, 7, 9, 16, 32, 33, 255] {
        let what = format!("{bits} bits per word");
        refuses(&what, Errno::PROTONOSUPPORT, device, |device| {
            device.set(abi::WR_BITS_PER_WORD, bits)
        })?;
    }
    for hz in [0_u32, 1, 1000] {
        let what = format!("{hz} Hz");
        refuses(&what, Errno::RANGE, device, |device| {
            device.set(abi::WR_MAX_SPEED_HZ, hz)
        })?;
    }
    let good = abi::Delays::default();
    let long = 1_000_001;
    let delays = [
        (
            "setup",
            abi::Delays {
                setup_ns: long,
                ..good
            },
            Errno::DOM,
        ),
        (
            "hold",
            abi::Delays {
                hold_ns: long,
                ..good
            },
            Errno::DOM,
        ),
        (
            "inactive",
            abi::Delays {
                inactive_ns: u32::MAX,
                ..good
            },
            Errno::DOM,
        ),
        (
            "reserved",
            abi::Delays {
                reserved: 1,
                ..good
            },
            Errno::INVAL,
        ),
    ];
    for (what, delays, errno) in delays {
        refuses(what, errno, device, |device| {
            device.set(abi::SET_DELAYS, delays)
        })?;
    }
    Ok(())
}

fn active_high(_: &Guest) -> Result<()> {
    let device = Device::open(2)?;
    // SPI_CS_HIGH
    accepted("WR_MODE", device.set(abi::WR_MODE, 4_u8))?;
    let result = refuses("by DMA", Errno::OPNOTSUPP, &device, |device| {
        device.enable(200, 10_000_000).map(drop)
    });
    let result = result.and_then(|()| {
        accepted("through the FIFO", device.enable(16, 10_000_000))?;
        accepted("DISABLE", device.disable())
    });
    accepted("WR_MODE", device.set(abi::WR_MODE, 0_u8))?;
    result
}

fn settings(_: &Guest) -> Result<()> {
    let device = Device::open(0)?;
    bad_settings(&device)?;
    accepted("ENABLE", device.enable(16, 0).map(drop))
}

fn settings_while_on(_: &Guest) -> Result<()> {
    let frames = Frames::on(0, 16, 0)?;
    let busy = |what, call: &dyn Fn(&Device) -> Result<(), Errno>| {
        refuses(what, Errno::BUSY, &frames.device, call)
    };
    busy("WR_MODE", &|d| d.set(abi::WR_MODE, 0_u8))?;
    busy("WR_MODE32", &|d| d.set(abi::WR_MODE32, 0_u32))?;
    busy("WR_BITS_PER_WORD", &|d| d.set(abi::WR_BITS_PER_WORD, 8_u8))?;
    busy("WR_MAX_SPEED_HZ", &|d| {
        d.set(abi::WR_MAX_SPEED_HZ, 1_000_000_u32)
    })?;
    busy("SET_DELAYS", &|d| {
        d.set(abi::SET_DELAYS, abi::Delays::default())
    })
}

fn mmap(_: &Guest) -> Result<()> {
    let page = rustix::param::page_size();
    let frames = Frames::on(0, 16, 0)?;
    let shared = MapFlags::SHARED;
    let cases = [
        ("two pages of one", 2 * page, shared, 0, Errno::FBIG),
        ("a gibibyte", 1 << 30, shared, 0, Errno::FBIG),
        (
            "from its second page on",
            page,
            shared,
            page as u64,
            Errno::SPIPE,
        ),
        ("from far behind it", page, shared, 1 << 40, Errno::SPIPE),
        ("privately", page, MapFlags::PRIVATE, 0, Errno::INVAL),
    ];
    for (what, len, flags, offset, errno) in cases {
        let what = format!("mmap {what}");
        refuses(&what, errno, &frames.device, |device| {
            device.map_as(len, flags, offset).map(drop)
        })?;
    }
    // A part of the buffer can be mapped, and the buffer can be mapped more than once.
    let longer = Device::open(1)?;
    let setup = accepted("ENABLE", longer.enable(4000, 0))?;
    let first = accepted("mmap of a part", longer.map_as(page, shared, 0))?;
    let second = accepted("mmap of all", longer.map(&setup))?;
    first.write(8, &[1, 2, 3]);
    let mut seen = [0; 3];
    second.read(8, &mut seen);
    ensure!(seen == [1, 2, 3], "the two mappings show different memory");
    Ok(())
}

/// The test makes a second node with the same device number. Unbind can revoke the mappings of one
/// node only.
fn second_node(_: &Guest) -> Result<()> {
    const NODE: &str = "/tmp/guest-tests-spidev0.0";
    let first = Frames::on(0, 16, 0)?;
    let number = std::fs::metadata(format!("{FOLDER}/spidev0.0"))?.rdev();
    std::fs::create_dir_all("/tmp")?;
    let _ = std::fs::remove_file(NODE);
    let (kind, mode) = (FileType::CharacterDevice, Mode::RUSR | Mode::WUSR);
    accepted("mknod", mknodat(CWD, NODE, kind, mode, number))?;
    let page = rustix::param::page_size();
    let result = Device::open_path(NODE).and_then(|second| {
        refuses("mmap by a second node", Errno::BUSY, &second, |device| {
            device.map_as(page, MapFlags::SHARED, 0).map(drop)
        })?;
        let Frames {
            device, mapping, ..
        } = first;
        drop(mapping);
        let map = second.map_as(page, MapFlags::SHARED, 0);
        let _map = accepted("mmap after the first node's mapping is gone", map)?;
        refuses("mmap by the first node", Errno::BUSY, &device, |device| {
            device.map_as(page, MapFlags::SHARED, 0).map(drop)
        })
    });
    std::fs::remove_file(NODE)?;
    result
}

fn off(_: &Guest) -> Result<()> {
    let device = Device::open(0)?;
    let page = rustix::param::page_size();
    let off = |what, call: &dyn Fn(&Device) -> Result<(), Errno>| {
        refuses(what, Errno::NXIO, &device, call)
    };
    off("DISABLE", &Device::disable)?;
    off("GET_INFO", &|d| d.info().map(drop))?;
    off("SET_TRIGGER", &|d| d.set_timer(0, 1_000_000))?;
    off("SET_STOP", &|d| d.set_stop(1, 0))?;
    off("mmap", &|d| d.map_as(page, MapFlags::SHARED, 0).map(drop))
}
