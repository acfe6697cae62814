// SPDX-License-Identifier: GPL-2.0-only

//! Real-time threads, and child processes that a test can kill.

use super::check::{accepted, eventually};
use super::device::{Device, is_evl};
use anyhow::{Context, Result, anyhow, bail, ensure};
use oobkit::thread::{Attached, Realtime};
use oobkit::time::Instant;
use oobkit_abi::ctl;
use rustix::io::Errno;
use rustix::mm::MlockAllFlags;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, waitpid};
use rustix::thread::{CpuSet, gettid, sched_setaffinity};
use std::fs::File;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;
use std::time::Duration;

/// Priority of the tests' real-time threads.
pub(crate) const PRIORITY: u8 = 80;

/// The processor of the tests' real-time threads.
///
/// An emulator may delay one processor for longer than a frame's time limit while another one runs.
/// The virtual board arms its timer on the processor of the thread that starts the frame. So on
/// that processor the frame's end stays before its time limit, however late both come.
pub(crate) fn home() -> Result<Option<usize>> {
    Ok(processors().checked_sub(1))
}

/// How many processors are online, including those that this thread may not use.
pub(crate) fn processors() -> usize {
    // SAFETY: the call takes a number and returns one; it accesses no memory of this process.
    let count = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    usize::try_from(count).unwrap_or(0)
}

/// Gives the calling thread a policy and priority.
pub(crate) fn schedule(policy: i32, priority: i32) -> Result<(), Errno> {
    let param = libc::sched_param {
        sched_priority: priority,
    };
    // SAFETY: 0 stands for the calling thread, and the parameter outlives the call.
    match unsafe { libc::sched_setscheduler(0, policy, &raw const param) } {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
    }
}

/// Attaches the calling thread through `ctl` until the thread ends.
pub(crate) fn attach(ctl: &Device) -> Result<(), Errno> {
    ctl.set(ctl::ATTACH, ctl::Attach::default())
}

/// Makes the calling thread real-time and attaches it.
pub(crate) fn become_oob(cpu: Option<usize>) -> Result<Attached> {
    let realtime = Realtime {
        priority: PRIORITY,
        cpu,
    };
    realtime.apply()?;
    Ok(oobkit::thread::attach()?)
}

/// Runs `f` in an attached thread.
pub(crate) fn oob<T: Send>(f: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        join(scope.spawn(|| {
            let _attached = become_oob(home()?)?;
            f()
        }))
    })
}

/// The result of a scoped thread.
pub(crate) fn join<T>(handle: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    handle.join().map_err(|_| anyhow!("a thread panicked"))?
}

/// A thread that is about to sleep in a call. Another thread can wait until it does.
#[derive(Default)]
pub(crate) struct Spot(AtomicI32);

impl Spot {
    /// Says that the calling thread's next system call is the one.
    pub(crate) fn here(&self) {
        self.0
            .store(gettid().as_raw_nonzero().get(), Ordering::Release);
    }

    /// The thread's number, if it is there already.
    pub(crate) fn number_so_far(&self) -> Option<i32> {
        Some(self.0.load(Ordering::Acquire)).filter(|number| *number != 0)
    }

    /// The thread's number, once it is there.
    pub(crate) fn number(&self) -> Result<i32> {
        eventually(
            "a thread begins",
            || Ok(self.0.load(Ordering::Acquire) != 0),
        )?;
        Ok(self.0.load(Ordering::Acquire))
    }

    /// The thread's number, once it sleeps in the kernel in a wait that ignores signals.
    pub(crate) fn asleep(&self) -> Result<i32> {
        self.in_state(&['D'])
    }

    /// The thread's number, once it sleeps in a wait of either kind.
    pub(crate) fn waits(&self) -> Result<i32> {
        self.in_state(&['D', 'S'])
    }

    fn in_state(&self, states: &[char]) -> Result<i32> {
        eventually("a thread sleeps in its call", || {
            let tid = self.0.load(Ordering::Acquire);
            Ok(tid != 0 && is_asleep(&format!("/proc/self/task/{tid}"), states)?)
        })?;
        Ok(self.0.load(Ordering::Acquire))
    }
}

/// Whether a task, given by its folder, is in one of these states (proc(5): the letter after the
/// name in parentheses), or waits in EVL.
fn is_asleep(task: &str, states: &[char]) -> Result<bool> {
    if is_evl() && waits_in_evl(task.rsplit('/').next().unwrap_or_default()) {
        return Ok(true);
    }
    // A task that has ended does not sleep.
    let stat = std::fs::read_to_string(format!("{task}/stat")).unwrap_or_default();
    Ok(stat
        .rsplit_once(')')
        .is_some_and(|(_, rest)| rest.trim_start().starts_with(states)))
}

/// Whether an EVL thread, given by its number, waits (EVL_T_PEND or EVL_T_DELAY of
/// uapi/evl/thread.h).
fn waits_in_evl(tid: &str) -> bool {
    let threads = std::fs::read_dir("/sys/devices/virtual/thread");
    threads.into_iter().flatten().flatten().any(|thread| {
        let read = |name| std::fs::read_to_string(thread.path().join(name)).unwrap_or_default();
        let state = read("state");
        let state = u32::from_str_radix(state.trim().trim_start_matches("0x"), 16);
        read("pid").trim() == tid && state.is_ok_and(|state| state & 6 != 0)
    })
}

/// The date `ahead` from now on `CLOCK_MONOTONIC`, in ns.
pub(crate) fn date(ahead: Duration) -> u64 {
    Instant::now().after(ahead).as_nanos()
}

