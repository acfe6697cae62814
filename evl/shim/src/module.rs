// SPDX-License-Identifier: GPL-2.0-only

//! `evl_shim.ko`: the control device, and the hook by which a thread that ends is forgotten.

use crate::table::{InsertError, Table};
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicPtr, Ordering};
use kernel::alloc::KBox;
use kernel::error::{Result, code, from_result};
use kernel::miscdevice::{File, Registration};
use kernel::task;
use kernel::tracepoint::Probe;
use kernel::uaccess::UserPtr;
use oobkit_abi::ctl::{ATTACH, Attach, DETACH};

static ATTACHED: Table = Table::new();
static MODULE: AtomicPtr<Module> = AtomicPtr::new(core::ptr::null_mut());

/// What the module holds while it is loaded.
struct Module {
    _ctl: Registration<Ctl>,
    _exit: Probe,
}

/// An open `/dev/oob/ctl`.
struct Ctl;

impl File for Ctl {
    type Device = ();

    fn open(_device: &()) -> Result<Self> {
        Ok(Self)
    }

    fn ioctl(&self, command: u32, argument: UserPtr) -> Result<i32> {
        match command {
            ATTACH => attach(&argument.read()?),
            DETACH if ATTACHED.remove(task::current().addr()) => Ok(0),
            DETACH => Err(code::ESRCH),
            _ => Err(code::ENOTTY),
        }
    }
}

fn attach(request: &Attach) -> Result<i32> {
    if *request != Attach::default() || !(1..=98).contains(&task::current_fifo_priority()) {
        return Err(code::EINVAL);
    }
    if !task::capable_sys_nice() {
        return Err(code::EPERM);
    }
    ATTACHED
        .insert(task::current().addr())
        .map(|()| 0)
        .map_err(|error| match error {
            InsertError::Present => code::EBUSY,
            InsertError::Full => code::ENOSPC,
        })
}

/// Whether the calling thread is attached.
#[unsafe(no_mangle)]
extern "C" fn oobkit_evl_shim_attached() -> bool {
    ATTACHED.contains(task::current().addr())
}

/// The `sched_process_exit` tracepoint: the calling thread ends.
unsafe extern "C" fn thread_ends(_data: *mut c_void, task: *mut kernel::bindings::task_struct) {
    ATTACHED.remove(task.addr());
}

/// Entry of the module.
#[unsafe(no_mangle)]
extern "C" fn oobkit_evl_shim_init() -> c_int {
    from_result(init().map(|()| 0))
}

fn init() -> Result {
    let function = thread_ends as unsafe extern "C" fn(_, _);
    // SAFETY: the tracepoint's prototype is `(struct task_struct *)`; later kernels append arguments, which is harmless.
    let exit = unsafe { Probe::new(c"sched_process_exit", function as *mut c_void) }?;
    let ctl = Registration::new(b"oob-ctl", b"oob/ctl", ())?;
    MODULE.store(
        KBox::into_raw(KBox::new(Module {
            _ctl: ctl,
            _exit: exit,
        })?),
        Ordering::Relaxed,
    );
    Ok(())
}

/// Exit of the module.
#[unsafe(no_mangle)]
extern "C" fn oobkit_evl_shim_exit() {
    let module = MODULE.swap(core::ptr::null_mut(), Ordering::Relaxed);
    // SAFETY: `init` put a box's pointer there, and this runs once, after a successful `init`.
    drop(unsafe { KBox::from_raw(module) });
}
