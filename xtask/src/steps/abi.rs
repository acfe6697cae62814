// SPDX-License-Identifier: GPL-2.0-only
//! The modules held against EVL's declared interface, and that this would see a change of it.
//!
//! ```text
//!   tests/abi/ --copied--> target/abi-check --make abi-check--> nothing to say
//!                               |
//!                               '- one thing spoilt --> one line that names it; put back
//! ```

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::Count;
use crate::setup::kernel::KERNELS;
use crate::{kit, paths};

/// Laid under the declarations: not a PREEMPT_RT one, since EVL's are none.
const KERNEL: &str = "6.12-amd64";

/// A file of the declarations, what to replace in it and by what, and what the error must name.
const SPOILT: [[&str; 4]; 5] = [
    // Seen by C.
    [
        "include/evl/timer.h",
        "ktime_t first, ktime_t interval);",
        "ktime_t first, ktime_t interval, int flags);",
        "evl_start_timer",
    ],
    // Seen by Rust.
    [
        "include/evl/file.h",
        "int evl_open_file(struct evl_file *efilp, struct file *filp);",
        "int evl_open_file(struct evl_file *efilp, struct file *filp, int flags);",
        "E0061",
    ],
    // Seen at the higher level only.
    [
        "include/linux/interrupt.h",
        "#define IRQF_OOB 0x00200000",
        "#define IRQF_OUT_OF_BAND 0x00200000",
        "level 37: error[E0425]: cannot find value `IRQF_OOB`",
    ],
    [
        "file_operations",
        "(*oob_ioctl)",
        "(*out_of_band_ioctl)",
        "oob_ioctl",
    ],
    // Seen at the link.
    ["exports", "evl_release_file", "#", "evl_release_file"],
];

pub(super) fn check() -> Result<Count> {
    let kernel = KERNELS.iter().find(|kernel| kernel.name == KERNEL);
    let kernel = kernel.context("no such kernel")?;
    let declared = paths::target().join("abi-check");
    copy(&paths::repo().join("tests/abi"), &declared)?;
    let mut count = match kit::abi_check(kernel, &declared)? {
        None => Count::PASS,
        Some(error) => {
            println!("{error}");
            return Ok(Count::FAIL);
        }
    };
    for [file, from, to, named] in SPOILT {
        let path = declared.join(file);
        let good = fs::read_to_string(&path)?;
        fs::write(&path, good.replace(from, to))?;
        let said = kit::abi_check(kernel, &declared);
        fs::write(&path, good)?;
        let said = said?.unwrap_or_default();
        // The other line is make's own.
        let lines: Vec<_> = said
            .lines()
            .filter(|line| line.starts_with("oobkit: "))
            .collect();
        match lines[..] {
            [line] if line.contains(named) => count.add(Count::PASS),
            _ => {
                println!("{file}, spoilt: {named} was not named: {said}");
                count.add(Count::FAIL);
            }
        }
    }
    Ok(count)
}

/// Leaves alone what is the same, so that it is not built anew.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to)?;
        } else if fs::read(&from)? != fs::read(&to).unwrap_or_default() {
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}
