// SPDX-License-Identifier: GPL-2.0-only
//! The lints, as errors, over the kernel builds.

use anyhow::Result;

use super::abi;
use super::count::Count;
use super::modules;
use super::step::{Log, Mode, Step, Tool};
use crate::kit::lint;
use crate::setup::Need;

pub(super) fn step() -> Step {
    let step = Step::new(
        "clippy, kernel build",
        "no lint fires in code that goes into modules, on each core and architecture",
        lints,
    )
    .needs(&[Need::Build, Need::Lint])
    .uses(Tool::KernelBuild);
    after_builds(step)
}

/// The lints read the declarations that these steps have generated.
pub(super) fn after_builds(step: Step) -> Step {
    let builds = lint::LINTS.iter().filter(|lint| !lint.evl);
    let step = builds.fold(step, |step, lint| step.after(modules::name(lint.built)));
    step.after(abi::NAME)
}

fn lints(_: &Mode, log: &mut Log) -> Result<Count> {
    let mut count = Count::default();
    for lint in &lint::LINTS {
        match lint::lint_modules(lint) {
            Ok(()) => count.add(Count::PASS),
            Err(error) => {
                log.line(format_args!("{}: {error:#}", lint.name));
                count.add(Count::FAIL);
            }
        }
    }
    Ok(count)
}
