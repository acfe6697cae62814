// SPDX-License-Identifier: GPL-2.0-only

//! The DMA controller's channels 0 to 14. Channel 15 lies in a block of its own and belongs to the
//! firmware.
//!
//! ```text
//!       ACTIVE, CONBLK_AD != 0       loaded           DREQ, or unpaced
//!   Empty ------------------> Fetch -------> Parked <================> Move --+ a word or batch
//!     ^                         ^               \                     /  ^    |
//!     |  NEXTCONBK = 0          | NEXTCONBK      +-> Paused (ACTIVE=0)   +----+
//!     +-------------------------+------------ end of the control block
//!                                             bus error: Failed, until RESET or ABORT
//! ```
//!
//! This file keeps the channels' state. The board moves the data, because it knows source and
//! destination. Source: "BCM2835 ARM Peripherals", chapter 4. Where it is silent:
//! - Times in core clocks: 40 to fetch a control block; 24 for a word of a peripheral (48 on a lite
//!   channel); 8 for a word from memory to memory (16 on a lite channel), which is 125 MB/s at 250
//!   MHz. WAITS adds to each word. Channels do not slow each other down.
//! - A bus error at either end sets READ_ERROR, because there is no bit for write errors. The
//!   channel stops without INT.
//! - Access width and burst length have no effect.
//! - Without WAIT_RESP, a channel writes `POSTED` more words after a peripheral has
//!   withdrawn its DREQ.

mod channel;
mod regs;

use crate::bcm2835::ticks::{NEVER, Tick};
pub(crate) use channel::{Channel, ControlBlock, Phase};

/// The number of channels that the model has.
const CHANNELS: u8 = 15;

#[derive(Debug)]
pub(crate) struct Dma {
    channels: [Channel; CHANNELS as usize],
    enable: u16,
    /// The channels with a fetch or access in flight, one bit each.
    timed: u16,
    /// The channels that wait for DREQ.
    parked: u16,
    /// The channels with INT set.
    ints: u16,
}

impl Dma {
    pub(crate) const fn new() -> Self {
        const FULL: Channel = Channel::new(false);
        const LITE: Channel = Channel::new(true);
        Self {
            channels: [
                FULL, FULL, FULL, FULL, FULL, FULL, FULL, LITE, LITE, LITE, LITE, LITE, LITE, LITE,
                LITE,
            ],
            enable: 0x7fff,
            timed: 0,
            parked: 0,
            ints: 0,
        }
    }

    pub(crate) const fn interrupts(&self) -> u16 {
        self.ints
    }

    pub(crate) const fn parked(&self) -> Bits {
        Bits(self.parked)
    }

    pub(crate) const fn busy(&self) -> Bits {
        Bits(self.parked | self.timed)
    }

    pub(crate) fn channel(&self, n: u8) -> Option<&Channel> {
        self.channels.get(usize::from(n))
    }

    /// Changes a channel, and updates the sets of channels above.
    pub(crate) fn change(&mut self, n: u8, change: impl FnOnce(&mut Channel)) {
        let Some(channel) = self.channels.get_mut(usize::from(n)) else {
            return;
        };
        change(channel);
        let bit = 1 << n;
        let set = |mask: u16, on: bool| if on { mask | bit } else { mask & !bit };
        self.timed = set(self.timed, channel.at != NEVER);
        self.parked = set(self.parked, channel.phase == Phase::Parked);
        self.ints = set(self.ints, channel.interrupts());
    }

    /// The channel whose fetch or access ends first, and that date. Ignores channel `except`.
    pub(crate) fn earliest(&self, except: Option<u8>) -> (u8, Tick) {
        let skipped = except.map_or(0, |n| 1u16 << (n & 15));
        let mut first = (0, NEVER);
        for n in Bits(self.timed & !skipped) {
            match self.channel(n) {
                Some(channel) if channel.at < first.1 => first = (n, channel.at),
                _ => {}
            }
        }
        first
    }

    pub(crate) fn read(&self, offset: u32, dreq: impl FnOnce(&Channel) -> bool) -> u32 {
        match offset {
            regs::INT_STATUS => self.ints.into(),
            regs::ENABLE => self.enable.into(),
            _ => match self.channel(channel_of(offset)) {
                Some(channel) => channel.read(offset & 0xff, dreq(channel)),
                None => 0,
            },
        }
    }

    pub(crate) fn write(
        &mut self,
        t: Tick,
        offset: u32,
        value: u32,
        dreq: impl FnOnce(&Channel) -> bool,
    ) {
        if offset == regs::ENABLE {
            self.enable = (value & 0x7fff) as u16;
            for n in Bits(!self.enable & 0x7fff) {
                self.change(n, Channel::pause);
            }
            return;
        }
        let n = channel_of(offset);
        let enabled = self.enable & 1u16.wrapping_shl(n.into()) != 0;
        self.change(n, |channel| {
            let dreq = dreq(channel);
            channel.write(t, offset & 0xff, value, enabled, dreq);
        });
    }
}

/// The channel whose registers include `offset`; 15, which is no channel, if there is none.
fn channel_of(offset: u32) -> u8 {
    u8::try_from(offset >> 8).unwrap_or(CHANNELS)
}

/// The numbers of the bits that are set, lowest first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bits(u16);

impl Bits {
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Iterator for Bits {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if self.0 == 0 {
            return None;
        }
        let lowest = self.0.trailing_zeros();
        self.0 &= self.0.wrapping_sub(1);
        u8::try_from(lowest).ok()
    }
}
