// SPDX-License-Identifier: GPL-2.0-only
//! The steps that need no guest.

use std::env;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use super::Count;
use crate::setup::packages::{CARGO, RUSTC};
use crate::{paths, run, setup};

/// The tree's format.
pub(super) fn format() -> Result<Count> {
    run::visible(lint_cargo().args(["fmt", "--all", "--check"]))?;
    Ok(Count::PASS)
}

/// The lint list, as errors, over all that is built for a process.
pub(super) fn clippy() -> Result<Count> {
    run::visible(lint_cargo().args(["clippy", "--all-targets", "--", "-D", "warnings"]))?;
    Ok(Count::PASS)
}

/// The documentation, as it would be published: no link that leads nowhere, no crate without a word.
pub(super) fn documentation() -> Result<Count> {
    let mut cmd = cargo();
    cmd.args(["doc", "--quiet", "--no-deps"]);
    run::visible(cmd.env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(Count::PASS)
}

/// Random cases of each property test, and register sequences against QEMU, where every count is in full.
const LONG_CASES: &str = "4096";
const LONG_SEQUENCES: &str = "2000";

/// Unit, property, documentation and simulated-board tests.
pub(super) fn tests(long: bool) -> Result<Count> {
    let mut cmd = cargo();
    cmd.args(["test", "--no-fail-fast", "--", "--show-output"]);
    cmd.env("OOBKIT_ALL_TESTS", "1");
    if long {
        cmd.env("PROPTEST_CASES", LONG_CASES);
    }
    let out = cmd.output().context("cannot run cargo test")?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let errors = String::from_utf8_lossy(&out.stderr);
    let mut count = results(&text);
    if !out.status.success() {
        println!("{text}\n{errors}");
        if count.failed == 0 {
            // It was not a test that failed: something did not build.
            count.add(Count::FAIL);
        }
    }
    print_tallies(&text);
    if long {
        let mut cmd = cargo();
        cmd.args(["test", "--package", "stax", "--test", "search"]);
        cmd.args(["--", "--ignored", "--show-output"]);
        let text = run::output(&mut cmd)?;
        print_tallies(&text);
        count.add(results(&text));
    }
    Ok(count)
}

/// How much the tests went through, where they tell: how many states the search of the stage lock's protocol visited.
fn print_tallies(text: &str) {
    text.lines()
        .filter(|line| line.contains(" states, "))
        .for_each(|line| println!("{line}"));
}

/// The crates whose protocols no test by example can be trusted with.
const MODELLED: [&str; 3] = ["oob", "oob-spi", "stax"];

/// Every interleaving of those protocols, up to a bound.
pub(super) fn models(long: bool) -> Result<Count> {
    let mut count = Count::default();
    for package in MODELLED {
        let mut cmd = cargo();
        cmd.args(["test", "--release", "--package", package, "--test", "model"]);
        if long {
            cmd.args(["--", "--include-ignored"]);
        }
        // Flags of its own would have all else built again.
        cmd.env("RUSTFLAGS", "--cfg loom");
        cmd.env("CARGO_TARGET_DIR", paths::target().join("loom"));
        let start = Instant::now();
        match run::output(&mut cmd).map(|text| results(&text)) {
            Ok(Count { passed: 0, .. }) => {
                println!("{package}: no model was checked");
                count.add(Count::FAIL);
            }
            Ok(checked) => {
                println!("{package}: {} s", start.elapsed().as_secs());
                count.add(checked);
            }
            Err(error) => {
                println!("{package}: {error:#}");
                count.add(Count::FAIL);
            }
        }
    }
    Ok(count)
}

/// The tests with real threads, by package.
const THREADED: [(&str, &[&str]); 3] = [
    ("oob", &["--test", "waiting"]),
    ("oob-shim", &["--lib"]),
    ("stax", &["--test", "threads"]),
];

/// Debian's Rust has no runtime for ThreadSanitizer, but the source of its library: so clang's runtime is linked, and the
/// library built with it.
const SANITIZE: &str =
    "-Zsanitizer=thread -Zexternal-clangrt -Clinker=clang-19 -Clink-arg=-fsanitize=thread";

/// Those tests under ThreadSanitizer: a data race fails them.
pub(super) fn thread_sanitizer() -> Result<Count> {
    let mut count = Count::default();
    for (package, target) in THREADED {
        let mut cmd = Command::new(CARGO);
        crate::kit::debian_rust(&mut cmd);
        cmd.args(["test", "--locked", "-Zbuild-std"])
            .args(["--target", "x86_64-unknown-linux-gnu"])
            .args(["--package", package])
            .args(target)
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", SANITIZE)
            .env("CARGO_TARGET_DIR", paths::target().join("tsan"))
            .current_dir(paths::repo());
        count.add(results(&run::output(&mut cmd)?));
    }
    Ok(count)
}

/// Random register sequences, played to the model and to QEMU's.
pub(super) fn qemu_diff(long: bool) -> Result<Count> {
    let mut cmd = cargo();
    cmd.args([
        "run",
        "--quiet",
        "--release",
        "--package",
        "vboard",
        "--example",
        "qemu-diff",
    ]);
    if long {
        cmd.args(["--", "--sequences", LONG_SEQUENCES]);
    }
    let text = run::output(&mut cmd)?;
    println!("{}", run::last_lines(&text, 5));
    Count::closing(&text).context("it printed no `N passed, N failed`")
}

/// The sum of what cargo test says of each of its programs.
pub(super) fn results(text: &str) -> Count {
    let mut total = Count::default();
    for line in text
        .lines()
        .filter_map(|line| line.strip_prefix("test result: "))
    {
        let number = |what: &str| {
            line.split([';', '.'])
                .find_map(|part| part.trim().strip_suffix(what)?.trim().parse().ok())
                .unwrap_or(0)
        };
        total.add(Count {
            passed: number("passed"),
            failed: number("failed"),
        });
    }
    total
}

/// The Cargo that runs us.
pub(super) fn cargo() -> Command {
    let mut cmd = setup::cargo();
    cmd.current_dir(paths::repo());
    cmd
}

/// The same if it has rustfmt and clippy; else Debian's, whose packages the set-up has installed.
fn lint_cargo() -> Command {
    if setup::has_lints() {
        return cargo();
    }
    let mut cmd = Command::new(CARGO);
    let path = env::var("PATH").unwrap_or_default();
    cmd.env("PATH", format!("/usr/bin:{path}"))
        .env("RUSTC", RUSTC);
    cmd.current_dir(paths::repo());
    cmd
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_summed() {
        let text = "running 2 tests\n\
            test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
            test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s\n";
        assert_eq!(
            results(text),
            Count {
                passed: 15,
                failed: 2
            }
        );
    }
}
