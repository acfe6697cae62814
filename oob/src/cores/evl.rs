// SPDX-License-Identifier: GPL-2.0-only

//! The evl core: the stage of a kernel with EVL.
//!
//! | service | by |
//! | --- | --- |
//! | thread | an EVL thread; EVL lets no other thread make an out-of-band call |
//! | flag | `evl_flag`, raised latching |
//! | monitor, semaphore | [`crate::monitor`] over a hard spinlock; each waiter sleeps on an EVL flag of its own |
//! | mutex | [`crate::mutex`] over `evl_kmutex` |
//! | kernel thread | `evl_kthread`; the kit's stop mark and EVL's forced unblock stop it |
//! | work | [`crate::work`] over an unbound workqueue, see `kernel_core/work.rs` |
//! | timer | `evl_timer`; its handler runs in the out-of-band tick |
//!
//! A signal forces an EVL thread in-band out of any wait and keeps it there until it is back in
//! user space. A transfer that the thread has started must not end half done, so the thread goes on
//! waiting in-band and polls. It is then late, but returns at its deadline at the latest; without a
//! deadline it waits until it is killed.

mod entry;
mod flag;
mod monitor;
mod mutex;
mod thread;
mod wait;
mod waiter;

pub use entry::with_oob;
pub use flag::TaskFlag;
pub use monitor::{Monitor, Semaphore, Tasks};
pub use mutex::{Mutex, MutexGuard};
pub use thread::{Running, Thread};
pub(crate) use waiter::Waiter;
