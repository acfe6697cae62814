// SPDX-License-Identifier: GPL-2.0-only

//! Setup calls in which one allocation fails, each allocation in turn. The call returns the error
//! and leaves nothing behind. These tests need a kernel that can fail allocations on demand.

use crate::support::check::{accepted, refused};
use crate::support::device::Device;
use crate::support::fail_nth::{each_failing, sparing};
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
    // If x86 kernels cannot allocate a page table for device memory, they print a warning of their
    // own (`get_pat_info`, below `remap_pfn_range`). Mappings above this one make sure that the
    // page table exists.
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

/// Whether the next mapping, which the kernel places below this one, lies in the same page table of
/// 2 MiB.
fn is_high(mapping: &Mapping) -> bool {
    mapping.address() % (2 << 20) >= 64 << 10
}

fn bind(guest: &Guest) -> Result<()> {
    // Binding makes several hundred allocations, and a debug kernel needs long for each turn.
    let step = if guest.long { 1 } else { 37 };
    let device = unbind()?;
    // The SPI core warns if it cannot allocate the node that holds a bus's number.
    let result = sparing("radix_tree_node", || {
        each_failing(
            step,
            || bind_to(&device),
            |_, _| {
                // After some failures only a child of the bus is missing, which the SPI core reports.
                if bound()?.is_some() {
                    unbind()?;
                }
                Ok(())
            },
        )
    });
    if bound()?.is_none() {
        bind_to(&device)?;
    }
    load_all(guest.board)?;
    result
}
