// SPDX-License-Identifier: GPL-2.0-only

//! The wires: chip selects, and the byte in the shifter.

use super::line::Line;
use super::{Spi, Wires};
use crate::bcm2835::ticks::{NEVER, Tick};
use crate::slaves::Slaves;

impl Spi {
    /// Drives the chip-select lines as CS says, and tells the slaves of each change.
    pub(super) fn drive_lines<S: Slaves>(&mut self, t: Tick, wires: &mut Wires<'_, S>) {
        let active = if self.cs.ta() && !self.auto_off {
            1 << self.cs.chip_select()
        } else {
            0
        };
        let inverted = if self.cs.cspol() {
            7
        } else {
            self.cs.cspol_lines()
        };
        let selected = (active ^ inverted) & 7;
        let changed = selected ^ self.selected;
        if changed == 0 {
            return;
        }
        self.selected = selected;
        let now = wires.clock.date(t);
        for (index, line) in (0u8..).zip(&mut self.lines) {
            let bit = 1 << index;
            if changed & bit == 0 {
                continue;
            }
            if selected & bit == 0 {
                line.deselected_at = t;
                wires.slaves.deselect(index, now);
            } else {
                line.select(t);
                wires.slaves.select(index, now);
            }
        }
    }

    /// Moves the next byte into the shifter, if the shifter is idle and the transfer may continue.
    /// A full receive FIFO stalls it.
    pub(super) fn begin(&mut self, t: Tick) {
        if !self.idle() || !self.cs.ta() || self.rx.is_full() {
            return;
        }
        if self.cs.dmaen() && (self.dlen == 0 || self.stale_done) {
            return;
        }
        let Some(mosi) = self.tx.pop() else {
            return;
        };
        self.mosi = mosi;
        self.end = t.saturating_add(self.byte_ticks());
        self.last_edge = t.saturating_add(self.divider().wrapping_mul(8));
        for line in self.selected_lines() {
            if line.bytes == 0 {
                line.first_edge = t;
            }
        }
    }

    fn selected_lines(&mut self) -> impl Iterator<Item = &mut Line> {
        let selected = self.selected;
        (0u8..)
            .zip(&mut self.lines)
            .filter_map(move |(index, line)| (selected & (1 << index) != 0).then_some(line))
    }

    /// Ends the byte in the shifter at its date, and begins the next.
    pub(crate) fn finish<S: Slaves>(&mut self, wires: &mut Wires<'_, S>) {
        let t = self.end;
        let miso = self.exchange(t, self.mosi, wires);
        self.end = NEVER;
        self.rx.push(miso);
        if self.cs.dmaen() {
            self.dlen = self.dlen.saturating_sub(1);
        }
        self.begin(t);
        if self.done() {
            self.stale_done = true;
            if self.cs.dmaen() && self.cs.adcs() {
                self.auto_off = true;
                self.drive_lines(t, wires);
            }
        }
    }

    fn exchange<S: Slaves>(&mut self, t: Tick, mosi: u8, wires: &mut Wires<'_, S>) -> u8 {
        self.counts.shifted = self.counts.shifted.wrapping_add(1);
        let last_edge = self.last_edge;
        for line in self.selected_lines() {
            line.bytes = line.bytes.saturating_add(1);
            line.last_edge = last_edge;
        }
        self.wire(t, mosi, wires)
    }

    /// Exchanges one byte with the selected slaves.
    fn wire<S: Slaves>(&self, t: Tick, mosi: u8, wires: &mut Wires<'_, S>) -> u8 {
        let mut miso = 0xff;
        let mut selected = self.selected;
        if selected != 0 {
            let now = wires.clock.date(t);
            for index in 0..3 {
                if selected & 1 != 0 {
                    // If several slaves drive the wire, a low level wins.
                    miso &= wires.slaves.exchange(index, now, mosi);
                }
                selected >>= 1;
            }
        }
        match &mut wires.faults.miso_noise {
            Some(noise) => noise.apply(miso),
            None => miso,
        }
    }

    /// Shifts as many bytes as `data` has, in a DMA-mode transfer that nothing stops meanwhile.
    /// With `feed`, the bytes of `data` enter the transmit FIFO; with `drain`, `data` is replaced
    /// by bytes from the receive FIFO. Returns the date of the last byte.
    pub(crate) fn stream<S: Slaves>(
        &mut self,
        data: &mut [u8],
        feed: bool,
        drain: bool,
        wires: &mut Wires<'_, S>,
    ) -> Tick {
        let byte_ticks = self.byte_ticks();
        let mut done = self.end;
        for byte in data.iter_mut() {
            done = self.end;
            self.end = done.wrapping_add(byte_ticks);
            let mosi = self.mosi;
            self.mosi = if feed {
                self.tx.rotate(*byte)
            } else {
                self.tx.pop().unwrap_or(0)
            };
            let miso = self.wire(done, mosi, wires);
            if drain {
                *byte = self.rx.rotate(miso);
            } else {
                self.rx.push(miso);
            }
        }
        let bytes = u32::try_from(data.len()).unwrap_or(0);
        self.counts.shifted = self.counts.shifted.wrapping_add(bytes.into());
        self.dlen = self.dlen.saturating_sub(bytes);
        self.last_edge = self.end;
        for line in self.selected_lines() {
            line.bytes = line.bytes.saturating_add(bytes);
            line.last_edge = done;
        }
        done
    }
}
