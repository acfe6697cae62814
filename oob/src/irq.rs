// SPDX-License-Identifier: GPL-2.0-only

//! Interrupts: what a driver implements, on every core.
//!
//! ```text
//!   line --> handle(), out-of-band or in hard interrupt context: no waiting
//!               | No       not this device's
//!               | Yes      done
//!               | Forward  done here ------> inband(), later, in-band: may sleep
//! ```
//!
//! Rules: the line is open again as soon as `handle` has returned, so `handle` must silence the
//! device. More interrupts may come before the in-band part has begun; several forwards before it
//! begins cause one call.

use crate::stage::Inband;

/// A handler's answer to an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// The interrupt was not this device's.
    No,
    /// The handler has dealt with it.
    Yes,
    /// The handler has dealt with the urgent part; [`Handler::inband`] does the rest in-band.
    Forward,
}

/// The handler of an interrupt line.
pub trait Handler: 'static {
    /// Called out-of-band with interrupts off. It gets no token, so it cannot wait.
    fn handle(&self) -> Handled;

    /// The in-band part. Its calls do not overlap, but `handle` may run at the same time.
    fn inband(&self, inband: &Inband<'_>) {
        let _ = inband;
    }
}
