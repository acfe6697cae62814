// SPDX-License-Identifier: GPL-2.0-only

//! The steady state of a transfer that DREQ paces: many words in one step.
//!
//! ```text
//!   bytes end      |   |   |   |   |   |   |   |   |
//!   TX level    36  35  34  33  32  35  34  33  32 ...
//!   feeder                      +w              +w       +w, -w: a word (4 bytes) in or out
//!   RX level    29  30  31  32  33  30  31  32  33 ...
//!   drainer                     -w              -w
//!                               '---------------'  four byte times later the state is the same
//! ```
//!
//! In this state the FIFO levels repeat, so a batch moves the data and leaves all other state
//! unchanged. The picture is exact under these conditions, and a batch is formed only if they hold:
//! the DMA access of a word takes less time than a byte on the wire, no control block and no DLEN
//! ends within the batch, the batch has whole words only, source and destination do not overlap,
//! and no injected fault can take effect within it.

use super::{Board, DREQ_SPI_RX, DREQ_SPI_TX};
use crate::bcm2835::bus::{SPI0_BUS, Target, target};
use crate::bcm2835::dma::Channel;
use crate::bcm2835::spi::{Spi, Wires};
use crate::bcm2835::ticks::Tick;
use crate::memory::BusMemory;
use crate::slaves::Slaves;

/// The longest batch, in bytes. The data is kept on the stack.
const MOST: usize = 256;
const WORD: usize = 4;
const FIFO_BUS: u32 = SPI0_BUS + 4;

/// Bytes that pass the shifter in one step.
pub(super) struct Batch {
    bytes: usize,
    /// The channel that supplies the bytes. Without one, they are in the transmit FIFO already.
    feeder: Option<u8>,
    /// The channel that takes the received bytes. Without one, they stay in the receive FIFO.
    drainer: Option<u8>,
    data: [u8; MOST],
}

impl<S: Slaves, M: BusMemory> Board<S, M> {
    /// The batch that begins with the byte in the shifter and ends by `to` and by `access`, the end
    /// of a channel's next access. `None` if the conditions above do not hold.
    pub(super) fn next_batch(&self, to: Tick, access: Tick) -> Option<Batch> {
        let spi = &self.spi;
        let byte = spi.byte_ticks();
        let time = to.min(access).checked_sub(spi.end)?;
        // Most calls end here, because the board is usually called more often than every four
        // bytes.
        if !spi.free_running() || time < byte.wrapping_mul(4) || self.faults.may_stop_dma() {
            return None;
        }
        let (feeder, drainer) = self.partners()?;
        let mut bytes = usize::try_from(time.checked_div(byte)?)
            .unwrap_or(MOST)
            .min(MOST);
        let dlen = usize::try_from(spi.remaining()).ok()?;
        let (tx, rx) = (spi.tx.len(), spi.rx.len());
        let fits = |channel: &Channel| channel.word_ticks(true) < byte;
        let room = |channel: &Channel| {
            usize::try_from(channel.left)
                .unwrap_or(MOST)
                .checked_sub(2 * WORD)
        };

        if let Some((_, channel)) = feeder {
            // These levels keep the FIFO from being full when a word is written.
            let level = spi.tdreq();
            if !fits(channel) || level > 56 || tx <= level || tx > level.wrapping_add(WORD) {
                return None;
            }
            // After the batch the transfer still needs whole words, so that every word inside the
            // batch is whole.
            bytes = bytes
                .min(room(channel)?)
                .min(dlen.checked_sub(level.wrapping_add(12))?);
        } else {
            bytes = bytes.min(tx).min(dlen.checked_sub(1)?);
        }

        let mut drained = None;
        match drainer {
            Some((n, channel)) => {
                let level = spi.rdreq();
                if !fits(channel) || !(3..=60).contains(&level) || rx > level {
                    return None;
                }
                if rx.wrapping_add(WORD) <= level {
                    // The level stays below the threshold, so the channel does nothing.
                    bytes = bytes.min(level.wrapping_sub(rx));
                } else {
                    bytes = bytes.min(room(channel)?);
                    drained = Some((n, channel));
                }
            }
            None => bytes = bytes.min(60usize.checked_sub(rx)?),
        }

        bytes &= !(WORD.wrapping_sub(1));
        let separate = match (feeder, drained) {
            (Some((_, from)), Some((_, to))) => {
                let apart = from.source.wrapping_sub(to.dest);
                let most = u32::try_from(MOST).ok()?;
                apart.min(apart.wrapping_neg()) >= most
            }
            _ => true,
        };
        if bytes == 0 || !separate {
            return None;
        }
        let mut batch = Batch {
            bytes,
            feeder: feeder.map(|(n, _)| n),
            drainer: drained.map(|(n, _)| n),
            data: [0; MOST],
        };
        // Both reads check that the memory exists, because nothing may fail after this point. The
        // second read overwrites the result of the first.
        let data = batch.data.get_mut(..bytes)?;
        if let Some((_, channel)) = drained {
            self.memory.read(channel.dest, data).ok()?;
        }
        if let Some((_, channel)) = feeder {
            self.memory.read(channel.source, data).ok()?;
        }
        Some(batch)
    }

