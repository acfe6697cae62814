// SPDX-License-Identifier: GPL-2.0-only

//! Character devices.
//!
//! ```text
//!  Registration<F>  owns  F::Device  --open-->  F (one per open file)  --ioctl, mmap, flush-->  ...  --release--> drop
//!
//!                            mainline                  EVL
//!   oob_ioctl                ioctl                     oob_ioctl
//!   oob_read, oob_write      read, write               oob_read, oob_write
//!   oob_ioctl_inband, ...    the same, of a thread     ioctl, read, write
//!                            that is not attached
//!   poll                     poll, select, epoll       those and oob_poll
//! ```
//!
//! A call that a file does not implement gets the errno that EVL gives it. A program of 32 bits is served like any other:
//! layouts are the same for it, and pointers are made this kernel's. A file may outlive the registration (a device is unbound
//! while a program holds it open), so an `F` owns what it needs.

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
    /// What the device's registration owns and every open sees.
    type Device: Send + Sync + 'static;

    /// Opens.
    ///
    /// # Errors
    ///
    /// Any; the open fails with it.
    fn open(inband: &Inband<'_>, device: &Self::Device) -> Result<Self>;

    /// An exchange call: `None` where `command` is none, and where the calling thread is not of the out-of-band stage but
    /// is served in-band. On EVL it comes out-of-band by `oob_ioctl`, and only so; elsewhere by `ioctl`.
    #[inline(always)]
    fn oob_ioctl(&self, command: u32, argument: UserPtr) -> Option<Result<i32>> {
        let _ = (command, argument);
        None
    }

    /// The same call of a thread that is not of the out-of-band stage. `None` where `command` is none, and where the device
    /// does not serve it: then it is [`Self::ioctl`]'s, whose errno the thread gets. `EPERM` is for the device to give, here,
    /// or in `oob_ioctl` where that finds no out-of-band thread.
    fn oob_ioctl_inband(
        &self,
        inband: &Inband<'_>,
        command: u32,
        argument: UserPtr,
    ) -> Option<Result<i32>> {
        let _ = (inband, command, argument);
        None
    }

    /// Reads; `None` where the calling thread is not of the out-of-band stage. Returns the number of bytes, at most as
    /// many as the buffer has. Files that cannot be read give `EINVAL`.
    fn oob_read(&self, buffer: UserSlice) -> Option<Result<usize>> {
        let _ = buffer;
        Some(Err(code::EINVAL))
    }

    /// The same of a thread that is not of the out-of-band stage; `EPERM` where the device does not serve it.
    ///
    /// # Errors
    ///
    /// Any.
    fn inband_read(&self, inband: &Inband<'_>, buffer: UserSlice) -> Result<usize> {
        let _ = (inband, buffer);
        Err(code::EPERM)
    }

    /// As [`Self::oob_read`], the other way.
    fn oob_write(&self, buffer: UserSlice) -> Option<Result<usize>> {
        let _ = buffer;
        Some(Err(code::EINVAL))
    }

    /// As [`Self::inband_read`], the other way.
    ///
    /// # Errors
    ///
    /// Any.
    fn inband_write(&self, inband: &Inband<'_>, buffer: UserSlice) -> Result<usize> {
        let _ = (inband, buffer);
        Err(code::EPERM)
    }

    /// What the file is ready for, after [`crate::poll::PollHead::watch`] for each head that tells of it. Files that
    /// never are not ready need not say so.
    fn poll<'a>(&'a self, table: &PollTable<'a>) -> u32 {
        let _ = table;
        poll::IN | poll::OUT
    }

    /// Any other ioctl.
    ///
    /// # Errors
    ///
    /// Any.
    fn ioctl(&self, inband: &Inband<'_>, command: u32, argument: UserPtr) -> Result<i32>;

    /// `process` closed one of its descriptors of this file; see [`crate::task::current_process`].
    fn flush(&self, inband: &Inband<'_>, process: u64) {
        let _ = (inband, process);
    }

    /// Maps.
    ///
    /// # Errors
    ///
    /// Any.
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
/// The node is registered, and the box stays where it is until it is deregistered in `drop`.
pub struct Registration<F: File>(KBox<Inner<F>>);

// SAFETY: the kernel serialises opens against deregistration; the device is Send and Sync.
unsafe impl<F: File> Send for Registration<F> {}
// SAFETY: as above; a shared reference gives the device only.
unsafe impl<F: File> Sync for Registration<F> {}

impl<F: File> Registration<F> {
    /// Makes the node `/dev/<path>`; its name elsewhere is `name`. Both are at most 31 bytes. Sleeps.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a name that is too long, `ENOMEM`, and those of `misc_register`.
    pub fn new(inband: &Inband<'_>, name: &[u8], path: &[u8], device: F::Device) -> Result<Self> {
        // SAFETY: a miscdevice of zeroes is an empty one.
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

    /// What opens see.
    pub fn device(&self) -> &F::Device {
        &self.0.device
    }
}

impl<F: File> Drop for Registration<F> {
    fn drop(&mut self) {
        // SAFETY: registered since `new`. No open is under way afterwards.
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
// SAFETY: a table of functions that nobody writes to.
unsafe impl Sync for Table {}

impl Table {
    const fn as_ptr(&'static self) -> *const b::file_operations {
        &raw const self.0
    }
}

/// An open file, and what EVL keeps of it.
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

/// The token of a call that has come in-band.
///
/// # Safety
///
/// The caller is a function of the table, other than those of exchange calls and `poll`.
const unsafe fn token<'a>() -> Inband<'a> {
    // SAFETY: the kernel makes these calls in task context, with nothing held that a sleeper may not hold.
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
        // SAFETY: all other members are optional pointers and flags, for which zero is "none".
        ..unsafe { mem::zeroed() }
    });

    #[cfg_attr(
        not(oob_core_evl),
        allow(clippy::bind_instead_of_map, reason = "it can fail on EVL only")
    )]
    unsafe extern "C" fn open(_inode: *mut b::inode, file: *mut b::file) -> c_int {
        // SAFETY: misc_open() leaves the miscdevice there; it lies in an `Inner<F>` whose registration cannot end before
        // this call does.
        let misc = unsafe { b::miscdevice_of(file) };
        // SAFETY: by the table that led here, the device is one of `F`.
        let inner = unsafe { misc.byte_sub(mem::offset_of!(Inner<F>, misc)) }.cast::<Inner<F>>();
        // SAFETY: as above; only shared references are made while registered.
        let device = unsafe { &(*inner).device };
        // SAFETY: `->open`.
        let inband = unsafe { token() };
        let opened = F::open(&inband, device);
        let opened = opened.and_then(|opened| KBox::new(&inband, Opened::new(opened)));
        from_result(opened.and_then(|opened| {
            // SAFETY: the file has no descriptor yet; what EVL keeps lives until `release` has taken it back.
            #[cfg(oob_core_evl)]
            to_result(unsafe { b::evl_open_file(opened.evl.get().cast(), file) })?;
            // SAFETY: the file is being opened: nobody else uses its private data.
            unsafe { b::set_file_private(file, KBox::into_raw(opened).cast()) };
            Ok(0)
        }))
    }

    /// # Safety
    ///
    /// `file` was opened by `open` and not yet released.
    unsafe fn opened<'a>(file: *mut b::file) -> &'a F {
        // SAFETY: by contract.
        let private: *mut c_void = unsafe { b::file_private(file) };
        // SAFETY: `open` put a box's pointer there, and `release` takes it back last.
        unsafe { &(*private.cast::<Opened<F>>()).file }
    }

    unsafe extern "C" fn release(_inode: *mut b::inode, file: *mut b::file) -> c_int {
        // SAFETY: the last use of the file.
        let private = unsafe { b::file_private(file) };
        // SAFETY: `open` put a box's pointer there.
        let opened = unsafe { KBox::<Opened<F>>::from_raw(private.cast()) };
        // SAFETY: opened in `open`; waits for exchange calls under way.
        #[cfg(oob_core_evl)]
        unsafe {
            b::evl_release_file(opened.evl.get().cast());
        };
        drop(opened);
        0
    }

    unsafe extern "C" fn ioctl(file: *mut b::file, command: c_uint, argument: c_ulong) -> c_long {
        // SAFETY: the kernel calls this only between open and release.
        let opened = unsafe { Self::opened(file) };
        let argument = UserPtr::new(argument as usize);
        #[cfg(not(oob_core_evl))]
        if let Some(exchanged) = opened.oob_ioctl(command, argument) {
            return c_long::from(from_result(exchanged));
        }
        Self::inband(opened, command, argument)
    }

    /// By itself, so that an exchange call saves no registers for it.
    #[inline(never)]
    fn inband(opened: &F, command: c_uint, argument: UserPtr) -> c_long {
        // SAFETY: the rest of `->unlocked_ioctl`.
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
        // SAFETY: as above.
        let opened = unsafe { Self::opened(file) };
        let buffer = || UserSlice::new(to.addr(), len);
        #[cfg(not(oob_core_evl))]
        if let Some(result) = opened.oob_read(buffer()) {
            return from_count(result);
        }
        // SAFETY: `->read`.
        let inband = unsafe { token() };
        from_count(opened.inband_read(&inband, buffer()))
    }

    unsafe extern "C" fn write(
        file: *mut b::file,
        from: *const c_char,
        len: usize,
        _position: *mut b::loff_t,
    ) -> isize {
        // SAFETY: as above.
        let opened = unsafe { Self::opened(file) };
        let buffer = || UserSlice::new(from.addr(), len);
        #[cfg(not(oob_core_evl))]
        if let Some(result) = opened.oob_write(buffer()) {
            return from_count(result);
        }
        // SAFETY: `->write`.
        let inband = unsafe { token() };
        from_count(opened.inband_write(&inband, buffer()))
    }

    unsafe extern "C" fn poll(file: *mut b::file, table: *mut b::poll_table_struct) -> b::__poll_t {
        // SAFETY: as above.
        let opened = unsafe { Self::opened(file) };
        // SAFETY: the running ->poll's arguments; the opened file's lifetime, which `opened` has chosen, ends with release.
        opened.poll(&unsafe { PollTable::new(file, table) })
    }

    #[cfg(oob_core_evl)]
    unsafe extern "C" fn oob_ioctl(
        file: *mut b::file,
        command: c_uint,
        argument: c_ulong,
    ) -> c_long {
        // SAFETY: EVL calls this only between `evl_open_file` and the end of `evl_release_file`.
        let opened = unsafe { Self::opened(file) };
        let exchanged = opened.oob_ioctl(command, UserPtr::new(argument as usize));
        // SAFETY: in an out-of-band call, nothing held.
        unsafe { b::evl_leave_oob_for_signal() };
        c_long::from(from_result(exchanged.unwrap_or(Err(code::ENOTTY))))
    }

    /// A thread that cannot be out-of-band now is refused, as one that never is.
    #[cfg(oob_core_evl)]
    fn oob_count(result: Option<Result<usize>>) -> isize {
        // SAFETY: in an out-of-band call, nothing held.
        unsafe { b::evl_leave_oob_for_signal() };
        from_count(result.unwrap_or(Err(code::EPERM)))
    }

    #[cfg(oob_core_evl)]
    unsafe extern "C" fn oob_read(file: *mut b::file, to: *mut c_char, len: usize) -> isize {
        // SAFETY: as for `oob_ioctl`.
        let opened = unsafe { Self::opened(file) };
        Self::oob_count(opened.oob_read(UserSlice::new(to.addr(), len)))
    }

    #[cfg(oob_core_evl)]
    unsafe extern "C" fn oob_write(file: *mut b::file, from: *const c_char, len: usize) -> isize {
        // SAFETY: as for `oob_ioctl`.
        let opened = unsafe { Self::opened(file) };
        Self::oob_count(opened.oob_write(UserSlice::new(from.addr(), len)))
    }

    #[cfg(oob_core_evl)]
    unsafe extern "C" fn oob_poll(file: *mut b::file, wait: *mut b::oob_poll_wait) -> b::__poll_t {
        // SAFETY: as for `oob_ioctl`.
        let opened = unsafe { Self::opened(file) };
        // SAFETY: the running ->oob_poll's argument; EVL forgets it before the file's release at the latest.
        opened.poll(&unsafe { PollTable::new_oob(wait) })
    }

    unsafe extern "C" fn flush(file: *mut b::file, process: b::fl_owner_t) -> c_int {
        // SAFETY: as above.
        let opened = unsafe { Self::opened(file) };
        // SAFETY: `->flush`.
        opened.flush(&unsafe { token() }, process.addr() as u64);
        0
    }

    unsafe extern "C" fn mmap(file: *mut b::file, vma: *mut b::vm_area_struct) -> c_int {
        // SAFETY: as above.
        let opened = unsafe { Self::opened(file) };
        // SAFETY: the running ->mmap's own argument.
        let vma = unsafe { Vma::new(vma) };
        // SAFETY: `->mmap`.
        let inband = unsafe { token() };
        from_result(opened.mmap(&inband, &vma).map(|()| 0))
    }
}
