// SPDX-License-Identifier: GPL-2.0-only

//! The device: each service has a file here, and answers its own calls. What times them is a device of its own.

mod bench;
mod files;
mod interrupt;
mod mutex;
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
use kernel::uaccess::UserPtr;

static DEVICE: AtomicPtr<Registration<Trial>> = AtomicPtr::new(core::ptr::null_mut());

/// An open file: everything of it is its own.
struct Trial {
    stax: stax::Trial,
    thread: thread::Trial,
}

impl File for Trial {
    type Device = ();

    fn open(_device: &()) -> Result<Self> {
        Ok(Self {
            stax: stax::Trial::new()?,
            thread: thread::Trial::new()?,
        })
    }

    fn ioctl(&self, command: u32, argument: UserPtr) -> Result<i32> {
        let services: [&dyn Fn() -> Result<i32>; 6] = [
            &|| self.stax.ioctl(command, argument),
            &|| mutex::ioctl(command, argument),
            &|| self.thread.ioctl(command, argument),
            &|| work::ioctl(command, argument),
            &|| timer::ioctl(command, argument),
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
