// SPDX-License-Identifier: GPL-2.0-only

//! The DMA controller's channels 0 to 14. Channel 15 lies in a block of its own and belongs to the firmware.
//!
//! ```text
//!            ACTIVE, CONBLK_AD != 0          loaded            DREQ, or unpaced
//!    Empty -------------------------> Fetch --------> Parked <=================> Move --+ one word, or a batch
//!      ^                                ^                \                      /  ^    |
//!      |  NEXTCONBK = 0                 | NEXTCONBK       +--> Paused (ACTIVE=0)   +----+
//!      +--------------------------------+------------- end of the control block
//!                                                      bus error: Failed, until RESET or ABORT
//! ```
//!
//! This file keeps the state; the board moves the data, for it alone knows both ends. Source: "BCM2835 ARM
//! Peripherals", chapter 4. Where it is silent:
//! - times, in core clocks: 40 to fetch a control block; a word of a peripheral 24 (lite 48); from memory to memory
//!   8 a word (lite 16), which at 250 MHz is 125 MB/s; WAITS adds to each. Channels do not slow each other down;
//! - a bus error at either end sets READ_ERROR, for there is no bit for writes; the channel stops without INT;
//! - access width and burst length have no effect;
//! - without WAIT_RESP, [`POSTED`] more words are written after a peripheral has withdrawn its DREQ.

mod channel;
mod regs;

use crate::bcm2835::ticks::{NEVER, Tick};
pub(crate) use channel::{Channel, ControlBlock, Phase};

/// Channels of the block.
const CHANNELS: u8 = 15;

#[derive(Debug)]
pub(crate) struct Dma {
    channels: [Channel; CHANNELS as usize],
    enable: u16,
    /// Channels with something in flight.
    timed: u16,
    /// Channels that wait for DREQ.
    parked: u16,
    /// Channels with INT set.
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

    /// Changes a channel, and what is known of all of them with it.
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

    /// The channel, other than `but`, whose access ends first, and when.
    pub(crate) fn earliest(&self, but: Option<u8>) -> (u8, Tick) {
        let skipped = but.map_or(0, |n| 1u16 << (n & 15));
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

/// Which channel's window an offset lies in; 15 (no channel) where in none.
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
