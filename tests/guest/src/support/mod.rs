// SPDX-License-Identifier: GPL-2.0-only

//! The tools that the tests are written with.
//!
//! | file | for |
//! | --- | --- |
//! | `check.rs` | expecting success, an errno, or a condition that becomes true |
//! | `device.rs` | device nodes by bare system calls, so that a test can make bad calls |
//! | `mapping.rs` | mapped memory |
//! | `frames.rs` | a chip select in oob mode, with its frame buffer |
//! | `motor.rs` | the virtual board's motor, one frame at a time |
//! | `task.rs` | real-time threads, and processes that a test kills |
//! | `board.rs` | which board this is; its faults and counters; module parameters |
//! | `cpus.rs` | taking processors offline |
//! | `modules.rs` | loading, unloading, binding and unbinding |
//! | `program32.rs` | 32-bit programs |
//! | `evl_poll.rs` | the interface of EVL's poll |
//! | `fail_nth.rs` | allocations that fail on demand |
//! | `stage_lock.rs` | threads that use the stage lock |
//! | `tracefs.rs` | what the kernel did on behalf of one thread |
//! | `random.rs` | random numbers that are the same in every run |

pub(crate) mod board;
pub(crate) mod check;
pub(crate) mod cpus;
pub(crate) mod device;
pub(crate) mod evl_poll;
pub(crate) mod fail_nth;
pub(crate) mod frames;
pub(crate) mod mapping;
pub(crate) mod modules;
pub(crate) mod motor;
pub(crate) mod program32;
pub(crate) mod random;
pub(crate) mod stage_lock;
pub(crate) mod task;
pub(crate) mod tracefs;
