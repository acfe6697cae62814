// SPDX-License-Identifier: GPL-2.0-only

//! Where an out-of-band call gets its token.

use crate::cores::attached::AttachedThreads;
use crate::stage::Oob;

unsafe extern "C" {
    /// The set of attached threads, in `oob_shim.ko`.
    static oobkit_oob_shim_attached: AttachedThreads;
}

/// Calls `f` with the out-of-band token if the calling thread is attached.
///
/// # Safety
///
/// The caller is in a system call: task context, no lock held that forbids sleeping. `f` uses no
/// in-band token.
#[inline(always)]
pub unsafe fn with_oob<R>(f: impl FnOnce(&Oob<'_>) -> R) -> Option<R> {
    // SAFETY: the static is in `oob_shim.ko`, which the kernel keeps loaded while a module that
    // uses its symbol is.
    let attached = unsafe { &oobkit_oob_shim_attached };
    let record = attached.get(kernel::task::current().addr())?;
    // SAFETY: the caller is in a system call and may sleep, by this function's contract. The
    // calling task is attached, and stays so until the call ends, because only the task itself can
    // detach. `record` was found under the task's own key.
    Some(f(&unsafe { Oob::recorded(record) }))
}
