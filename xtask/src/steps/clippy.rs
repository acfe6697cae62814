// SPDX-License-Identifier: GPL-2.0-only
//! The lints, as errors, over all code that is built for a process.

use super::count::Count;
use super::step::{Step, Tool};
use crate::run;
use crate::setup::{Need, lint_cargo};

pub(super) fn step() -> Step {
    Step::new(
        "clippy",
        "no lint fires in code that runs in a process",
        |_, _| {
            run::output(lint_cargo().args(["clippy", "--all-targets", "--", "-D", "warnings"]))?;
            Ok(Count::PASS)
        },
    )
    .needs(&[Need::Lint])
    .uses(Tool::HostBuild)
}
