// SPDX-License-Identifier: GPL-2.0-only

//! The stage in a kernel module: the core of the target kernel, and what both kernel cores share.
//!
//! ```text
//!   chosen.rs     with_oob, TaskFlag, Monitor, ...   of cores/evl (CONFIG_EVL) or cores/shim (any other kernel)
//!   the others    Monotonic, HardTimer, IoMem, Interrupt, Work, Pool, Relay   over crate kernel, which chooses clock, timer
//!                                                                             and queue
//! ```
//!
//! The kernel's configuration alone decides: the build sets `oob_core_evl` if the kernel has
//! `CONFIG_EVL`.

mod chosen;
pub(crate) mod clock;
mod interrupt;
mod io;
mod mapped;
mod monitor;
mod pool;
mod relay;
mod timer;
mod work;

pub use chosen::{
    Monitor, Mutex, MutexGuard, Running, Semaphore, TaskFlag, Tasks, Thread, with_oob,
};
pub use clock::Monotonic;
pub use interrupt::Interrupt;
pub use mapped::{MakeError, MappedBuffers, Place};
pub use monitor::monitor_lock;
pub use pool::{Pool, pool};
pub use relay::Relay;
pub use work::Work;
