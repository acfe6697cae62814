// SPDX-License-Identifier: GPL-2.0-only

//! Device nodes by bare system calls, so that a test can make calls that no library makes.

use super::check::accepted;
use super::evl_poll;
use super::mapping::Mapping;
use anyhow::{Context, Result};
use libc::c_long;
use oob_trial::{STAX_HAMMER, files, relay, services};
use oobkit_abi::evl::{OOB_IOCTL, OOB_READ, OOB_WRITE};
use oobkit_abi::spi as abi;
use rustix::io::Errno;
use rustix::mm::MapFlags;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd};
use std::path::Path;
use std::ptr;
use std::sync::LazyLock;
use zerocopy::{FromBytes, IntoBytes};

/// The folder of the kit's device nodes.
pub(crate) const FOLDER: &str = "/dev/oob";

/// An open device node.
#[derive(Debug)]
pub(crate) struct Device(File);

impl Device {
    /// Opens any node.
    pub(crate) fn open_path(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::options().read(true).write(true).open(path);
        file.map(Self)
            .with_context(|| format!("cannot open {}", path.display()))
    }

    /// Wraps a file that is open already.
    pub(crate) const fn of(file: File) -> Self {
        Self(file)
    }

    /// Opens chip select `chip_select` of the kit's SPI bus.
    pub(crate) fn open(chip_select: u8) -> Result<Self> {
        Self::open_path(format!("{FOLDER}/spidev0.{chip_select}"))
    }

    /// Makes the call `command` with any argument.
    pub(crate) fn call(&self, command: u32, argument: usize) -> Result<i32, Errno> {
        call(self.0.as_raw_fd(), command, argument)
    }

    /// Makes the call `command` with a pointer to `value`, which has at least the size that the
    /// command's number encodes.
    pub(crate) fn ioctl<T: FromBytes + IntoBytes>(
        &self,
        command: u32,
        value: &mut T,
    ) -> Result<i32, Errno> {
        self.call(command, ptr::from_mut(value).expose_provenance())
    }

    /// Makes the call `command` with a pointer to a copy of `value`.
    pub(crate) fn set<T: FromBytes + IntoBytes>(
        &self,
        command: u32,
        mut value: T,
    ) -> Result<(), Errno> {
        self.ioctl(command, &mut value).map(drop)
    }

    pub(crate) fn get<T: FromBytes + IntoBytes + Default>(&self, command: u32) -> Result<T, Errno> {
        let mut value = T::default();
        self.ioctl(command, &mut value).map(|_| value)
    }

    /// ENABLE for frames of `frame_len` bytes at `speed_hz`.
    pub(crate) fn enable(&self, frame_len: u32, speed_hz: u32) -> Result<abi::Enable, Errno> {
        let mut setup = abi::Enable {
            frame_len,
            speed_hz,
            ..abi::Enable::default()
        };
        self.ioctl(abi::ENABLE_OOB_MODE, &mut setup).map(|_| setup)
    }

    pub(crate) fn disable(&self) -> Result<(), Errno> {
        self.call(abi::DISABLE_OOB_MODE, 0).map(drop)
    }

    pub(crate) fn run(&self) -> Result<(), Errno> {
        self.call(abi::RUN_OOB_XFER, 0).map(drop)
    }

    pub(crate) fn run_until(&self, deadline_ns: u64) -> Result<(), Errno> {
        let request = abi::RunUntil {
            deadline_ns,
            reserved: 0,
        };
        self.set(abi::RUN_UNTIL, request)
    }

    pub(crate) fn run_list(&self, list: &mut abi::RunList) -> Result<(), Errno> {
        self.ioctl(abi::RUN_LIST, list).map(drop)
    }

    pub(crate) fn set_trigger(&self, trigger: abi::Trigger) -> Result<(), Errno> {
        self.set(abi::SET_TRIGGER, trigger)
    }

    /// SET_TRIGGER for a timer that starts its first frame at `first_ns`, and then one every
    /// `period_ns`.
    pub(crate) fn set_timer(&self, first_ns: u64, period_ns: u64) -> Result<(), Errno> {
        self.set_trigger(abi::Trigger {
            kind: abi::TRIGGER_TIMER,
            reserved: 0,
            first_ns,
            period_ns,
        })
    }

    pub(crate) fn set_stop(&self, miss_limit: u32, period_ns: u64) -> Result<(), Errno> {
        let stop = abi::Stop {
            miss_limit,
            reserved: 0,
            period_ns,
        };
        self.set(abi::SET_STOP, stop)
    }

    pub(crate) fn info(&self) -> Result<abi::Info, Errno> {
        self.get(abi::GET_INFO)
    }

    pub(crate) fn stats(&self) -> Result<abi::Stats> {
        accepted("GET_STATS", self.get(abi::GET_STATS))
    }

    /// The mode, the bits per word and the highest clock.
    pub(crate) fn settings(&self) -> Result<(u32, u8, u32)> {
        Ok((
            accepted("RD_MODE32", self.get(abi::RD_MODE32))?,
            accepted("RD_BITS_PER_WORD", self.get(abi::RD_BITS_PER_WORD))?,
            accepted("RD_MAX_SPEED_HZ", self.get(abi::RD_MAX_SPEED_HZ))?,
        ))
    }

