// SPDX-License-Identifier: GPL-2.0-only

//! Each allocation of a set-up call fails once: the call says so and leaves nothing behind. On kernels that can fail
//! allocations on demand (Documentation/fault-injection: fail-nth).

use crate::support::board;
use crate::support::device::{Device, Mapping};
use crate::support::modules::{bind_to, bound, load_all, unbind};
use crate::support::{accepted, refused};
use crate::{Guest, On, Test};
use anyhow::{Context, Result, bail, ensure};
use rustix::io::Errno;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

const FAIL_NTH: &str = "/proc/thread-self/fail-nth";
/// More allocations than any call makes.
const MOST: u32 = 2000;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "memory: open with each allocation failing",
        on: On::FailingMemory,
        run: open,
    },
    Test {
        name: "memory: ENABLE with each allocation failing leaves oob mode off",
        on: On::FailingMemory,
        run: enable,
    },
    Test {
        name: "memory: mmap with each allocation failing",
        on: On::FailingMemory,
        run: mmap,
    },
    Test {
        name: "memory: binding the driver with each allocation failing",
        on: On::FailingMemory,
        run: bind,
    },
];

/// Whether this kernel can fail allocations.
pub(crate) fn can_fail() -> bool {
    Path::new(FAIL_NTH).exists()
}

/// Calls `call` again and again, with its first allocation failing, then the one `step` behind it and so on, until none
/// fails; `check` looks at each result.
fn each_failing<T>(
    step: usize,
    mut call: impl FnMut() -> T,
    mut check: impl FnMut(u32, T) -> Result<()>,
) -> Result<()> {
    // Allocations that may wait fail, too, and without a page of words for each.
    for (name, value) in [("ignore-gfp-wait", 0), ("verbose", 0)] {
        board::set_debug(&format!("failslab/{name}"), value)?;
        board::set_debug(&format!("fail_page_alloc/{name}"), value)?;
    }
    board::set_debug("fail_page_alloc/min-order", 0)?;
    let switch = File::options().read(true).write(true).open(FAIL_NTH)?;
    for nth in (1..MOST).step_by(step) {
        switch.write_all_at(nth.to_string().as_bytes(), 0)?;
        let result = call();
        let mut left = [0; 16];
        let len = switch.read_at(&mut left, 0)?;
        switch.write_all_at(b"0", 0)?;
        let left: u32 = std::str::from_utf8(&left[..len])?.trim().parse()?;
        check(nth, result).with_context(|| format!("allocation {nth} failing"))?;
        if left > 0 {
            ensure!(nth > 1, "the call allocates nothing");
            return Ok(());
        }
    }
    bail!("more than {MOST} allocations in one call")
}

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
