// SPDX-License-Identifier: GPL-2.0-only

//! Each allocation of a set-up call fails once: the call says so and leaves nothing behind. On kernels that can fail
//! allocations on demand (Documentation/fault-injection: fail-nth).

use crate::support::check::{accepted, refused};
use crate::support::device::Device;
use crate::support::fail_nth::each_failing;
use crate::support::mapping::Mapping;
use crate::support::modules::{bind_to, bound, load_all, unbind};
use crate::test::{Guest, On, Test};
use anyhow::{Result, bail, ensure};
use rustix::io::Errno;
use std::fs::File;

pub(crate) const TESTS: &[Test] = &[
    Test::new(
        "memory: open fails cleanly whichever allocation fails",
        On::FailingMemory,
        open,
    ),
    Test::smoke(
        "memory: ENABLE leaves oob mode off whichever allocation fails",
        On::FailingMemory,
        enable,
    ),
    Test::new(
        "memory: mmap fails cleanly whichever allocation fails",
        On::FailingMemory,
        mmap,
    ),
    Test::new(
        "memory: binding the driver fails cleanly whichever allocation fails",
        On::FailingMemory,
        bind,
    ),
];

fn open(_: &Guest) -> Result<()> {
    each_failing(
        1,
        || File::open("/dev/oob/spidev0.0").map(drop),
        |_, result| match result {
            Err(error) if error.raw_os_error() != Some(libc::ENOMEM) => Err(error.into()),
            _ => Ok(()),
        },
    )
}

fn enable(_: &Guest) -> Result<()> {
    let device = Device::open(0)?;
    each_failing(
        1,
        || device.enable(3000, 0),
        |_, result| match result {
            Ok(_) => accepted("DISABLE", device.disable()),
            Err(Errno::NOMEM) => refused("GET_INFO", device.info(), Errno::NXIO),
            Err(errno) => bail!("ENABLE: {errno}"),
        },
    )?;
    accepted("ENABLE", device.enable(3000, 0).map(drop))
}

fn mmap(_: &Guest) -> Result<()> {
    let device = Device::open(0)?;
    let setup = accepted("ENABLE", device.enable(3000, 0))?;
    // What x86 kernels do where a page table cannot be had for device memory ends in a warning of their own
    // (`get_pat_info`, below `remap_pfn_range`): so there is one, of other mappings above.
    let mut above = Vec::new();
    while above.len() < 64 && !above.last().is_some_and(is_high) {
        above.push(accepted("mmap", device.map(&setup))?);
    }
    ensure!(above.last().is_some_and(is_high), "no room below a mapping");
    each_failing(
        1,
        || device.map(&setup).map(drop),
        |_, result| match result {
            Ok(()) | Err(Errno::NOMEM) => Ok(()),
            Err(errno) => bail!("mmap: {errno}"),
        },
    )?;
    drop(accepted("mmap", device.map(&setup))?);
    accepted("DISABLE", device.disable())
}

/// Whether the next mapping, which comes below, has the same page table, of 2 MiB.
fn is_high(mapping: &Mapping) -> bool {
    mapping.address() % (2 << 20) >= 64 << 10
}

fn bind(guest: &Guest) -> Result<()> {
    // It makes several hundred, and a debug kernel takes its time for each turn.
    let step = guest.count(17, 1) as usize;
    let device = unbind()?;
    let result = each_failing(
        step,
        || bind_to(&device),
        |_, _| {
            // Some failures cost a child of the bus only, which the SPI core reports.
            if bound()?.is_some() {
                unbind()?;
            }
            Ok(())
        },
    );
    if bound()?.is_none() {
        bind_to(&device)?;
    }
    load_all(guest.board)?;
    result
}
