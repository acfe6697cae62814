// SPDX-License-Identifier: GPL-2.0-only
//! Counts the instructions of a process on this machine, by callgrind.
//!
//! ```text
//!   (instructions of 20,000 pairs - instructions of 10,000 pairs) / 10,000
//! ```

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::run;
use crate::setup::{self, Need};

/// The pairs of the run that is subtracted. The other run has twice as many.
const PAIRS: u64 = 10_000;

/// The stage lock's uncontended pair beside a pair of Rust's mutex.
pub(super) fn pair() -> Result<Value> {
    setup::ensure(&[Need::Valgrind])?;
    let mut cargo = setup::cargo();
    cargo.args(["build", "--quiet", "--release", "--package", "stax"]);
    cargo.args(["--example", "pair", "--message-format", "json"]);
    let text = run::output(&mut cargo)?;
    let program = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|message| Some(message["executable"].as_str()?.to_owned()))
        .context("cargo printed no program's path")?;
    let column = |way: &str| {
        let n = instructions(&program, way)?;
        Ok::<_, anyhow::Error>(json!({"n": PAIRS, "p50": n, "p999": n, "max": n}))
    };
    Ok(json!({
        "case": "uncontended-host",
        "machine": std::env::consts::ARCH,
        "kernel": "none",
        "core": "host",
        "unit": "callgrind-instructions",
        "kit": column("stax")?,
        "peers": {"mutex": column("mutex")?},
    }))
}

/// The instructions of one pair.
fn instructions(program: &str, way: &str) -> Result<u64> {
    let [fewer, more] = [PAIRS, 2 * PAIRS].map(|n| total(program, way, n));
    Ok(more?.saturating_sub(fewer?) / PAIRS)
}

fn total(program: &str, way: &str, n: u64) -> Result<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args([
        "--tool=callgrind",
        "--callgrind-out-file=/dev/null",
        program,
    ]);
    valgrind.args([way, &n.to_string()]);
    let (_, errors) = run::both(&mut valgrind)?;
    match collected(&errors) {
        Some(total) => Ok(total),
        None => bail!("callgrind printed no total:\n{errors}"),
    }
}

/// The number of callgrind's line `==PID== Collected : N`.
fn collected(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.split_once("Collected :"))?;
    line.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_found() {
        let text = "==7== Events    : Ir\n==7== Collected : 642513\n==7==\n";
        assert_eq!(collected(text), Some(642_513));
        assert_eq!(collected("==7== Events : Ir\n"), None);
    }
}