    /// Moves a batch, and returns the date of its last byte.
    pub(super) fn move_batch(&mut self, batch: Batch) -> Tick {
        let Batch {
            bytes,
            feeder,
            drainer,
            mut data,
        } = batch;
        let mut wires = Wires {
            slaves: &mut self.slaves,
            clock: &self.clock,
            faults: &mut self.faults,
        };
        let done = match data.get_mut(..bytes) {
            Some(data) => {
                let (feed, drain) = (feeder.is_some(), drainer.is_some());
                self.spi.stream(data, feed, drain, &mut wires)
            }
            None => self.spi.end,
        };
        let moved = u32::try_from(bytes).unwrap_or(0);
        if let Some(n) = feeder {
            self.dma.change(n, |channel| channel.advance(moved));
        }
        if let Some(n) = drainer {
            let dest = self.dma.channel(n).map_or(0, |channel| channel.dest);
            if let Some(data) = data.get(..bytes) {
                // `next_batch` has read the same range, so the memory exists and this cannot fail.
                let _ = self.memory.write(dest, data);
            }
            self.dma.change(n, |channel| channel.advance(moved));
        }
        done
    }

    /// The parked channels that feed and drain SPI0. `None` if any other channel is parked.
    #[expect(clippy::type_complexity, reason = "a pair of numbered channels")]
    fn partners(&self) -> Option<(Option<(u8, &Channel)>, Option<(u8, &Channel)>)> {
        let (mut feeder, mut drainer) = (None, None);
        for n in self.dma.parked() {
            let channel = self.dma.channel(n)?;
            if feeder.is_none() && feeds(channel) {
                feeder = Some((n, channel));
            } else if drainer.is_none() && drains(channel) {
                drainer = Some((n, channel));
            } else {
                return None;
            }
        }
        Some((feeder, drainer))
    }
}

/// Whether the channel copies from memory to SPI0's FIFO, with no option that the batch does not
/// model.
pub(super) fn feeds(channel: &Channel) -> bool {
    let ti = channel.ti;
    ti.permap() == DREQ_SPI_TX
        && channel.dest == FIFO_BUS
        && target(channel.source) == Target::Memory
        && ti.src_inc()
        && ti.wait_resp()
        && !(ti.dest_inc() || ti.src_ignore() || ti.dest_ignore() || ti.tdmode())
}

/// Whether the channel copies from SPI0's FIFO to memory, with no option that the batch does not
/// model.
pub(super) fn drains(channel: &Channel) -> bool {
    let ti = channel.ti;
    ti.permap() == DREQ_SPI_RX
        && channel.source == FIFO_BUS
        && target(channel.dest) == Target::Memory
        && ti.dest_inc()
        && ti.wait_resp()
        && !(ti.src_inc() || ti.src_ignore() || ti.dest_ignore() || ti.tdmode())
}

impl Spi {
    /// The earliest date at which `bytes` more bytes (at least one) can have ended, if no event
    /// comes before `soonest`.
    pub(super) fn after_bytes(&self, bytes: u64, soonest: Tick) -> Tick {
        let byte = self.byte_ticks();
        if self.shifting() {
            self.end
                .saturating_add(byte.saturating_mul(bytes.saturating_sub(1)))
        } else {
            soonest.saturating_add(byte.saturating_mul(bytes))
        }
    }
}
