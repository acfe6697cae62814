// SPDX-License-Identifier: GPL-2.0-only

//! One access of a DMA channel: the read at its source, the write at its destination.
//!
//! A peripheral is accessed in words. Memory is accessed with at most the bytes that are left, so a
//! length that is no multiple of four touches no byte after its end. From memory to memory, up to
//! [`BATCH`] bytes are copied at once if the result is the same as word by word: both addresses
//! advance (or are not used), source and destination do not overlap, no access ends in a bus error,
//! and no other event of the board comes before the last of these words.

use super::Board;
use crate::bcm2835::bus::{Target, target};
use crate::bcm2835::dma::Channel;
use crate::bcm2835::ticks::Tick;
use crate::memory::BusMemory;
use crate::slaves::Slaves;

/// The most bytes that are copied at once.
const BATCH: usize = 64;
const WORD: usize = 4;

/// The addresses of one access. `None`: the channel ignores this end.
#[derive(Clone, Copy)]
struct Ends {
    source: Option<u32>,
    dest: Option<u32>,
}

impl<S: Slaves, M: BusMemory> Board<S, M> {
    /// Ends the access of channel `n` at `t` and, if they can be batched, those that follow up to
    /// `until`. Returns the date of the last one.
    pub(super) fn transfer(&mut self, n: u8, t: Tick, until: Tick) -> Tick {
        let Some(channel) = self.dma.channel(n).copied() else {
            return t;
        };
        let ends = Ends {
            source: (!channel.ti.src_ignore()).then_some(channel.source),
            dest: (!channel.ti.dest_ignore()).then_some(channel.dest),
        };
        let left = usize::try_from(channel.left).unwrap_or(usize::MAX);
        let mut bytes = left.min(WORD);
        let mut last = t;
        let mut result = None;
        if batchable(&channel) {
            let word_ticks = channel.word_ticks(false);
            let until = until
                .min(self.dma.earliest(Some(n)).1.saturating_sub(1))
                .max(t);
            let words = until
                .wrapping_sub(t)
                .checked_div(word_ticks)
                .unwrap_or(Tick::MAX)
                .saturating_add(1);
            let wanted = usize::try_from(words).unwrap_or(BATCH).saturating_mul(WORD);
            let batch = left.min(wanted).min(BATCH);
            if batch > WORD {
                result = self.copy(t, ends, batch);
                if result.is_some() {
                    bytes = batch;
                    let more = Tick::try_from(batch.div_ceil(WORD))
                        .unwrap_or(1)
                        .saturating_sub(1);
                    last = t.saturating_add(more.saturating_mul(word_ticks));
                }
            }
        }
        // After a bus error in a batch the access is repeated with one word, because the error
        // belongs to one word.
        if result.or_else(|| self.copy(t, ends, bytes)).is_none() {
            self.dma.change(n, Channel::fail);
            return t;
        }
        let bytes = u32::try_from(bytes).unwrap_or(0);
        self.dma.change(n, |channel| {
            if channel.moved(last, bytes) {
                let dreq = super::dreq(&self.spi, &self.faults, channel);
                channel.schedule(last, dreq);
            }
        });
        last
    }

    /// Copies `bytes` bytes: at most a word, or up to [`BATCH`] from memory to memory. `None` is a
    /// bus error.
    fn copy(&mut self, t: Tick, ends: Ends, bytes: usize) -> Option<()> {
        let mut data = [0; BATCH];
        match ends.source.map(|source| (source, target(source))) {
            None => {}
            Some((source, Target::Memory)) => self.read_memory(source, data.get_mut(..bytes)?)?,
            Some((source, Target::Spi(offset))) if !self.faulty(source, WORD) => {
                let word = self.spi.read(t, offset).to_le_bytes();
                data.first_chunk_mut().map(|first| *first = word)?;
            }
            Some(_) => return None,
        }
        match ends.dest.map(|dest| (dest, target(dest))) {
            None => Some(()),
            Some((dest, Target::Memory)) => self.write_memory(dest, data.get(..bytes)?),
            Some((dest, Target::Spi(offset))) if !self.faulty(dest, WORD) => {
                self.write_spi(t, offset, u32::from_le_bytes(*data.first_chunk()?));
                Some(())
            }
            Some(_) => None,
        }
    }

    pub(super) fn read_memory(&self, bus: u32, out: &mut [u8]) -> Option<()> {
        if self.faulty(bus, out.len()) {
            return None;
        }
        self.memory.read(bus, out).ok()
    }

    pub(super) fn write_memory(&mut self, bus: u32, data: &[u8]) -> Option<()> {
        if self.faulty(bus, data.len()) {
            return None;
        }
        self.memory.write(bus, data).ok()
    }

    fn faulty(&self, bus: u32, len: usize) -> bool {
        self.faults.bus_error_at.is_some_and(|at| {
            usize::try_from(at.wrapping_sub(bus)).is_ok_and(|distance| distance < len)
        })
    }
}

/// Whether copying several words at once has the same effect as copying one after the other.
fn batchable(channel: &Channel) -> bool {
    let advances =
        |inc: bool, ignored: bool, bus: u32| ignored || inc && target(bus) == Target::Memory;
    let ti = channel.ti;
    let ahead = channel.dest.wrapping_sub(channel.source);
    let apart = usize::try_from(ahead).is_ok_and(|ahead| ahead >= BATCH);
    channel.active()
        && !channel.paced()
        && advances(ti.src_inc(), ti.src_ignore(), channel.source)
        && advances(ti.dest_inc(), ti.dest_ignore(), channel.dest)
        && (apart || ti.src_ignore() || ti.dest_ignore())
}
