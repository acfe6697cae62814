// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask test`: the steps, which of them run, and one closing line.
//!
//! ```text
//!   all() --chosen--> set-up of what they need --> schedule: two at a time --> report: N passed, N failed
//! ```

mod abi;
mod built;
mod clippy;
mod closed_loop;
mod count;
mod documentation;
mod format;
mod guest;
mod host_tests;
mod kernel_lint;
mod layouts;
mod loom;
mod modules;
mod promises;
mod qemu_diff;
mod report;
mod schedule;
mod shows;
mod step;
mod thread_sanitizer;
mod verdicts;

use std::sync::{Mutex, PoisonError};

use anyhow::{Result, ensure};

pub(crate) use step::Mode;

use crate::setup;
use report::Report;
use step::Step;

/// Every step, in the order in which they begin: steps that others wait for and long steps come
/// first.
fn all() -> Result<Vec<Step>> {
    let mut steps = vec![format::step(), clippy::step()];
    steps.extend(guest::module_steps()?);
    steps.extend(guest::steps());
    steps.extend([
        host_tests::step(),
        abi::step(),
        loom::step(),
        documentation::step(),
        qemu_diff::step(),
        layouts::step(),
        kernel_lint::step(),
        promises::step(),
        verdicts::step(),
        verdicts::debug_step(),
        closed_loop::step(),
        abi::plants_step(),
        thread_sanitizer::step(),
        shows::demo_step(),
    ]);
    steps.extend(shows::bench_steps());
    Ok(steps)
}

/// Whether a step runs. `only` holds names, or parts of names.
fn is_chosen(step: &Step, mode: &Mode, only: &[String]) -> bool {
    if step.is_long && !mode.long {
        return false;
    }
    let is_named = only.iter().any(|text| step.name.contains(text.as_str()));
    let by_promise = mode.promises.is_empty() || step.is_guest;
    by_promise && (only.is_empty() || is_named)
}

/// Prints the steps' names, with what each shows.
pub(crate) fn list() -> Result<()> {
    for step in all()? {
        let long = if step.is_long { " (with --long)" } else { "" };
        println!("{:<48} {}{long}", step.name, step.about);
    }
    Ok(())
}

/// Runs the chosen steps. True if nothing failed.
pub(crate) fn test(mode: &Mode, only: &[String]) -> Result<bool> {
    let (steps, left_out): (Vec<_>, Vec<_>) = all()?
        .into_iter()
        .partition(|step| is_chosen(step, mode, only));
    ensure!(!steps.is_empty(), "no such step; --list prints the names");
    let needs: Vec<_> = steps.iter().flat_map(|step| step.needs.clone()).collect();
    let mut report = Report::new();
    setup::ensure(&needs)?;
    report.set_up();
    let report = Mutex::new(report);
    schedule::run(&steps, mode, |ended| {
        // A poisoned lock means that the other worker panicked. The run then ends with that panic.
        let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
        report.enter(ended);
    });
    // With --only, the other steps are not reported as left out.
    let left_out: Vec<_> = left_out.iter().filter(|_| only.is_empty()).collect();
    let report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(report.close(&left_out))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(long: bool, promises: &[&str], only: &[&str]) -> Vec<String> {
        let owned = |texts: &[&str]| {
            texts
                .iter()
                .map(|&text| text.to_owned())
                .collect::<Vec<_>>()
        };
        let mode = Mode {
            long,
            promises: owned(promises),
        };
        let only = owned(only);
        let steps = all().unwrap().into_iter();
        let steps = steps.filter(|step| is_chosen(step, &mode, &only));
        steps.map(|step| step.name).collect()
    }

    #[test]
    fn steps_are_chosen_by_name_by_promise_and_by_length() {
        assert_eq!(chosen(false, &[], &["loom", "format"]), ["format", "loom"]);
        assert_eq!(chosen(false, &[], &["demo"]), [""; 0]);
        assert_eq!(chosen(true, &[], &["demo"]), ["demo"]);
        let guests = chosen(false, &["life: "], &[]);
        assert!(guests.len() > 5 && guests.iter().all(|name| name.starts_with("guest ")));
        assert!(chosen(true, &[], &[]).len() > chosen(false, &[], &[]).len());
    }

    #[test]
    fn every_step_that_another_waits_for_is_there() {
        let steps = all().unwrap();
        for step in &steps {
            for name in &step.after {
                assert!(steps.iter().any(|other| other.name == *name), "{name}");
            }
        }
    }
}
