// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask test`: every rung, one after the other, and one closing line.
//!
//! ```text
//!   set-up -> the tree itself -> host tests -+-> loom, ThreadSanitizer --+-> guests, one after the other -> N passed, N failed
//!                                            '-> modules and what they --'
//!                                                are held against
//! ```
//!
//! A step that cannot be run, or that tests nothing, counts as failed.

mod abi;
pub(crate) mod bench;
mod built;
mod closed_loop;
pub(crate) mod demo;
mod guests;
mod host;
mod layout;
mod promises;
mod verdicts;

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::paths;
use crate::setup::kernel::Arch;
use crate::setup::{self, Need};
use crate::vm::Job;
use crate::vm::machine::Name;

/// What the kernels that are measured are booted with. Without it each system call costs hundreds of instructions more
/// on every side of a comparison: for the stack's random offset, and for a page-table switch that only processors from
/// before 2019 need (arm64's that are emulated need none, and take no notice).
const CALM: [&str; 2] = ["randomize_kstack_offset=off", "pti=off"];

/// A guest whose instructions are counted; what it leaves goes to the folder `results` of `target/vm`.
fn counted(
    machine: Name,
    kernel: Option<&str>,
    command: Vec<String>,
    results: &str,
) -> Result<Job> {
    let mut job = Job::new(machine.machine(), kernel, command)?;
    job.icount = true;
    job.append = CALM.map(str::to_owned).to_vec();
    job.results = paths::target().join("vm").join(results);
    Ok(job)
}

/// What a step found.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Count {
    passed: u32,
    failed: u32,
}

impl Count {
    const PASS: Self = Self {
        passed: 1,
        failed: 0,
    };
    const FAIL: Self = Self {
        passed: 0,
        failed: 1,
    };

    /// Of a step that is one test.
    fn of(passed: bool) -> Self {
        if passed { Self::PASS } else { Self::FAIL }
    }

    fn add(&mut self, other: Self) {
        self.passed = self.passed.saturating_add(other.passed);
        self.failed = self.failed.saturating_add(other.failed);
    }

    /// Finds a program's own closing line, `N passed, N failed`.
    fn closing(text: &str) -> Option<Self> {
        let line = text.lines().rev().find(|line| line.ends_with(" failed"))?;
        let (passed, failed) = line.strip_suffix(" failed")?.split_once(" passed, ")?;
        Some(Self {
            passed: passed.trim().parse().ok()?,
            failed: failed.parse().ok()?,
        })
    }
}

/// One line of the summary.
struct Entry {
    name: String,
    count: Count,
    took: Duration,
}

/// A step of a lane.
type Step = (&'static str, Box<dyn FnOnce() -> Result<Count> + Send>);

/// Announces a step and runs it.
fn timed(name: &str, work: impl FnOnce() -> Result<Count>) -> (Result<Count>, Duration) {
    println!("=== {name}");
    let start = Instant::now();
    (work(), start.elapsed())
}

/// The steps that were run.
#[derive(Default)]
struct Report {
    entries: Vec<Entry>,
    /// What guests said of the promises that they did not keep: shown again at the end, as much text lies between.
    failures: Vec<String>,
}

impl Report {
    fn step(&mut self, name: &str, work: impl FnOnce() -> Result<Count>) {
        let (count, took) = timed(name, work);
        self.enter(name, count, took);
    }

    /// Runs the steps of each lane one after the other, and the lanes beside each other.
    fn lanes(&mut self, lanes: [Vec<Step>; 2]) {
        let shared = Mutex::new(self);
        thread::scope(|scope| {
            for lane in lanes {
                scope.spawn(|| {
                    for (name, work) in lane {
                        let (count, took) = timed(name, work);
                        // A poisoned lock means that a thread panicked, which ends the scope with a panic.
                        let Ok(mut report) = shared.lock() else {
                            return;
                        };
                        report.enter(name, count, took);
                    }
                });
            }
        });
    }

    fn enter(&mut self, name: &str, count: Result<Count>, took: Duration) {
        let count = match count {
            Ok(Count {
                passed: 0,
                failed: 0,
            }) => {
                println!("{name}: nothing was tested");
                Count::FAIL
            }
            Ok(count) => count,
            Err(error) => {
                println!("{name}: {error:#}");
                Count::FAIL
            }
        };
        self.entries.push(Entry {
            name: name.to_owned(),
            count,
            took,
        });
    }

    /// Prints the summary; true when nothing failed.
    fn close(&self) -> bool {
        let mut total = Count::default();
        println!("=== summary");
        for Entry { name, count, took } in &self.entries {
            total.add(*count);
            let Count { passed, failed } = count;
            println!(
                "{name:<40} {passed:>5} passed {failed:>3} failed {:>5} s",
                took.as_secs()
            );
        }
        for failure in &self.failures {
            println!("{failure}");
        }
        println!("{} passed, {} failed", total.passed, total.failed);
        total.failed == 0
    }
}

/// Runs everything; true when nothing failed.
pub(crate) fn test(long: bool) -> bool {
    let mut report = Report::default();
    report.step("set-up", || {
        let mut needs = vec![Need::Build, Need::Lint, Need::Qemu];
        needs.extend([Arch::X86_64, Arch::Arm64].map(Need::Busybox));
        needs.extend(guests::kernels(long).map(Need::Kernel));
        setup::ensure(&needs)?;
        Ok(Count::PASS)
    });
    report.step("format", host::format);
    report.step("clippy", host::clippy);
    report.step("documentation", host::documentation);
    report.step("host tests", || host::tests(long));
    // Models and sanitized threads keep one processor busy for minutes, the builds both, but not all the time.
    report.lanes([
        vec![
            ("loom", Box::new(move || host::models(long))),
            ("ThreadSanitizer", Box::new(host::thread_sanitizer)),
        ],
        vec![
            ("what does not compile", Box::new(promises::in_a_process)),
            (
                "model against QEMU's own",
                Box::new(move || host::qemu_diff(long)),
            ),
            ("modules", Box::new(move || guests::modules(long))),
            ("layouts", Box::new(layout::check)),
            ("abi check", Box::new(abi::check)),
            ("clippy, kernel build", Box::new(guests::lint)),
            (
                "what does not compile, kernel build",
                Box::new(promises::in_a_kernel),
            ),
        ],
    ]);
    report.step("verdicts on guests", verdicts::verdicts);
    report.step("closed loop", closed_loop::closed_loop);
    guests::run_all(&mut report, long);
    if long {
        report.step("demo", || demo::demo().map(Count::of));
        for name in bench::NAMES {
            report.step(&format!("bars of bench {name}"), || {
                bench::bench(name).map(Count::of)
            });
        }
    }
    report.close()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_is_found() {
        let text = "ok a\nFAIL b: no\n12 passed, 1 failed\n\n";
        assert_eq!(
            Count::closing(text),
            Some(Count {
                passed: 12,
                failed: 1
            })
        );
        assert_eq!(Count::closing("ok a\n"), None);
    }

    #[test]
    fn what_tests_nothing_is_no_pass() {
        let mut report = Report::default();
        report.enter("empty", Ok(Count::default()), Duration::ZERO);
        assert!(!report.close());
    }
}
