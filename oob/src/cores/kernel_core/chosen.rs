// SPDX-License-Identifier: GPL-2.0-only

//! The core of the target kernel.

#[cfg(oob_core_evl)]
pub(super) use crate::cores::evl::Waiter;
#[cfg(oob_core_evl)]
pub use crate::cores::evl::{
    Monitor, Mutex, MutexGuard, Running, Semaphore, TaskFlag, Tasks, Thread, with_oob,
};
#[cfg(not(oob_core_evl))]
pub(super) use crate::cores::shim::Tasks as Waiter;
#[cfg(not(oob_core_evl))]
pub use crate::cores::shim::{
    Monitor, Mutex, MutexGuard, Running, Semaphore, TaskFlag, Tasks, Thread, with_oob,
};
