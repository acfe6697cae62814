// SPDX-License-Identifier: GPL-2.0-only

//! Unknown calls return `ENOTTY` and arguments at bad addresses `EFAULT`. They change nothing and
//! are counted.

use crate::support::check::{accepted, refused};
use crate::support::device::Device;
use crate::support::mapping::{Edge, Mapping};
use crate::support::task;
use crate::test::{Guest, On, Test};
use crate::themes::refused_setup::refuses;
use anyhow::{Result, ensure};
use oobkit_abi::spi as abi;
use rustix::io::Errno;
use rustix::mm::ProtFlags;

pub(crate) const TESTS: &[Test] = &[
    Test::new("refused: unknown calls return ENOTTY", On::Spi, unknown),
    Test::new(
        "refused: calls return EFAULT for arguments at bad addresses",
        On::Spi,
        pointers,
    ),
    Test::new(
        "refused: ENABLE returns EFAULT and leaves oob mode off when its result cannot be written",
        On::Spi,
        enable_into_read_only,
    ),
];

fn unknown(_: &Guest) -> Result<()> {
    let device = Device::open(0)?;
    let other_size = |command: u32| command ^ (1 << 16);
    let commands = [
        0,
        u32::MAX,
        abi::RUN_OOB_XFER + 1,
        abi::SET_DELAYS + 1,
        // SPI_IOC_MESSAGE(1) of spidev, which this device does not have.
        0x4020_6b00,
        other_size(abi::ENABLE_OOB_MODE),
        other_size(abi::RUN_LIST),
        other_size(abi::GET_STATS),
        // The number of RUN_UNTIL with another direction.
        abi::RUN_UNTIL ^ (1 << 31),
        // TCGETS and FIONREAD.
        0x5401,
        0x541b,
    ];
    for command in commands {
        let mut scratch = [0_u64; 64];
        let what = format!("call {command:#x}");
        // The kernel passes FIONREAD on for files that are not regular.
        refuses(&what, Errno::NOTTY, &device, |device| {
            device.ioctl(command, &mut scratch)
        })?;
        ensure!(scratch == [0; 64], "{what}: wrote to its argument");
    }
    Ok(())
}

/// Addresses that no argument can have: a name, the address, and whether the kernel cannot read
/// there.
fn bad_addresses(read_only: &Mapping, edge: Edge) -> [(&'static str, usize, bool); 7] {
    let page = rustix::param::page_size();
    [
        ("null", 0, true),
        ("unmapped", 8, true),
        ("the kernel's half", 1 << 63, true),
        ("the address space's end", usize::MAX - 3, true),
        ("no access", edge.address(), true),
        // The accessible page ends where `edge` begins.
        ("half in a page", edge.address() - 1, true),
        ("read-only", read_only.address() + page / 2, false),
    ]
}

/// Calls with an argument of more than one byte, and whether the kernel only writes that argument.
const POINTER_CALLS: [(&str, u32, bool); 11] = [
    ("ENABLE", abi::ENABLE_OOB_MODE, false),
    ("RUN_UNTIL", abi::RUN_UNTIL, false),
    ("RUN_LIST", abi::RUN_LIST, false),
    ("SET_TRIGGER", abi::SET_TRIGGER, false),
    ("SET_STOP", abi::SET_STOP, false),
    ("SET_DELAYS", abi::SET_DELAYS, false),
    ("WR_MODE32", abi::WR_MODE32, false),
    ("WR_MAX_SPEED_HZ", abi::WR_MAX_SPEED_HZ, false),
    ("GET_STATS", abi::GET_STATS, true),
    ("GET_INFO", abi::GET_INFO, true),
    ("RD_MAX_SPEED_HZ", abi::RD_MAX_SPEED_HZ, true),
];

/// An attached thread makes the calls: EVL refuses the oob calls of any other thread before it
/// reads their arguments.
fn pointers(_: &Guest) -> Result<()> {
    task::oob(bad_pointers)
}

fn bad_pointers() -> Result<()> {
    let page = rustix::param::page_size();
    let read_only = Mapping::anonymous(page, ProtFlags::READ)?;
    // The second of these two pages cannot be accessed.
    let both = Mapping::anonymous(2 * page, ProtFlags::READ | ProtFlags::WRITE)?;
    let edge = both.without_access(page)?;
    for on in [false, true] {
        let device = Device::open(0)?;
        if on {
            accepted("ENABLE", device.enable(16, 0))?;
        }
        for (name, command, is_answer) in POINTER_CALLS {
            // While oob mode is off, GET_INFO returns ENXIO before it uses its argument.
            if !on && command == abi::GET_INFO {
                continue;
            }
            for (place, address, unreadable) in bad_addresses(&read_only, edge) {
                if !unreadable && !is_answer {
                    continue;
                }
                let what = format!("{name}, argument at {address:#x} ({place})");
                refuses(&what, Errno::FAULT, &device, |device| {
                    device.call(command, address)
                })?;
            }
        }
    }
    Ok(())
}

fn enable_into_read_only(_: &Guest) -> Result<()> {
    let page = rustix::param::page_size();
    let argument = Mapping::anonymous(page, ProtFlags::READ | ProtFlags::WRITE)?;
    argument.write(0, &16_u32.to_ne_bytes());
    let argument = argument.read_only()?;
    let device = Device::open(0)?;
    let counted = device.stats()?.rejected;
    let call = device.call(abi::ENABLE_OOB_MODE, argument.address());
    refused("ENABLE into a read-only page", call, Errno::FAULT)?;
    ensure!(device.stats()?.rejected == counted + 1, "not counted");
    refused("GET_INFO", device.info(), Errno::NXIO)?;
    accepted("ENABLE", device.enable(16, 0).map(drop))
}
