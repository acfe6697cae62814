// SPDX-License-Identifier: GPL-2.0-only

//! Interrupts, as a driver sees them on every core.
//!
//! ```text
//!   line --> handle(), out-of-band or in hard interrupt context: no waiting
//!               | No       not this device's
//!               | Yes      done
//!               | Forward  done here ------> inband(), later, where sleeping is allowed
//! ```
//!
//! Rules: the line is open again as soon as `handle` has returned, so `handle` has to quiet the
//! device; interrupts may come before the in-band part has begun, and several forwards before it
//! does are one.

use crate::stage::Inband;

/// What a handler says of an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// It was not this device's.
    No,
    /// It is dealt with.
    Yes,
    /// It is dealt with here, and [`Handler::inband`] does the rest in-band.
    Forward,
}

/// What an interrupt line calls.
pub trait Handler: 'static {
    /// Called out-of-band with interrupts off: no token, so no waiting.
    fn handle(&self) -> Handled;

    /// The in-band part; never beside itself, but beside `handle`.
    fn inband(&self, inband: &Inband<'_>) {
        let _ = inband;
    }
}
