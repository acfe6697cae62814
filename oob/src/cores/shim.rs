// SPDX-License-Identifier: GPL-2.0-only

//! The shim core: the stage of a kernel without EVL.
//!
//! | service | by |
//! | --- | --- |
//! | thread | a `SCHED_FIFO` task that attached itself; `oob_shim.ko` keeps the list |
//! | monitor, semaphore | [`crate::monitor`] over a raw spinlock: waiters by priority, woken by `wake_up_process` |
//! | flag | [`crate::latch`] over `wake_up_process`, and an hrtimer for the deadline; a wait schedules once |
//! | mutex | [`crate::mutex`] over `rt_mutex` |
//! | kernel thread | a kthread, `SCHED_FIFO` |
//! | work | [`crate::work`] over an unbound workqueue, see `kernel_core/work.rs` |
//! | timer | an hrtimer in hard mode |

mod entry;
mod flag;
mod monitor;
mod mutex;
mod tasks;
mod thread;

pub use entry::with_oob;
pub use flag::TaskFlag;
pub use monitor::{Monitor, Semaphore};
pub use mutex::{Mutex, MutexGuard, RtMutex};
pub use tasks::Tasks;
pub use thread::{Running, Thread};
