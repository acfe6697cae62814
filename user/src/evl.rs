// SPDX-License-Identifier: MIT OR Apache-2.0

//! What this crate needs of a kernel with EVL: attaching, out-of-band calls, sleeping.
//!
//! ```text
//!   /dev/evl/control          exists on such a kernel, and returns its ABI level
//!   /dev/evl/thread/clone     makes the calling thread an EVL thread, and returns its descriptor
//!   /dev/evl/clock/monotonic  sleeps out-of-band until a date
//! ```
//!
//! Numbers and layouts are those of EVL's ABI level 32 (uapi/evl/*.h, uapi/asm-generic/dovetail.h).

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

/// The ABI level that this file implements.
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

/// EVL's clock device. The first thread that attaches opens it.
static MONOTONIC: OnceLock<File> = OnceLock::new();

/// Whether this kernel has EVL.
pub(crate) fn is_present() -> bool {
    Path::new(CONTROL).exists()
}

/// Makes the out-of-band call `opcode`.
///
/// # Safety
///
/// `argument` is what `opcode` takes: a number, or the address of memory that the kernel may read
/// and write.
#[inline]
pub(crate) unsafe fn oob_ioctl(fd: impl AsFd, opcode: u32, argument: usize) -> Result<(), Errno> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: the kernel checks opcode and descriptor. If it uses `argument` as an address, the
    // caller has promised memory there that may be read and written.
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

/// The calling thread as an EVL thread. Dropping this value detaches it.
#[derive(Debug)]
pub(crate) struct Thread {
    thread: OwnedFd,
    /// Keeps the process known to EVL.
    _control: File,
}

/// Makes the calling thread an EVL thread with the `SCHED_FIFO` priority that it has.
pub(crate) fn attach() -> Result<Thread, Errno> {
    let priority = fifo_priority()?;
    let control = open(CONTROL)?;
    let info: CoreInfo = sys::get::<{ GET_COREINFO }, _>(&control)?;
    if !(info.abi_base..=info.abi_current).contains(&ABI) {
        return Err(Errno::PROTO);
    }
    if MONOTONIC.get().is_none() {
        // Another thread may have set it meanwhile; either file serves all threads.
        let _ = MONOTONIC.set(open(CLOCK)?);
    }
    let name = thread_name();
    let mut request = CloneRequest::default();
    sys::exchange::<{ CLONE }, _>(open(CLONE_THREAD)?, &mut request)?;
    let fd = i32::try_from(request.fd).map_err(|_| Errno::BADF)?;
    // SAFETY: the kernel has just created this descriptor for this call, and nothing else owns it.
    let thread = unsafe { OwnedFd::from_raw_fd(fd) };
    let thread = Thread {
        thread,
        _control: control,
    };
    // EVL has renamed the thread. Restoring the name is a courtesy, so a failure is ignored.
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
        // The only possible error is that the thread is not attached, which is the aim.
        let _ = sys::command::<{ DETACH_SELF }>(&self.thread);
    }
}

fn thread_name() -> std::ffi::CString {
    rustix::thread::name().unwrap_or_default()
}

/// The calling thread's priority. Like the shim, this accepts `SCHED_FIFO` and priorities 1 to 98
/// only.
fn fifo_priority() -> Result<i32, Errno> {
    // SAFETY: the call reads no memory; 0 names the calling thread.
    let policy = unsafe { libc::sched_getscheduler(0) };
    let mut param = libc::sched_param { sched_priority: 0 };
    // SAFETY: `param` is a `sched_param` that the kernel may write, and it outlives the call.
    if unsafe { libc::sched_getparam(0, &raw mut param) } != 0 {
        return Err(last_errno());
    }
    let is_fifo = policy & !libc::SCHED_RESET_ON_FORK == libc::SCHED_FIFO;
    match is_fifo && (1..=98).contains(&param.sched_priority) {
        true => Ok(param.sched_priority),
        false => Err(Errno::INVAL),
    }
}

/// Sleeps out-of-band until a date on `CLOCK_MONOTONIC`. Returns `false` at once if the calling
/// thread cannot.
pub(crate) fn sleep_until(date_ns: u64) -> bool {
    let Some(clock) = MONOTONIC.get() else {
        return false;
    };
    let date = Timespec {
        seconds: i64::try_from(date_ns / 1_000_000_000).unwrap_or(i64::MAX),
        // EVL takes date 0 to mean "for ever".
        nanos: i64::try_from(date_ns % 1_000_000_000).unwrap_or(0).max(1),
    };
    loop {
        let argument = (&raw const date).expose_provenance();
        // SAFETY: SLEEP only reads a `Timespec`, and `argument` is the address of one that outlives
        // the call.
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
    fn opcodes_equal_evls() {
        assert_eq!(GET_COREINFO, 0x8018_4300);
        assert_eq!(CLONE, 0xc028_6600);
        assert_eq!(SET_SCHEDPARAM, 0x4018_5401);
        assert_eq!(DETACH_SELF, 0x5407);
        assert_eq!(SLEEP, 0x4010_6300);
    }

    #[test]
    fn a_kernel_without_evl_refuses_out_of_band_calls() {
        if is_present() {
            return;
        }
        let null = open("/dev/null").unwrap();
        // SAFETY: DETACH_SELF takes no argument, so the kernel accesses no memory.
        let made = unsafe { oob_ioctl(&null, DETACH_SELF, 0) };
        assert_eq!(made, Err(Errno::NOSYS));
        assert_eq!(attach().err(), Some(Errno::INVAL));
        assert!(!sleep_until(1));
    }
}
