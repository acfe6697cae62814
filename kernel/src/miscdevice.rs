// SPDX-License-Identifier: GPL-2.0-only

//! Character devices.
//!
//! ```text
//!  Registration<F>  owns  F::Device  --open-->  F (one per open file)  --ioctl, mmap, flush-->  ...  --release--> drop
//!
//!                            mainline                  EVL
//!   oob_ioctl                ioctl                     oob_ioctl
//!   oob_read, oob_write      read, write               oob_read, oob_write
//!   oob_ioctl_inband,        the same, for a thread    ioctl, read, write
//!   inband_read, ...         that is not attached
//!   poll                     poll, select, epoll       those and oob_poll
//! ```
//!
//! A call that a file does not implement returns the errno that EVL returns for it. 32-bit programs
//! use the same calls: the layouts are the same for them, and the kernel converts their pointers. A
//! file may outlive the registration, because a device can be unbound while a program has it open.
//! So an `F` owns what it needs.

use crate::alloc::KBox;
use crate::error::{Result, code, from_count, from_result, to_result};
use crate::inband::Inband;
use crate::mm::Vma;
use crate::poll::{self, PollTable};
use crate::uaccess::{UserPtr, UserSlice};
use bindings as b;
#[cfg(oob_core_evl)]
use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int, c_long, c_uint, c_ulong, c_void};
use core::marker::PhantomData;
use core::mem;
#[cfg(oob_core_evl)]
use core::mem::MaybeUninit;

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

struct Inner<F: File> {
    misc: b::miscdevice,
    device: F::Device,
    names: [[u8; NAME]; 2],
}

const NAME: usize = 32;

/// A registered device node.
///
/// # Invariants
///
/// The node is registered, and its box stays in place, until `drop` deregisters it.
pub struct Registration<F: File>(KBox<Inner<F>>);

// SAFETY: any in-band thread may deregister the node, and the kernel serialises that against opens;
// the device is Send and Sync.
unsafe impl<F: File> Send for Registration<F> {}
// SAFETY: a shared reference gives only the device, which is Sync.
unsafe impl<F: File> Sync for Registration<F> {}

impl<F: File> Registration<F> {
    /// Creates the node `/dev/<path>`, called `name` elsewhere in the kernel. Both texts have at
    /// most 31 bytes. Sleeps.
    ///
    /// # Errors
    ///
    /// `EINVAL` if a text is too long, `ENOMEM`, and the errors of `misc_register`.
    pub fn new(inband: &Inband<'_>, name: &[u8], path: &[u8], device: F::Device) -> Result<Self> {
        // SAFETY: all members of a miscdevice are numbers, optional pointers and list links, for
        // which zero is valid.
        let misc: b::miscdevice = unsafe { mem::zeroed() };
        let inner = Inner {
            misc,
            device,
            names: [c_name(name)?, c_name(path)?],
        };
        let mut inner = KBox::new(inband, inner)?;
        let [name, path] = &inner.names;
        let (name, path) = (name.as_ptr().cast(), path.as_ptr().cast());
        inner.misc.minor = b::MISC_DYNAMIC_MINOR.cast_signed();
        inner.misc.name = name;
        inner.misc.nodename = path;
        inner.misc.mode = 0o600;
        inner.misc.fops = Ops::<F>::TABLE.as_ptr();
        // SAFETY: the box keeps the structure, its names and the device in place until `drop`.
        to_result(unsafe { b::misc_register(&raw mut inner.misc) })?;
        Ok(Self(inner))
    }

    /// The state that `open` gets.
    pub fn device(&self) -> &F::Device {
        &self.0.device
    }
}

impl<F: File> Drop for Registration<F> {
    fn drop(&mut self) {
        // SAFETY: `new` registered the node, and its box is still in place. The call waits for an
        // open under way.
        unsafe { b::misc_deregister(&raw mut self.0.misc) };
    }
}

