// SPDX-License-Identifier: MIT OR Apache-2.0

//! A kernel with EVL, as this crate needs it: attaching, out-of-band calls, sleeping.
//!
//! ```text
//!   /dev/evl/control        is it there?  which ABI?
//!   /dev/evl/thread/clone   makes the calling thread an EVL thread ----> its descriptor: priority, detach
//!   /dev/evl/clock/monotonic                                            sleeps until a date, out-of-band
//! ```
//!
//! The numbers and layouts are those of EVL's ABI level 32 (uapi/evl/*.h, uapi/asm-generic/dovetail.h).

use oobkit_abi::evl::{
    CLONE, CLONE_THREAD, CONTROL, CloneRequest, OOB_IOCTL, SET_SCHEDPARAM, SchedAttrs,
};
use oobkit_abi::ioc;
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::sync::OnceLock;
use zerocopy::{FromBytes, IntoBytes};

use crate::sys;

const CLOCK: &str = "/dev/evl/clock/monotonic";

/// The ABI that this file speaks.
const ABI: u32 = 32;

/// `struct evl_core_info`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes)]
#[repr(C)]
struct CoreInfo {
    abi_base: u32,
    abi_current: u32,
    fpu_features: u32,
    pad: u32,
    shm_size: u64,
}

/// `struct __evl_timespec`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes)]
#[repr(C)]
struct Timespec {
    seconds: i64,
    nanos: i64,
}

const GET_COREINFO: u32 = ioc::ior::<CoreInfo>(b'C', 0);
const DETACH_SELF: u32 = ioc::io(b'T', 7);
const SLEEP: u32 = ioc::iow::<Timespec>(b'c', 0);

/// Open once a thread has attached.
static MONOTONIC: OnceLock<File> = OnceLock::new();

/// Whether this kernel has EVL.
pub(crate) fn is_there() -> bool {
    Path::new(CONTROL).exists()
}

/// Makes the out-of-band call `opcode`.
///
/// # Safety
///
/// `argument` is what the call asks for: a number, or the address of memory that it may read and write.
#[inline]
pub(crate) unsafe fn oob_ioctl(fd: impl AsFd, opcode: u32, argument: usize) -> Result<(), Errno> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: the kernel checks number and descriptor; the argument is right by contract.
    let result = unsafe { libc::syscall(OOB_IOCTL, fd, opcode, argument) };
    match result {
        -1 => Err(last_errno()),
        _ => Ok(()),
    }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

fn open(path: &str) -> Result<File, Errno> {
    let file = File::options().read(true).write(true).open(path);
    file.map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))
}

/// The calling thread's membership; ends with this value.
#[derive(Debug)]
pub(crate) struct Thread {
    thread: OwnedFd,
    /// The process's tie to EVL.
    _control: File,
}

/// Makes the calling thread an EVL thread of its own `SCHED_FIFO` priority.
pub(crate) fn attach() -> Result<Thread, Errno> {
    let priority = fifo_priority()?;
    let control = open(CONTROL)?;
    let info: CoreInfo = sys::get::<{ GET_COREINFO }, _>(&control)?;
    if !(info.abi_base..=info.abi_current).contains(&ABI) {
        return Err(Errno::PROTO);
    }
    if MONOTONIC.get().is_none() {
        // Another thread's may be there by now, and is as good.
        let _ = MONOTONIC.set(open(CLOCK)?);
    }
    let name = thread_name();
    let mut request = CloneRequest::default();
    sys::exchange::<{ CLONE }, _>(open(CLONE_THREAD)?, &mut request)?;
    let fd = i32::try_from(request.fd).map_err(|_| Errno::BADF)?;
    // SAFETY: a descriptor that the kernel has just made for this caller alone.
    let thread = unsafe { OwnedFd::from_raw_fd(fd) };
    let thread = Thread {
        thread,
        _control: control,
    };
    // EVL has given the thread a name of its own; a thread that is not renamed is no worse a thread.
    let _ = rustix::thread::set_name(&name);
    let attributes = SchedAttrs {
        policy: libc::SCHED_FIFO,
        priority,
        rest: [0; 2],
    };
    sys::set::<{ SET_SCHEDPARAM }, _>(&thread.thread, attributes)?;
    Ok(thread)
}

impl Drop for Thread {
    fn drop(&mut self) {
        // It can only say that the thread is not attached, which is what is wanted.
        let _ = sys::command::<{ DETACH_SELF }>(&self.thread);
    }
}

fn thread_name() -> std::ffi::CString {
    rustix::thread::name().unwrap_or_default()
}

/// The calling thread's priority, which must be one that the shim would take, too.
fn fifo_priority() -> Result<i32, Errno> {
    // SAFETY: 0 names the calling thread.
    let policy = unsafe { libc::sched_getscheduler(0) };
    let mut param = libc::sched_param { sched_priority: 0 };
    // SAFETY: `param` is a whole `sched_param` that outlives the call.
    if unsafe { libc::sched_getparam(0, &raw mut param) } != 0 {
        return Err(last_errno());
    }
    let is_fifo = policy & !libc::SCHED_RESET_ON_FORK == libc::SCHED_FIFO;
    match is_fifo && (1..=98).contains(&param.sched_priority) {
        true => Ok(param.sched_priority),
        false => Err(Errno::INVAL),
    }
}

/// Sleeps out-of-band until a date on `CLOCK_MONOTONIC`; `false` where the calling thread cannot.
pub(crate) fn sleep_until(date_ns: u64) -> bool {
    let Some(clock) = MONOTONIC.get() else {
        return false;
    };
    let date = Timespec {
        seconds: i64::try_from(date_ns / 1_000_000_000).unwrap_or(i64::MAX),
        // EVL takes date 0 for "for ever".
        nanos: i64::try_from(date_ns % 1_000_000_000).unwrap_or(0).max(1),
    };
    loop {
        let argument = (&raw const date).expose_provenance();
        // SAFETY: SLEEP reads a `Timespec`, which outlives the call.
        match unsafe { oob_ioctl(clock, SLEEP, argument) } {
            Ok(()) => return true,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_abi() {
        assert_eq!(GET_COREINFO, 0x8018_4300);
        assert_eq!(CLONE, 0xc028_6600);
        assert_eq!(SET_SCHEDPARAM, 0x4018_5401);
        assert_eq!(DETACH_SELF, 0x5407);
        assert_eq!(SLEEP, 0x4010_6300);
    }

    #[test]
    fn another_kernel_knows_no_out_of_band_call() {
        if is_there() {
            return;
        }
        let null = open("/dev/null").unwrap();
        // SAFETY: no argument.
        let made = unsafe { oob_ioctl(&null, DETACH_SELF, 0) };
        assert_eq!(made, Err(Errno::NOSYS));
        assert_eq!(attach().err(), Some(Errno::INVAL));
        assert!(!sleep_until(1));
    }
}
