// SPDX-License-Identifier: GPL-2.0-only

//! A panic while a thread looks at the value.

use super::*;
use crate::host::Host;
use crate::time::Clock;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[test]
fn a_waiter_whose_check_panics_leaves_the_queue() {
    let host = Host::new();
    let monitor = host.monitor(&host.inband(), ());
    // The first check comes before the queue, the second on the way into it, the third after the
    // sleep.
    for last in 1..=3 {
        let mut looks = 0;
        let looks_and_panics = |(): &mut ()| {
            looks += 1;
            assert!(looks < last, "as wanted");
            None::<()>
        };
        let soon = host.now().after(crate::time::Ns(1_000));
        let wait = || monitor.wait_until(&host.oob(), &host, soon, looks_and_panics);
        assert!(catch_unwind(AssertUnwindSafe(wait)).is_err());
        assert_eq!(looks, last);
        assert!(monitor.0.with(|state| state.first.is_null()));
    }
}
