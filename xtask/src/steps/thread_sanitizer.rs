// SPDX-License-Identifier: GPL-2.0-only
//! Runs the tests with real threads under ThreadSanitizer. A data race fails them.
//!
//! Debian's Rust has the source of its library, but no runtime for ThreadSanitizer. The step
//! therefore links clang's runtime and builds the library with it. That build takes most of the
//! step's time, so the step runs only with `--long`; loom checks the same protocols in every
//! interleaving.

use std::process::Command;

use anyhow::Result;

use super::count::Count;
use super::step::{Log, Mode, Step};
use crate::kit::debian_rust;
use crate::setup::Need;
use crate::setup::packages::CARGO;
use crate::{paths, run};

/// The tests with real threads, by package.
const THREADED: [(&str, &[&str]); 3] = [
    ("oob", &["--test", "waiting"]),
    ("oob", &["--lib", "attached"]),
    ("stax", &["--test", "threads"]),
];

const SANITIZE: &str =
    "-Zsanitizer=thread -Zexternal-clangrt -Clinker=clang-19 -Clink-arg=-fsanitize=thread";

pub(super) fn step() -> Step {
    Step::new(
        "ThreadSanitizer",
        "the tests with real threads, without a data race",
        races,
    )
    .needs(&[Need::Build, Need::Lint])
    .long()
}

fn races(_: &Mode, _: &mut Log) -> Result<Count> {
    let mut count = Count::default();
    for (package, target) in THREADED {
        let mut cmd = Command::new(CARGO);
        debian_rust(&mut cmd);
        cmd.args(["test", "--locked", "-Zbuild-std"])
            .args(["--target", "x86_64-unknown-linux-gnu"])
            .args(["--package", package])
            .args(target)
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", SANITIZE)
            .env("CARGO_TARGET_DIR", paths::target().join("tsan"))
            .current_dir(paths::repo());
        count.add(Count::of_cargo_test(&run::output(&mut cmd)?));
    }
    Ok(count)
}
