// SPDX-License-Identifier: GPL-2.0-only

//! The device that times; see [`crate::bench`].
//!
//! ```text
//!   ioctl --+-- locks     the stage lock; hand-overs of any lock
//!           +-- services  flag, semaphore, timer of the kit
//!           '-- peers     mainline's, in C
//! ```
//!
//! Rules:
//! - nothing is between two stamps but what is timed, for the kit as for mainline;
//! - both take their stamps by the same function;
//! - what sleeps is done by one thread at a time, but for the two of a hand-over.

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

/// Makes the device's node.
pub(super) fn init(inband: &Inband<'_>) -> Result {
    let device = Registration::new(inband, b"oob-bench", b"oob/bench", ())?;
    DEVICE.store(
        KBox::into_raw(KBox::new(inband, device)?),
        Ordering::Relaxed,
    );
    Ok(())
}

/// Removes it.
pub(super) fn exit() {
    let device = DEVICE.swap(core::ptr::null_mut(), Ordering::Relaxed);
    // SAFETY: `init` put a box's pointer there, and this runs once, after a successful `init`.
    drop(unsafe { KBox::from_raw(device) });
}
