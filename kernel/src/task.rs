// SPDX-License-Identifier: GPL-2.0-only

//! The calling thread, and descriptions of other threads.

use crate::inband::Inband;
use bindings::task_struct;
use core::mem::MaybeUninit;

/// The calling thread's task. The pointer is valid while that thread runs.
#[inline(always)]
pub fn current() -> *mut task_struct {
    bindings::get_current()
}

/// The calling thread's `SCHED_FIFO` priority, 1 to 99; 0 under any other policy.
#[inline]
pub fn current_fifo_priority() -> i32 {
    // SAFETY: the current task is alive while it runs.
    unsafe { bindings::task_fifo_priority(current()) }
}

/// The calling thread's real-time priority, 1 to 99, including the priority that it inherits from
/// waiters for its mutexes; 0 if it has none.
#[inline]
pub fn current_effective_priority() -> i32 {
    // SAFETY: the current task is alive while it runs.
    unsafe { bindings::task_effective_priority(current()) }
}

/// Whether the calling thread holds `CAP_SYS_NICE`.
pub fn capable_sys_nice(_inband: &Inband<'_>) -> bool {
    // SAFETY: the token proves task context, so `current` is the thread that is asked about.
    unsafe { bindings::capable(bindings::CAP_SYS_NICE as i32) }
}

/// A number that identifies the calling process while it holds a file open. `flush` gets the same
/// number.
#[inline(always)]
pub fn current_process() -> u64 {
    // SAFETY: reads a pointer of the current task, which is alive while it runs.
    unsafe { bindings::current_files() }.addr() as u64
}

/// Whether the calling thread is a kernel thread that was asked to stop.
#[inline]
pub fn is_stopped() -> bool {
    // SAFETY: reads the state of the current task, which is alive while it runs.
    unsafe { bindings::current_is_stopped() }
}

/// Whether a signal is pending for the calling thread.
#[inline]
pub fn signal_pending() -> bool {
    // SAFETY: reads the state of the current task, which is alive while it runs.
    unsafe { bindings::signal_pending() }
}

/// A task's properties at one moment.
pub struct Description(bindings::oobkit_task);

impl Description {
    /// The thread's number in the initial pid namespace.
    pub const fn pid(&self) -> i32 {
        self.0.pid
    }

    /// As [`current_fifo_priority`].
    pub const fn fifo_priority(&self) -> i32 {
        self.0.fifo_priority
    }

    /// The processors that the thread may run on, as a list of ranges.
    pub fn cpus(&self) -> &str {
        text(&self.0.cpus)
    }

    /// The thread's name; empty if it is not UTF-8.
    pub fn name(&self) -> &str {
        text(&self.0.name)
    }
}

fn text<const N: usize>(bytes: &[core::ffi::c_char; N]) -> &str {
    // SAFETY: `c_char` and `u8` have the same size and alignment, and any value of a byte is valid
    // for both.
    let bytes = unsafe { &*core::ptr::from_ref(bytes).cast::<[u8; N]>() };
    let text = core::ffi::CStr::from_bytes_until_nul(bytes).unwrap_or_default();
    text.to_str().unwrap_or_default()
}

/// Describes the task that `find` returns.
///
/// # Safety
///
/// `find` is called inside an RCU read-side section. The task that it returns is freed a grace
/// period later at the earliest.
pub unsafe fn describe(
    _inband: &Inband<'_>,
    find: impl FnOnce() -> Option<*mut task_struct>,
) -> Option<Description> {
    let mut described = MaybeUninit::zeroed();
    // SAFETY: allowed in any context; the unlock below pairs with it.
    unsafe { bindings::rcu_read_lock() };
    let found = find();
    if let Some(task) = found {
        // SAFETY: the task is not freed before the unlock, by contract; the other pointer is to
        // memory of a description's size.
        unsafe { bindings::describe_task(task, described.as_mut_ptr()) };
    }
    // SAFETY: pairs with the lock above.
    unsafe { bindings::rcu_read_unlock() };
    // SAFETY: the structure was zeroed and holds numbers and bytes, for which any value is valid.
    found.map(|_| Description(unsafe { described.assume_init() }))
}
