// SPDX-License-Identifier: GPL-2.0-only

//! The out-of-band stage on a mainline kernel: which threads belong to it.
//!
//! ```text
//!  /dev/oob/ctl  --ATTACH, DETACH-->  Table  <--is it there?--  every exchange call
//!                                       ^  '------------------>  debugfs: oob_shim/threads
//!  sched_process_exit tracepoint -------'   a thread that ends leaves, however it ends
//! ```
//!
//! A thread enters and leaves the table by itself only, and only asks for itself: so looking up
//! needs no lock.
#![cfg_attr(target_os = "none", no_std)]

#[cfg(feature = "module")]
mod module;
