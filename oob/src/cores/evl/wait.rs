// SPDX-License-Identifier: GPL-2.0-only

//! The dates that EVL's waits take, and the results that they return.

use crate::time::Instant;
use kernel::bindings as b;

/// EVL ended the wait because the thread has to go in-band.
pub(super) const UNBLOCKED: i32 = b::EINTR.cast_signed().wrapping_neg();
/// EVL ended the wait of a kernel thread because the thread has to stop. The thread stays
/// out-of-band.
pub(super) const STOPPED: i32 = b::ECANCELED.cast_signed().wrapping_neg();

/// A deadline in EVL's terms. Date 0 means "no limit"; in some versions the last date means "do not
/// wait".
pub(super) fn evl_date(deadline: Instant) -> u64 {
    match deadline {
        Instant::NEVER => 0,
        Instant(date) => date.clamp(1, (i64::MAX - 1).cast_unsigned()),
    }
}
