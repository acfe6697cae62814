// SPDX-License-Identifier: GPL-2.0-only

//! The list of attached threads in debugfs: their scheduling, what they wait for, and how often
//! they went in band.

use crate::support::check::{accepted, eventually, refused};
use crate::support::device::Device;
use crate::support::mapping::Mapping;
use crate::support::task::{self, PRIORITY, attach, date, schedule};
use crate::test::{Guest, On, Test};
use anyhow::{Context, Result, ensure};
use oob_trial::files::{ECHO, ECHO_NOW, FLAG, MONITOR, PATH, PAUSE, Pause, SEMAPHORE};
use oob_trial::services::{MUTEX_KEPT, WORK_WAIT, Work};
use oob_trial::{Hammer, STAX_DESTROY, STAX_HAMMER};
use oobkit_abi::ctl;
use rustix::io::Errno;
use rustix::mm::{MlockAllFlags, ProtFlags, mlockall, munlockall};
use rustix::thread::{CpuSet, gettid, sched_setaffinity};
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const LIST: &str = "/sys/kernel/debug/oob_shim/threads";

pub(crate) const TESTS: &[Test] = &[
    Test::new(
        "stage threads: the list shows each attached thread's priority and processors",
        On::Shim,
        who,
    ),
    Test::smoke(
        "stage threads: the list shows what each thread waits for, and how often it has waited",
        On::Shim,
        waits,
    ),
    Test::new(
        "stage threads: the list shows waits for a mutex, for work and for the stage lock",
        On::Shim,
        other_waits,
    ),
    Test::new(
        "stage threads: a missing page in a call counts as a stage switch, a present page does not",
        On::Shim,
        switches,
    ),
    Test::new(
        "stage threads: a copy under a hard lock returns EFAULT for a missing page, without a stage switch",
        On::Shim,
        copies_now,
    ),
    Test::new(
        "stage threads: a thread that executes another program is attached no longer",
        On::Shim,
        another_program,
    ),
    Test::new(
        "stage threads: an attached thread that leaves SCHED_FIFO stays in the list with priority 0",
        On::Shim,
        another_policy,
    ),
    Test::new(
        "stage threads: a thread that is killed in a wait leaves the list",
        On::Shim,
        death,
    ),
];

/// A line of the list, without the thread's number.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    priority: u8,
    cpus: String,
    waits_for: String,
    waits: u64,
    switches: u64,
    name: String,
}

fn list() -> Result<Vec<(i32, Line)>> {
    let text = fs::read_to_string(LIST).with_context(|| format!("cannot read {LIST}"))?;
    let mut lines = text.lines();
    let head = lines.next().unwrap_or_default();
    ensure!(
        head == "PID PRIORITY CPUS WAITS-FOR WAITS STAGE-SWITCHES NAME",
        "the list's head is {head:?}"
    );
    lines
        .map(|line| {
            let words: Vec<&str> = line.splitn(7, ' ').collect();
            let [pid, priority, cpus, waits_for, waits, switches, name] = words[..] else {
                anyhow::bail!("cannot read the line {line:?}");
            };
            let line = Line {
                priority: priority.parse()?,
                cpus: cpus.to_owned(),
                waits_for: waits_for.to_owned(),
                waits: waits.parse()?,
                switches: switches.parse()?,
                name: name.to_owned(),
            };
            Ok((pid.parse()?, line))
        })
        .collect()
}

fn line_of(pid: i32) -> Result<Option<Line>> {
    Ok(list()?.into_iter().find(|line| line.0 == pid).map(|l| l.1))
}

fn my_line() -> Result<Line> {
    line_of(me())?.context("this thread is not in the list")
}

fn me() -> i32 {
    gettid().as_raw_nonzero().get()
}

