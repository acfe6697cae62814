// SPDX-License-Identifier: GPL-2.0-only

//! A panic is a BUG with its message: the kernel stops this task, prints where, and is tainted.

use crate::pr_emerg;
use core::hint::{black_box, spin_loop};
use core::panic::PanicInfo;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    pr_emerg!("{info}");
    // Called through a pointer that nobody can see through: whether objtool knows that BUG() does not return differs
    // between its versions, and it complains of code behind the call, or of none.
    let bug = black_box(bindings::BUG as unsafe extern "C" fn());
    // SAFETY: BUG() may be called in any context.
    unsafe { bug() };
    loop {
        spin_loop();
    }
}
