// SPDX-License-Identifier: GPL-2.0-only

//! Pool and relay: the kit's own, and an in-band thread of the machine that drains the line.
//!
//! ```text
//!   write --> line of blocks --> in-band task --> file, a function here
//!     '--signals--> poll head --wakes--^   '--signals--> poll head --wakes--> flush
//! ```

use super::park::HostLock;
use super::poll::{PollHead, poll};
use super::thread::{Running, Task};
use super::{Context, Host};
use crate::pool::{self, BadSize, Lists, memory_for};
use crate::relay::{self, RelayError};
use crate::stage::{Inband, Oob};
use crate::time::Instant;
use crate::wait::WaitError;
use std::fmt;
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

/// Blocks of one size.
pub type Pool = pool::Pool<HostLock<Lists>, Vec<u8>>;

impl Host {
    /// A pool of `count` blocks of `size` bytes, all free.
    ///
    /// # Errors
    ///
    /// [`BadSize`].
    pub fn pool(&self, _inband: &Inband<'_>, count: u32, size: usize) -> Result<Pool, BadSize> {
        let len = memory_for(count, size).ok_or(BadSize)?;
        Pool::new(HostLock::new(self, Lists::new()), vec![0; len], size)
    }
}

/// What the line's head signals: a message came in; one has left.
const IN: u32 = 1;
const OUT: u32 = 2;

struct Inner {
    messages: relay::Relay<HostLock<Lists>, Vec<u8>>,
    head: PollHead,
}

/// Out-of-band code writes through it to an in-band file. Dropping it writes what is under way.
pub struct Relay {
    host: Host,
    inner: Rc<Inner>,
    /// There until `drop`.
    task: Option<Task>,
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.messages.fmt(f)
    }
}

impl Relay {
    /// To `file`, which may wait and says whether it took the message, for up to `count` messages under way of up to
    /// `longest` bytes each.
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
                // Looked at first: what was taken before the relay's end is drained after it.
                let is_over = me.should_stop();
                while messages.drain(inband, &mut file) {
                    head.signal(OUT);
                }
                if is_over {
                    return;
                }
                let ready = || if messages.is_empty() { 0 } else { IN };
                // A stop ends it, and is seen above.
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

    /// Takes a message, whole or not at all; it is written later.
    ///
    /// # Errors
    ///
    /// See [`RelayError`]; it is counted as lost.
    pub fn write(&self, _oob: &Oob<'_>, message: &[u8]) -> Result<(), RelayError> {
        self.inner.messages.write(message)?;
        self.inner.head.signal(IN);
        Ok(())
    }

    /// Messages that were not taken, and those that the file did not take.
    pub fn lost(&self) -> u64 {
        self.inner.messages.lost()
    }

    /// Waits until what was taken before has been written, or lost.
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
            // SAFETY: dropping is in-band, as stopping is.
            let inband = unsafe { Inband::assume() };
            task.stop(&inband);
        }
    }
}
