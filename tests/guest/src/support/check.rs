// SPDX-License-Identifier: GPL-2.0-only

//! The checks that tests use: a call succeeds, a call fails with its errno, a condition becomes
//! true.

use anyhow::{Result, bail};
use rustix::io::Errno;
use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

/// Fails unless the call named `what` returned `errno`.
pub(crate) fn refused<T: Debug>(what: &str, result: Result<T, Errno>, errno: Errno) -> Result<()> {
    match result {
        Err(got) if got == errno => Ok(()),
        Err(got) => bail!("{what}: {}, not {}", name(got), name(errno)),
        Ok(value) => bail!("{what}: accepted ({value:?}), not {}", name(errno)),
    }
}

/// Fails unless the call named `what` succeeded.
pub(crate) fn accepted<T>(what: &str, result: Result<T, Errno>) -> Result<T> {
    result.map_err(|errno| anyhow::anyhow!("{what}: {}", name(errno)))
}

fn name(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    format!("errno {} ({text})", errno.raw_os_error())
}

/// How long a test waits for what must happen. It only bounds a hang: no promise depends on its
/// value.
pub(crate) const HANG: Duration = Duration::from_secs(60);

/// Waits until `condition` holds; fails with `what` after [`HANG`].
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !condition()? {
        if start.elapsed() > HANG {
            bail!("not within {} s: {what}", HANG.as_secs());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
