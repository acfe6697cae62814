// SPDX-License-Identifier: MIT OR Apache-2.0

//! Prepares the calling thread for the out-of-band stage, and attaches it.
//!
//! ```text
//!   ordinary thread --- Realtime::apply ---> memory locked, CPU chosen, SCHED_FIFO
//!                                              |       (enough for in-band spidev)
//!                                           attach                        ^
//!                                              v                          |
//!                                     out-of-band thread --- drop of Attached
//! ```

use crate::error::operation_error;
use crate::{evl, sys};
use oobkit_abi::ctl;
use rustix::io::Errno;
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::thread::{CpuSet, sched_setaffinity};
use std::fmt;
use std::fs::File;
use std::marker::PhantomData;

/// The settings of a real-time thread, out-of-band or in-band.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Realtime {
    /// The `SCHED_FIFO` priority: 1 to 98 if the thread will be attached, up to 99 otherwise.
    pub priority: u8,
    /// The only CPU that the thread may run on. `None` leaves the affinity unchanged.
    pub cpu: Option<usize>,
}

/// Why [`Realtime::apply`] failed. Each variant carries the errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RealtimeError {
    /// The memory could not be locked.
    Memory(i32),
    /// The CPU could not be chosen.
    Cpu(i32),
    /// The policy and priority could not be set.
    Policy(i32),
}

impl Realtime {
    /// Locks the process's memory, present and future, and gives the calling thread its CPU and
    /// priority.
    ///
    /// # Errors
    ///
    /// [`RealtimeError`] names the step that failed. The steps before it stay in effect.
    pub fn apply(self) -> Result<(), RealtimeError> {
        mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE)
            .map_err(|e| RealtimeError::Memory(e.raw_os_error()))?;
        if let Some(cpu) = self.cpu {
            choose_cpu(cpu).map_err(|e| RealtimeError::Cpu(e.raw_os_error()))?;
        }
        set_fifo(self.priority).map_err(|e| RealtimeError::Policy(e.raw_os_error()))
    }
}

fn choose_cpu(cpu: usize) -> Result<(), Errno> {
    if cpu >= CpuSet::MAX_CPU {
        return Err(Errno::INVAL);
    }
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set)
}

fn set_fifo(priority: u8) -> Result<(), Errno> {
    let param = libc::sched_param {
        sched_priority: libc::c_int::from(priority),
    };
    // SAFETY: the kernel only reads `param`, which is a `sched_param` that outlives the call; 0
    // names the calling thread.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const param) };
    if result == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    Err(Errno::from_io_error(&error).unwrap_or(Errno::INVAL))
}

impl RealtimeError {
    /// The errno behind this error.
    pub const fn errno(self) -> i32 {
        match self {
            Self::Memory(errno) | Self::Cpu(errno) | Self::Policy(errno) => errno,
        }
    }
}

impl fmt::Display for RealtimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Memory(_) => {
                "lock the memory: it needs CAP_IPC_LOCK, or a memory limit (ulimit -l) above the program's size"
            }
            Self::Cpu(_) => {
                "choose the CPU: it must exist, be online and be in the process's cpuset"
            }
            Self::Policy(_) => {
                "become SCHED_FIFO: it needs CAP_SYS_NICE, or a limit (ulimit -r) of that priority, from 1 to 99"
            }
        };
        let system = std::io::Error::from_raw_os_error(self.errno());
        write!(f, "cannot {text}: {system}")
    }
}

impl std::error::Error for RealtimeError {}

operation_error! {
    /// Why [`attach`] failed.
    AttachError, "attach the thread", {
        NoCore = ENOENT: "/dev/oob/ctl is missing; load the kit's core module",
        NoAccess = EACCES: "no access to /dev/oob/ctl; run as root or change the node's owner",
        NoCapability = EPERM: "the thread needs CAP_SYS_NICE; run as root or give the program that capability",
        WrongPolicy = EINVAL: "the thread must be SCHED_FIFO with priority 1 to 98; call Realtime::apply first",
        Already = EBUSY: "the thread is already attached",
        Abi = EPROTO: "this kernel's EVL does not support ABI level 32, which this library uses",
        Full = ENOSPC: "too many threads are attached; detach one",
    }
}

