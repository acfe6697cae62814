// SPDX-License-Identifier: GPL-2.0-only

//! The history of one chip-select line.

use crate::bcm2835::ticks::{CoreClock, NEVER, Tick};
use crate::slaves::ChipSelect;
use oob::time::Ns;

/// The counts of one chip-select line, and the dates of its last selection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    selections: u32,
    pub(super) bytes: u32,
    selected_at: Tick,
    pub(super) first_edge: Tick,
    pub(super) last_edge: Tick,
    pub(super) deselected_at: Tick,
    inactive: Tick,
}

impl Line {
    pub(super) const FRESH: Self = Self {
        selections: 0,
        bytes: 0,
        selected_at: 0,
        first_edge: 0,
        last_edge: 0,
        deselected_at: NEVER,
        inactive: NEVER,
    };

    pub(super) fn select(&mut self, t: Tick) {
        self.selections = self.selections.saturating_add(1);
        self.bytes = 0;
        self.selected_at = t;
        self.inactive = match self.deselected_at {
            NEVER => NEVER,
            since => t.saturating_sub(since),
        };
    }

    pub(super) fn report(&self, active: bool, clock: &CoreClock) -> ChipSelect {
        let (mut setup, mut hold) = (0, 0);
        if self.bytes > 0 {
            setup = self.first_edge.saturating_sub(self.selected_at);
            if !active {
                hold = self.deselected_at.saturating_sub(self.last_edge);
            }
        }
        ChipSelect {
            selections: self.selections,
            bytes: self.bytes,
            setup: clock.span(setup),
            hold: clock.span(hold),
            inactive: match self.inactive {
                NEVER => Ns(u64::MAX),
                ticks => clock.span(ticks),
            },
        }
    }
}
