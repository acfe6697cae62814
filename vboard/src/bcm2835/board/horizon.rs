// SPDX-License-Identifier: GPL-2.0-only

//! When an interrupt line may change next, if nobody touches a register.
//!
//! The answer may be early, never late: who waits for it looks again and gets a later one. It is nearly exact where it
//! matters, for frames by DMA and for polled transfers with an interrupt at their end, so that a frame costs one or two
//! looks. Wherever two parties could act on the same FIFO, or DMA writes SPI0's registers, it falls back to the next
//! thing that happens at all.

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
        let tame = self.tame();
        let mut first = self.spi_line(tame);
        for n in self.dma.busy() {
            if let Some(channel) = self.dma.channel(n) {
                first = first.min(self.channel_line(channel, tame));
            }
        }
        first.max(soonest)
    }

    /// Whether SPI0 is touched through its FIFO alone, by one channel each way.
    fn tame(&self) -> bool {
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

    fn spi_line(&self, tame: bool) -> Tick {
        let spi = &self.spi;
        let soonest = self.next;
        let alone = self.dma.busy().is_empty();
        if !alone && (!tame || spi.irq()) {
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

    /// When the control block may end, where that may raise INT.
    fn channel_line(&self, channel: &Channel, tame: bool) -> Tick {
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
        if !tame || !self.spi.dma_mode() {
            return by_itself;
        }
        // The word in flight may find fewer bytes than it takes.
        let in_flight = if channel.phase == Phase::Move { 4 } else { 0 };
        let by_data = if feeds(channel) && self.spi.tdreq() <= 60 {
            // It fills the FIFO to just above the threshold, and then goes on as fast as bytes begin. A word may be in
            // flight, the tail of DLEN may be three bytes short, and the last byte need not end.
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
                // What is below the threshold is taken only after the last byte.
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

/// So that the offset above is what it says.
const _: () = assert!(matches!(target(SPI0_BUS + 4), Target::Spi(4)));
