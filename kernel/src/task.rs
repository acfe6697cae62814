// SPDX-License-Identifier: GPL-2.0-only

//! The calling thread.

use bindings::task_struct;

/// The calling thread's task; valid while that thread runs.
#[inline(always)]
pub fn current() -> *mut task_struct {
    // SAFETY: always allowed.
    unsafe { bindings::get_current() }
}

/// The calling thread's `SCHED_FIFO` priority, 1 to 99; 0 under any other policy.
pub fn current_fifo_priority() -> i32 {
    // SAFETY: the current task is alive.
    unsafe { bindings::task_fifo_priority(current()) }
}

/// Whether the calling thread holds `CAP_SYS_NICE`.
pub fn capable_sys_nice() -> bool {
    // SAFETY: task context.
    unsafe { bindings::capable(bindings::CAP_SYS_NICE as i32) }
}

/// A number that tells the calling process from others as long as it holds a file open, equal to what `flush` is given.
#[inline(always)]
pub fn current_process() -> u64 {
    // SAFETY: task context.
    unsafe { bindings::current_files() }.addr() as u64
}

/// Whether a signal waits for the calling thread.
pub fn signal_pending() -> bool {
    // SAFETY: task context.
    unsafe { bindings::signal_pending() }
}
