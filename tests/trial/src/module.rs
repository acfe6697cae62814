// SPDX-License-Identifier: GPL-2.0-only

//! The device: each service has a file here, and answers its own calls. What times them is a device
//! of its own.

#[cfg(not(oob_core_evl))]
mod bench;
#[cfg(oob_core_evl)]
mod bench {
    //! What is measured are instructions, beside mainline's ways: nothing for EVL.

    pub(super) const fn init(_inband: &oob::stage::Inband<'_>) -> kernel::error::Result {
        Ok(())
    }

    pub(super) const fn exit() {}
}
mod files;
mod interrupt;
mod mutex;
mod plants;
mod pool;
mod relay;
mod stax;
mod support;
mod thread;
mod timer;
mod work;

use core::ffi::c_int;
use core::sync::atomic::{AtomicPtr, Ordering};
use kernel::alloc::KBox;
use kernel::error::{Result, code, from_result};
use kernel::miscdevice::{File, Registration};
use kernel::uaccess::{UserPtr, UserSlice};
use oob::stage::Inband;

static DEVICE: AtomicPtr<Registration<Trial>> = AtomicPtr::new(core::ptr::null_mut());

/// An open file: everything of it is its own.
struct Trial {
    stax: stax::Trial,
    thread: thread::Trial,
}

impl Trial {
    /// The other scenes begin and end in-band, and go out-of-band by themselves.
    #[cfg(oob_core_evl)]
    fn scene(&self, command: u32, argument: UserPtr) -> Option<Result<i32>> {
        // SAFETY: in an out-of-band call, nothing held.
        unsafe { kernel::bindings::evl_leave_oob() };
        // SAFETY: it has just gone in-band, in a call.
        let inband = unsafe { Inband::assume() };
        Some(self.ioctl(&inband, command, argument))
    }

    /// The call goes on to the in-band ones.
    #[cfg(not(oob_core_evl))]
    const fn scene(&self, _command: u32, _argument: UserPtr) -> Option<Result<i32>> {
        None
    }
}

impl File for Trial {
    type Device = ();

    fn open(inband: &Inband<'_>, _device: &()) -> Result<Self> {
        Ok(Self {
            stax: stax::Trial::new(inband)?,
            thread: thread::Trial::new(inband)?,
        })
    }

    /// On EVL an attached thread comes this way where it asks to, elsewhere always.
    fn oob_ioctl(&self, command: u32, argument: UserPtr) -> Option<Result<i32>> {
        let exchanged = self.stax.oob_ioctl(command, argument);
        exchanged.or_else(|| self.scene(command, argument))
    }

    /// What is written names a defect that is planted, in-band.
    fn oob_write(&self, _buffer: UserSlice) -> Option<Result<usize>> {
        support::with_oob(|_| Err(code::EPERM))
    }

    fn inband_write(&self, inband: &Inband<'_>, buffer: UserSlice) -> Result<usize> {
        plants::write(inband, buffer)
    }

    fn ioctl(&self, inband: &Inband<'_>, command: u32, argument: UserPtr) -> Result<i32> {
        let services: &[&dyn Fn() -> Result<i32>] = &[
            &|| self.stax.ioctl(inband, command, argument),
            &|| mutex::ioctl(inband, command, argument),
            &|| self.thread.ioctl(inband, command, argument),
            &|| work::ioctl(inband, command, argument),
            &|| timer::ioctl(inband, command, argument),
            &|| pool::ioctl(inband, command, argument),
            &|| interrupt::ioctl(inband, command, argument),
        ];
        let mut answers = services.iter().map(|service| service());
        let answer = answers.find(|answer| *answer != Err(code::ENOTTY));
        answer.unwrap_or(Err(code::ENOTTY))
    }
}

#[unsafe(no_mangle)]
extern "C" fn oobkit_trial_init() -> c_int {
    // SAFETY: the kernel initialises modules in task context, with nothing held.
    let inband = unsafe { Inband::assume() };
    from_result(init(&inband).map(|()| 0))
}

fn init(inband: &Inband<'_>) -> Result {
    let device = Registration::new(inband, b"oob-trial", b"oob/trial", ())?;
    let device = KBox::new(inband, device)?;
    bench::init(inband)?;
    files::init(inband).inspect_err(|_| bench::exit())?;
    DEVICE.store(KBox::into_raw(device), Ordering::Relaxed);
    Ok(())
}

#[unsafe(no_mangle)]
extern "C" fn oobkit_trial_exit() {
    files::exit();
    bench::exit();
    let device = DEVICE.swap(core::ptr::null_mut(), Ordering::Relaxed);
    // SAFETY: `init` put a box's pointer there, and this runs once, after a successful `init`.
    drop(unsafe { KBox::from_raw(device) });
}
