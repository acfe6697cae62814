// SPDX-License-Identifier: GPL-2.0-only

//! The kernel's timer, as the stage's.

use crate::stage::Inband;
use crate::time::{Instant, Ns, Timer};
use kernel::time::{HardTimer, TimerHandler};

impl<H: TimerHandler> Timer for HardTimer<H> {
    fn start(&self, first: Instant, period: Ns) {
        HardTimer::start(self, first.0, period.0);
    }

    fn stop(&self, inband: &Inband<'_>) {
        self.cancel(inband);
    }
}
