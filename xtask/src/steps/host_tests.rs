// SPDX-License-Identifier: GPL-2.0-only
//! Unit, property, documentation and simulated-board tests: all that `cargo test` runs.

use anyhow::{Context, Result};

use super::count::Count;
use super::step::{Log, Mode, Step, Tool};
use crate::run;
use crate::setup::cargo;

/// Random cases of each property test, where every count is in full.
const LONG_CASES: &str = "4096";

pub(super) fn step() -> Step {
    Step::new(
        "host tests",
        "cargo test; with --long 4096 cases and the whole search of the stage lock",
        tests,
    )
    .uses(Tool::HostBuild)
}

fn tests(mode: &Mode, log: &mut Log) -> Result<Count> {
    let mut cmd = cargo();
    cmd.args(["test", "--no-fail-fast", "--", "--show-output"]);
    cmd.env("OOBKIT_ALL_TESTS", "1");
    if mode.long {
        cmd.env("PROPTEST_CASES", LONG_CASES);
    }
    let out = cmd.output().context("cannot run cargo test")?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let mut count = Count::of_cargo_test(&text);
    if !out.status.success() {
        log.line(&text);
        log.line(String::from_utf8_lossy(&out.stderr));
        if count.failed == 0 {
            // It was not a test that failed: something did not build.
            count.add(Count::FAIL);
        }
    }
    tallies(&text, log);
    if mode.long {
        let mut cmd = cargo();
        cmd.args(["test", "--package", "stax", "--test", "search"]);
        cmd.args(["--", "--ignored", "--show-output"]);
        let text = run::output(&mut cmd)?;
        tallies(&text, log);
        count.add(Count::of_cargo_test(&text));
    }
    Ok(count)
}

/// How much the tests went through, where they tell: how many states the search of the stage lock's protocol visited.
fn tallies(text: &str, log: &mut Log) {
    let lines = text.lines().filter(|line| line.contains(" states, "));
    lines.for_each(|line| log.line(line));
}