    /// Maps `len` bytes from `offset` on, readable and writable.
    pub(crate) fn map_as(
        &self,
        len: usize,
        flags: MapFlags,
        offset: u64,
    ) -> Result<Mapping, Errno> {
        Mapping::new(self.0.as_fd(), len, flags, offset)
    }

    /// Maps the frame buffer.
    pub(crate) fn map(&self, setup: &abi::Enable) -> Result<Mapping, Errno> {
        self.map_as(setup.iobuf_len as usize, MapFlags::SHARED, 0)
    }

    /// `read(2)`. Returns the number of bytes.
    pub(crate) fn read(&self, into: &mut [u8]) -> Result<usize, Errno> {
        let fd = self.0.as_raw_fd();
        let (to, len) = (into.as_mut_ptr(), into.len());
        by_stage(
            true,
            // SAFETY: the kernel writes at most `len` bytes to `into`, which has this length and
            // outlives the call.
            || unsafe { libc::syscall(OOB_READ, fd, to, len) },
            // SAFETY: `into` is borrowed mutably for the whole call, and read(2) writes only to its
            // `len` bytes.
            || unsafe { libc::syscall(libc::SYS_read, fd, to, len) },
        )
        .map(|len| len as usize)
    }

    /// `write(2)`. Returns the number of bytes.
    pub(crate) fn write(&self, from: &[u8]) -> Result<usize, Errno> {
        let fd = self.0.as_raw_fd();
        let (from, len) = (from.as_ptr(), from.len());
        by_stage(
            true,
            // SAFETY: the kernel only reads `len` bytes of `from`, which has this length and
            // outlives the call.
            || unsafe { libc::syscall(OOB_WRITE, fd, from, len) },
            // SAFETY: `from` is borrowed for the whole call, and write(2) only reads its `len`
            // bytes.
            || unsafe { libc::syscall(libc::SYS_write, fd, from, len) },
        )
        .map(|len| len as usize)
    }

    /// The descriptor, which this value still owns.
    pub(crate) fn raw(&self) -> i32 {
        self.0.as_raw_fd()
    }

    /// The descriptor, which the caller must close.
    pub(crate) fn into_raw(self) -> i32 {
        self.0.into_raw_fd()
    }

    /// A second descriptor of the same open file.
    pub(crate) fn duplicate(&self) -> Result<Self> {
        Ok(Self(self.0.try_clone()?))
    }
}

/// The calls that have an out-of-band form on EVL: the kit's oob calls, and those of EVL's poll.
const OOB_CALLS: [u32; 12] = [
    abi::RUN_OOB_XFER,
    abi::RUN_UNTIL,
    abi::RUN_LIST,
    STAX_HAMMER,
    files::ECHO,
    files::PAUSE,
    relay::WRITE,
    services::MUTEX_TWICE,
    services::MUTEX_KEPT,
    services::WORK_WAIT,
    evl_poll::CONTROL,
    evl_poll::WAIT,
];

/// Whether this kernel has EVL. It then has no shim.
pub(crate) fn is_evl() -> bool {
    // The file system is asked only once, because tests trace the oob calls.
    static IS_EVL: LazyLock<bool> = LazyLock::new(|| Path::new("/dev/evl").exists());
    *IS_EVL
}

/// `ioctl(2)`, or `oob_ioctl` on EVL, on any descriptor. The descriptor need not be open.
pub(crate) fn call(fd: i32, command: u32, argument: usize) -> Result<i32, Errno> {
    by_stage(
        OOB_CALLS.contains(&command),
        // SAFETY: the kernel accesses at most the argument, by the kit's ABI. The argument is a
        // live value of the size that the command's number encodes, or not an address of this
        // process.
        || unsafe { libc::syscall(OOB_IOCTL, fd, command, argument) },
        // SAFETY: the devices that tests open access at most the argument of an ioctl, by the kit's
        // and spidev's ABI. The argument is a live value of the encoded size, or not an address of
        // this process.
        || unsafe { libc::ioctl(fd, command.into(), argument) }.into(),
    )
    .map(|result| result as i32)
}

/// Makes the out-of-band form of a call on EVL, if the call has one. EVL refuses it with `EPERM` to
/// a thread that is not attached, before the file sees it. In that case, and on any other kernel,
/// makes the in-band form.
fn by_stage(
    has_oob: bool,
    oob: impl FnOnce() -> c_long,
    inband: impl FnOnce() -> c_long,
) -> Result<c_long, Errno> {
    if has_oob && is_evl() {
        let made = result(oob());
        if made != Err(Errno::PERM) {
            return made;
        }
    }
    result(inband())
}

fn result(result: c_long) -> Result<c_long, Errno> {
    if result >= 0 {
        return Ok(result);
    }
    let error = std::io::Error::last_os_error();
    Err(Errno::from_io_error(&error).unwrap_or(Errno::IO))
}
