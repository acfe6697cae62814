// SPDX-License-Identifier: GPL-2.0-only

//! A NOR flash of 1 MiB with the commands of the 25 series, behind a chip select.
//!
//! ```text
//!   select  command  [address 3 bytes]  [dummy]  data ...  deselect
//!                                                              '--> program, erase, WRSR: WIP set
//! ```
//!
//! The model answers RDID as Winbond W25Q80BL (ef 40 14). Mainline's spi-nor of 6.1 and 6.12 has
//! this part in its table, so it needs no SFDP and uses sectors of 4 KiB. The times are the part's
//! typical ones ("W25Q80BL", AC characteristics). Not modelled: block protection (the bits are
//! stored but protect nothing), the second status register, dual and quad reads, power down.

use crate::slaves::SpiSlave;
use oob::time::{Instant, Ns};

/// The size of the part in bytes.
pub const FLASH_LEN: usize = 1 << 20;
/// The answer to RDID.
pub const JEDEC_ID: [u8; 3] = [0xef, 0x40, 0x14];

/// How long programming a page takes (at most 256 bytes).
pub const PAGE_PROGRAM_TIME: Ns = Ns(700_000);
/// How long erasing a sector of 4 KiB takes.
pub const SECTOR_ERASE_TIME: Ns = Ns(45_000_000);
/// How long erasing a block of 64 KiB takes.
pub const BLOCK_ERASE_TIME: Ns = Ns(150_000_000);
/// How long erasing the whole chip takes.
pub const CHIP_ERASE_TIME: Ns = Ns(2_000_000_000);
/// How long writing the status register takes.
pub const STATUS_WRITE_TIME: Ns = Ns(10_000_000);
/// How long a reset takes.
pub const RESET_TIME: Ns = Ns(30_000);

const WRSR: u8 = 0x01;
const PP: u8 = 0x02;
const READ: u8 = 0x03;
const WRDI: u8 = 0x04;
const RDSR: u8 = 0x05;
const WREN: u8 = 0x06;
const FAST_READ: u8 = 0x0b;
const SE_4K: u8 = 0x20;
const RDSFDP: u8 = 0x5a;
const RESET_ENABLE: u8 = 0x66;
const RESET: u8 = 0x99;
const RDID: u8 = 0x9f;
const CE: u8 = 0xc7;
const BE_64K: u8 = 0xd8;

const WIP: u8 = 1 << 0;
const WEL: u8 = 1 << 1;
/// SRP0, SEC, TB, BP2..0.
const STATUS_STORED: u8 = 0xfc;

const PAGE: usize = 256;

/// The flash, over storage that the caller supplies. The storage's length is a power of two and at
/// least a page; [`FLASH_LEN`] is the size that belongs to the ID. The content is taken as it is:
/// an erased flash is all 0xff.
#[derive(Debug)]
pub struct Flash<M> {
    storage: M,
    status: u8,
    busy_until: Instant,
    reset_enabled: bool,
    command: u8,
    /// The number of bytes in this selection so far.
    bytes: usize,
    address: usize,
    /// The data of a page program, by offset in the page. A byte that was not sent stays 0xff and
    /// programs nothing.
    page: [u8; PAGE],
    new_status: u8,
    ignored: bool,
}

impl<M: AsRef<[u8]> + AsMut<[u8]>> Flash<M> {
    /// A flash that is ready for commands.
    pub const fn new(storage: M) -> Self {
        Self {
            storage,
            status: 0,
            busy_until: Instant(0),
            reset_enabled: false,
            command: 0,
            bytes: 0,
            address: 0,
            page: [0xff; PAGE],
            new_status: 0,
            ignored: false,
        }
    }

    /// The present content.
    pub fn content(&self) -> &[u8] {
        self.storage.as_ref()
    }

    /// Returns the storage.
    pub fn into_storage(self) -> M {
        self.storage
    }

    /// Whether a program or erase is under way at `now`.
    pub fn busy(&self, now: Instant) -> bool {
        now < self.busy_until
    }

    fn read_status(&self, now: Instant) -> u8 {
        if self.busy(now) {
            self.status | WIP
        } else {
            self.status & !WIP
        }
    }

    /// The byte at `address`. The address wraps at the end of the flash.
    fn byte(&self, address: usize) -> u8 {
        let storage = self.storage.as_ref();
        let place = address & storage.len().wrapping_sub(1);
        storage.get(place).copied().unwrap_or(0xff)
    }

