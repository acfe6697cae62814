// SPDX-License-Identifier: GPL-2.0-only

//! Bytes through the FIFO.
//!
//! ```text
//!   tx ->[ TX FIFO ]-> shifter ->[ RX FIFO ]-> rx   at most 64 bytes are under way
//!
//!   put 64;  RXR: 48 have arrived, take 48, put 48   (the other 16 keep the shifter busy)
//!            DONE: all have arrived, take them, put the rest, at most 64
//! ```
//!
//! A thread that sleeps wakes when RXR is due. It may be late by 16 bytes' time before the bus
//! pauses. Delays do not add up: each date counts from the date before, unless the bus did pause. A
//! late thread loses nothing, because the clock stops while the TX FIFO is empty.
//!
//! One RX byte arrives for each TX byte. So the number of bytes under way is enough to know, and no
//! flag is read for each byte.

use super::job::Divider;
use super::parts::{CsLine, SPIN_MAX};
use super::registers::{Registers, Stuck};
use super::regs::{FIFO, FIFO_LEN, RXR_LEN};
use core::sync::atomic::{AtomicU8, Ordering};
use oob::io::Mmio;
use oob::time::{Clock, Instant, Ns};

/// Calls `f` for each byte. The compiler unrolls the turns of eight; a loop over single bytes would
/// have twice the instructions.
#[inline(always)]
fn each(bytes: &[AtomicU8], f: impl Fn(&AtomicU8)) {
    let (eights, rest) = bytes.as_chunks::<8>();
    eights.iter().for_each(|eight| eight.iter().for_each(&f));
    rest.iter().for_each(f);
}

/// Writes `bytes` into the TX FIFO, which has room for all of them.
#[inline]
fn put(mmio: &impl Mmio, bytes: &[AtomicU8]) {
    each(bytes, |byte| {
        mmio.write(FIFO, u32::from(byte.load(Ordering::Relaxed)));
    });
}

/// Reads `bytes` from the RX FIFO, which holds all of them.
#[inline]
fn take(mmio: &impl Mmio, bytes: &[AtomicU8]) {
    each(bytes, |byte| {
        let [low, ..] = mmio.read(FIFO).to_le_bytes();
        byte.store(low, Ordering::Relaxed);
    });
}

/// Exchanges a frame that fits into the FIFO. TA is set and the FIFOs are empty. The slices are of
/// one length.
///
/// This is the path of a control loop, so it has as few instructions as possible.
#[inline]
pub(super) fn exchange_short<M: Mmio, C: Clock, L: CsLine>(
    registers: &Registers<M, C, L>,
    tx: &[AtomicU8],
    rx: &[AtomicU8],
    limit: Ns,
) -> Result<(), Stuck> {
    put(&registers.mmio, tx);
    registers.wait(limit, |cs| cs.done())?;
    take(&registers.mmio, rx);
    Ok(())
}

/// One direction of a long exchange: the rest of a buffer, or no buffer: then zeroes are sent, or
/// received bytes are dropped.
pub(super) struct End<'a> {
    buffer: Option<&'a [AtomicU8]>,
}

impl<'a> End<'a> {
    pub(super) const fn new(buffer: Option<&'a [AtomicU8]>) -> Self {
        Self { buffer }
    }

    fn split(&mut self, len: usize) -> Option<&'a [AtomicU8]> {
        let (now, later) = self.buffer?.split_at_checked(len)?;
        self.buffer = Some(later);
        Some(now)
    }

    fn put(&mut self, mmio: &impl Mmio, len: usize) {
        match self.split(len) {
            Some(bytes) => put(mmio, bytes),
            None => (0..len).for_each(|_| mmio.write(FIFO, 0)),
        }
    }

    fn take(&mut self, mmio: &impl Mmio, len: usize) {
        match self.split(len) {
            Some(bytes) => take(mmio, bytes),
            None => (0..len).for_each(|_| {
                mmio.read(FIFO);
            }),
        }
    }
}

/// Exchanges any number of bytes, by the date `by`. TA is set and the FIFOs are empty.
///
/// Before each wait of more than [`SPIN_MAX`], this calls `pause` with the expected time. `pause`
/// may sleep, or do nothing. If it returns `false`, the exchange is given up.
pub(super) fn exchange<M: Mmio, C: Clock, L: CsLine>(
    registers: &Registers<M, C, L>,
    divider: Divider,
    len: usize,
    (mut tx, mut rx): (End<'_>, End<'_>),
    by: Instant,
    pause: impl Fn(Ns) -> bool,
) -> Result<(), Stuck> {
    let bytes = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let mut due: Option<Instant> = None;
    let mut under_way = len.min(FIFO_LEN);
    let mut left = len.saturating_sub(under_way);
    tx.put(&registers.mmio, under_way);
    while under_way > 0 {
        let next = match left {
            0 => under_way,
            _ => RXR_LEN.min(under_way),
        };
        let now = registers.clock.now();
        let date = due.unwrap_or(now).after(divider.time(bytes(next)));
        let wait = date.since(now);
        if wait > SPIN_MAX && !pause(wait) {
            return Err(Stuck);
        }
        let limit = divider.limit(bytes(under_way)).min(by.since(now));
        let cs = registers.wait(limit, |cs| cs.done() || (cs.rxr() && left > 0))?;
        due = (!cs.done()).then_some(date);
        let taken = if cs.done() {
            under_way
        } else {
            RXR_LEN.min(under_way)
        };
        rx.take(&registers.mmio, taken);
        let more = left.min(taken);
        tx.put(&registers.mmio, more);
        left = left.saturating_sub(more);
        under_way = under_way.saturating_sub(taken).saturating_add(more);
    }
    Ok(())
}
