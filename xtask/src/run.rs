// SPDX-License-Identifier: GPL-2.0-only
//! Runs other programs. A failure says which program was run and what it printed.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The command line in readable form.
pub(crate) fn shown(cmd: &Command) -> String {
    let words = std::iter::once(cmd.get_program()).chain(cmd.get_args());
    words
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs the program to its end and returns its stdout. Its stderr is shown only on failure.
pub(crate) fn output(cmd: &mut Command) -> Result<String> {
    both(cmd).map(|(text, _)| text)
}

/// The same, and returns its stderr, too.
pub(crate) fn both(cmd: &mut Command) -> Result<(String, String)> {
    let out = cmd
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", shown(cmd)))?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let errors = String::from_utf8_lossy(&out.stderr).into_owned();
    if !out.status.success() {
        bail!(
            "{}: {}\n{}",
            shown(cmd),
            out.status,
            last_lines(&format!("{text}{errors}"), 30)
        );
    }
    Ok((text, errors))
}

/// Whether the program could be run and succeeded.
pub(crate) fn succeeds(cmd: &mut Command) -> bool {
    cmd.stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The last lines of a long text.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(count);
    lines.get(from..).unwrap_or_default().join("\n")
}
