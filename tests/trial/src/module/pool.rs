// SPDX-License-Identifier: GPL-2.0-only

//! Pools: a timer's handler sends blocks to a thread of the out-of-band stage, and an in-band
//! thread takes some, too.

use super::support::{Cell, ETIMEDOUT, compute};
use crate::services::{POOL_SHARED, Shared};
use kernel::alloc::KArc;
use kernel::error::{Result, code};
use kernel::time::{HardTimer, TimerHandler, sleep_us};
use kernel::uaccess::UserPtr;
use oob::kernel_core::{Monotonic, Pool, Running, Thread, pool};
use oob::stage::{Inband, Oob};
use oob::time::{Clock, Ns};

const PERIOD: Ns = Ns(200_000);
/// How often the in-band thread has a block, at least.
const HOLDS: u32 = 20;
/// For all calls of the longest scene.
const PATIENCE: Ns = Ns(120_000_000_000);

/// What a block holds that was sent: a number, and the same in every byte behind it.
const NUMBER: usize = size_of::<u32>();

struct Scene {
    pool: Pool,
    calls: Cell,
    sent: Cell,
    received: Cell,
    exhausted: Cell,
    spoilt: Cell,
}

impl Scene {
    /// How much of the block with this number counts.
    fn len(&self, number: u32) -> usize {
        let most = self.pool.size().saturating_sub(NUMBER);
        let more = (number as usize).checked_rem(most.wrapping_add(1));
        NUMBER.saturating_add(more.unwrap_or(0))
    }

    /// In hard interrupt context.
    fn send(&self, number: u32) {
        let Ok(mut block) = self.pool.take() else {
            return self.exhausted.add();
        };
        let [low, ..] = number.to_le_bytes();
        block.fill(low);
        if let Some(room) = block.get_mut(..NUMBER) {
            room.copy_from_slice(&number.to_le_bytes());
        }
        // Before it is there: no more can be received than were sent.
        self.sent.add();
        block.send(self.len(number));
    }

    /// Looks at what was sent, the next after `last`, if there is something.
    fn receive(&self, last: &mut u32) -> bool {
        let Some((mut block, len)) = self.pool.receive() else {
            return false;
        };
        self.received.add();
        let number = block
            .first_chunk()
            .map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let [low, ..] = number.to_le_bytes();
        let rest = block.get(NUMBER..).unwrap_or_default();
        if number <= *last || len != self.len(number) || rest.iter().any(|byte| *byte != low) {
            self.spoilt.add();
        }
        *last = number;
        self.hold(&mut block, !low, || compute(Ns(20_000)));
        true
    }

    /// Takes a block now and then, [`HOLDS`] times at least and until the handler was called so
    /// often.
    fn take_part(&self, inband: &Inband<'_>, calls: u32) -> Result {
        let held = Cell::default();
        let end = Monotonic.now().after(PATIENCE);
        while self.calls.get() < calls || held.get() < HOLDS {
            if Monotonic.now() > end {
                return Err(ETIMEDOUT);
            }
            if let Ok(mut block) = self.pool.take() {
                self.hold(&mut block, 0x55, || sleep_us(inband, 200, 400));
                held.add();
            }
            // The others want one, too.
            sleep_us(inband, 400, 800);
        }
        Ok(())
    }

    /// Has the block for a while.
    fn hold(&self, block: &mut [u8], byte: u8, pass: impl FnOnce()) {
        block.fill(byte);
        pass();
        if block.iter().any(|is| *is != byte) {
            self.spoilt.add();
        }
    }
}

struct Sender(KArc<Scene>);

impl TimerHandler for Sender {
    fn expired(&self, _missed: u64) {
        let scene = &self.0;
        scene.calls.add();
        scene.send(scene.calls.get());
    }
}

pub(super) fn ioctl(inband: &Inband<'_>, command: u32, argument: UserPtr) -> Result<i32> {
    if command != POOL_SHARED {
        return Err(code::ENOTTY);
    }
    let args: Shared = argument.read(inband)?;
    let scene = Scene {
        pool: pool(inband, args.count, args.size as usize)?,
        calls: Cell::default(),
        sent: Cell::default(),
        received: Cell::default(),
        exhausted: Cell::default(),
        spoilt: Cell::default(),
    };
    let scene = KArc::new(inband, scene)?;
    let timer = HardTimer::new(inband, Sender(scene.clone()))?;
    let of_thread = scene.clone();
    let body = move |oob: &Oob<'_>, me: &Running| {
        let mut last = 0;
        while !me.should_stop() {
            while of_thread.receive(&mut last) {}
            let _ = me.sleep_until(oob, Monotonic.now().after(PERIOD));
        }
        // Nothing is sent any more.
        while of_thread.receive(&mut last) {}
    };
    let thread = Thread::run(inband, c"oob-trial-pool", 10, None, body)?;
    timer.start(Monotonic.now().after(PERIOD).0, PERIOD.0);
    let took_part = scene.take_part(inband, args.calls);
    timer.cancel(inband);
    thread.stop(inband);
    took_part?;
    let blocks = Cell::default();
    while let Ok(block) = scene.pool.take() {
        blocks.add();
        // For good: the pool goes, too.
        core::mem::forget(block);
    }
    let shared = Shared {
        sent: scene.sent.get(),
        received: scene.received.get(),
        exhausted: scene.exhausted.get(),
        spoilt: scene.spoilt.get(),
        blocks: blocks.get(),
        ..args
    };
    argument.write(inband, &shared).map(|()| 0)
}