/// Sets the calling thread's name. The kernel keeps the first 15 bytes.
fn set_name(name: &std::ffi::CStr) {
    // SAFETY: the name is a C string that outlives the call, and the kernel only reads it.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

fn who(_: &Guest) -> Result<()> {
    ensure!(
        line_of(me())?.is_none(),
        "a thread that is not attached is in the list"
    );
    let ctl = Device::open_path(ctl::PATH)?;
    set_name(c"a name of all 15");
    for (priority, policy) in [(1, libc::SCHED_FIFO), (98, libc::SCHED_FIFO)] {
        accepted("SCHED_FIFO", schedule(policy, priority))?;
        accepted("ATTACH", attach(&ctl))?;
        let line = my_line()?;
        ensure!(
            i32::from(line.priority) == priority && line.name == "a name of all 1",
            "{line:?}"
        );
        ensure!(
            (line.waits, line.switches, line.waits_for.as_str()) == (0, 0, "none"),
            "a new thread's line: {line:?}"
        );
        let home = task::home()?.unwrap_or_default();
        for cpu in [home, 0] {
            let mut set = CpuSet::new();
            set.set(cpu);
            sched_setaffinity(None, &set)?;
            ensure!(my_line()?.cpus == cpu.to_string(), "{:?}", my_line()?);
        }
        accepted("DETACH", ctl.call(ctl::DETACH, 0))?;
        ensure!(line_of(me())?.is_none(), "a detached thread is in the list");
    }
    Ok(())
}

fn pause(trial: &Device, what: u32, until_ns: u64) -> Result<(), Errno> {
    let pause = Pause {
        what,
        reserved: 0,
        until_ns,
    };
    trial.set(PAUSE, pause)
}

fn waits(_: &Guest) -> Result<()> {
    let trial = Device::open_path(PATH)?;
    let things = [
        (FLAG, "flag"),
        (MONITOR, "monitor"),
        (SEMAPHORE, "semaphore"),
    ];
    for (what, name) in things {
        let (spot, is_seen) = (task::Spot::default(), AtomicBool::new(false));
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let _attached = task::become_oob(task::home()?)?;
                spot.here();
                let mut count = 0;
                while count < 3 || !is_seen.load(Ordering::Acquire) {
                    let until = date(Duration::from_millis(100));
                    refused(name, pause(&trial, what, until), Errno::TIMEDOUT)?;
                    count += 1;
                }
                Ok((count, my_line()?))
            });
            let pid = spot.number()?;
            let shown = eventually(&format!("the list shows a {name}"), || {
                Ok(line_of(pid)?.is_some_and(|line| line.waits_for == name && line.waits > 0))
            });
            is_seen.store(true, Ordering::Release);
            let (count, line) = task::join(waiter)?;
            shown?;
            ensure!(
                line.waits == count && line.waits_for == "none" && line.switches == 0,
                "after {count} waits: {line:?}"
            );
            Ok(())
        })?;
    }
    Ok(())
}

/// An attached thread makes `call` again and again until the list has shown that it waits for
/// `name`. Then `end` is called with the thread's number until the last call is over.
fn is_shown(
    name: &str,
    mut call: impl FnMut() -> Result<()> + Send,
    end: impl Fn(i32) + Sync,
) -> Result<()> {
    let spot = task::Spot::default();
    let (is_seen, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let _attached = task::become_oob(task::home()?)?;
            spot.here();
            let mut called = Ok(());
            while called.is_ok() && !is_seen.load(Ordering::Acquire) {
                called = call();
            }
            let line = my_line();
            is_over.store(true, Ordering::Release);
            called.and(line)
        });
        let pid = spot.number()?;
        let shown = eventually(&format!("the list shows a {name}"), || {
            Ok(line_of(pid)?.is_some_and(|line| line.waits_for == name))
        });
        is_seen.store(true, Ordering::Release);
        while !is_over.load(Ordering::Acquire) {
            end(pid);
            thread::sleep(Duration::from_millis(10));
        }
        let line = task::join(waiter)?;
        ensure!(line.waits > 0 && line.waits_for == "none", "{line:?}");
        shown
    })
}

fn other_waits(_: &Guest) -> Result<()> {
    let trial = Device::open_path(oob_trial::PATH)?;
    task::take_interrupts();
    let kept = || accepted("MUTEX_KEPT", trial.call(MUTEX_KEPT, 0)).map(drop);
    is_shown("mutex", kept, task::interrupt)?;
    let waited = || {
        let mut work = Work {
            takes_ns: 200_000_000,
            until_ns: u64::MAX,
            ..Work::default()
        };
        accepted("WORK_WAIT", trial.ioctl(WORK_WAIT, &mut work)).map(drop)
    };
    is_shown("work", waited, |_| ())?;
    let hammer = |seed| {
        let mut args = Hammer {
            seed,
            until_ns: u64::MAX,
            ..Hammer::default()
        };
        accepted("STAX_HAMMER", trial.ioctl(STAX_HAMMER, &mut args)).map(drop)
    };
    thread::scope(|scope| {
        let inband = [1, 3, 5].map(|seed| scope.spawn(move || hammer(seed)));
        let shown = is_shown(
            "stage-lock",
            || hammer(7),
            |_| {
                // Destroying the lock ends the calls of all threads.
                let _ = trial.call(STAX_DESTROY, 0);
            },
        );
        inband.into_iter().try_for_each(task::join)?;
        shown
    })
}

