// SPDX-License-Identifier: GPL-2.0-only

//! Allocations that fail on demand (Documentation/fault-injection: fail-nth).

use super::board;
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

const FAIL_NTH: &str = "/proc/thread-self/fail-nth";
/// More allocations than any call makes.
const MOST: u32 = 2000;

/// Whether this kernel can fail allocations.
pub(crate) fn can_fail() -> bool {
    Path::new(FAIL_NTH).exists()
}

/// Calls `call` repeatedly: with its first allocation failing, then with the one `step` later, and
/// so on until none fails. `check` gets each result.
pub(crate) fn each_failing<T>(
    step: usize,
    mut call: impl FnMut() -> T,
    mut check: impl FnMut(u32, T) -> Result<()>,
) -> Result<()> {
    // Allocations that may sleep fail, too. A failure prints no stack trace.
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

const SLABS: &str = "/sys/kernel/slab";

/// Calls `call`, in which no allocation from the slab cache `spared` fails on demand, nor any from a
/// cache that others share.
pub(crate) fn sparing<T>(spared: &str, call: impl FnOnce() -> Result<T>) -> Result<T> {
    for entry in fs::read_dir(SLABS).with_context(|| format!("no {SLABS}"))? {
        let cache = entry?.path();
        let may_fail = if cache.ends_with(spared) { "0" } else { "1" };
        // A shared cache has no mark of its own, and refuses.
        let _ = fs::write(cache.join("failslab"), may_fail);
    }
    board::set_debug("failslab/cache-filter", 1)?;
    let result = call();
    board::set_debug("failslab/cache-filter", 0)?;
    result
}