/// How many voluntary context switches and page faults the calling thread has had.
pub(crate) fn switches_and_faults() -> Result<(i64, i64)> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the buffer is one `rusage` and outlives the call.
    let result = unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) };
    ensure!(result == 0, "no getrusage");
    // SAFETY: all zeroes is a valid `rusage`, and the kernel wrote only valid fields.
    let usage = unsafe { usage.assume_init() };
    Ok((usage.ru_nvcsw, usage.ru_minflt + usage.ru_majflt))
}

/// Makes [`interrupt`] end a wait with EINTR, instead of ending the process or restarting the call.
pub(crate) fn take_interrupts() {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: all zeroes is a valid `sigaction`: an empty mask, no flags and so no SA_RESTART.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(_) as usize;
    // SAFETY: the action outlives the call, and its handler does nothing, which is safe at any
    // moment.
    unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) };
}

/// Sends a signal to a thread of this process, given by its number. Does nothing if the thread has
/// ended.
pub(crate) fn interrupt(number: i32) {
    let process = getpid().as_raw_nonzero().get();
    // SAFETY: the call takes numbers only, and SIGUSR1 has a handler: see `take_interrupts`.
    unsafe { libc::tgkill(process, number, libc::SIGUSR1) };
}

/// The child's end of the connection to its parent.
pub(crate) struct Parent {
    to: File,
    from: File,
}

impl Parent {
    /// Tells the parent that the child is ready.
    pub(crate) fn ready(&mut self) -> Result<()> {
        Ok(self.to.write_all(&[1])?)
    }

    /// Waits until the parent calls [`Process::go`].
    pub(crate) fn wait(&mut self) -> Result<()> {
        Ok(self.from.read_exact(&mut [0])?)
    }
}

/// A child process that runs a part of a test. Dropping this value kills it.
pub(crate) struct Process {
    pid: Pid,
    to: File,
    from: File,
    over: Option<WaitStatus>,
}

/// Runs `f` in a child process. The calling process must have only one thread.
pub(crate) fn fork(f: impl FnOnce(&mut Parent) -> Result<()>) -> Result<Process> {
    let (child_from, to) = rustix::pipe::pipe()?;
    let (from, child_to) = rustix::pipe::pipe()?;
    // SAFETY: the process has only one thread. So no lock is held in the child, which may run any
    // Rust code.
    let pid = unsafe { libc::fork() };
    ensure!(pid >= 0, "no fork");
    let Some(pid) = Pid::from_raw(pid) else {
        drop((to, from));
        let mut parent = Parent {
            to: child_to.into(),
            from: child_from.into(),
        };
        let status = f(&mut parent).map_or_else(
            |error| {
                eprintln!("in the child: {error:#}");
                1
            },
            |()| 0,
        );
        // SAFETY: _exit ends the process without running any more code of it.
        unsafe { libc::_exit(status) };
    };
    Ok(Process {
        pid,
        to: to.into(),
        from: from.into(),
        over: None,
    })
}

impl Process {
    /// Waits until the child calls [`Parent::ready`].
    pub(crate) fn ready(&mut self) -> Result<()> {
        self.from
            .read_exact(&mut [0])
            .context("the child ended before it was ready")
    }

    /// Ends the child's [`Parent::wait`].
    pub(crate) fn go(&mut self) -> Result<()> {
        Ok(self.to.write_all(&[1])?)
    }

    /// Waits until one of the child's threads sleeps in the kernel in a wait that ignores signals.
    pub(crate) fn asleep(&self) -> Result<()> {
        let tasks = format!("/proc/{}/task", self.pid.as_raw_nonzero());
        eventually("the child sleeps in its call", || {
            for task in std::fs::read_dir(&tasks)? {
                if is_asleep(&task?.path().to_string_lossy(), &['D'])? {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    pub(crate) fn kill(&mut self) -> Result<WaitStatus> {
        kill_process(self.pid, Signal::KILL)?;
        self.over()
    }

    /// How the child ended.
    pub(crate) fn over(&mut self) -> Result<WaitStatus> {
        if let Some(status) = self.over {
            return Ok(status);
        }
        let (_, status) = waitpid(Some(self.pid), WaitOptions::empty())?.context("no child")?;
        self.over = Some(status);
        Ok(status)
    }

    /// Fails unless the child's part of the test succeeded.
    pub(crate) fn succeeds(&mut self) -> Result<()> {
        match self.over()?.exit_status() {
            Some(0) => Ok(()),
            status => bail!("the child failed ({status:?})"),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.over.is_none() {
            // Both calls fail only if the child is gone already.
            let _ = kill_process(self.pid, Signal::KILL);
            let _ = waitpid(Some(self.pid), WaitOptions::empty());
        }
    }
}

/// Runs `f` in a child process and waits for it.
pub(crate) fn in_child(f: impl FnOnce() -> Result<()>) -> Result<()> {
    fork(|_| f())?.succeeds()
}

/// Attaches the calling thread until it ends. The inner result is that of ATTACH, or of attaching
/// to EVL.
pub(crate) fn try_attach() -> Result<Result<(), Errno>> {
    if is_evl() {
        // EVL attaches a thread only if the process has locked its memory.
        rustix::mm::mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE)?;
        let attached = oobkit::thread::attach();
        return Ok(attached
            .map(std::mem::forget)
            .map_err(|error| Errno::from_raw_os_error(error.errno())));
    }
    let ctl = Device::open_path(ctl::PATH)?;
    Ok(attach(&ctl))
}

/// Pins the calling thread to one processor.
pub(crate) fn pin(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

/// Gives the calling thread the policy that ATTACH requires, on the processor [`home`].
pub(crate) fn become_fifo() -> Result<()> {
    if let Some(cpu) = home()? {
        pin(cpu)?;
    }
    accepted(
        "SCHED_FIFO",
        schedule(libc::SCHED_FIFO, i32::from(PRIORITY)),
    )
}