    fn begin(&mut self, now: Instant, command: u8) -> u8 {
        self.command = command;
        self.address = 0;
        // While the flash is busy, it answers RDSR and accepts a reset, and ignores all other
        // commands.
        self.ignored = self.busy(now) && !matches!(command, RDSR | RESET_ENABLE | RESET);
        match command {
            PP => self.page.fill(0xff),
            RESET if self.reset_enabled => {}
            RESET => self.ignored = true,
            _ => {}
        }
        self.reset_enabled = command == RESET_ENABLE;
        0xff
    }

    fn data(&mut self, now: Instant, mosi: u8) -> u8 {
        let index = self.bytes;
        match self.command {
            RDSR => return self.read_status(now),
            RDID => return JEDEC_ID.get(index.wrapping_sub(1)).copied().unwrap_or(0),
            WRSR if index == 1 => self.new_status = mosi,
            PP | READ | FAST_READ | SE_4K | BE_64K | RDSFDP if index <= 3 => {
                self.address = self.address << 8 | usize::from(mosi);
            }
            READ => return self.stream(),
            FAST_READ if index > 4 => return self.stream(),
            PP => {
                // After the end of the page, data wraps to its start.
                let place = self.address.wrapping_add(index.wrapping_sub(4)) % PAGE;
                if let Some(byte) = self.page.get_mut(place) {
                    *byte = mosi;
                }
            }
            // RDSFDP: the part has no SFDP tables. All ones is no valid signature.
            _ => {}
        }
        0xff
    }

    fn stream(&mut self) -> u8 {
        let byte = self.byte(self.address);
        self.address = self.address.wrapping_add(1);
        byte
    }

    /// Called when chip select becomes inactive: starts the command, if it is complete and changes
    /// anything.
    fn finish(&mut self, now: Instant) {
        let (command, bytes) = (self.command, self.bytes);
        match (command, bytes) {
            (WREN, 1) => self.status |= WEL,
            (WRDI, 1) => self.status &= !WEL,
            (RESET, 1) => {
                self.status &= !WEL;
                self.busy_until = now.after(RESET_TIME);
            }
            _ if self.status & WEL == 0 => {}
            (WRSR, 2..) => {
                self.status = self.new_status & STATUS_STORED;
                self.work(now, STATUS_WRITE_TIME);
            }
            (PP, 5..) => self.program(now),
            (SE_4K, 4) => self.erase(now, 4 << 10, SECTOR_ERASE_TIME),
            (BE_64K, 4) => self.erase(now, 64 << 10, BLOCK_ERASE_TIME),
            (CE, 1) => {
                self.storage.as_mut().fill(0xff);
                self.work(now, CHIP_ERASE_TIME);
            }
            _ => {}
        }
    }

    fn work(&mut self, now: Instant, time: Ns) {
        self.status &= !WEL;
        self.busy_until = now.after(time);
    }

    fn area(&mut self, len: usize) -> &mut [u8] {
        let storage = self.storage.as_mut();
        let from = self.address & storage.len().wrapping_sub(1) & !len.wrapping_sub(1);
        let to = from.wrapping_add(len).min(storage.len());
        storage.get_mut(from..to).unwrap_or_default()
    }

    fn program(&mut self, now: Instant) {
        let page = self.page;
        for (cell, byte) in self.area(PAGE).iter_mut().zip(page) {
            // Programming only clears bits.
            *cell &= byte;
        }
        self.work(now, PAGE_PROGRAM_TIME);
    }

    fn erase(&mut self, now: Instant, len: usize, time: Ns) {
        self.area(len).fill(0xff);
        self.work(now, time);
    }
}

impl<M: AsRef<[u8]> + AsMut<[u8]>> SpiSlave for Flash<M> {
    fn select(&mut self, _now: Instant) {
        self.bytes = 0;
    }

    fn exchange(&mut self, now: Instant, mosi: u8) -> u8 {
        let miso = match self.bytes {
            0 => self.begin(now, mosi),
            _ if self.ignored => 0xff,
            _ => self.data(now, mosi),
        };
        self.bytes = self.bytes.saturating_add(1);
        miso
    }

    fn deselect(&mut self, now: Instant) {
        if self.bytes > 0 && !self.ignored {
            self.finish(now);
        }
    }
}

#[cfg(test)]
mod tests;
