// SPDX-License-Identifier: GPL-2.0-only
//! Plays random register sequences to the virtual board's models and to QEMU's.

use anyhow::{Context, Result};

use super::count::Count;
use super::step::{Log, Mode, Step, Tool};
use crate::run;
use crate::setup::{Need, cargo};

const LONG_SEQUENCES: &str = "2000";

pub(super) fn step() -> Step {
    Step::new(
        "model against QEMU's own",
        "random register sequences; with --long 2000",
        differences,
    )
    .needs(&[Need::Qemu])
    .uses(Tool::HostBuild)
}

fn differences(mode: &Mode, log: &mut Log) -> Result<Count> {
    let mut cmd = cargo();
    cmd.args([
        "run",
        "--quiet",
        "--package",
        "vboard",
        "--example",
        "qemu-diff",
    ]);
    if mode.long {
        cmd.args(["--", "--sequences", LONG_SEQUENCES]);
    }
    let text = run::output(&mut cmd)?;
    log.line(run::last_lines(&text, 5));
    Count::closing(&text).context("it printed no `N passed, N failed`")
}
