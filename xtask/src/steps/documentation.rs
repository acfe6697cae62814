// SPDX-License-Identifier: GPL-2.0-only
//! Builds the documentation: no dead link, and no crate without documentation.

use super::count::Count;
use super::step::{Step, Tool};
use crate::run;
use crate::setup::cargo;

pub(super) fn step() -> Step {
    Step::new("documentation", "rustdoc without a warning", |_, _| {
        let mut cmd = cargo();
        cmd.args(["doc", "--quiet", "--no-deps"]);
        run::output(cmd.env("RUSTDOCFLAGS", "-D warnings"))?;
        Ok(Count::PASS)
    })
    .uses(Tool::HostBuild)
}
