// SPDX-License-Identifier: GPL-2.0-only

//! Runs each test in a process of its own, so that one that hangs, is killed or leaves things behind does not spoil the
//! next.
//!
//! ```text
//!   note in the kernel's log -> process group -> ended in time? -> kernel unharmed? -> restore -> ok | FAIL
//! ```

use crate::support::{board, modules};
use crate::{Guest, Test};
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a test may take. An emulated machine with a debug kernel is slow.
const PATIENCE: Duration = Duration::from_secs(300);
const PATIENCE_LONG: Duration = Duration::from_secs(900);
/// How long a killed process may take to end; one that is stuck in the kernel never does.
const BURIAL: Duration = Duration::from_secs(10);

/// Runs the tests; fails where one does, or where there was none.
pub(crate) fn run(tests: &[&Test], guest: &Guest) -> ExitCode {
    let mut failed = 0;
    for test in tests {
        match one(test, guest) {
            Ok(()) => println!("ok {}", test.name),
            Err(error) => {
                failed += 1;
                println!("FAIL {}: {}", test.name, in_one_line(&format!("{error:#}")));
            }
        }
    }
    println!("{} passed, {failed} failed", tests.len() - failed);
    if failed > 0 || tests.is_empty() {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn in_one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.join(" | ")
}

fn one(test: &Test, guest: &Guest) -> Result<()> {
    note(test.name);
    let harm = harm()?;
    let result = in_process(test, guest);
    let restored = restore(guest);
    if self::harm()? != harm {
        bail!("the kernel has complained, see its log ({result:?})");
    }
    result.and(restored)
}

/// Puts back what a test that failed half-way may have left.
fn restore(guest: &Guest) -> Result<()> {
    modules::load_all(guest.board).context("after the test: cannot load the modules again")?;
    board::clear_faults(guest.board).context("after the test")?;
    board::default_parameters().context("after the test")
}

/// So that the kernel's log tells what happened when.
fn note(name: &str) {
    // The log is for people; a test does not depend on it.
    let _ = fs::write("/dev/kmsg", format!("<6>guest-tests: {name}\n"));
}

/// What the kernel remembers of its own troubles: died, locked up, warned (Documentation/admin-guide/tainted-kernels.rst).
fn harm() -> Result<u64> {
    const TROUBLE: u64 = 1 << 7 | 1 << 14 | 1 << 9 | 1 << 5;
    let text = fs::read_to_string("/proc/sys/kernel/tainted")?;
    Ok(text.trim().parse::<u64>()? & TROUBLE)
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
    let words = thread::spawn(move || {
        let mut words = String::new();
        // What came before a failure to read is all there is.
        let _ = pipe.read_to_string(&mut words);
        words
    });
    let patience = if guest.long { PATIENCE_LONG } else { PATIENCE };
    let Some(status) = ended(&mut child, patience)? else {
        end(&mut child)?;
        bail!("not over after {} s", patience.as_secs());
    };
    // What it may have left running keeps the pipe open.
    let _ = kill_group(&child);
    let words = words.join().unwrap_or_default();
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (_, Some(signal)) => bail!("ended by signal {signal}: {words}"),
        _ => bail!("{words}"),
    }
}

fn ended(child: &mut Child, patience: Duration) -> Result<Option<std::process::ExitStatus>> {
    let start = Instant::now();
    while start.elapsed() < patience {
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

fn end(child: &mut Child) -> Result<()> {
    kill_group(child)?;
    if ended(child, BURIAL)?.is_none() {
        bail!("stuck in the kernel: it cannot be killed");
    }
    Ok(())
}

/// One test, in this process.
pub(crate) fn alone(tests: &[&Test], name: &str, guest: &Guest) -> ExitCode {
    let Some(test) = tests.iter().find(|test| test.name == name) else {
        eprintln!("there is no such test");
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
