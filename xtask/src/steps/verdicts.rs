// SPDX-License-Identifier: GPL-2.0-only
//! Checks that `xtask vm` notices a guest that is not well. The results of all other guests depend
//! on this.
//!
//! ```text
//!   this program --starts itself--> xtask vm x86_64 .. --starts--> QEMU
//!        |                             ^                            ^
//!        |--SIGTERM or SIGKILL---------'                            |
//!        |--SIGSTOP: deaf to all but SIGKILL, as a hung one may be--'
//!        '--then: which status, which texts; and is that very QEMU gone?
//! ```

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::count::Count;
use super::modules;
use super::step::{Log, Step};
use crate::kernels::{self, Arch};
use crate::kit::modules::modules as build;
use crate::kit::programs::programs;
use crate::paths;
use crate::setup::Need;

/// How long a guest may take to be built, to boot and to end.
const PATIENCE: Duration = Duration::from_secs(1200);
/// How long a killed process may take to disappear.
const GRACE: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(50);

const DEFAULT_KERNEL: &str = "6.12-rt-amd64";
const DEBUG_KERNEL: &str = "debug-amd64";

/// The line before the end of the kernel's log, which every failed guest must show.
const LOG: &str = "--- the kernel log's end ---";

type Case = (&'static str, fn() -> Result<()>);

const CASES: [Case; 11] = [
    ("status and options", options),
    ("a report", || {
        let script = "echo '<4>WARNING: planted' >/dev/kmsg";
        unwell(&[], script, &["the kernel reported", "WARNING: planted"])
    }),
    ("a processor that is missing", || {
        let options = ["--qemu", "-smp", "--qemu", "1"];
        unwell(&options, "true", &["1 of 2 processors"])
    }),
    ("no high-resolution timers", || {
        let texts = ["oob_shim: this machine has no", "insmod oob_shim"];
        unwell(&["--append", "highres=off"], "true", &texts)
    }),
    ("a panic", || {
        let script = "echo c >/proc/sysrq-trigger";
        unwell(&[], script, &["Kernel panic - not syncing"])
    }),
    (
        "a panic of Rust code, which is a BUG with its message",
        || {
            let script = "echo 42 >/sys/kernel/debug/vboard/panic";
            unwell(&[], script, &["kernel BUG at", "asked to panic: 42"])
        },
    ),
    ("an emulator that ends too early", emulator_gone),
    ("a hang", hang),
    ("a hang, of the emulator too", emulator_hangs),
    ("SIGTERM", terminated),
    ("SIGKILL", killed),
];

pub(super) fn step() -> Step {
    Step::new(
        "verdicts on guests",
        "xtask vm notices a guest that is not well, and leaves no emulator behind",
        |_, log| verdicts(DEFAULT_KERNEL, &CASES, log),
    )
    .needs(&[Need::Build, Need::Qemu])
    .after(modules::name("6.12-rt-amd64"))
}

pub(super) fn debug_step() -> Step {
    Step::new(
        "verdicts on the debug kernel",
        "each check of the debug kernel works",
        |_, log| verdicts(DEBUG_KERNEL, &[("what only it sees", debug)], log),
    )
    .needs(&[Need::Build, Need::Qemu])
    .after(modules::name(DEBUG_KERNEL))
}

/// The guests of these cases take what this program has built last, so this builds it if no step
/// has.
fn verdicts(kernel: &str, cases: &[Case], log: &mut Log) -> Result<Count> {
    build(kernels::named(kernel)?)?;
    programs(Arch::X86_64)?;
    let mut count = Count::default();
    for (name, case) in cases {
        match case() {
            Ok(()) => count.add(Count::PASS),
            Err(error) => {
                log.line(format_args!("{name}: {error:#}"));
                count.add(Count::FAIL);
            }
        }
    }
    Ok(count)
}

/// The command's status is returned, and each option takes effect.
fn options() -> Result<()> {
    let added = folder()?.join("added.txt");
    fs::write(&added, "added\n")?;
    let script = "cat /added.txt; echo cpus: $(grep -c ^processor /proc/cpuinfo); \
                  cat /sys/class/dmi/id/product_serial /proc/cmdline; exit 3";
    let added = added.display().to_string();
    let mut options = vec!["--add", &added, "--cpus", "1", "--append", "oobkit_probe=1"];
    options.extend(["--qemu", "-smbios", "--qemu", "type=1,serial=probe-7"]);
    let ended = Running::start(&options, script)?.end()?;
    ended.hold(Some(3), &["added\n", "cpus: 1\n", "probe-7\n"])?;
    ended.hold(Some(3), &[" oobkit_probe=1"])
}

/// The kernel's log has a report.
fn unwell(options: &[&str], script: &str, texts: &[&str]) -> Result<()> {
    let ended = Running::start(options, script)?.end()?;
    ended.hold(Some(125), &[LOG])?;
    ended.hold(Some(125), texts)
}

/// Each check of the debug kernel works. KASAN comes last, because lockdep stops after its report.
fn debug() -> Result<()> {
    let script = "for defect in sleep leak beyond; do echo $defect >/dev/oob/trial || exit 9; done";
    let options = ["--kernel", DEBUG_KERNEL, "--timeout", "1080"];
    let ended = Running::start(&options, script)?.end()?;
    ended.hold(
        Some(125),
        &[LOG, "the kernel reported", "ended with status 0"],
    )?;
    let log = paths::target().join("vm/x86_64-debug-amd64/console.log");
    let log = fs::read_to_string(&log).with_context(|| format!("no {}", log.display()))?;
    let has = |words: &[&str]| {
        let mut lines = log.lines();
        lines.any(|line| words.iter().all(|word| line.contains(word)))
    };
    let reports: [&[&str]; 5] = [
        &["BUG: sleeping function called from invalid context"],
        &["BUG: Invalid wait context"],
        // The report is about the module's Rust code.
        &["BUG: KASAN: slab-out-of-bounds", "_R", "[oob_trial]"],
        &["new suspected memory leaks"],
        // The leaked object.
        &["planted by trial"],
    ];
    for words in reports {
        ensure!(has(words), "{words:?} is not in a line of:\n{log}");
    }
    Ok(())
}

fn emulator_gone() -> Result<()> {
    let ended = Running::start(&["--qemu", "-no-such-option"], "true")?.end()?;
    ended.hold(Some(126), &[LOG, "-no-such-option: invalid option"])
}

/// The timeout ends a guest that hangs, and its processors' state is shown.
fn hang() -> Result<()> {
    let hanging = |script| Running::start(&["--timeout", "5"], script)?.end();
    let asked = ["NMI: Not continuing", "CPU: 0", "CPU: 1"];
    let ended = hanging("while :; do :; done")?;
    ended.hold(Some(124), &[LOG, "the guest hung"])?;
    ended.hold(Some(124), &asked)?;
    // A report before the timeout is the reason of the failure.
    let ended = hanging("echo '<4>WARNING: planted' >/dev/kmsg; while :; do :; done")?;
    ended.hold(Some(125), &[LOG, "the kernel reported", "WARNING: planted"])?;
    ended.hold(Some(125), &asked)
}

/// The same with an emulator that does not answer.
fn emulator_hangs() -> Result<()> {
    let script = "echo looping; while :; do :; done";
    let mut running = Running::start(&["--timeout", "10"], script)?;
    let emulator = running.emulator()?;
    running.wait_for("the guest's first word", |running| {
        Ok(running.said()?.contains("looping"))
    })?;
    emulator.send(libc::SIGSTOP)?;
    let ended = running.end()?;
    ended.hold(Some(124), &[LOG, "the guest hung"])?;
    emulator.gone()
}

/// If told to stop, it says so and ends the emulator.
fn terminated() -> Result<()> {
    let mut running = Running::start(&[], "true")?;
    let emulator = running.emulator()?;
    emulator.send(libc::SIGSTOP)?;
    // Before this, the signal would kill it, as it kills any program.
    running.wait_for("a handler of SIGTERM", |running| {
        running.own().catches(libc::SIGTERM)
    })?;
    running.own().send(libc::SIGTERM)?;
    running.end()?.hold(Some(130), &[LOG, "interrupted"])?;
    emulator.gone()
}

/// If killed, it can do nothing. The kernel kills the emulator.
fn killed() -> Result<()> {
    let mut running = Running::start(&[], "true")?;
    let emulator = running.emulator()?;
    emulator.send(libc::SIGSTOP)?;
    let own = running.own();
    own.send(libc::SIGKILL)?;
    running.end()?.hold(None, &[])?;
    // No process is left that would remove it.
    let left = paths::target().join(format!("vm/.x86_64-{}", own.pid));
    emulator.gone()?;
    fs::remove_dir_all(&left).with_context(|| format!("no {}", left.display()))
}

fn folder() -> Result<PathBuf> {
    let folder = paths::target().join("vm/test/verdict");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// `xtask vm`, run by this very program.
struct Running {
    child: Child,
    output: PathBuf,
}

impl Running {
    /// Runs `script` by a shell in the guest.
    fn start(options: &[&str], script: &str) -> Result<Self> {
        // Two steps may each have one running.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let output = folder()?.join(format!("output-{number}"));
        let file = File::create(&output)?;
        // The path may lead to another program by now, because steps before this one may have
        // rebuilt it.
        let child = Command::new("/proc/self/exe")
            .args(["vm", "x86_64", "--as-built"])
            .args(options)
            .args(["--", "sh", "-c", script])
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()?;
        Ok(Self { child, output })
    }

    fn own(&self) -> Process {
        Process {
            pid: self.child.id(),
        }
    }

    /// The output so far.
    fn said(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.output)?).into_owned())
    }

    fn wait_for(&mut self, what: &str, mut is_so: impl FnMut(&Self) -> Result<bool>) -> Result<()> {
        let start = Instant::now();
        while !is_so(self)? {
            if self.child.try_wait()?.is_some() || start.elapsed() > PATIENCE {
                bail!("{what} did not come:\n{}", self.said()?);
            }
            thread::sleep(TICK);
        }
        Ok(())
    }

    /// Its emulator, once it runs.
    fn emulator(&mut self) -> Result<Process> {
        let mut found = None;
        self.wait_for("the emulator", |running| {
            found = running.own().child("qemu-system")?;
            Ok(found.is_some())
        })?;
        found.context("no emulator")
    }

    fn end(mut self) -> Result<Ended> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                let text = self.said()?;
                return Ok(Ended { status, text });
            }
            ensure!(start.elapsed() < PATIENCE, "no end:\n{}", self.said()?);
            thread::sleep(TICK);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only if the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How it ended, and its output.
