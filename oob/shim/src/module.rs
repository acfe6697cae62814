// SPDX-License-Identifier: GPL-2.0-only

//! `oob_shim.ko`: the control device, the probes that detach a thread when it ends or executes
//! another program, and the list of threads.

use core::ffi::{c_int, c_void};
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicPtr, Ordering};
use kernel::alloc::KBox;
use kernel::debugfs::{Seq, Show, Text};
use kernel::error::{Result, code, from_result};
use kernel::miscdevice::{File, Registration};
use kernel::tracepoint::Probe;
use kernel::uaccess::UserPtr;
use kernel::{task, time};
use oob::cores::attached::{AttachedThreads, InsertError};
use oob::stage::Inband;
use oobkit_abi::ctl::{ATTACH, Attach, DETACH};

/// The set in which the kit's other modules look up their callers.
#[unsafe(export_name = "oobkit_oob_shim_attached")]
static ATTACHED: AttachedThreads = AttachedThreads::new();
static MODULE: AtomicPtr<Module> = AtomicPtr::new(core::ptr::null_mut());

/// The module's state while it is loaded. The node is dropped first.
struct Module {
    ctl: Option<Registration<Ctl>>,
    _threads: Text<Threads>,
    _exit: Probe,
    _exec: Probe,
}

/// An open `/dev/oob/ctl`.
struct Ctl;

impl File for Ctl {
    type Device = ();

    fn open(_inband: &Inband<'_>, _device: &()) -> Result<Self> {
        Ok(Self)
    }

    fn ioctl(&self, inband: &Inband<'_>, command: u32, argument: UserPtr) -> Result<i32> {
        match command {
            ATTACH => attach(inband, argument),
            DETACH if ATTACHED.remove(task::current().addr()) => Ok(0),
            DETACH => Err(code::ESRCH),
            _ => Err(code::ENOTTY),
        }
    }
}

fn attach(inband: &Inband<'_>, argument: UserPtr) -> Result<i32> {
    if !task::capable_sys_nice(inband) {
        return Err(code::EPERM);
    }
    let request: Attach = argument.read(inband)?;
    if request != Attach::default() || !(1..=98).contains(&task::current_fifo_priority()) {
        return Err(code::EINVAL);
    }
    ATTACHED
        .insert(task::current().expose_provenance())
        .map(|()| 0)
        .map_err(|error| match error {
            InsertError::Present => code::EBUSY,
            InsertError::Full => code::ENOSPC,
        })
}

/// Counts a stage switch of the calling thread, if it is attached: it has to go in-band to go on.
#[unsafe(no_mangle)]
extern "C" fn oobkit_oob_shim_switched() {
    if let Some(record) = ATTACHED.get(task::current().addr()) {
        record.switched();
    }
}

/// The list of attached threads.
struct Threads;

impl Show for Threads {
    fn show(&self, inband: &Inband<'_>, out: &mut Seq<'_>) -> fmt::Result {
        writeln!(out, "PID PRIORITY CPUS WAITS-FOR WAITS STAGE-SWITCHES NAME")?;
        for (key, record) in ATTACHED.places() {
            let task = || key().map(core::ptr::with_exposed_provenance_mut);
            // SAFETY: a thread is removed from the set before it ends, so a task that is found
            // there inside an RCU read-side section is freed a grace period later at the earliest.
            let Some(task) = (unsafe { task::describe(inband, task) }) else {
                continue;
            };
            write!(
                out,
                "{} {} {} ",
                task.pid(),
                task.fifo_priority(),
                task.cpus()
            )?;
            match record.waiting() {
                Some(what) => write!(out, "{what}")?,
                None => write!(out, "none")?,
            }
            let (waits, switches) = (record.waits(), record.switches());
            writeln!(out, " {waits} {switches} {}", task.name())?;
        }
        Ok(())
    }
}

/// The probe of the `sched_process_exit` and `sched_process_exec` tracepoints: detaches the calling
/// thread, which ends or has become another program with rights of its own.
unsafe extern "C" fn thread_leaves(_data: *mut c_void, task: *mut kernel::bindings::task_struct) {
    ATTACHED.remove(task.addr());
}

/// Entry of the module.
#[unsafe(no_mangle)]
extern "C" fn oobkit_oob_shim_init() -> c_int {
    // SAFETY: the kernel calls a module's init function in in-band task context, and lets it sleep.
    let inband = unsafe { Inband::assume() };
    from_result(init(&inband).map(|()| 0))
}

fn init(inband: &Inband<'_>) -> Result {
    if !time::is_high_resolution() {
        kernel::pr_err!("oob_shim: this machine has no high-resolution timers now");
        return Err(code::ENODEV);
    }
    let leaves = thread_leaves as unsafe extern "C" fn(_, _) as *mut c_void;
    let module = Module {
        ctl: None,
        // SAFETY: the tracepoint's first parameter is the `struct task_struct *` that
        // `thread_leaves` takes. Later kernels append parameters, which a C function may leave
        // unused.
        _exit: unsafe { Probe::new(inband, c"sched_process_exit", leaves) }?,
        // SAFETY: the tracepoint's first parameter is the `struct task_struct *` that
        // `thread_leaves` takes; a C function may leave the other two unused.
        _exec: unsafe { Probe::new(inband, c"sched_process_exec", leaves) }?,
        _threads: Text::new(inband, c"oob_shim", c"threads", Threads)?,
    };
    let mut module = KBox::new(inband, module)?;
    // Last: an init that failed after this would not wait for programs that have opened the node.
    module.ctl = Some(Registration::new(inband, b"oob-ctl", b"oob/ctl", ())?);
    MODULE.store(KBox::into_raw(module), Ordering::Relaxed);
    Ok(())
}

/// Exit of the module.
#[unsafe(no_mangle)]
extern "C" fn oobkit_oob_shim_exit() {
    let module = MODULE.swap(core::ptr::null_mut(), Ordering::Relaxed);
    // SAFETY: `init` stored a box's pointer there, and the kernel calls this once, after a
    // successful `init`.
    drop(unsafe { KBox::from_raw(module) });
}
