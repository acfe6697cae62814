// SPDX-License-Identifier: GPL-2.0-only

//! Pools: blocks that are passed between a hard interrupt and threads of both stages.

use crate::support::device::Device;
use crate::support::{accepted, refused};
use crate::{Guest, On, Test};
use anyhow::{Result, ensure};
use oob_trial::PATH;
use oob_trial::services::{POOL_SHARED, Shared};
use rustix::io::Errno;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "stage: pool: a block is one owner's at a time, in a hard interrupt and in threads of both stages; none is lost",
        on: On::Any,
        run: shared,
    },
    Test {
        name: "stage: pool: each bad size has its errno",
        on: On::Any,
        run: bad_sizes,
    },
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
        accepted("POOL_SHARED", trial.exchange(POOL_SHARED, &mut seen))?;
        // The in-band thread is not done before it has had its part.
        ensure!(seen.sent > seen.calls / 50, "{seen:?}");
        ensure!(seen.received == seen.sent, "{seen:?}");
        ensure!(seen.spoilt == 0 && seen.blocks == count, "{seen:?}");
        // Of one block alone, another one often is the owner.
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
        trial.exchange(POOL_SHARED, &mut args)
    };
    for (count, size) in [(0, 8), (8, 0), (0, 0), (u32::MAX, 8)] {
        refused("POOL_SHARED", with(count, size), Errno::INVAL)?;
    }
    Ok(())
}
