// SPDX-License-Identifier: GPL-2.0-only

//! A relay: out-of-band code sends messages, and in-band code writes them to a file.
//!
//! ```text
//!   any context               pool                        in-band
//!   write --copies into a--> block --queue, in order--> drain --> the file
//!     '-- no block is free: the whole message is lost and counted
//! ```
//!
//! Rules: the file gets a message whole or not at all, if the file itself accepts it whole.
//! Messages are in the order in which their `write` calls ended. A writer never waits.

use crate::lock::HardLock;
use crate::pool::{Lists, Memory, Pool};
use crate::stage::Inband;
use core::sync::atomic::{AtomicU64, Ordering};

/// Why a message was not accepted. It is counted as lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayError {
    /// The message is longer than a block.
    TooLong,
    /// All blocks hold unwritten messages.
    Full,
}

/// A relay over a pool with the lock `L` and the memory `M`.
#[derive(Debug)]
pub struct Relay<L, M> {
    pool: Pool<L, M>,
    lost: AtomicU64,
    /// The number of messages that have left the queue and been handled.
    drained: AtomicU64,
    /// The number of messages that were queued.
    written: AtomicU64,
}

impl<L: HardLock<Lists>, M: Memory> Relay<L, M> {
    /// A relay for messages of at most one block of `pool` each. It holds as many unwritten
    /// messages as the pool has blocks.
    pub const fn new(pool: Pool<L, M>) -> Self {
        Self {
            pool,
            lost: AtomicU64::new(0),
            drained: AtomicU64::new(0),
            written: AtomicU64::new(0),
        }
    }

    /// Accepts a message, whole or not at all. Callable from any context. An in-band thread must
    /// then call [`Self::drain`].
    ///
    /// # Errors
    ///
    /// See [`RelayError`].
    pub fn write(&self, message: &[u8]) -> Result<(), RelayError> {
        let error = match self.pool.take() {
            Err(_) => RelayError::Full,
            Ok(mut block) => match block.get_mut(..message.len()) {
                Some(room) => {
                    room.copy_from_slice(message);
                    // Counted before it is queued: a caller that sees the count may wait for the
                    // message.
                    self.written.fetch_add(1, Ordering::AcqRel);
                    block.send(message.len());
                    return Ok(());
                }
                None => RelayError::TooLong,
            },
        };
        self.lost.fetch_add(1, Ordering::Relaxed);
        Err(error)
    }

    /// Passes the next message to `sink`. Returns whether there was one. A message that `sink` does
    /// not accept is lost. Only one thread may call this at a time.
    pub fn drain(
        &self,
        inband: &Inband<'_>,
        sink: impl FnOnce(&Inband<'_>, &[u8]) -> bool,
    ) -> bool {
        let Some((block, len)) = self.pool.receive() else {
            return false;
        };
        if !sink(inband, block.get(..len).unwrap_or_default()) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        drop(block);
        self.drained.fetch_add(1, Ordering::Release);
        true
    }

    /// The number of messages lost so far.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// The number of messages accepted so far. Once [`Self::drained`] has reached it, all of them
    /// have been handled.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// The number of messages handled so far, including those that `sink` did not accept.
    pub fn drained(&self) -> u64 {
        self.drained.load(Ordering::Acquire)
    }

    /// Whether no message is queued.
    pub fn is_empty(&self) -> bool {
        self.pool.is_queue_empty()
    }
}
