// SPDX-License-Identifier: GPL-2.0-only
//! Checks the format of the tree.

use super::count::Count;
use super::step::Step;
use crate::run;
use crate::setup::{Need, lint_cargo};

pub(super) fn step() -> Step {
    Step::new("format", "rustfmt finds nothing to change", |_, _| {
        run::output(lint_cargo().args(["fmt", "--all", "--check"]))?;
        Ok(Count::PASS)
    })
    .needs(&[Need::Lint])
}
