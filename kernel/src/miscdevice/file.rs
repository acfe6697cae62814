// SPDX-License-Identifier: GPL-2.0-only

//! What a device implements for its open files.

use crate::error::{Result, code};
use crate::inband::Inband;
use crate::mm::Vma;
use crate::poll::{self, PollTable};
use crate::uaccess::{UserPtr, UserSlice};

/// One open file of a device.
pub trait File: Sized + Send + Sync + 'static {
    /// The state that the registration owns and `open` gets.
    type Device: Send + Sync + 'static;

    /// Opens the device.
    ///
    /// # Errors
    ///
    /// Any error; the `open` of the program fails with it.
    fn open(inband: &Inband<'_>, device: &Self::Device) -> Result<Self>;

    /// An exchange call. On EVL it arrives out-of-band, by `oob_ioctl` only; on other kernels by
    /// `ioctl`.
    ///
    /// Returns `None` if `command` is no exchange call. Also returns `None` if the calling thread
    /// does not belong to the out-of-band stage and [`Self::oob_ioctl_inband`] serves it.
    #[inline(always)]
    fn oob_ioctl(&self, command: u32, argument: UserPtr) -> Option<Result<i32>> {
        let _ = (command, argument);
        None
    }

    /// An exchange call of a thread that does not belong to the out-of-band stage.
    ///
    /// Returns `None` if `command` is no exchange call, or if the device does not serve it:
    /// [`Self::ioctl`] then decides the result. To refuse the thread, the device returns `EPERM`
    /// here, or in `oob_ioctl` if that finds no out-of-band thread.
    fn oob_ioctl_inband(
        &self,
        inband: &Inband<'_>,
        command: u32,
        argument: UserPtr,
    ) -> Option<Result<i32>> {
        let _ = (inband, command, argument);
        None
    }

    /// Reads into `buffer`. Returns the number of bytes, at most the buffer's size, or `None` if
    /// the calling thread does not belong to the out-of-band stage. A file that cannot be read
    /// returns `EINVAL`.
    fn oob_read(&self, buffer: UserSlice) -> Option<Result<usize>> {
        let _ = buffer;
        Some(Err(code::EINVAL))
    }

    /// Reads for a thread that does not belong to the out-of-band stage.
    ///
    /// # Errors
    ///
    /// Any error; `EPERM` if the device does not serve such threads.
    fn inband_read(&self, inband: &Inband<'_>, buffer: UserSlice) -> Result<usize> {
        let _ = (inband, buffer);
        Err(code::EPERM)
    }

    /// As [`Self::oob_read`], for writing.
    fn oob_write(&self, buffer: UserSlice) -> Option<Result<usize>> {
        let _ = buffer;
        Some(Err(code::EINVAL))
    }

    /// As [`Self::inband_read`], for writing.
    ///
    /// # Errors
    ///
    /// As for [`Self::inband_read`].
    fn inband_write(&self, inband: &Inband<'_>, buffer: UserSlice) -> Result<usize> {
        let _ = (inband, buffer);
        Err(code::EPERM)
    }

    /// The events that the file is ready for. Before it checks them, the file calls
    /// [`crate::poll::PollHead::watch`] for each head that signals them. Always-ready files can
    /// keep the default.
    fn poll<'a>(&'a self, table: &PollTable<'a>) -> u32 {
        let _ = table;
        poll::IN | poll::OUT
    }

    /// Any other ioctl.
    ///
    /// # Errors
    ///
    /// Any error; `ENOTTY` for an unknown command.
    fn ioctl(&self, inband: &Inband<'_>, command: u32, argument: UserPtr) -> Result<i32>;

    /// `process` has closed one of its descriptors of this file; see
    /// [`crate::task::current_process`].
    fn flush(&self, inband: &Inband<'_>, process: u64) {
        let _ = (inband, process);
    }

    /// Maps memory of the device into a process.
    ///
    /// # Errors
    ///
    /// Any error; the `mmap` of the program fails with it.
    fn mmap(&self, inband: &Inband<'_>, vma: &Vma<'_>) -> Result {
        let _ = (inband, vma);
        Err(code::ENODEV)
    }
}
