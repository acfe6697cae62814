// SPDX-License-Identifier: GPL-2.0-only

//! The benchmark device; see [`crate::bench`].
//!
//! ```text
//!   ioctl --+-- locks     the stage lock; hand-overs of any lock
//!           +-- services  flag, semaphore, timer of the kit
//!           '-- peers     mainline's primitives, in C
//! ```
//!
//! Rules:
//! - only the timed operation lies between two stamps, for the kit and for mainline;
//! - both use the same function for the stamps;
//! - one thread at a time runs operations that sleep, except for the two threads of a hand-over.

mod locks;
mod peers;
mod services;

use super::support::with_oob;
use crate::bench::{CALL, DOWN, INBAND_CALL, Round, UP};
use core::sync::atomic::{AtomicPtr, Ordering};
use kernel::alloc::KBox;
use kernel::error::{Result, code};
use kernel::miscdevice::{File, Registration};
use kernel::sync::{LockClass, Mutex};
use kernel::uaccess::UserPtr;
use locks::Locks;
use oob::stage::Inband;
use peers::Peers;
use services::Services;

static DEVICE: AtomicPtr<Registration<Bench>> = AtomicPtr::new(core::ptr::null_mut());
static CLASS: LockClass = LockClass::new();

/// An open file.
struct Bench {
    locks: Locks,
    services: Services,
    peers: Peers,
    alone: Mutex<()>,
}

impl File for Bench {
    type Device = ();

    fn open(inband: &Inband<'_>, _device: &()) -> Result<Self> {
        Ok(Self {
            locks: Locks::new(inband)?,
            services: Services::new(inband)?,
            peers: Peers::new(inband)?,
            alone: Mutex::new(inband, (), c"oob bench", &CLASS)?,
        })
    }

    #[inline(always)]
    fn oob_ioctl(&self, command: u32, _argument: UserPtr) -> Option<Result<i32>> {
        let done = match command {
            UP => with_oob(|_| self.services.up()),
            DOWN => with_oob(|oob| self.services.down(oob)),
            CALL => with_oob(|_| Ok(0)),
            _ => return None,
        };
        Some(done.unwrap_or(Err(code::EPERM)))
    }

    fn ioctl(&self, inband: &Inband<'_>, command: u32, argument: UserPtr) -> Result<i32> {
        if command == INBAND_CALL {
            return Ok(0);
        }
        let mut round: Round = argument.read(inband)?;
        let (locks, peers) = (&self.locks, &self.peers);
        let took = with_oob(|oob| locks.round(oob, peers, command, round.times));
        let took = took.unwrap_or_else(|| locks.round(inband, peers, command, round.times));
        round.took = match took? {
            Some(took) => took,
            None => self.alone(inband, command, &round)?,
        };
        argument.write(inband, &round).map(|()| 0)
    }
}

impl Bench {
    fn alone(&self, inband: &Inband<'_>, command: u32, round: &Round) -> Result<u64> {
        let _alone = self.alone.lock(inband);
        if let Some(took) = self.peers.round(command, round) {
            return Ok(took);
        }
        let took = with_oob(|oob| self.services.round(oob, command, round));
        took.ok_or(code::EPERM)??.ok_or(code::ENOTTY)
    }
}

/// Creates the device's node.
pub(super) fn init(inband: &Inband<'_>) -> Result {
    let device = Registration::new(inband, b"oob-bench", b"oob/bench", ())?;
    DEVICE.store(
        KBox::into_raw(KBox::new(inband, device)?),
        Ordering::Relaxed,
    );
    Ok(())
}

/// Removes the node.
pub(super) fn exit() {
    let device = DEVICE.swap(core::ptr::null_mut(), Ordering::Relaxed);
    // SAFETY: `init` stored a box's pointer there, and the module calls this once, after a
    // successful `init`.
    drop(unsafe { KBox::from_raw(device) });
}
