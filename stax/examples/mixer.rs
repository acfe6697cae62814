// SPDX-License-Identifier: GPL-2.0-only

//! A device that both stages use: the part of a driver that has the stage lock, to be copied.
//!
//! ```text
//!   out-of-band call --set_volume--> [ stage lock ] <--mute, shut_down-- in-band call
//!                                     Registers
//! ```
//!
//! The driver is generic over the backend, so the same code runs in a kernel and here, on the host
//! core. In a module it is built with `Mixer::new(stax::new(inband, Registers::default())?)`, whose
//! type is `Mixer<stax::KernelBackend>`.
//!
//! ```text
//! cargo run -p stax --features host --example mixer
//! ```

use oob::host::{Host, Task, Thread};
use oob::stage::{Inband, Oob};
use oob::time::{Clock, Instant, Ns};
use stax::{LockError, Sleep, Stax};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

/// What the lock protects. Threads of one stage are inside together, so they share it by `&`.
#[derive(Default)]
struct Registers {
    volume: AtomicU32,
}

struct Mixer<B> {
    registers: Stax<Registers, B>,
}

impl<B> Mixer<B>
where
    B: for<'a> Sleep<Oob<'a>> + for<'a> Sleep<Inband<'a>>,
{
    const fn new(registers: Stax<Registers, B>) -> Self {
        Self { registers }
    }

    /// In an out-of-band call: waits until `deadline` at the latest while in-band threads are
    /// inside.
    fn set_volume(&self, oob: &Oob<'_>, volume: u32, deadline: Instant) -> Result<(), LockError> {
        let registers = self.registers.lock_until(oob, deadline)?;
        registers.volume.store(volume, Ordering::Relaxed);
        Ok(())
    }

    /// In an in-band call: returns the former volume.
    fn mute(&self, inband: &Inband<'_>) -> Result<u32, LockError> {
        let registers = self.registers.lock(inband)?;
        Ok(registers.volume.swap(0, Ordering::Relaxed))
    }

    /// When the device goes away: all waiters, and all later callers, get [`LockError::Dead`].
    fn shut_down(&self) {
        self.registers.destroy();
    }
}

fn main() {
    let host = Host::new();
    let inband = host.inband();
    let lock = stax::host::new(&host, &inband, Registers::default());
    let mixer = Rc::new(Mixer::new(lock));

    let (machine, of_thread) = (host.clone(), mixer.clone());
    Thread::run(&host, &inband, c"player", 50, move |oob, _| {
        let deadline = machine.now().after(Ns(1_000_000));
        assert_eq!(of_thread.set_volume(oob, 7, deadline), Ok(()));
    })
    .expect("a valid priority");

    let of_task = mixer.clone();
    Task::run(&host, &inband, c"settings", move |inband, _| {
        println!("volume before: {:?}", of_task.mute(inband));
        of_task.shut_down();
        assert_eq!(of_task.mute(inband), Err(LockError::Dead));
    });
    host.finish(Instant(1_000_000_000))
        .expect("all threads end");
}
