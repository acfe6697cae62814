// SPDX-License-Identifier: GPL-2.0-only

//! Waiting for events of several files at once, as `poll` does.

use super::machine::Host;
use crate::stage::{Inband, MayWait};
use crate::threads::Park;
use crate::threads::Threads;
use crate::time::Instant;
use crate::wait::WaitError;
use std::cell::RefCell;
use std::fmt;
use std::vec::Vec;

/// A poll head: where a file signals its events. The event bits are those of `poll`.
pub struct PollHead {
    host: Host,
    /// The numbers of the threads that poll, and the events that each waits for.
    watchers: RefCell<Vec<(usize, u32)>>,
}

impl fmt::Debug for PollHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PollHead").finish_non_exhaustive()
    }
}

impl PollHead {
    /// A poll head on which no thread polls.
    pub fn new(host: &Host, _inband: &Inband<'_>) -> Self {
        Self {
            host: host.clone(),
            watchers: RefCell::default(),
        }
    }

    /// Wakes the threads that poll for any of `events`. Callable from any context.
    pub fn signal(&self, events: u32) {
        let watchers = self.watchers.borrow().clone();
        for (thread, _) in watchers.iter().filter(|(_, wanted)| wanted & events != 0) {
            self.host
                .wake_sim_thread(&self.host.0.stages.thread(*thread));
        }
        self.host.point();
    }
}

/// Waits until `ready` returns any of the events `wanted`. Calls `ready` again whenever one of
/// `heads` signals.
///
/// # Errors
///
/// See [`WaitError`]; `ready` returned none of the events then.
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
