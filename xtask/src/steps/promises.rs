// SPDX-License-Identifier: GPL-2.0-only
//! What must not compile in a kernel's modules, with the very error that is marked.
//!
//! ```text
//!   kernel/examples/promises.rs   for each core: compiles as it is; with its mistakes, each marked line has the error of its mark,
//!                                 and no other line has one
//! ```

use std::collections::BTreeSet;
use std::fs;

use anyhow::Result;

use super::count::Count;
use super::kernel_lint;
use super::step::{Log, Mode, Step, Tool};
use crate::kit::lint;
use crate::paths;
use crate::setup::Need;

pub(super) fn step() -> Step {
    let step = Step::new(
        "what does not compile, kernel build",
        "each in-band service refuses the out-of-band token",
        in_a_kernel,
    );
    let step = step
        .needs(&[Need::Build, Need::Lint])
        .uses(Tool::KernelBuild);
    kernel_lint::after_builds(step)
}

const EXAMPLE: &str = "kernel/examples/promises.rs";

/// A line number, and the error on that line.
type Errors = BTreeSet<(usize, String)>;

/// Compiles the example for each build that is linted.
fn in_a_kernel(_: &Mode, log: &mut Log) -> Result<Count> {
    let wanted = marks(&fs::read_to_string(paths::repo().join(EXAMPLE))?);
    let mut count = Count::default();
    for build in &lint::LINTS {
        let right = lint::promises(build, false)?;
        right.iter().for_each(|error| log.line(error));
        let mut elsewhere = lint::promises(build, true)?;
        let seen: Errors = elsewhere.iter().filter_map(|error| place(error)).collect();
        elsewhere.retain(|error| place(error).is_none() && !is_sum(error));
        elsewhere.iter().for_each(|error| log.line(error));
        for (line, code) in wanted.symmetric_difference(&seen) {
            log.line(format_args!(
                "{}: {EXAMPLE}:{line}: {code} is promised or seen, not both",
                build.name
            ));
        }
        log.line(format_args!(
            "{}: {} mistakes, {} seen",
            build.name,
            wanted.len(),
            seen.len()
        ));
        count.add(Count::of(
            right.is_empty() && elsewhere.is_empty() && !wanted.is_empty() && wanted == seen,
        ));
    }
    Ok(count)
}

/// The marks of a file.
fn marks(text: &str) -> Errors {
    let lines = text.lines().enumerate();
    let marks = lines.filter_map(|(i, line)| Some((i + 1, line.split_once("//~ ")?.1.to_owned())));
    marks.collect()
}

/// Whether the line only says that there were errors.
fn is_sum(error: &str) -> bool {
    error.starts_with("error: could not compile") || error.starts_with("error: aborting due to")
}

/// The place and the code of one error of the example: `<file>:<line>:<column>: error[<code>]:
/// ...`.
fn place(error: &str) -> Option<(usize, String)> {
    let (line, rest) = error
        .strip_prefix(EXAMPLE)?
        .strip_prefix(':')?
        .split_once(':')?;
    let (_, code) = rest.split_once(": error")?;
    let code = code.strip_prefix('[').and_then(|code| code.split_once(']'));
    // No promise names an error without a code.
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
