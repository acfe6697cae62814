// SPDX-License-Identifier: GPL-2.0-only
//! What must not compile, with the very error that is named where it is promised.
//!
//! ```text
//!   documentation tests of evl, stax     in a process; stable Rust takes any error for the one that is named, this does not
//!   kernel/examples/promises.rs          as a kernel's modules have it, for each core: right as it is; with its mistakes,
//!                                        one error on each line that is marked, the one of the mark, and no other
//! ```

use std::collections::BTreeSet;
use std::fs;

use anyhow::Result;

use super::Count;
use super::host::{cargo, results};
use crate::{kit, paths, run};

/// The crates whose documentation promises it.
const PROMISING: [&str; 2] = ["oob", "stax"];

/// How many mistakes are shown at least.
const MISTAKES: usize = 20;

/// Their documentation tests.
pub(super) fn in_a_process() -> Result<Count> {
    let mut cmd = cargo();
    cmd.args(["test", "--doc"]).env("RUSTC_BOOTSTRAP", "1");
    cmd.args(PROMISING.map(|package| ["--package", package]).concat());
    let text = run::output(&mut cmd)?;
    let mut count = results(&text);
    let mistakes = text.matches(" - compile fail").count();
    if mistakes < MISTAKES {
        println!("{mistakes} mistakes are shown, of {MISTAKES} at least");
        count.add(Count::FAIL);
    }
    Ok(count)
}

const EXAMPLE: &str = "kernel/examples/promises.rs";

/// A line, and the error on it.
type Errors = BTreeSet<(usize, String)>;

/// The example, for each build that is linted.
pub(super) fn in_a_kernel() -> Result<Count> {
    let wanted = marks(&fs::read_to_string(paths::repo().join(EXAMPLE))?);
    let mut count = Count::default();
    for lint in &kit::LINTS {
        let right = kit::promises(lint, false)?;
        right.iter().for_each(|error| println!("{error}"));
        let mut elsewhere = kit::promises(lint, true)?;
        let seen: Errors = elsewhere.iter().filter_map(|error| place(error)).collect();
        elsewhere.retain(|error| place(error).is_none() && !is_sum(error));
        elsewhere.iter().for_each(|error| println!("{error}"));
        for (line, code) in wanted.symmetric_difference(&seen) {
            println!(
                "{}: {EXAMPLE}:{line}: {code} is promised or seen, not both",
                lint.name
            );
        }
        println!(
            "{}: {} mistakes, {} seen",
            lint.name,
            wanted.len(),
            seen.len()
        );
        count.add(Count::of(
            right.is_empty() && elsewhere.is_empty() && !wanted.is_empty() && wanted == seen,
        ));
    }
    Ok(count)
}

/// What the marks of a file say.
fn marks(text: &str) -> Errors {
    let lines = text.lines().enumerate();
    let marks = lines.filter_map(|(i, line)| Some((i + 1, line.split_once("//~ ")?.1.to_owned())));
    marks.collect()
}

/// Whether it only says that there were errors.
fn is_sum(error: &str) -> bool {
    error.starts_with("error: could not compile") || error.starts_with("error: aborting due to")
}

/// The place and the code of one error of the example: `<file>:<line>:<column>: error[<code>]: ...`.
fn place(error: &str) -> Option<(usize, String)> {
    let (line, rest) = error
        .strip_prefix(EXAMPLE)?
        .strip_prefix(':')?
        .split_once(':')?;
    let (_, code) = rest.split_once(": error")?;
    let code = code.strip_prefix('[').and_then(|code| code.split_once(']'));
    // One without a code is none that is promised.
    Some((line.parse().ok()?, code.unwrap_or_default().0.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_errors_meet() {
        let marked = marks("fn right() {}\nfn wrong() {} //~ E0308\n");
        let said = format!("{EXAMPLE}:2:7: error[E0308]: mismatched types: expected");
        assert_eq!(marked, Errors::from_iter(place(&said)));
        assert_eq!(place("kernel/src/lib.rs:2:7: error[E0308]: no"), None);
        assert!(is_sum(
            "error: could not compile `kernel` (example \"promises\") due to 3 previous errors"
        ));
        assert!(!is_sum("error: linking with `cc` failed"));
        let bare = place(&format!("{EXAMPLE}:2:7: error: expected item"));
        assert_eq!(bare, Some((2, String::new())));
    }
}
