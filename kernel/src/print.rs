// SPDX-License-Identifier: GPL-2.0-only

//! The kernel log.
//!
//! A message is formatted into a buffer on the stack, and cut off at the buffer's end. So printing
//! allocates nothing and works in any context.

use core::ffi::c_int;
use core::fmt::{self, Write};

const LINE: usize = 256;

struct Line {
    text: [u8; LINE],
    used: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (to, from) in self.text.iter_mut().skip(self.used).zip(text.bytes()) {
            *to = from;
        }
        self.used = LINE.min(self.used.saturating_add(text.len()));
        Ok(())
    }
}

/// Prints one line at log level `level` (0 to 7). The `pr_*` macros expand to it.
pub fn print(level: u8, args: fmt::Arguments<'_>) {
    let mut line = Line {
        text: [0; LINE],
        used: 0,
    };
    // A line that does not fit is cut off; formatting itself cannot fail.
    let _ = line.write_fmt(args);
    let format = [
        1,
        b'0'.wrapping_add(level & 7),
        b'o',
        b'o',
        b'b',
        b'k',
        b'i',
        b't',
        b':',
        b' ',
        b'%',
        b'.',
        b'*',
        b's',
        b'\n',
        0,
    ];
    let used = c_int::try_from(line.used).unwrap_or(0);
    // SAFETY: the format is a C string that takes a length and a pointer to that many bytes; both
    // live through the call.
    unsafe { bindings::_printk(format.as_ptr().cast(), used, line.text.as_ptr()) };
}

/// Prints at level `emerg`.
#[macro_export]
macro_rules! pr_emerg { ($($arg:tt)*) => { $crate::print::print(0, format_args!($($arg)*)) } }
/// Prints at level `err`.
#[macro_export]
macro_rules! pr_err { ($($arg:tt)*) => { $crate::print::print(3, format_args!($($arg)*)) } }
/// Prints at level `warning`.
#[macro_export]
macro_rules! pr_warn { ($($arg:tt)*) => { $crate::print::print(4, format_args!($($arg)*)) } }
/// Prints at level `info`.
#[macro_export]
macro_rules! pr_info { ($($arg:tt)*) => { $crate::print::print(6, format_args!($($arg)*)) } }
