// SPDX-License-Identifier: GPL-2.0-only
//! Unit, property, documentation and simulated-board tests: all that `cargo test` runs.
//!
//! The documentation of `oob` and `stax` shows code that must not compile, and names the error of
//! each piece. A stable rustdoc accepts any error there. With `RUSTC_BOOTSTRAP=1`, rustdoc compares
//! the error's code.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::count::Count;
use super::step::{Log, Mode, Step, Tool};
use crate::setup::cargo;
use crate::{paths, run};

/// The least number of such pieces in the documentation.
const MISTAKES: usize = 20;

/// Random cases of each property test with `--long`.
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
    cmd.env("RUSTDOC", rustdoc()?);
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
            // No test failed, so something did not build.
            count.add(Count::FAIL);
        }
    }
    let mistakes = text.matches(" - compile fail").count();
    if mistakes < MISTAKES {
        log.line(format_args!(
            "{mistakes} mistakes are shown, of {MISTAKES} at least"
        ));
        count.add(Count::FAIL);
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

/// A script that runs a rustdoc which compares error codes. The variable is set for rustdoc alone:
/// if it were set for Cargo, Cargo would build every crate again.
fn rustdoc() -> Result<PathBuf> {
    let path = paths::target().join("rustdoc-with-error-codes");
    fs::write(&path, "#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc \"$@\"\n")?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// Logs the tallies that tests report, such as the number of states that the search of the stage
/// lock's protocol visited.
fn tallies(text: &str, log: &mut Log) {
    let lines = text.lines().filter(|line| line.contains(" states, "));
    lines.for_each(|line| log.line(line));
}