fn switches(_: &Guest) -> Result<()> {
    let trial = Device::open_path(PATH)?;
    accepted("SCHED_FIFO", schedule(libc::SCHED_FIFO, PRIORITY.into()))?;
    accepted("ATTACH", task::try_attach()?)?;
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // No page is mapped yet. Reading maps the shared page of zeroes, and writing replaces it by a
    // page of its own.
    let missing = Mapping::anonymous(4096, access)?;
    accepted("ECHO", trial.call(ECHO, missing.address()))?;
    let first = my_line()?.switches;
    ensure!(
        (1..=2).contains(&first),
        "pages were missing: {first} switches"
    );
    for _ in 0..100 {
        accepted("ECHO", trial.call(ECHO, missing.address()))?;
    }
    ensure!(
        my_line()?.switches == first,
        "a stage switch was counted, but no page was missing"
    );
    // A process that has locked its memory misses no page.
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE)?;
    let locked = Mapping::anonymous(4096, access)?;
    for _ in 0..100 {
        accepted("ECHO", trial.call(ECHO, locked.address()))?;
    }
    ensure!(
        my_line()?.switches == first,
        "a stage switch was counted, but the memory was locked"
    );
    munlockall()?;
    // A bad address is refused without a stage switch.
    refused("ECHO", trial.call(ECHO, 8), Errno::FAULT)?;
    refused("ECHO", trial.call(ECHO, usize::MAX - 7), Errno::FAULT)?;
    ensure!(
        my_line()?.switches == first,
        "a stage switch was counted for a bad address"
    );
    Ok(())
}

fn copies_now(_: &Guest) -> Result<()> {
    let trial = Device::open_path(PATH)?;
    accepted("SCHED_FIFO", schedule(libc::SCHED_FIFO, PRIORITY.into()))?;
    accepted("ATTACH", task::try_attach()?)?;
    let missing = Mapping::anonymous(4096, ProtFlags::READ | ProtFlags::WRITE)?;
    let copies = || trial.call(ECHO_NOW, missing.address());
    let first_byte = || {
        let mut first = [0];
        missing.read(0, &mut first);
        first[0]
    };
    refused(
        "ECHO_NOW of a page that was never accessed",
        copies(),
        Errno::FAULT,
    )?;
    // Reading has mapped the shared page of zeroes, which the kernel must not write to.
    ensure!(first_byte() == 0, "not zeroes");
    refused(
        "ECHO_NOW to a page that was never written",
        copies(),
        Errno::FAULT,
    )?;
    missing.write(0, &[1]);
    for value in 2..100 {
        accepted("ECHO_NOW of a mapped page", copies())?;
        ensure!(first_byte() == value, "it is not {value}");
    }
    refused(
        "ECHO_NOW at an unmapped address",
        trial.call(ECHO_NOW, 8),
        Errno::FAULT,
    )?;
    let beyond = trial.call(ECHO_NOW, usize::MAX - 7);
    refused("ECHO_NOW beyond user space", beyond, Errno::FAULT)?;
    let line = my_line()?;
    ensure!(line.switches == 0, "{line:?}");
    Ok(())
}

fn another_program(_: &Guest) -> Result<()> {
    let mut child = task::fork(|parent| {
        let _attached = task::become_oob(None)?;
        parent.ready()?;
        parent.wait()?;
        Err(Command::new("/bin/sleep").arg("20").exec().into())
    })?;
    child.ready()?;
    let line = line_of(child.pid())?;
    ensure!(line.is_some(), "the child is not in the list");
    child.go()?;
    let name = format!("/proc/{}/comm", child.pid());
    eventually("the other program runs", || {
        Ok(fs::read_to_string(&name)?.trim() == "sleep")
    })?;
    // execve changes the name first, and leaves the stage later.
    eventually("the thread leaves the list", || {
        Ok(line_of(child.pid())?.is_none())
    })?;
    child.kill().map(drop)
}

fn another_policy(_: &Guest) -> Result<()> {
    task::oob(|| {
        accepted("SCHED_OTHER", schedule(libc::SCHED_OTHER, 0))?;
        ensure!(my_line()?.priority == 0, "{:?}", my_line()?);
        let trial = Device::open_path(PATH)?;
        let soon = date(Duration::from_millis(1));
        refused("a wait", pause(&trial, SEMAPHORE, soon), Errno::TIMEDOUT)
    })
}

fn death(guest: &Guest) -> Result<()> {
    for _ in 0..guest.count(3, 30) {
        let mut child = task::fork(|parent| {
            task::become_fifo()?;
            accepted("ATTACH", task::try_attach()?)?;
            let trial = Device::open_path(PATH)?;
            parent.ready()?;
            // A signal ends a monitor's wait.
            accepted("PAUSE", pause(&trial, MONITOR, u64::MAX))
        })?;
        child.ready()?;
        let pid = child.pid();
        eventually("the child waits", || {
            Ok(line_of(pid)?.is_some_and(|line| line.waits_for == "monitor"))
        })?;
        child.kill()?;
        eventually("the child is gone from the list", || {
            Ok(line_of(pid)?.is_none())
        })?;
    }
    Ok(())
}