struct Ended {
    status: ExitStatus,
    text: String,
}

impl Ended {
    fn hold(&self, status: Option<i32>, texts: &[&str]) -> Result<()> {
        let Self { status: is, text } = self;
        ensure!(is.code() == status, "{is}, not {status:?}:\n{text}");
        for wanted in texts {
            ensure!(text.contains(wanted), "{wanted:?} is not in:\n{text}");
        }
        Ok(())
    }
}

/// A process by its number. The kernel does not reuse a number soon.
#[derive(Clone, Copy)]
struct Process {
    pid: u32,
}

impl Process {
    fn send(self, signal: i32) -> Result<()> {
        let pid = libc::pid_t::try_from(self.pid)?;
        // SAFETY: kill takes two integers and touches no memory.
        let result = unsafe { libc::kill(pid, signal) };
        ensure!(result == 0, "signal {signal} cannot be sent to {pid}");
        Ok(())
    }

    /// A field of the process's status in /proc.
    fn field(self, name: &str) -> Option<String> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(|line| line.trim().to_owned())
    }

    fn catches(self, signal: i32) -> Result<bool> {
        let caught = self.field("SigCgt").context("it has ended")?;
        let bit = u64::from_str_radix(&caught, 16)? >> (signal - 1);
        Ok(bit & 1 == 1)
    }

    /// A child of this name.
    fn child(self, name: &str) -> Result<Option<Self>> {
        let mut children = Vec::new();
        for entry in fs::read_dir("/proc")? {
            if let Ok(pid) = entry?.file_name().to_string_lossy().parse() {
                children.push(Self { pid });
            }
        }
        let parent = self.pid.to_string();
        Ok(children.into_iter().find(|child| {
            child.field("PPid").as_ref() == Some(&parent)
                && child
                    .field("Name")
                    .is_some_and(|found| found.starts_with(name))
        }))
    }

    /// Waits until the process has stopped running. A zombie counts as stopped.
    fn gone(self) -> Result<()> {
        let start = Instant::now();
        while self
            .field("State")
            .is_some_and(|state| !state.starts_with(['Z', 'X']))
        {
            if start.elapsed() > GRACE {
                self.send(libc::SIGKILL)?;
                bail!("the emulator was left behind");
            }
            thread::sleep(TICK);
        }
        Ok(())
    }
}
