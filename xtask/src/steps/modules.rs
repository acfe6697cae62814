// SPDX-License-Identifier: GPL-2.0-only
//! Builds a kernel's modules and checks them: no warning, hardened as the kernel is, no code that
//! can panic.

use std::path::PathBuf;

use anyhow::Result;

use super::built;
use super::count::Count;
use super::step::{Log, Step, Tool};
use crate::kernels::Kernel;
use crate::kit::modules::modules_anew;
use crate::setup::Need;

/// The name of the step for a kernel.
pub(super) fn name(kernel: &str) -> String {
    format!("modules {kernel}")
}

pub(super) fn step(kernel: &'static Kernel) -> Step {
    Step::new(
        name(kernel.name),
        "they build without a warning, hardened as the kernel is, and cannot panic",
        move |_, log| modules(kernel, log),
    )
    .needs(&[Need::Build, Need::Kernel(kernel)])
    .uses(Tool::KernelBuild)
}

fn modules(kernel: &'static Kernel, log: &mut Log) -> Result<Count> {
    let built = modules_anew(kernel)?;
    if built.modules.is_empty() {
        log.line("no module was built");
        return Ok(Count::FAIL);
    }
    if let Some(warning) = built.warning {
        log.line(warning);
        return Ok(Count::FAIL);
    }
    as_hardened(kernel, &built.modules, log)
}

/// Checks that each of a kernel's modules is hardened as the kernel is, and cannot panic.
fn as_hardened(kernel: &Kernel, modules: &[PathBuf], log: &mut Log) -> Result<Count> {
    let mut count = Count::PASS;
    for module in modules {
        let faults = built::faults(kernel, module)?;
        for fault in &faults {
            log.line(format_args!("{}: {fault}", module.display()));
        }
        if !faults.is_empty() {
            count = Count::FAIL;
        }
    }
    Ok(count)
}