/// The calling thread's attachment to the out-of-band stage. Dropping this value detaches the
/// thread.
///
/// The value belongs to its thread, so it cannot be sent to another one:
///
/// ```compile_fail
/// fn needs_send<T: Send>() {}
/// needs_send::<oobkit::thread::Attached>();
/// ```
#[derive(Debug)]
pub struct Attached {
    _attachment: Attachment,
    of_this_thread: PhantomData<*mut ()>,
}

/// The core that implements a kernel's out-of-band stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Core {
    /// The kit's own module, on a mainline kernel.
    Shim,
    /// EVL.
    Evl,
}

impl Core {
    /// The core of the running kernel: EVL if the kernel has it, else the shim. [`attach`] attaches
    /// to this core.
    pub fn here() -> Self {
        if evl::is_present() {
            Self::Evl
        } else {
            Self::Shim
        }
    }

    /// The core's name in benchmark records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shim => "shim",
            Self::Evl => "evl",
        }
    }
}

#[derive(Debug)]
enum Attachment {
    Shim { _control: Control },
    Evl { _thread: evl::Thread },
}

/// The open `/dev/oob/ctl`, through which the calling thread has attached.
#[derive(Debug)]
struct Control(File);

/// Attaches the calling thread to the out-of-band stage of the kernel's [`Core`].
///
/// EVL binds the thread to the CPU on which it runs.
///
/// # Errors
///
/// [`AttachError`]. The thread is unchanged then.
pub fn attach() -> Result<Attached, AttachError> {
    let attachment = match Core::here() {
        Core::Evl => evl::attach()
            .map(|thread| Attachment::Evl { _thread: thread })
            .map_err(AttachError::from_errno),
        Core::Shim => attach_to_shim().map(|control| Attachment::Shim { _control: control }),
    };
    attachment.map(|attachment| Attached {
        _attachment: attachment,
        of_this_thread: PhantomData,
    })
}

fn attach_to_shim() -> Result<Control, AttachError> {
    let control = File::open(ctl::PATH)
        .map_err(|e| AttachError::from_errno(Errno::from_io_error(&e).unwrap_or(Errno::IO)))?;
    sys::set::<{ ctl::ATTACH }, _>(&control, ctl::Attach::default())
        .map_err(AttachError::from_errno)?;
    Ok(Control(control))
}

impl Drop for Control {
    fn drop(&mut self) {
        // The only possible error is that the thread is not attached, which is the aim.
        let _ = sys::command::<{ ctl::DETACH }>(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_impossible_cpu_is_refused_and_the_text_names_the_rule() {
        assert_eq!(choose_cpu(usize::MAX), Err(Errno::INVAL));
        let text = RealtimeError::Cpu(22).to_string();
        assert!(text.contains("must exist"), "{text}");
        assert!(text.contains("os error 22"), "{text}");
    }

    #[test]
    fn an_impossible_priority_is_refused() {
        assert_eq!(set_fifo(0), Err(Errno::INVAL));
        assert_eq!(set_fifo(100), Err(Errno::INVAL));
    }

    #[test]
    fn error_texts_name_the_rule() {
        assert!(
            RealtimeError::Policy(1)
                .to_string()
                .contains("CAP_SYS_NICE")
        );
        assert!(
            RealtimeError::Memory(12)
                .to_string()
                .contains("CAP_IPC_LOCK")
        );
        assert!(
            AttachError::WrongPolicy
                .to_string()
                .contains("SCHED_FIFO with priority 1 to 98")
        );
        assert!(
            AttachError::NoCapability
                .to_string()
                .contains("CAP_SYS_NICE; run as root")
        );
    }
}
