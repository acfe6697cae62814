// SPDX-License-Identifier: GPL-2.0-only
//! Checks the interleavings of the lock-free protocols by loom, up to a bound.

use std::time::Instant;

use anyhow::Result;

use super::count::Count;
use super::step::{Log, Mode, Step};
use crate::setup::cargo;
use crate::{paths, run};

/// The crates whose protocols tests by example cannot cover.
const MODELLED: [&str; 3] = ["oob", "oob-spi", "stax"];

pub(super) fn step() -> Step {
    Step::new(
        "loom",
        "interleavings of the protocols; with --long those that take minutes",
        models,
    )
}

fn models(mode: &Mode, log: &mut Log) -> Result<Count> {
    let mut count = Count::default();
    for package in MODELLED {
        let mut cmd = cargo();
        cmd.args(["test", "--release", "--package", package, "--test", "model"]);
        if mode.long {
            cmd.args(["--", "--include-ignored"]);
        }
        // Other flags would make Cargo rebuild everything, so loom has a target folder of its own.
        cmd.env("RUSTFLAGS", "--cfg loom");
        cmd.env("CARGO_TARGET_DIR", paths::target().join("loom"));
        let start = Instant::now();
        match run::output(&mut cmd).map(|text| Count::of_cargo_test(&text)) {
            Ok(Count { passed: 0, .. }) => {
                log.line(format_args!("{package}: no model was checked"));
                count.add(Count::FAIL);
            }
            Ok(checked) => {
                log.line(format_args!("{package}: {} s", start.elapsed().as_secs()));
                count.add(checked);
            }
            Err(error) => {
                log.line(format_args!("{package}: {error:#}"));
                count.add(Count::FAIL);
            }
        }
    }
    Ok(count)
}
