// SPDX-License-Identifier: GPL-2.0-only

//! The host core: a machine of two stages in a plain process, under virtual time.
//!
//! ```text
//!   oob threads, priorities 1..=98  \                          seed --> trace.rs: every choice, and the trace
//!   in-band threads                  }--- each a coroutine ---> engine.rs: which thread runs, what falls due, by date
//!   the test itself, from outside   /                            |       |          |
//!                                             Device::advance <--'    timers,    interference.rs: bursts, stalls,
//!                                                                     interrupts  interrupts-off sections in-band
//!
//!   machine.rs   the machine: clock, devices, tokens
//!   stages.rs, sim_thread.rs   its state; all the other files act on it
//! ```
//!
//! Nothing here reads the machine's real clock, and one thread at a time runs. So a run is the same
//! every time for one seed, and another run for another seed. Rules:
//! - time moves only while a thread computes ([`Clock::relax`](crate::time::Clock::relax),
//!   [`Host::compute`], [`Host::elapse`]) or all threads sleep. Code between two services takes no
//!   time, so a loop that polls without `Clock::relax` hangs;
//! - at every service the thread may lose the processor: to a thread of higher rank, to an
//!   interrupt, and in-band to any other in-band thread, as the seed chooses. Nothing happens
//!   between two services;
//! - an oob thread outranks everything in-band. Among oob threads the higher priority runs, then
//!   the thread that was ready first;
//! - handlers run with interrupts off and never wait. The same holds for the holder of a
//!   [`HostLock`];
//! - the test is not part of the machine: while the test waits the machine runs, and while the
//!   machine runs the test does not.
//!
//! The machine does not simulate the order of single memory accesses. Loom checks that order, and
//! the stage lock's search tries every order of its steps.

mod engine;
mod flag;
mod interference;
mod interrupt;
mod machine;
mod mutex;
mod park;
mod poll;
mod relay;
mod scheduling;
mod sim_thread;
mod stages;
mod thread;
mod timer;
mod trace;
mod work;

pub use crate::irq::{Handled, Handler};
pub use crate::mutex::LockError;
pub use engine::{Stuck, explore};
pub use flag::HostFlag;
pub use interrupt::Interrupt;
pub use machine::{Device, Host};
pub use mutex::{Inheriting, Mutex, MutexGuard};
pub use park::{HostLock, HostWaitQueue, Monitor, Semaphore};
pub use poll::{PollHead, poll};
pub use relay::{Pool, Relay};
pub use stages::Interference;
pub use thread::{RunError, Running, Task, Thread};
pub use timer::HostTimer;
pub use work::Work;

#[cfg(all(test, not(loom)))]
mod tests;
