// SPDX-License-Identifier: GPL-2.0-only

//! The date at which an interrupt line may change next, if no register is accessed before.
//!
//! The date may be too early, but never too late: a caller that comes too early asks again and gets
//! a later date. It is nearly exact for frames by DMA and for polled transfers with an interrupt at
//! their end, so one or two calls of the timer are enough for a frame. If two channels use the same
//! FIFO, or DMA writes SPI0's other registers, the result is the date of the next event of any
//! kind.

use super::Board;
use super::batch::{drains, feeds};
use crate::bcm2835::bus::{SPI0_BUS, Target, target};
use crate::bcm2835::dma::{Channel, Phase};
use crate::bcm2835::ticks::{NEVER, Tick};
use crate::memory::BusMemory;
use crate::slaves::Slaves;

impl<S: Slaves, M: BusMemory> Board<S, M> {
    pub(super) fn next_interrupt(&self) -> Tick {
        let soonest = self.next;
        if soonest == NEVER {
            return NEVER;
        }
        let predictable = self.predictable();
        let mut first = self.spi_line(predictable);
        for n in self.dma.busy() {
            if let Some(channel) = self.dma.channel(n) {
                first = first.min(self.channel_line(channel, predictable));
            }
        }
        first.max(soonest)
    }

    /// Whether DMA accesses only SPI0's FIFO, with at most one channel in each direction.
    fn predictable(&self) -> bool {
        let (mut writers, mut readers) = (0u32, 0u32);
        for n in self.dma.busy() {
            let Some(channel) = self.dma.channel(n) else {
                continue;
            };
            if let Target::Spi(offset) = target(channel.dest) {
                writers = writers.wrapping_add(1);
                if offset != 4 || !self.spi.transfer_active() || channel.ti.dest_inc() {
                    return false;
                }
            }
            if let Target::Spi(offset) = target(channel.source) {
                readers = readers.wrapping_add(1);
                if offset != 4 {
                    return false;
                }
            }
        }
        writers <= 1 && readers <= 1
    }

    /// The earliest date at which SPI0's interrupt line may change.
    fn spi_line(&self, predictable: bool) -> Tick {
        let spi = &self.spi;
        let soonest = self.next;
        let alone = self.dma.busy().is_empty();
        if !alone && (!predictable || spi.irq()) {
            return soonest;
        }
        if !spi.irq_on_done() && !spi.irq_on_rxr() {
            return NEVER;
        }
        if !spi.shifting() {
            return if alone { NEVER } else { soonest };
        }
        let mut first = NEVER;
        if spi.irq_on_done() && !spi.irq() {
            let bytes = if spi.dma_mode() {
                spi.remaining().into()
            } else {
                u64::try_from(spi.tx.len()).unwrap_or(0).saturating_add(1)
            };
            first = spi.after_bytes(bytes, soonest);
        }
        if spi.irq_on_rxr() && !spi.irq() {
            let level = u64::try_from(spi.rx.len()).unwrap_or(0);
            first = first.min(spi.after_bytes(48u64.saturating_sub(level), soonest));
        }
        first
    }

    /// The earliest date at which the channel's control block may end, if its end may raise INT.
    fn channel_line(&self, channel: &Channel, predictable: bool) -> Tick {
        let soonest = self.next;
        if channel.phase == Phase::Fetch {
            return channel.at;
        }
        if !channel.may_interrupt() {
            return NEVER;
        }
        let left = u64::from(channel.left);
        let words = left.div_ceil(4);
        let word = channel.word_ticks(channel.peripheral());
        let by_itself = if channel.phase == Phase::Move {
            channel
                .at
                .saturating_add(word.saturating_mul(words.saturating_sub(1)))
        } else {
            soonest.saturating_add(word.saturating_mul(words))
        };
        if !predictable || !self.spi.dma_mode() {
            return by_itself;
        }
        // The word in flight may find fewer than four bytes in the FIFO.
        let in_flight = if channel.phase == Phase::Move { 4 } else { 0 };
        let by_data = if feeds(channel) && self.spi.tdreq() <= 60 {
            // The channel fills the FIFO to just above the threshold, and then writes as fast as
            // bytes leave the FIFO. The allowance covers a word in flight, up to three bytes less
            // in the last word of DLEN, and the last byte, which need not end.
            let level = u64::try_from(self.spi.tx.len()).unwrap_or(0);
            let threshold = u64::try_from(self.spi.tdreq()).unwrap_or(0);
            let shifted = left
                .saturating_add(level)
                .saturating_sub(threshold.saturating_add(13));
            if shifted == 0 {
                soonest
            } else {
                self.spi.after_bytes(shifted, soonest)
            }
        } else if drains(channel) && self.spi.rdreq() >= 3 {
            let level = u64::try_from(self.spi.rx.len()).unwrap_or(0);
            let threshold = u64::try_from(self.spi.rdreq()).unwrap_or(0);
            let missing = left
                .saturating_sub(level.saturating_add(in_flight))
                .min(self.spi.remaining().into());
            if missing == 0 {
                soonest
            } else {
                // The channel reads the bytes below the threshold only after the last byte has
                // ended.
                let kept = left
                    .saturating_sub(in_flight)
                    .min(threshold.saturating_sub(3));
                let flush = word.saturating_mul(kept.div_ceil(4));
                self.spi.after_bytes(missing, soonest).saturating_add(flush)
            }
        } else {
            soonest
        };
        by_itself.max(by_data)
    }
}

/// The code above takes offset 4 for the FIFO.
const _: () = assert!(matches!(target(SPI0_BUS + 4), Target::Spi(4)));
