// SPDX-License-Identifier: GPL-2.0-only

//! The stage-exclusion lock: both stages share one device, one stage at a time.
//!
//! ```text
//!   oob threads       in-band threads
//!     |  |  |            |  |
//!     v  v  v            v  v          any number of threads of one stage inside, the other stage outside
//!   [ Stax<T> : one gate word ]------> &T
//!        |            |
//!      gate.rs      queue.rs           the transitions: pure, and explored by the search in tests/search
//!        '--- lock.rs ---'             the words in memory, the order of accesses, the guard
//!                |
//!            backend.rs                how a stage sleeps and is woken
//!                |
//!            sleeping.rs               both stages sleep, in wait queues of any core
//!                |
//!             cores/                   one constructor for each core
//! ```
//!
//! Rules:
//! - the lock excludes *stages*, not threads. It lends `&T`, and threads of one stage need a lock
//!   of their own among themselves;
//! - once a thread of the other stage waits, new callers wait behind it. A thread inside enters
//!   again by [`Guard::nest`], never by a second [`Stax::lock`]: that could wait for the thread
//!   that waits for it;
//! - the last exit hands the gate over; waiters do not compete for it. A thread that was granted
//!   entry is counted before it wakes;
//! - the caller that destroys the lock still owns its memory: see [`Stax::destroy`].
//!
//! `docs/stax.md` has the reasons. Drivers create a lock with the constructor of their core
//! ([`cores`]); `examples/mixer.rs` is a driver to copy.
//!
//! # Example
//!
//! ```
//! # mod host { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/host/mod.rs")); }
//! # use {host::*, oob::time::Clock, stax::*};
//! struct Mixer { /* registers, and all else that both stages use */ }
//!
//! let mixer = Stax::new(Mixer {}, Host::default());
//!
//! // In an out-of-band call: waits while in-band threads are inside, a millisecond at most.
//! let stage = oob();
//! let deadline = Monotonic.now().after(oob::time::Ns(1_000_000));
//! match mixer.lock_until(&stage, deadline) {
//!     Ok(guard) => {
//!         let _: &Mixer = &guard;
//!         let inner = guard.nest()?; // enters once more, even if threads wait
//!         drop(guard);
//!         drop(inner); // the stage leaves here
//!     }
//!     Err(error) => panic!("{error:?}"),
//! }
//!
//! // In an in-band call, and then when the device goes away.
//! drop(mixer.lock(&inband()));
//! mixer.destroy();
//! assert_eq!(mixer.lock(&inband()).map(drop), Err(LockError::Dead));
//! # Ok::<(), NestError>(())
//! ```
//!
//! # What does not compile
//!
//! A guard stays in its thread:
//!
//! ```compile_fail,E0277
//! # mod host { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/host/mod.rs")); }
//! # use {host::*, oob::time::Clock, stax::*};
//! let lock = Stax::new(0, Host::default());
//! let stage = oob();
//! let guard = lock.lock(&stage).unwrap();
//! std::thread::scope(|scope| {
//!     scope.spawn(move || drop(guard));
//! });
//! ```
//!
//! A guard does not outlive its lock:
//!
//! ```compile_fail,E0505
//! # mod host { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/host/mod.rs")); }
//! # use {host::*, oob::time::Clock, stax::*};
//! let lock = Stax::new(0, Host::default());
//! let stage = oob();
//! let guard = lock.lock(&stage).unwrap();
//! drop(lock);
//! drop(guard);
//! ```
//!
//! nor its token:
//!
//! ```compile_fail,E0597
//! # mod host { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/host/mod.rs")); }
//! # use {host::*, oob::time::Clock, stax::*};
//! let lock = Stax::new(0, Host::default());
//! let guard = {
//!     let stage = oob();
//!     lock.lock(&stage).unwrap()
//! };
//! drop(guard);
//! ```
//!
//! Threads of one stage share the value, so there is no `&mut`:
//!
//! ```compile_fail,E0594
//! # mod host { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/host/mod.rs")); }
//! # use {host::*, oob::time::Clock, stax::*};
//! let lock = Stax::new(0, Host::default());
//! let stage = oob();
//! let guard = lock.lock(&stage).unwrap();
//! *guard = 1;
//! ```
//!
//! and the value must be `Sync`:
//!
//! ```compile_fail,E0277
//! # mod host { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/host/mod.rs")); }
//! # use {host::*, oob::time::Clock, stax::*};
//! let lock = Stax::new(std::cell::Cell::new(0), Host::default());
//! std::thread::scope(|scope| {
//!     scope.spawn(|| drop(lock.try_lock(&oob())));
//! });
//! ```
//!
//! The guard's type names the stage:
//!
//! ```compile_fail,E0308
//! # mod host { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/host/mod.rs")); }
//! # use {host::*, oob::time::Clock, stax::*};
//! fn needs_oob(_: &Guard<'_, u32, oob::stage::Oob<'_>, Host>) {}
//! let lock = Stax::new(0, Host::default());
//! let stage = inband();
//! needs_oob(&lock.lock(&stage).unwrap());
//! ```
//!
//! A caller that cannot sleep cannot wait for a lock whose in-band side only sleeps (it may try):
//!
//! ```compile_fail,E0277
//! # mod host { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/host/mod.rs")); }
//! # use {host::*, oob::time::Clock, stax::*};
//! let lock = Stax::new(0, Host::default());
//! drop(lock.lock(&atomic()));
//! ```
//!
//! Only the tokens are stages:
//!
//! ```compile_fail,E0277
//! # mod host { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/host/mod.rs")); }
//! # use {host::*, oob::time::Clock, stax::*};
//! struct Irq;
//! let lock = Stax::new(0, Host::default());
//! drop(lock.try_lock(&Irq));
//! ```
#![cfg_attr(not(any(test, loom)), no_std)]

pub mod backend;
pub mod cores;
pub mod gate;
mod lock;
pub mod queue;
mod sleeping;
pub mod stage;
mod sync;

pub use backend::{Backend, End, Sleep, spin};
#[cfg(feature = "host")]
pub use cores::host;
#[cfg(target_os = "none")]
pub use cores::kernel_core::{KernelBackend, StageLock, kernel_backend, new};
pub use lock::{Guard, LockError, NestError, Stax, TryLockError};
pub use sleeping::SleepingBackend;
pub use stage::{Atomic, Side, Stage};
