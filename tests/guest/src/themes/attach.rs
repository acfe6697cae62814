// SPDX-License-Identifier: GPL-2.0-only

//! ATTACH and DETACH: which threads may attach to the out-of-band stage, and what ends an
//! attachment.

use crate::support::check::{accepted, eventually, refused};
use crate::support::device::Device;
use crate::support::task::{self, attach, become_fifo, schedule, try_attach};
use crate::test::{Guest, On, Test};
use anyhow::{Result, ensure};
use oobkit_abi::ctl;
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use std::sync::Barrier;
use std::thread;

/// How many threads can be attached at once.
const ROOM: usize = 256;

pub(crate) const TESTS: &[Test] = &[
    Test::smoke(
        "attach: ATTACH accepts SCHED_FIFO with priority 1 to 98, and nothing else",
        On::Shim,
        only_fifo,
    ),
    Test::new(
        "attach: ATTACH returns EPERM to a thread without CAP_SYS_NICE",
        On::Shim,
        only_capable,
    ),
    Test::new(
        "attach: each bad argument of ATTACH has its own errno",
        On::Shim,
        bad_arguments,
    ),
    Test::new(
        "attach: a thread attaches once and detaches once",
        On::Shim,
        once,
    ),
    Test::new(
        "attach: 256 threads attach at once, and the next one gets ENOSPC",
        On::Shim,
        full,
    ),
    Test::new(
        "attach: 300 threads that end without DETACH leave all places free",
        On::Shim,
        ended_threads,
    ),
    Test::new(
        "attach: a killed process with 256 attached threads leaves all places free",
        On::Shim,
        killed_process,
    ),
    Test::new(
        "attach: a forked child is not attached",
        On::Shim,
        not_inherited,
    ),
];

fn only_fifo(_: &Guest) -> Result<()> {
    let policies = [
        ("SCHED_OTHER", libc::SCHED_OTHER, 0, false),
        ("SCHED_BATCH", libc::SCHED_BATCH, 0, false),
        ("SCHED_RR 50", libc::SCHED_RR, 50, false),
        ("SCHED_FIFO 99", libc::SCHED_FIFO, 99, false),
        ("SCHED_FIFO 1", libc::SCHED_FIFO, 1, true),
        ("SCHED_FIFO 98", libc::SCHED_FIFO, 98, true),
    ];
    for (name, policy, priority, good) in policies {
        accepted(name, schedule(policy, priority))?;
        let ctl = Device::open_path(ctl::PATH)?;
        if good {
            accepted(name, attach(&ctl))?;
            accepted("DETACH", ctl.call(ctl::DETACH, 0))?;
        } else {
            refused(name, attach(&ctl), Errno::INVAL)?;
            refused(
                "DETACH after a refused ATTACH",
                ctl.call(ctl::DETACH, 0),
                Errno::SRCH,
            )?;
        }
    }
    Ok(())
}

fn only_capable(_: &Guest) -> Result<()> {
    become_fifo()?;
    let ctl = Device::open_path(ctl::PATH)?;
    let all = capabilities(None)?;
    let mut less = all;
    less.effective.remove(CapabilitySet::SYS_NICE);
    set_capabilities(None, less)?;
    refused("ATTACH without CAP_SYS_NICE", attach(&ctl), Errno::PERM)?;
    // The capability is checked before anything else.
    let bad = ctl.call(ctl::ATTACH, 0);
    refused("ATTACH without capability and argument", bad, Errno::PERM)?;
    accepted("SCHED_OTHER", schedule(libc::SCHED_OTHER, 0))?;
    refused("ATTACH under SCHED_OTHER", attach(&ctl), Errno::PERM)?;
    set_capabilities(None, all)?;
    become_fifo()?;
    accepted("ATTACH with CAP_SYS_NICE", attach(&ctl))
}

