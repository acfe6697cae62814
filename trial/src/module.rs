// SPDX-License-Identifier: GPL-2.0-only

//! The device: each service has a file here, and answers its own calls. What times them is a device of its own. Services
//! that the EVL core does not have yet are left out there.

#[cfg(not(oob_core_evl))]
mod bench;
#[cfg(oob_core_evl)]
mod bench {
    //! What is measured are instructions, beside mainline's ways: nothing for EVL.

    pub(super) const fn init() -> kernel::error::Result {
        Ok(())
    }

    pub(super) const fn exit() {}
}
mod files;
#[cfg(not(oob_core_evl))]
mod interrupt;
#[cfg(not(oob_core_evl))]
mod mutex;
#[cfg(not(oob_core_evl))]
mod relay;
mod stax;
#[cfg_attr(
    oob_core_evl,
    allow(dead_code, reason = "most of it is for the services left out")
)]
mod support;
#[cfg(not(oob_core_evl))]
mod thread;
mod timer;
#[cfg(not(oob_core_evl))]
mod work;

use core::ffi::c_int;
use core::sync::atomic::{AtomicPtr, Ordering};
use kernel::alloc::KBox;
use kernel::error::{Result, code, from_result};
use kernel::miscdevice::{File, Registration};
use kernel::uaccess::UserPtr;

static DEVICE: AtomicPtr<Registration<Trial>> = AtomicPtr::new(core::ptr::null_mut());

/// An open file: everything of it is its own.
struct Trial {
    stax: stax::Trial,
    #[cfg(not(oob_core_evl))]
    thread: thread::Trial,
}

impl File for Trial {
    type Device = ();

    fn open(_device: &()) -> Result<Self> {
        Ok(Self {
            stax: stax::Trial::new()?,
            #[cfg(not(oob_core_evl))]
            thread: thread::Trial::new()?,
        })
    }

    /// On EVL an attached thread comes this way where it asks to, elsewhere always.
    fn exchange(&self, command: u32, argument: UserPtr) -> Option<Result<i32>> {
        self.stax.exchange(command, argument)
    }

    fn ioctl(&self, command: u32, argument: UserPtr) -> Result<i32> {
        let services: &[&dyn Fn() -> Result<i32>] = &[
            &|| self.stax.ioctl(command, argument),
            #[cfg(not(oob_core_evl))]
            &|| mutex::ioctl(command, argument),
            #[cfg(not(oob_core_evl))]
            &|| self.thread.ioctl(command, argument),
            #[cfg(not(oob_core_evl))]
            &|| work::ioctl(command, argument),
            &|| timer::ioctl(command, argument),
            #[cfg(not(oob_core_evl))]
            &|| interrupt::ioctl(command, argument),
        ];
        let mut answers = services.iter().map(|service| service());
        let answer = answers.find(|answer| *answer != Err(code::ENOTTY));
        answer.unwrap_or(Err(code::ENOTTY))
    }
}

#[unsafe(no_mangle)]
extern "C" fn oobkit_trial_init() -> c_int {
    from_result(init().map(|()| 0))
}

fn init() -> Result {
    let device = KBox::new(Registration::new(b"oob-trial", b"oob/trial", ())?)?;
    bench::init()?;
    files::init().inspect_err(|_| bench::exit())?;
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
