// SPDX-License-Identifier: GPL-2.0-only

//! Processors that are taken offline while a test patches the kernel's code.
//!
//! Switching a trace point patches code. An emulator that runs its processors side by side may
//! still execute a breakpoint that the kernel has already patched away again, and the kernel then
//! dies of it (`Oops: int3`). A processor that is offline executes nothing. On arm64 a trace point
//! is patched by one atomic write and without a breakpoint, and QEMU's raspi3b cannot take a
//! processor offline, so nothing is done there.

use anyhow::{Context, Result};
use std::fs;

/// Keeps all processors but the first offline until dropped.
#[derive(Debug)]
pub(crate) struct OneProcessor(());

impl OneProcessor {
    pub(crate) fn new() -> Result<Self> {
        let guard = Self(());
        switch_all("1", "0")?;
        Ok(guard)
    }
}

impl Drop for OneProcessor {
    fn drop(&mut self) {
        // The runner repeats this after each test, and fails where it cannot.
        let _ = all_online();
    }
}

/// Brings all processors online.
pub(crate) fn all_online() -> Result<()> {
    switch_all("0", "1")
}

/// On x86, writes `to` to the switch of each processor but the first, where it reads `from`. On
/// arm64 a machine may keep processors offline that the kernel's command line does not allow.
fn switch_all(from: &str, to: &str) -> Result<()> {
    if !cfg!(target_arch = "x86_64") {
        return Ok(());
    }
    for entry in fs::read_dir("/sys/devices/system/cpu")? {
        let folder = entry?.path();
        if folder.ends_with("cpu0") {
            continue;
        }
        let switch = folder.join("online");
        if fs::read_to_string(&switch).is_ok_and(|state| state.trim() == from) {
            fs::write(&switch, to)
                .with_context(|| format!("cannot write {to} to {}", switch.display()))?;
        }
    }
    Ok(())
}
