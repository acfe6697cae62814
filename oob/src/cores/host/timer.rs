// SPDX-License-Identifier: GPL-2.0-only

//! Handlers that fall due at a date: those of timers, and others.

use super::machine::Host;
use super::stages::{Due, DueHandler};
use crate::stage::Inband;
use crate::time::{Clock, Instant, Ns, Timer};
use std::fmt;
use std::rc::Rc;

/// A timer in virtual time.
pub struct HostTimer {
    host: Host,
    id: u64,
    handler: DueHandler,
}

impl fmt::Debug for HostTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostTimer")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Timer for HostTimer {
    fn start(&self, first: Instant, period: Ns) {
        self.host.disarm(self.id);
        self.host
            .arm(self.id, first, period, Rc::clone(&self.handler));
    }

    fn stop(&self, _inband: &Inband<'_>) {
        self.host.disarm(self.id);
    }
}

impl Drop for HostTimer {
    fn drop(&mut self) {
        self.host.disarm(self.id);
    }
}

impl Host {
    /// A timer. It calls `handler` with the number of periods missed since the last call: whole
    /// periods during which interrupts were off.
    pub fn timer(&self, _inband: &Inband<'_>, handler: impl Fn(u64) + 'static) -> HostTimer {
        HostTimer {
            host: self.clone(),
            id: self.id(),
            handler: Rc::new(handler),
        }
    }

    pub(super) fn arm(&self, timer: u64, date: Instant, period: Ns, handler: DueHandler) {
        let order = self.id();
        self.0.due.borrow_mut().push(Due {
            date,
            order,
            period,
            timer,
            handler,
        });
    }

    fn disarm(&self, timer: u64) {
        self.0.due.borrow_mut().retain(|due| due.timer != timer);
    }

    /// The first handler that is due: its timer, the handler, and the number of missed periods.
    pub(super) fn pop_due(&self) -> Option<(u64, DueHandler, u64)> {
        let now = self.now();
        let mut due = self.0.due.borrow_mut();
        let first = (0..due.len())
            .filter(|i| due[*i].date <= now)
            .min_by_key(|i| (due[*i].date, due[*i].order))?;
        let mut entry = due.swap_remove(first);
        let (timer, handler) = (entry.timer, Rc::clone(&entry.handler));
        let missed = now.since(entry.date).0.checked_div(entry.period.0);
        if let Some(missed) = missed {
            let steps = missed.saturating_add(1).saturating_mul(entry.period.0);
            entry.date = entry.date.after(Ns(steps));
            due.push(entry);
        }
        Some((timer, handler, missed.unwrap_or(0)))
    }
}
