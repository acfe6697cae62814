// SPDX-License-Identifier: GPL-2.0-only

//! The calling thread, and what can be told of others.

use crate::inband::Inband;
use bindings::task_struct;
use core::mem::MaybeUninit;

/// The calling thread's task; valid while that thread runs.
#[inline(always)]
pub fn current() -> *mut task_struct {
    bindings::get_current()
}

/// The calling thread's `SCHED_FIFO` priority, 1 to 99; 0 under any other policy.
#[inline]
pub fn current_fifo_priority() -> i32 {
    // SAFETY: the current task is alive.
    unsafe { bindings::task_fifo_priority(current()) }
}

/// The calling thread's real-time priority, 1 to 99, with what it inherits from those that wait for its mutexes; 0 where it
/// has none.
#[inline]
pub fn current_effective_priority() -> i32 {
    // SAFETY: the current task is alive.
    unsafe { bindings::task_effective_priority(current()) }
}

/// Whether the calling thread holds `CAP_SYS_NICE`.
pub fn capable_sys_nice(_inband: &Inband<'_>) -> bool {
    // SAFETY: task context.
    unsafe { bindings::capable(bindings::CAP_SYS_NICE as i32) }
}

/// A number that tells the calling process from others as long as it holds a file open, equal to what `flush` is given.
#[inline(always)]
pub fn current_process() -> u64 {
    // SAFETY: task context.
    unsafe { bindings::current_files() }.addr() as u64
}

/// Whether the calling thread is a kernel thread that was asked to stop.
#[inline]
pub fn is_stopped() -> bool {
    // SAFETY: task context.
    unsafe { bindings::current_is_stopped() }
}

/// Whether a signal waits for the calling thread.
#[inline]
pub fn signal_pending() -> bool {
    // SAFETY: task context.
    unsafe { bindings::signal_pending() }
}

/// What a task was like at some moment.
pub struct Description(bindings::oobkit_task);

impl Description {
    /// The thread's number, as the first process sees it.
    pub const fn pid(&self) -> i32 {
        self.0.pid
    }

    /// As [`current_fifo_priority`].
    pub const fn fifo_priority(&self) -> i32 {
        self.0.fifo_priority
    }

    /// The processors it may run on, as a list of ranges.
    pub fn cpus(&self) -> &str {
        text(&self.0.cpus)
    }

    /// Its name; nothing where that is no text.
    pub fn name(&self) -> &str {
        text(&self.0.name)
    }
}

fn text<const N: usize>(bytes: &[core::ffi::c_char; N]) -> &str {
    // SAFETY: as many bytes, of the same size.
    let bytes = unsafe { &*core::ptr::from_ref(bytes).cast::<[u8; N]>() };
    let text = core::ffi::CStr::from_bytes_until_nul(bytes).unwrap_or_default();
    text.to_str().unwrap_or_default()
}

/// Describes the task that `find` gives.
///
/// # Safety
///
/// What `find` gives, called inside an RCU read-side section, is a task whose memory is given back a grace period later at
/// the earliest.
pub unsafe fn describe(
    _inband: &Inband<'_>,
    find: impl FnOnce() -> Option<*mut task_struct>,
) -> Option<Description> {
    let mut described = MaybeUninit::zeroed();
    // SAFETY: always allowed.
    unsafe { bindings::rcu_read_lock() };
    let found = find();
    if let Some(task) = found {
        // SAFETY: alive until the unlock, by contract; the other pointer is to room for the answer.
        unsafe { bindings::describe_task(task, described.as_mut_ptr()) };
    }
    // SAFETY: pairs with the lock above.
    unsafe { bindings::rcu_read_unlock() };
    // SAFETY: numbers and bytes, for which zeroes are valid, too.
    found.map(|_| Description(unsafe { described.assume_init() }))
}
