// SPDX-License-Identifier: GPL-2.0-only

//! A panic is a BUG with its message: the kernel stops this task, prints where, and is tainted.

use crate::pr_emerg;
use core::panic::PanicInfo;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    pr_emerg!("{info}");
    // SAFETY: BUG() may be called in any context.
    unsafe { bindings::BUG() };
    // It has not returned; objtool is told nothing of that (see the helper).
    loop {
        core::hint::spin_loop();
    }
}
