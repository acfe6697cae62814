// SPDX-License-Identifier: GPL-2.0-only

//! Pools: a hard interrupt and threads of both stages pass blocks to each other.

use crate::support::check::{accepted, refused};
use crate::support::device::Device;
use crate::test::{Guest, On, Test};
use anyhow::{Result, ensure};
use oob_trial::PATH;
use oob_trial::services::{POOL_SHARED, Shared};
use rustix::io::Errno;

pub(crate) const TESTS: &[Test] = &[
    Test::smoke(
        "stage pool: each block has one owner at a time across interrupt and both stages, and none is lost",
        On::Any,
        shared,
    ),
    Test::new(
        "stage pool: creating a pool with a bad size returns EINVAL",
        On::Any,
        bad_sizes,
    ),
];

fn shared(guest: &Guest) -> Result<()> {
    let trial = Device::open_path(PATH)?;
    for (count, size) in [(1, 24), (2, 5), (16, 1000)] {
        let mut seen = Shared {
            count,
            size,
            calls: guest.count(500, 50_000),
            ..Shared::default()
        };
        accepted("POOL_SHARED", trial.ioctl(POOL_SHARED, &mut seen))?;
        // The scene does not end before the in-band thread has received its part.
        ensure!(seen.sent > seen.calls / 50, "{seen:?}");
        ensure!(seen.received == seen.sent, "{seen:?}");
        ensure!(seen.spoilt == 0 && seen.blocks == count, "{seen:?}");
        // With a single block, a taker often finds that another one owns it.
        ensure!(count > 1 || seen.exhausted > 0, "{seen:?}");
    }
    Ok(())
}

fn bad_sizes(_: &Guest) -> Result<()> {
    let trial = Device::open_path(PATH)?;
    let with = |count, size| {
        let mut args = Shared {
            count,
            size,
            ..Shared::default()
        };
        trial.ioctl(POOL_SHARED, &mut args)
    };
    for (count, size) in [(0, 8), (8, 0), (0, 0), (u32::MAX, 8)] {
        refused("POOL_SHARED", with(count, size), Errno::INVAL)?;
    }
    Ok(())
}
