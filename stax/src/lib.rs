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
//!            backend.rs                how a stage sleeps and is woken: supplied by the core
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
#![cfg_attr(not(any(test, loom)), no_std)]

pub mod backend;
pub mod gate;
mod lock;
pub mod queue;
pub mod stage;
mod sync;

pub use backend::{Backend, End, Sleep, spin};
pub use lock::{Guard, LockError, NestError, Stax, TryLockError};
pub use stage::{Atomic, Side, Stage};
