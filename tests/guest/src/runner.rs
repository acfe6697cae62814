// SPDX-License-Identifier: GPL-2.0-only

//! Runs each test in a process of its own, so that a test that hangs, is killed or leaves things
//! behind does not spoil the next one.
//!
//! ```text
//!   name to the kernel's log -> process group -> ended in time? -> kernel unharmed? -> restore -> ok | FAIL
//! ```

use crate::support::{board, cpus, modules};
use crate::test::{Guest, Test};
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use std::cmp::Reverse;
use std::io::Read;
use std::num::NonZero;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use std::{fmt, fs};

/// How long a test may take. An emulated machine with a debug kernel is slow.
const LIMIT: Duration = Duration::from_secs(300);
const LIMIT_LONG: Duration = Duration::from_secs(900);
/// How long a killed process may take to end. A process that is stuck in the kernel never ends.
const KILL_LIMIT: Duration = Duration::from_secs(30);
/// How many of the slowest promises the closing table has.
const SLOWEST: usize = 10;

/// Runs the tests and prints the results; fails if a test fails, or if there is none.
pub(crate) fn run(tests: &[&Test], guest: &Guest, print_slowest: bool) -> ExitCode {
    let mut failed = 0;
    let mut times = Vec::new();
    for test in tests {
        let (start, busy) = (Instant::now(), busy());
        let result = run_one(test, guest);
        let took = Took {
            elapsed: start.elapsed(),
            busy: self::busy().saturating_sub(busy),
        };
        match result {
            Ok(()) => println!("ok {} ({took})", test.name),
            Err(error) => {
                failed += 1;
                let saw = in_one_line(&format!("{error:#}"));
                println!("FAIL {}: {saw} ({took})", test.name);
                println!("  repeat: {}", repeat(test, guest));
            }
        }
        times.push((took, test.name));
    }
    if print_slowest {
        times.sort_by_key(|(took, _)| Reverse(took.busy));
        println!("slowest promises, by busy time:");
        for (took, name) in times.into_iter().take(SLOWEST) {
            println!("  {name} ({took})");
        }
    }
    println!("{} passed, {failed} failed", tests.len() - failed);
    if failed > 0 || tests.is_empty() {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// What a test took.
#[derive(Clone, Copy)]
struct Took {
    elapsed: Duration,
    /// The time in which processors were busy, summed over them. Under an emulator that counts
    /// instructions, idle time is free and this is what the promise costs.
    busy: Duration,
}

/// How long the processors have been busy since boot, summed over them. A processor that is offline
/// counts as busy.
fn busy() -> Duration {
    // "SECONDS IDLE", where the idle time is summed over the processors (proc(5)).
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let mut words = text.split_whitespace().filter_map(|word| word.parse().ok());
    let mut next = || Duration::from_secs_f64(words.next().unwrap_or(0.0));
    let (elapsed, idle) = (next(), next());
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    (elapsed * u32::try_from(processors).unwrap_or(1)).saturating_sub(idle)
}

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [elapsed, busy] = [self.elapsed, self.busy].map(|span| span.as_millis());
        write!(f, "{elapsed} ms, {busy} ms busy")
    }
}

/// The command that repeats a test inside the guest.
fn repeat(test: &Test, guest: &Guest) -> String {
    let long = if guest.long { "--long " } else { "" };
    format!("guest-tests {long}--only \"{}\"", test.name)
}

fn in_one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.join(" | ")
}

fn run_one(test: &Test, guest: &Guest) -> Result<()> {
    log_name(test.name);
    let before = kernel_troubles()?;
    let result = in_process(test, guest);
    let restored = restore(guest);
    if kernel_troubles()? != before {
        bail!("the kernel reported a problem, see its log (the test: {result:?})");
    }
    result.and(restored)
}

/// Undoes what a failed test may have left.
fn restore(guest: &Guest) -> Result<()> {
    cpus::all_online().context("after the test: a processor stays offline")?;
    modules::load_all(guest.board).context("after the test: cannot load the modules again")?;
    board::clear_faults(guest.board).context("after the test")?;
    board::default_parameters().context("after the test")
}

/// Writes the test's name to the kernel's log, for people who read it.
fn log_name(name: &str) {
    // No test depends on the log, so an error here does not matter.
    let _ = fs::write("/dev/kmsg", format!("<6>guest-tests: {name}\n"));
}

/// The taint flags for a kernel that died, locked up, warned or has a bad page
/// (Documentation/admin-guide/tainted-kernels.rst).
fn kernel_troubles() -> Result<u64> {
    const TROUBLES: u64 = 1 << 7 | 1 << 14 | 1 << 9 | 1 << 5;
    let text = fs::read_to_string("/proc/sys/kernel/tainted")?;
    Ok(text.trim().parse::<u64>()? & TROUBLES)
}

fn in_process(test: &Test, guest: &Guest) -> Result<()> {
    let mut command = Command::new("/proc/self/exe");
    command.args(["--alone", test.name, "--board", guest.board.name()]);
    if guest.long {
        command.arg("--long");
    }
    let mut child = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .context("cannot start the test's process")?;
    let mut pipe = child.stderr.take().context("no pipe")?;
    let reader = thread::spawn(move || {
        let mut text = String::new();
        // After a failed read, the text so far is still worth printing.
        let _ = pipe.read_to_string(&mut text);
        text
    });
    let limit = if guest.long { LIMIT_LONG } else { LIMIT };
    let Some(status) = wait_for_exit(&mut child, limit)? else {
        kill_and_wait(&mut child)?;
        bail!("the test ran for more than {} s", limit.as_secs());
    };
    // A process that the test left behind would keep the pipe open.
    let _ = kill_group(&child);
    let text = reader.join().unwrap_or_default();
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (_, Some(signal)) => bail!("signal {signal} ended the test: {text}"),
        _ => bail!("{text}"),
    }
}

/// The child's status, unless it runs longer than `limit`.
fn wait_for_exit(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let start = Instant::now();
    while start.elapsed() < limit {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(None)
}

fn kill_group(child: &Child) -> Result<()> {
    let pid = Pid::from_raw(i32::try_from(child.id())?).context("no process")?;
    Ok(kill_process_group(pid, Signal::KILL)?)
}

fn kill_and_wait(child: &mut Child) -> Result<()> {
    kill_group(child)?;
    if wait_for_exit(child, KILL_LIMIT)?.is_none() {
        bail!("the test is stuck in the kernel: SIGKILL does not end it");
    }
    Ok(())
}

/// Runs one test in this process.
pub(crate) fn alone(tests: &[&Test], name: &str, guest: &Guest) -> ExitCode {
    let Some(test) = tests.iter().find(|test| test.name == name) else {
        eprintln!("there is no test of this name");
        return ExitCode::FAILURE;
    };
    match (test.run)(guest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
