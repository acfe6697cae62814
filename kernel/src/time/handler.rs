// SPDX-License-Identifier: GPL-2.0-only

//! The handler of a timer, on either core.

/// A timer's handler. It runs in hard interrupt context; on EVL, in the out-of-band tick. It
/// borrows nothing, because a timer that is leaked stays armed.
pub trait TimerHandler: Sync + 'static {
    /// The timer has expired. `missed` counts the dates that have passed without a call and that no
    /// call has reported yet. So the calls and the reported dates add up to all dates that have
    /// passed. If a call is late by a period or more, the next call may be the one that reports the
    /// missed dates.
    fn expired(&self, missed: u64);
}
