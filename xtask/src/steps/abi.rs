// SPDX-License-Identifier: GPL-2.0-only
//! Compiles and links the modules against the declarations of EVL's interface, and checks that a
//! change of that interface is noticed.
//!
//! ```text
//!   tests/abi/ --copied--> target/abi-check --make abi-check--> no error
//!                               |
//!                               '- one line changed --> one error that names it; undone
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::count::Count;
use super::step::{Log, Mode, Step, Tool};
use crate::kernels::{self, Kernel};
use crate::kit::modules::abi_check;
use crate::paths;
use crate::setup::Need;

/// The kernel under the declarations. It is not PREEMPT_RT, because EVL's kernels are not.
const KERNEL: &str = "6.12-amd64";

/// A file of the declarations, the text to replace and its replacement, and the text that the error
/// must contain.
const SPOILT: [[&str; 4]; 5] = [
    // C finds this fault.
    [
        "include/evl/timer.h",
        "ktime_t first, ktime_t interval);",
        "ktime_t first, ktime_t interval, int flags);",
        "evl_start_timer",
    ],
    // Rust finds this fault.
    [
        "include/evl/file.h",
        "int evl_open_file(struct evl_file *efilp, struct file *filp);",
        "int evl_open_file(struct evl_file *efilp, struct file *filp, int flags);",
        "E0061",
    ],
    // Only the higher level has this fault.
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
    // The link finds this fault.
    ["exports", "evl_release_file", "#", "evl_release_file"],
];

pub(super) const NAME: &str = "abi check";

pub(super) fn step() -> Step {
    Step::new(
        NAME,
        "the modules against EVL's declared interface, at two ABI levels",
        check,
    )
    .needs(&[Need::Build])
    .uses(Tool::KernelBuild)
}

/// Each fault makes make rebuild the modules, for at least one level.
pub(super) fn plants_step() -> Step {
    Step::new(
        "abi check, planted faults",
        "each spoilt declaration or export is named",
        plants,
    )
    .needs(&[Need::Build])
    .uses(Tool::KernelBuild)
    .after(NAME)
    .long()
}

fn check(_: &Mode, log: &mut Log) -> Result<Count> {
    let said = abi_check(kernel()?, &declared()?)?;
    if let Some(error) = &said {
        log.line(error);
    }
    Ok(Count::of(said.is_none()))
}

fn plants(_: &Mode, log: &mut Log) -> Result<Count> {
    let (kernel, declared) = (kernel()?, declared()?);
    let mut count = Count::default();
    for [file, from, to, named] in SPOILT {
        let path = declared.join(file);
        let good = fs::read_to_string(&path)?;
        fs::write(&path, good.replace(from, to))?;
        let said = abi_check(kernel, &declared);
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
                log.line(format_args!(
                    "{file}, spoilt: {named} was not named: {said}"
                ));
                count.add(Count::FAIL);
            }
        }
    }
    Ok(count)
}

fn kernel() -> Result<&'static Kernel> {
    kernels::named(KERNEL)
}

/// Copies a folder, so that a file of the copy can be changed.
fn declared() -> Result<PathBuf> {
    let declared = paths::target().join("abi-check");
    copy(&paths::repo().join("tests/abi"), &declared)?;
    Ok(declared)
}

/// An unchanged file is not written, so that make does not rebuild for it.
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
