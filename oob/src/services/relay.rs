// SPDX-License-Identifier: GPL-2.0-only

//! A relay: messages of out-of-band code, written to an in-band file.
//!
//! ```text
//!   any context               pool                        in-band
//!   write --copies into a--> block --line, in order--> drain --> the file
//!     '-- no block is free: the message is lost, whole, and counted
//! ```
//!
//! Rules: a message is in the file whole or not at all, as far as the file itself takes it whole;
//! messages are there in the order in which `write` ended; who writes never waits.

use crate::lock::HardLock;
use crate::pool::{Lists, Memory, Pool};
use crate::stage::Inband;
use core::sync::atomic::{AtomicU64, Ordering};

/// Why a message was not taken; it is counted as lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayError {
    /// It is longer than a block.
    TooLong,
    /// All blocks are under way.
    Full,
}

/// Over a pool whose lock is `L` and whose memory `M`.
#[derive(Debug)]
pub struct Relay<L, M> {
    pool: Pool<L, M>,
    lost: AtomicU64,
    /// Messages that have left the line for good.
    drained: AtomicU64,
    /// Messages that were put into it.
    written: AtomicU64,
}

impl<L: HardLock<Lists>, M: Memory> Relay<L, M> {
    /// For messages of up to a block of `pool` each, as many under way as it has blocks.
    pub const fn new(pool: Pool<L, M>) -> Self {
        Self {
            pool,
            lost: AtomicU64::new(0),
            drained: AtomicU64::new(0),
            written: AtomicU64::new(0),
        }
    }

    /// Takes a message, whole or not at all; in any context. Somebody has to [`Self::drain`] then.
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
                    // Counted before it is there: whoever sees the count may wait for it.
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

    /// Gives `sink` the next message, if there is one; whether there was. What it does not take is
    /// lost. One caller at a time.
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

    /// Messages lost so far.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Messages taken so far: once [`Self::drained`] is there, all of them have left.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Messages that have left, the lost ones among them.
    pub fn drained(&self) -> u64 {
        self.drained.load(Ordering::Acquire)
    }

    /// Whether there is nothing to drain.
    pub fn is_empty(&self) -> bool {
        self.pool.is_line_empty()
    }
}
