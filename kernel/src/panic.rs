// SPDX-License-Identifier: GPL-2.0-only

//! A panic prints its message and becomes a BUG: the kernel prints a report, stops the task, and is
//! tainted.

use crate::pr_emerg;
use core::hint::{black_box, spin_loop};
use core::panic::PanicInfo;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    pr_emerg!("{info}");
    // Called through a pointer that the compiler cannot resolve. Versions of objtool differ in
    // whether they know that BUG() does not return, and complain either about code after the call
    // or about its absence.
    let bug = black_box(bindings::BUG as unsafe extern "C" fn());
    // SAFETY: BUG() may be called in any context.
    unsafe { bug() };
    loop {
        spin_loop();
    }
}
