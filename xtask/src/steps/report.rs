// SPDX-License-Identifier: GPL-2.0-only
//! The summary: the count and time of each step, the failures and how to repeat them, the steps
//! left out.

use std::time::{Duration, Instant};

use super::count::Count;
use super::schedule::Ended;
use super::step::{Log, Step};

struct Entry {
    name: String,
    count: Count,
    took: Duration,
}

/// The steps that have ended.
pub(super) struct Report {
    begun: Instant,
    entries: Vec<Entry>,
    /// What failed, and the command that repeats it. Shown once more at the end, because much text
    /// comes in between.
    failures: Vec<String>,
}

impl Report {
    pub(super) fn new() -> Self {
        Self {
            begun: Instant::now(),
            entries: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Enters the set-up, which has ended.
    pub(super) fn set_up(&mut self) {
        self.entries.push(Entry {
            name: "set-up".to_owned(),
            count: Count::PASS,
            took: self.begun.elapsed(),
        });
    }

    /// Prints a step's log and adds its count. A step that could not run, or tested nothing, has
    /// failed.
    pub(super) fn enter(&mut self, ended: Ended<'_>) {
        let Ended {
            step,
            count,
            log: Log(mut text),
            took,
        } = ended;
        let count = match count {
            Ok(Count {
                passed: 0,
                failed: 0,
            }) => {
                text.push_str("nothing was tested\n");
                Count::FAIL
            }
            Ok(count) => count,
            Err(error) => {
                text.push_str(&format!("{error:#}\n"));
                Count::FAIL
            }
        };
        let Count { passed, failed } = count;
        print!(
            "=== {}: {passed} passed, {failed} failed, {} s\n{text}",
            step.name,
            took.as_secs()
        );
        if failed > 0 {
            self.failures.extend(repeats(step, &text));
        }
        self.entries.push(Entry {
            name: step.name.clone(),
            count,
            took,
        });
    }

    /// Prints the summary. True if nothing failed.
    pub(super) fn close(&self, left_out: &[&Step]) -> bool {
        let mut total = Count::default();
        println!("=== summary");
        for Entry { name, count, took } in &self.entries {
            total.add(*count);
            let Count { passed, failed } = count;
            println!(
                "{name:<48} {passed:>5} passed {failed:>3} failed {:>5} s",
                took.as_secs()
            );
        }
        println!(
            "{} s in all, {} s of processor time",
            self.begun.elapsed().as_secs(),
            processor_time().as_secs()
        );
        for step in left_out {
            println!("left out: {}: {}", step.name, step.about);
        }
        for failure in &self.failures {
            println!("{failure}");
        }
        println!("{} passed, {} failed", total.passed, total.failed);
        total.failed == 0
    }
}

/// The failures that a step's log names, each with its command.
fn repeats(step: &Step, text: &str) -> Vec<String> {
    let again = format!("cargo xtask test --only '{}'", step.name);
    let failed = text.lines().filter_map(|line| line.strip_prefix("FAIL "));
    let promises: Vec<_> = failed
        .map(|line| {
            let name = line.splitn(3, ": ").take(2).collect::<Vec<_>>().join(": ");
            let name = name.replace('\'', r"'\''");
            format!(
                "{}: FAIL {line}\n    repeat: {again} --promise '{name}'",
                step.name
            )
        })
        .collect();
    match promises.is_empty() || !step.is_guest {
        true => vec![format!("{}: failed\n    repeat: {again}", step.name)],
        false => promises,
    }
}

/// The processor time of this program and of all processes that it has started and waited for.
fn processor_time() -> Duration {
    let of = |whom| {
        let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: the pointer is to a whole `rusage`, which the call fills in.
        let result = unsafe { libc::getrusage(whom, usage.as_mut_ptr()) };
        assert_eq!(result, 0, "getrusage");
        // SAFETY: the value was zeroed above, which is valid for these integers even if the call
        // failed.
        let usage = unsafe { usage.assume_init() };
        let times = [usage.ru_utime, usage.ru_stime];
        times
            .map(|time| Duration::from_secs(time.tv_sec.unsigned_abs()))
            .iter()
            .sum::<Duration>()
    };
    of(libc::RUSAGE_SELF) + of(libc::RUSAGE_CHILDREN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    fn report(count: anyhow::Result<Count>) -> bool {
        let mut report = Report::new();
        report.enter(Ended {
            step: &Step::new("a", "", |_, _| Ok(Count::PASS)),
            count,
            log: Log::default(),
            took: Duration::ZERO,
        });
        report.close(&[])
    }

    #[test]
    fn what_tests_nothing_is_no_pass() {
        assert!(report(Ok(Count::PASS)));
        assert!(!report(Ok(Count::default())));
        assert!(!report(Err(anyhow!("no"))));
    }

    #[test]
    fn a_failed_promise_comes_with_its_command() {
        let mut step = Step::new("guest x", "", |_, _| Ok(Count::PASS));
        step.is_guest = true;
        let text = "ok a: b\nFAIL life: it's open: saw: 7\n";
        assert_eq!(
            repeats(&step, text),
            ["guest x: FAIL life: it's open: saw: 7\n    \
              repeat: cargo xtask test --only 'guest x' --promise 'life: it'\\''s open'"]
        );
        assert_eq!(repeats(&step, "").len(), 1);
    }
}
