// SPDX-License-Identifier: GPL-2.0-only

//! Pool and relay: the shared ones, with an in-band thread of the machine that drains the queue.
//!
//! ```text
//!   write --> queue of blocks --> in-band task --> file, a function here
//!     '--signals--> poll head --wakes---^   '--signals--> poll head --wakes--> flush
//! ```

use super::machine::Host;
use super::park::HostLock;
use super::poll::{PollHead, poll};
use super::stages::Context;
use super::thread::{Running, Task};
use crate::pool::{self, BadSize, Lists, Memory, memory_for};
use crate::relay::{self, RelayError};
use crate::stage::{Inband, Oob};
use crate::time::Instant;
use crate::wait::WaitError;
use std::fmt;
use std::ptr::NonNull;
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

// SAFETY: a vector's bytes stay in place until it grows. The pool owns the vector and never grows
// it, and no other code reaches it.
unsafe impl Memory for Vec<u8> {
    fn bytes(&mut self) -> NonNull<[u8]> {
        NonNull::from(self.as_mut_slice())
    }
}

/// Blocks of one size.
pub type Pool = pool::Pool<HostLock<Lists>, Vec<u8>>;

impl Host {
    /// A pool of `count` free blocks of `size` bytes each.
    ///
    /// # Errors
    ///
    /// [`BadSize`].
    pub fn pool(&self, _inband: &Inband<'_>, count: u32, size: usize) -> Result<Pool, BadSize> {
        let len = memory_for(count, size).ok_or(BadSize)?;
        Pool::new(HostLock::new(self, Lists::new()), vec![0; len], size)
    }
}

/// The events of the poll head: a message was queued (`IN`); a message has left the queue (`OUT`).
const IN: u32 = 1;
const OUT: u32 = 2;

struct Inner {
    messages: relay::Relay<HostLock<Lists>, Vec<u8>>,
    head: PollHead,
}

/// Lets out-of-band code write to an in-band file. Dropping it writes the queued messages.
pub struct Relay {
    host: Host,
    inner: Rc<Inner>,
    /// `Some` until `drop`.
    task: Option<Task>,
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.messages.fmt(f)
    }
}

impl Relay {
    /// A relay that writes to `file`, a function that may wait and returns whether it accepted the
    /// message. The relay holds up to `count` unwritten messages of up to `longest` bytes each.
    ///
    /// # Errors
    ///
    /// [`BadSize`].
    pub fn new(
        host: &Host,
        inband: &Inband<'_>,
        count: u32,
        longest: usize,
        mut file: impl FnMut(&Inband<'_>, &[u8]) -> bool + 'static,
    ) -> Result<Self, BadSize> {
        let inner = Rc::new(Inner {
            messages: relay::Relay::new(host.pool(inband, count, longest)?),
            head: PollHead::new(host, inband),
        });
        let (of_task, host_) = (inner.clone(), host.clone());
        let body = move |inband: &Inband<'_>, me: &Running<'_>| {
            let Inner { messages, head } = &*of_task;
            loop {
                // Checked before the queue: messages accepted before the stop request are then
                // still drained.
                let is_over = me.should_stop();
                while messages.drain(inband, &mut file) {
                    head.signal(OUT);
                }
                if is_over {
                    return;
                }
                let ready = || if messages.is_empty() { 0 } else { IN };
                // A stop request ends the wait; the check above finds it.
                _ = poll(&host_, inband, &[head], IN, Instant::NEVER, ready);
            }
        };
        let task = Task::serve(host, c"oob relay", body);
        Ok(Self {
            host: host.clone(),
            inner,
            task: Some(task),
        })
    }

    /// Accepts a message, whole or not at all; the task writes it later.
    ///
    /// # Errors
    ///
    /// See [`RelayError`]; the message is counted as lost.
    pub fn write(&self, _oob: &Oob<'_>, message: &[u8]) -> Result<(), RelayError> {
        self.inner.messages.write(message)?;
        self.inner.head.signal(IN);
        Ok(())
    }

    /// The number of messages that the relay or the file did not accept.
    pub fn lost(&self) -> u64 {
        self.inner.messages.lost()
    }

    /// Waits until all messages accepted before the call have been written or lost.
    ///
    /// # Errors
    ///
    /// [`WaitError::Interrupted`].
    pub fn flush(&self, inband: &Inband<'_>) -> Result<(), WaitError> {
        let Inner { messages, head } = &*self.inner;
        let goal = messages.written();
        let ready = || if messages.drained() >= goal { OUT } else { 0 };
        poll(&self.host, inband, &[head], OUT, Instant::NEVER, ready).map(drop)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // A handler cannot wait for the task's end.
        let may_wait = !matches!(self.host.context(), Context::Handler);
        if let Some(task) = self.task.take().filter(|_| may_wait)
            && !std::thread::panicking()
        {
            // SAFETY: the caller is no handler, and relays are dropped in-band, the kit's rule for
            // values whose drop sleeps.
            let inband = unsafe { Inband::assume() };
            task.stop(&inband);
        }
    }
}
