// SPDX-License-Identifier: GPL-2.0-only
//! The documentation, as it would be published: no link that leads nowhere, no crate without a word.

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
