// SPDX-License-Identifier: GPL-2.0-only

//! Bytes through the FIFO.
//!
//! ```text
//!   tx ->[ TX FIFO ]-> shifter ->[ RX FIFO ]-> rx       under way: at most 64 between the two arrows
//!
//!   fill 64;  RXR: 48 are in, take 48, put 48           (the other 16 keep the shifter busy meanwhile)
//!             DONE: all that is under way is in, take it, put what is left, at most 64
//! ```
//!
//! One RX byte comes for each TX byte, so the count of what is under way says everything; no flag is read per byte.

use super::bus::{Bus, Stuck};
use super::regs::{FIFO, FIFO_LEN, RXR_LEN};
use super::{CsLine, job::Divider};
use core::sync::atomic::{AtomicU8, Ordering};
use evl::io::Mmio;
use evl::time::{Clock, Ns};

/// Writes `bytes` into the TX FIFO, which has room for them.
#[inline]
fn put(mmio: &impl Mmio, bytes: &[AtomicU8]) {
    for byte in bytes {
        mmio.write(FIFO, u32::from(byte.load(Ordering::Relaxed)));
    }
}

/// Reads `bytes` out of the RX FIFO, which holds them.
#[inline]
fn take(mmio: &impl Mmio, bytes: &[AtomicU8]) {
    for byte in bytes {
        let [low, ..] = mmio.read(FIFO).to_le_bytes();
        byte.store(low, Ordering::Relaxed);
    }
}

/// Exchanges a frame that fits into the FIFO. TA is set and the FIFOs are empty. The slices are of one length.
///
/// As few instructions as there can be: this is the control loop's path.
#[inline]
pub(super) fn exchange_short<M: Mmio, C: Clock, L: CsLine>(
    bus: &Bus<M, C, L>,
    tx: &[AtomicU8],
    rx: &[AtomicU8],
    limit: Ns,
) -> Result<(), Stuck> {
    put(&bus.mmio, tx);
    bus.wait(limit, |cs| cs.done())?;
    take(&bus.mmio, rx);
    Ok(())
}

/// One end of a long exchange: what is left of a buffer, or bytes that nobody gave or wants.
struct End<'a> {
    buffer: Option<&'a [AtomicU8]>,
}

impl<'a> End<'a> {
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

/// Exchanges any number of bytes. TA is set and the FIFOs are empty. Zeroes are sent where there is no `tx`.
///
/// Before each wait, `pause` is told how long it will be: it may sleep, or do nothing.
pub(super) fn exchange<M: Mmio, C: Clock, L: CsLine>(
    bus: &Bus<M, C, L>,
    divider: Divider,
    len: usize,
    tx: Option<&[AtomicU8]>,
    rx: Option<&[AtomicU8]>,
    mut pause: impl FnMut(Ns),
) -> Result<(), Stuck> {
    let (mut tx, mut rx) = (End { buffer: tx }, End { buffer: rx });
    let mut under_way = len.min(FIFO_LEN);
    let mut left = len.saturating_sub(under_way);
    tx.put(&bus.mmio, under_way);
    while under_way > 0 {
        let bytes = u32::try_from(under_way).unwrap_or(u32::MAX);
        pause(divider.time(bytes));
        let cs = bus.wait(divider.limit(bytes), |cs| {
            cs.done() || (cs.rxr() && left > 0)
        })?;
        let taken = if cs.done() {
            under_way
        } else {
            RXR_LEN.min(under_way)
        };
        rx.take(&bus.mmio, taken);
        let more = left.min(taken);
        tx.put(&bus.mmio, more);
        left = left.saturating_sub(more);
        under_way = under_way.saturating_sub(taken).saturating_add(more);
    }
    Ok(())
}
