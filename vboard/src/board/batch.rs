// SPDX-License-Identifier: GPL-2.0-only

//! Looking ahead (being written).

use super::Board;
use crate::bus::BusMemory;
use crate::slave::Slaves;
use crate::ticks::Tick;

/// Words that go through SPI0 at once.
pub(super) struct Batch {}

impl<S: Slaves, M: BusMemory> Board<S, M> {
    pub(super) fn steady(&self, _to: Tick, _access: Tick) -> Option<Batch> {
        None
    }

    pub(super) fn skip(&mut self, _batch: &Batch) -> Tick {
        self.now
    }

    pub(super) fn next_interrupt(&self) -> Tick {
        self.next
    }
}
