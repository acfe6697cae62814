// SPDX-License-Identifier: GPL-2.0-only

//! Waiting for events of several files at once.

use super::Host;
use crate::latch::Park;
use crate::monitor::Threads;
use crate::stage::{Inband, MayWait};
use crate::time::Instant;
use crate::wait::WaitError;
use std::cell::RefCell;
use std::fmt;
use std::vec::Vec;

/// What a file signals its events on; bits as those of `poll`.
pub struct PollHead {
    host: Host,
    /// Threads, and the events that each wants.
    watchers: RefCell<Vec<(usize, u32)>>,
}

impl fmt::Debug for PollHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PollHead").finish_non_exhaustive()
    }
}

impl PollHead {
    /// Nobody polls yet.
    pub fn new(host: &Host, _inband: &Inband<'_>) -> Self {
        Self {
            host: host.clone(),
            watchers: RefCell::default(),
        }
    }

    /// Wakes those that poll for any of `events`, from any context.
    pub fn signal(&self, events: u32) {
        let watchers = self.watchers.borrow().clone();
        for (thread, _) in watchers.iter().filter(|(_, wanted)| wanted & events != 0) {
            self.host.wake_slot(&self.host.0.stages.slot(*thread));
        }
        self.host.point();
    }
}

/// Waits until `ready` gives any of the events `wanted`; it is asked anew whenever one of `heads` signals.
///
/// # Errors
///
/// See [`WaitError`]; `ready` gave none then.
pub fn poll(
    host: &Host,
    _stage: &impl MayWait,
    heads: &[&PollHead],
    wanted: u32,
    deadline: Instant,
    ready: impl Fn() -> u32,
) -> Result<u32, WaitError> {
    let me = host.current();
    for head in heads {
        head.watchers.borrow_mut().push((me, wanted));
    }
    let result = loop {
        host.prepare_interruptible();
        let is_over = Park::now(host) >= deadline;
        match ready() & wanted {
            0 if host.is_interrupted() => break Err(WaitError::Interrupted),
            0 if is_over => break Err(WaitError::TimedOut),
            0 => _ = Park::sleep_until(host, deadline),
            events => break Ok(events),
        }
    };
    host.cancel();
    for head in heads {
        head.watchers
            .borrow_mut()
            .retain(|(thread, _)| *thread != me);
    }
    result
}