fn c_name(text: &[u8]) -> Result<[u8; NAME]> {
    let mut name = [0; NAME];
    let room = name.get_mut(..text.len()).ok_or(code::EINVAL)?;
    room.copy_from_slice(text);
    CStr::from_bytes_until_nul(&name)
        .map(|_| ())
        .map_err(|_| code::EINVAL)?;
    Ok(name)
}

#[repr(transparent)]
struct Table(b::file_operations);
// SAFETY: the table holds function pointers and is never written.
unsafe impl Sync for Table {}

impl Table {
    const fn as_ptr(&'static self) -> *const b::file_operations {
        &raw const self.0
    }
}

/// An open file, and EVL's state of it.
#[repr(C)]
struct Opened<F> {
    #[cfg(oob_core_evl)]
    evl: UnsafeCell<MaybeUninit<b::evl_file>>,
    file: F,
}

impl<F> Opened<F> {
    const fn new(file: F) -> Self {
        Self {
            #[cfg(oob_core_evl)]
            evl: UnsafeCell::new(MaybeUninit::zeroed()),
            file,
        }
    }
}

/// The token of a call that arrived in-band.
///
/// # Safety
///
/// The caller is a function of the file's table that the kernel calls in-band, in task context,
/// with no lock held that forbids sleeping: any but `poll` and those that EVL calls out-of-band.
const unsafe fn token<'a>() -> Inband<'a> {
    // SAFETY: the kernel calls the caller in-band, in task context, with no lock held that forbids
    // sleeping, by this function's contract.
    unsafe { Inband::assume() }
}

struct Ops<F>(PhantomData<F>);

