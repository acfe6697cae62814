// SPDX-License-Identifier: GPL-2.0-only

//! Where an out-of-band call gets its token.

use crate::stage::Oob;
use kernel::bindings as b;

/// Calls `f` with the out-of-band token if the calling thread is an EVL thread that can be
/// out-of-band now.
///
/// A copy from user memory may have brought the thread in-band; this function takes it back.
///
/// # Safety
///
/// The caller is in an out-of-band call: task context, no lock held. `f` uses no in-band token.
#[inline(always)]
pub unsafe fn with_oob<R>(f: impl FnOnce(&Oob<'_>) -> R) -> Option<R> {
    // SAFETY: the caller is a thread in an out-of-band call that holds no lock, so it may switch
    // stages.
    let entered = unsafe { b::evl_enter_oob() };
    // SAFETY: `entered` is true only for an EVL thread that is out-of-band now. In an out-of-band
    // call such a thread may wait, and it stays an EVL thread until the call ends, because only the
    // thread itself can detach.
    entered.then(|| f(&unsafe { Oob::assume() }))
}
