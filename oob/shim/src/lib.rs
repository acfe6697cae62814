// SPDX-License-Identifier: GPL-2.0-only

//! The out-of-band stage on a mainline kernel: the set of its threads.
//!
//! ```text
//!  /dev/oob/ctl  --ATTACH, DETACH-->  AttachedThreads  <--look-up--  every exchange call
//!                                       ^  '------------------------>  debugfs: oob_shim/threads
//!  sched_process_exit tracepoint -------'   removes a thread that ends, however it ends
//! ```
//!
//! A thread inserts, removes and looks up only itself, so a look-up needs no lock.
#![cfg_attr(target_os = "none", no_std)]

#[cfg(feature = "module")]
mod module;
