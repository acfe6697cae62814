// SPDX-License-Identifier: GPL-2.0-only

//! The stage lock's pairs, and hand-overs from thread to thread.
//!
//! ```text
//!   HOLD (lower priority)                     TAKE (higher priority, same processor)
//!     takes                                     sleeps for its turn
//!     gives the turn ------- preempted --->     no stamp yet; wants the lock, sleeps
//!     stamp, releases ------ preempted --->     has it: stamp
//! ```

use super::Timed;
use super::peers::Peers;
use crate::bench as abi;
use crate::module::support::{Lines, lines};
use core::hint::black_box;
use core::sync::atomic::{AtomicU64, Ordering};
use kernel::bindings;
use kernel::error::{Result, code};
use kernel::time::cycles;
use oob::kernel_core::{Monitor, Tasks, monitor_lock};
use oob::stage::{Inband, MayWait};
use oob::time::Instant;
use stax::{LockError, Sleep, Stage, Stax};

pub(super) struct Locks {
    stax: Stax<u32, Lines>,
    is_turn: Monitor<bool>,
    stamp: AtomicU64,
}

impl Locks {
    pub(super) fn new(inband: &Inband<'_>) -> Result<Self> {
        Ok(Self {
            stax: Stax::new(0, lines(inband)?),
            is_turn: Monitor::new(monitor_lock(inband, false)?),
            stamp: AtomicU64::new(0),
        })
    }

    /// What a command took; `None` where it is none of these. `EBUSY` where a wait was cut short.
    pub(super) fn round<S: Stage + MayWait>(
        &self,
        stage: &S,
        peers: &Peers,
        command: u32,
        times: u32,
    ) -> Result<Option<u64>>
    where
        Lines: Sleep<S>,
    {
        let took = match command {
            abi::PAIR_NOTHING => Ok(nothing(times)),
            abi::PAIR_STAX => self.pairs(stage, times),
            abi::PAIR_STAX_SHARED => self.shared(stage, times),
            abi::HOLD_STAX => self.hold(stage),
            abi::TAKE_STAX => {
                self.await_turn(stage)?;
                self.take(stage)
            }
            abi::HOLD_MUTEX => {
                peers.hold_mutex();
                self.give_turn();
                peers.pass_mutex();
                Ok(0)
            }
            abi::TAKE_MUTEX => {
                self.await_turn(stage)?;
                Ok(peers.take_mutex())
            }
            abi::HOLD_RWSEM => {
                peers.hold_rwsem();
                self.give_turn();
                peers.pass_rwsem();
                Ok(0)
            }
            abi::TAKE_RWSEM => {
                self.await_turn(stage)?;
                Ok(peers.take_rwsem())
            }
            _ => return Ok(None),
        };
        took.map(Some).map_err(|_| code::EBUSY)
    }

    fn pairs<S: Stage>(&self, stage: &S, times: u32) -> Timed<LockError>
    where
        Lines: Sleep<S>,
    {
        let begin = cycles();
        for _ in 0..times {
            let guard = self.stax.lock(stage)?;
            black_box(&*guard);
        }
        Ok(cycles().wrapping_sub(begin))
    }

    /// The same while the stage is inside. A thread that is inside should not lock once more; nobody waits here, so it can.
    fn shared<S: Stage>(&self, stage: &S, times: u32) -> Timed<LockError>
    where
        Lines: Sleep<S>,
    {
        let _guard = self.stax.lock(stage)?;
        self.pairs(stage, times)
    }

    fn hold<S: Stage>(&self, stage: &S) -> Timed<LockError>
    where
        Lines: Sleep<S>,
    {
        let guard = self.stax.lock(stage)?;
        self.give_turn();
        self.stamp.store(cycles(), Ordering::Relaxed);
        drop(guard);
        Ok(0)
    }

    fn take<S: Stage>(&self, stage: &S) -> Timed<LockError>
    where
        Lines: Sleep<S>,
    {
        self.stamp.store(0, Ordering::Relaxed);
        let guard = self.stax.lock(stage)?;
        let end = cycles();
        drop(guard);
        Ok(match self.stamp.load(Ordering::Relaxed) {
            0 => 0,
            begin => end.wrapping_sub(begin),
        })
    }

    fn give_turn(&self) {
        self.is_turn
            .update_and_wake_all(&Tasks, |is_turn| *is_turn = true);
        // Where the kernel does not preempt itself, the one that was woken runs no sooner.
        // SAFETY: task context, and no lock is held that does not sleep.
        unsafe { bindings::schedule() };
    }

    fn await_turn(&self, stage: &impl MayWait) -> Result {
        let is_mine = |is_turn: &mut bool| core::mem::take(is_turn).then_some(());
        let turn = self
            .is_turn
            .wait_until(stage, &Tasks, Instant::NEVER, is_mine);
        turn.map_err(|_| code::EBUSY)
    }
}

/// What is in all of these figures, and no part of what they stand for.
fn nothing(times: u32) -> u64 {
    let begin = cycles();
    for _ in 0..times {
        black_box(());
    }
    cycles().wrapping_sub(begin)
}