impl<F: File> Ops<F> {
    const TABLE: &'static Table = &Table(b::file_operations {
        owner: (&raw const b::__this_module).cast_mut(),
        open: Some(Self::open),
        release: Some(Self::release),
        unlocked_ioctl: Some(Self::ioctl),
        compat_ioctl: Some(b::compat_ptr_ioctl),
        read: Some(Self::read),
        write: Some(Self::write),
        poll: Some(Self::poll),
        #[cfg(oob_core_evl)]
        oob_ioctl: Some(Self::oob_ioctl),
        #[cfg(oob_core_evl)]
        compat_oob_ioctl: Some(b::compat_ptr_oob_ioctl),
        #[cfg(oob_core_evl)]
        oob_read: Some(Self::oob_read),
        #[cfg(oob_core_evl)]
        oob_write: Some(Self::oob_write),
        #[cfg(oob_core_evl)]
        oob_poll: Some(Self::oob_poll),
        flush: Some(Self::flush),
        mmap: Some(Self::mmap),
        // SAFETY: all other members are optional pointers and flags; zero means that they are
        // absent.
        ..unsafe { mem::zeroed() }
    });

    #[cfg_attr(
        not(oob_core_evl),
        allow(clippy::bind_instead_of_map, reason = "only EVL's part can fail")
    )]
    unsafe extern "C" fn open(_inode: *mut b::inode, file: *mut b::file) -> c_int {
        // SAFETY: misc_open() stores the miscdevice in the file before it calls this. The
        // registration cannot end before this call does.
        let misc = unsafe { b::miscdevice_of(file) };
        // SAFETY: the kernel called this by the table of `F`, so the miscdevice is the field of an
        // `Inner<F>`.
        let inner = unsafe { misc.byte_sub(mem::offset_of!(Inner<F>, misc)) }.cast::<Inner<F>>();
        // SAFETY: the `Inner<F>` lives until the registration ends, and code makes only shared
        // references to it meanwhile.
        let device = unsafe { &(*inner).device };
        // SAFETY: this is `->open`.
        let inband = unsafe { token() };
        let opened = F::open(&inband, device);
        let opened = opened.and_then(|opened| KBox::new(&inband, Opened::new(opened)));
        from_result(opened.and_then(|opened| {
            // SAFETY: the file has no descriptor yet. EVL's state lies in the box, which lives
            // until `release` has taken it back from EVL.
            #[cfg(oob_core_evl)]
            to_result(unsafe { b::evl_open_file(opened.evl.get().cast(), file) })?;
            // SAFETY: the file is being opened, so no other code uses its private data.
            unsafe { b::set_file_private(file, KBox::into_raw(opened).cast()) };
            Ok(0)
        }))
    }

    /// # Safety
    ///
    /// `open` has opened `file`, and `release` has not been called for it.
    unsafe fn opened<'a>(file: *mut b::file) -> &'a F {
        // SAFETY: the file is open, by this function's contract.
        let private: *mut c_void = unsafe { b::file_private(file) };
        // SAFETY: `open` stored the pointer of a boxed `Opened<F>` there, and only `release` frees
        // it.
        unsafe { &(*private.cast::<Opened<F>>()).file }
    }

    unsafe extern "C" fn release(_inode: *mut b::inode, file: *mut b::file) -> c_int {
        // SAFETY: the kernel calls this once, with a file that is still open.
        let private = unsafe { b::file_private(file) };
        // SAFETY: `open` stored the pointer of a boxed `Opened<F>` there, and this is its last use.
        let opened = unsafe { KBox::<Opened<F>>::from_raw(private.cast()) };
        // SAFETY: `open` handed this state to EVL. The call waits for exchange calls under way.
        #[cfg(oob_core_evl)]
        unsafe {
            b::evl_release_file(opened.evl.get().cast());
        };
        drop(opened);
        0
    }

    unsafe extern "C" fn ioctl(file: *mut b::file, command: c_uint, argument: c_ulong) -> c_long {
        // SAFETY: the kernel calls `->unlocked_ioctl` only between open and release.
        let opened = unsafe { Self::opened(file) };
        let argument = UserPtr::new(argument as usize);
        #[cfg(not(oob_core_evl))]
        if let Some(exchanged) = opened.oob_ioctl(command, argument) {
            return c_long::from(from_result(exchanged));
        }
        Self::inband(opened, command, argument)
    }

    /// The in-band ioctls. Kept out of line: an exchange call then saves no registers for them.
    #[inline(never)]
    fn inband(opened: &F, command: c_uint, argument: UserPtr) -> c_long {
        // SAFETY: only `->unlocked_ioctl` calls this.
        let inband = unsafe { token() };
        let exchanged = opened.oob_ioctl_inband(&inband, command, argument);
        let done = exchanged.unwrap_or_else(|| opened.ioctl(&inband, command, argument));
        c_long::from(from_result(done))
    }

    unsafe extern "C" fn read(
        file: *mut b::file,
        to: *mut c_char,
        len: usize,
        _position: *mut b::loff_t,
    ) -> isize {
        // SAFETY: the kernel calls `->read` only between open and release.
        let opened = unsafe { Self::opened(file) };
        let buffer = || UserSlice::new(to.addr(), len);
        #[cfg(not(oob_core_evl))]
        if let Some(result) = opened.oob_read(buffer()) {
            return from_count(result);
        }
        // SAFETY: this is `->read`.
        let inband = unsafe { token() };
        from_count(opened.inband_read(&inband, buffer()))
    }

    unsafe extern "C" fn write(
        file: *mut b::file,
        from: *const c_char,
        len: usize,
        _position: *mut b::loff_t,
    ) -> isize {
        // SAFETY: the kernel calls `->write` only between open and release.
        let opened = unsafe { Self::opened(file) };
        let buffer = || UserSlice::new(from.addr(), len);
        #[cfg(not(oob_core_evl))]
        if let Some(result) = opened.oob_write(buffer()) {
            return from_count(result);
        }
        // SAFETY: this is `->write`.
        let inband = unsafe { token() };
        from_count(opened.inband_write(&inband, buffer()))
    }

    unsafe extern "C" fn poll(file: *mut b::file, table: *mut b::poll_table_struct) -> b::__poll_t {
        // SAFETY: the kernel calls `->poll` only between open and release.
        let opened = unsafe { Self::opened(file) };
        // SAFETY: these are the arguments of the running `->poll`, and the file stays open at least
        // until it returns.
        opened.poll(&unsafe { PollTable::new(file, table) })
    }

    #[cfg(oob_core_evl)]
    unsafe extern "C" fn oob_ioctl(
        file: *mut b::file,
        command: c_uint,
        argument: c_ulong,
    ) -> c_long {
        // SAFETY: EVL calls `->oob_ioctl` only between `evl_open_file` and the end of
        // `evl_release_file`, while the file is open.
        let opened = unsafe { Self::opened(file) };
        let exchanged = opened.oob_ioctl(command, UserPtr::new(argument as usize));
        // SAFETY: the calling thread is in an out-of-band call and holds no lock.
        unsafe { b::evl_leave_oob_for_signal() };
        c_long::from(from_result(exchanged.unwrap_or(Err(code::ENOTTY))))
    }

    /// The result of an out-of-band read or write. A thread that cannot be out-of-band now gets
    /// `EPERM`, like an in-band thread.
    #[cfg(oob_core_evl)]
    fn oob_count(result: Option<Result<usize>>) -> isize {
        // SAFETY: only `oob_read` and `oob_write` call this: the calling thread is in an
        // out-of-band call and holds no lock.
        unsafe { b::evl_leave_oob_for_signal() };
        from_count(result.unwrap_or(Err(code::EPERM)))
    }

    #[cfg(oob_core_evl)]
    unsafe extern "C" fn oob_read(file: *mut b::file, to: *mut c_char, len: usize) -> isize {
        // SAFETY: EVL calls `->oob_read` only between `evl_open_file` and the end of
        // `evl_release_file`, while the file is open.
        let opened = unsafe { Self::opened(file) };
        Self::oob_count(opened.oob_read(UserSlice::new(to.addr(), len)))
    }

    #[cfg(oob_core_evl)]
    unsafe extern "C" fn oob_write(file: *mut b::file, from: *const c_char, len: usize) -> isize {
        // SAFETY: EVL calls `->oob_write` only between `evl_open_file` and the end of
        // `evl_release_file`, while the file is open.
        let opened = unsafe { Self::opened(file) };
        Self::oob_count(opened.oob_write(UserSlice::new(from.addr(), len)))
    }

    #[cfg(oob_core_evl)]
    unsafe extern "C" fn oob_poll(file: *mut b::file, wait: *mut b::oob_poll_wait) -> b::__poll_t {
        // SAFETY: EVL calls `->oob_poll` only between `evl_open_file` and the end of
        // `evl_release_file`, while the file is open.
        let opened = unsafe { Self::opened(file) };
        // SAFETY: this is the argument of the running `->oob_poll`; EVL drops what it registers
        // before the file's release at the latest.
        opened.poll(&unsafe { PollTable::new_oob(wait) })
    }

    unsafe extern "C" fn flush(file: *mut b::file, process: b::fl_owner_t) -> c_int {
        // SAFETY: the kernel calls `->flush` only between open and release.
        let opened = unsafe { Self::opened(file) };
        // SAFETY: this is `->flush`.
        opened.flush(&unsafe { token() }, process.addr() as u64);
        0
    }

    unsafe extern "C" fn mmap(file: *mut b::file, vma: *mut b::vm_area_struct) -> c_int {
        // SAFETY: the kernel calls `->mmap` only between open and release.
        let opened = unsafe { Self::opened(file) };
        // SAFETY: this is the argument of the running `->mmap`.
        let vma = unsafe { Vma::new(vma) };
        // SAFETY: this is `->mmap`.
        let inband = unsafe { token() };
        from_result(opened.mmap(&inband, &vma).map(|()| 0))
    }
}