fn bad_arguments(_: &Guest) -> Result<()> {
    become_fifo()?;
    let ctl = Device::open_path(ctl::PATH)?;
    for word in 0..4 {
        let mut argument = ctl::Attach::default();
        argument.reserved[word] = 1;
        let what = format!("ATTACH with reserved[{word}] set");
        refused(&what, ctl.set(ctl::ATTACH, argument), Errno::INVAL)?;
    }
    for bad in [0, 8, usize::MAX - 7, 1 << 63] {
        let what = format!("ATTACH with its argument at {bad:#x}");
        refused(&what, ctl.call(ctl::ATTACH, bad), Errno::FAULT)?;
    }
    for unknown in [0, ctl::ATTACH ^ 1 << 16, ctl::DETACH + 1, u32::MAX] {
        let what = format!("call {unknown:#x}");
        refused(&what, ctl.call(unknown, 0), Errno::NOTTY)?;
    }
    refused(
        "DETACH after the refused calls",
        ctl.call(ctl::DETACH, 0),
        Errno::SRCH,
    )
}

fn once(_: &Guest) -> Result<()> {
    become_fifo()?;
    let ctl = Device::open_path(ctl::PATH)?;
    refused(
        "DETACH before ATTACH",
        ctl.call(ctl::DETACH, 0),
        Errno::SRCH,
    )?;
    accepted("ATTACH", attach(&ctl))?;
    refused("ATTACH again", attach(&ctl), Errno::BUSY)?;
    // The thread is attached, and not the file.
    let other = Device::open_path(ctl::PATH)?;
    refused("ATTACH through another file", attach(&other), Errno::BUSY)?;
    drop(ctl);
    accepted("DETACH through another file", other.call(ctl::DETACH, 0))?;
    refused("DETACH again", other.call(ctl::DETACH, 0), Errno::SRCH)?;
    accepted("ATTACH after DETACH", attach(&other))
}

/// Attaches `count` threads and calls `f` while all are attached. The threads then end without
/// DETACH.
fn with_attached(count: usize, f: impl FnOnce() -> Result<()>) -> Result<()> {
    let ctl = Device::open_path(ctl::PATH)?;
    let barrier = Barrier::new(count + 1);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|_| {
                scope.spawn(|| {
                    let attached = become_fifo().and_then(|()| accepted("ATTACH", attach(&ctl)));
                    barrier.wait();
                    barrier.wait();
                    attached
                })
            })
            .collect();
        barrier.wait();
        let result = f();
        barrier.wait();
        for thread in threads {
            task::join(thread)?;
        }
        result
    })
}

fn full(_: &Guest) -> Result<()> {
    let one_more = || {
        thread::scope(|scope| {
            task::join(scope.spawn(|| {
                become_fifo()?;
                try_attach()
            }))
        })
    };
    with_attached(ROOM, || {
        refused("one thread more", one_more()?, Errno::NOSPC)
    })?;
    // A joined thread may still be ending in the kernel.
    eventually("a thread attaches again", || Ok(one_more()?.is_ok()))
}

fn ended_threads(_: &Guest) -> Result<()> {
    let ctl = Device::open_path(ctl::PATH)?;
    for n in 0..300 {
        thread::scope(|scope| {
            task::join(scope.spawn(|| {
                become_fifo()?;
                accepted(&format!("ATTACH of thread {n}"), attach(&ctl))
            }))
        })?;
    }
    // A joined thread may still be ending in the kernel, so the last places become free a little
    // later.
    eventually("256 threads attach", || {
        Ok(with_attached(ROOM, || Ok(())).is_ok())
    })
}

fn killed_process(_: &Guest) -> Result<()> {
    for _ in 0..2 {
        let mut child = task::fork(|parent| {
            with_attached(ROOM, || {
                parent.ready()?;
                parent.wait()
            })
        })?;
        child.ready()?;
        let status = child.kill()?;
        ensure!(status.signaled(), "the child was not killed");
    }
    become_fifo()?;
    accepted("ATTACH afterwards", try_attach()?)
}

fn not_inherited(_: &Guest) -> Result<()> {
    become_fifo()?;
    let ctl = Device::open_path(ctl::PATH)?;
    accepted("ATTACH", attach(&ctl))?;
    task::in_child(|| {
        refused("DETACH in the child", ctl.call(ctl::DETACH, 0), Errno::SRCH)?;
        accepted("ATTACH in the child", attach(&ctl))
    })?;
    accepted("DETACH in the parent", ctl.call(ctl::DETACH, 0).map(drop))
}
