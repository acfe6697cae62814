// SPDX-License-Identifier: GPL-2.0-only

//! The stage-exclusion lock: lets both stages share one device, one stage at a time.
//!
//! ```text
//!   oob threads       in-band threads
//!     |  |  |            |  |
//!     v  v  v            v  v          any number of one stage inside, the other kept out
//!   [ Stax<T> : one gate word ]------> &T
//!        |            |
//!      gate.rs      queue.rs           what every transition is: pure, and run by the search in tests/search
//!        '--- lock.rs ---'             the words in memory, the order of accesses, the guard
//!                |
//!            backend.rs                how a stage sleeps and is woken
//!                |
//!             sleeping.rs                 both sleep in lines of whichever core
//! ```
//!
//! Rules:
//! - the lock excludes *stages*, not threads: it lends `&T`, and what threads of one stage do to one another is theirs to
//!   settle;
//! - once a thread of the other stage waits, newcomers wait behind it; who is inside goes on by [`Guard::nest`], never by
//!   a second [`Stax::lock`], which could wait for the thread that waits for it;
//! - a phase of the gate is handed over, never left to be fought for: whoever was granted entry is counted already;
//! - whoever destroys the lock still owns its memory: see [`Stax::destroy`].
//!
//! The argument for all this is in `docs/stax.md`.
//!
//! # Example
//!
//! ```
//! # mod host { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/host/mod.rs")); }
//! # use {host::*, oob::time::Clock, stax::*};
//! struct Mixer { /* registers, and what else both stages use */ }
//!
//! let mixer = Stax::new(Mixer {}, Host::default());
//!
//! // In an out-of-band call: waits while in-band is inside, a millisecond at most.
//! let stage = oob();
//! let deadline = Monotonic.now().after(oob::time::Ns(1_000_000));
//! match mixer.lock_until(&stage, deadline) {
//!     Ok(guard) => {
//!         let _: &Mixer = &guard;
//!         let inner = guard.nest()?; // enters once more, whoever waits
//!         drop(guard);
//!         drop(inner); // the stage leaves here
//!     }
//!     Err(error) => panic!("{error:?}"),
//! }
//!
//! // In an in-band call, then at the end of the device.
//! drop(mixer.lock(&inband()));
//! mixer.destroy();
//! assert_eq!(mixer.lock(&inband()).map(drop), Err(LockError::Dead));
//! # Ok::<(), NestError>(())
//! ```
//!
//! # What does not compile
//!
//! A guard stays with its thread, which is a thread of its stage:
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
//! nor the time for which its stage is true:
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
//! The value is shared among threads of a stage, so there is no `&mut`:
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
//! and what is shared must bear it:
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
//! The stage is recorded in the guard's type:
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
//! A context that cannot sleep cannot wait for a lock whose in-band side sleeps (it may try):
//!
//! ```compile_fail,E0277
//! # mod host { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/host/mod.rs")); }
//! # use {host::*, oob::time::Clock, stax::*};
//! let lock = Stax::new(0, Host::default());
//! drop(lock.lock(&atomic()));
//! ```
//!
//! A stage is not made up:
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
pub mod gate;
mod lock;
pub mod queue;
mod sleeping;
pub mod stage;
mod sync;

pub use backend::{Backend, End, Sleep, spin};
pub use lock::{Guard, LockError, NestError, Stax, TryLockError};
pub use sleeping::SleepingBackend;
pub use stage::{Atomic, Side, Stage};
