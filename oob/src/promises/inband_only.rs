// SPDX-License-Identifier: GPL-2.0-only

//! The sixth promise: oob code cannot call in-band services.
//!
//! The objects of the stage need memory, so only in-band code creates them. Any code that has one
//! may use it. A flag:
//!
//! ```
//! # use oob::{host::*, stage::*};
//! fn set_up(host: &Host, inband: &Inband<'_>) -> HostFlag {
//!     host.flag(inband)
//! }
//! ```
//!
//! ```compile_fail,E0308
//! # use oob::{host::*, stage::*};
//! fn exchange(host: &Host, oob: &Oob<'_>) -> HostFlag {
//!     host.flag(oob)
//! }
//! ```
//!
//! a monitor, and with it a semaphore:
//!
//! ```
//! # use oob::{host::*, stage::*};
//! fn set_up(host: &Host, inband: &Inband<'_>) -> (Monitor<u32>, Semaphore) {
//!     (host.monitor(inband, 7), host.semaphore(inband, 0))
//! }
//! ```
//!
//! ```compile_fail,E0308
//! # use oob::{host::*, stage::*};
//! fn exchange(host: &Host, oob: &Oob<'_>) -> Monitor<u32> {
//!     host.monitor(oob, 7)
//! }
//! ```
//!
//! a mutex:
//!
//! ```
//! # use oob::{host::*, stage::*};
//! fn set_up(host: &Host, inband: &Inband<'_>) -> Mutex<u32> {
//!     Mutex::new(host, inband, 7)
//! }
//! ```
//!
//! ```compile_fail,E0308
//! # use oob::{host::*, stage::*};
//! fn exchange(host: &Host, oob: &Oob<'_>) -> Mutex<u32> {
//!     Mutex::new(host, oob, 7)
//! }
//! ```
//!
//! the memory of a pool:
//!
//! ```
//! # use oob::{host::*, pool::BadSize, stage::*};
//! fn set_up(host: &Host, inband: &Inband<'_>) -> Result<Pool, BadSize> {
//!     host.pool(inband, 8, 64)
//! }
//! ```
//!
//! ```compile_fail,E0308
//! # use oob::{host::*, pool::BadSize, stage::*};
//! fn exchange(host: &Host, oob: &Oob<'_>) -> Result<Pool, BadSize> {
//!     host.pool(oob, 8, 64)
//! }
//! ```
//!
//! and a timer:
//!
//! ```
//! # use oob::{host::*, stage::*};
//! fn set_up(host: &Host, inband: &Inband<'_>) -> HostTimer {
//!     host.timer(inband, |_missed| ())
//! }
//! ```
//!
//! ```compile_fail,E0308
//! # use oob::{host::*, stage::*};
//! fn exchange(host: &Host, oob: &Oob<'_>) -> HostTimer {
//!     host.timer(oob, |_missed| ())
//! }
//! ```
//!
//! Any context starts a timer. Stopping it waits for its handler, so it is in-band only:
//!
//! ```
//! # use oob::{stage::*, time::*};
//! fn tear_down(timer: &impl Timer, inband: &Inband<'_>) {
//!     timer.stop(inband);
//! }
//! ```
//!
//! ```compile_fail,E0308
//! # use oob::{stage::*, time::*};
//! fn exchange(timer: &impl Timer, oob: &Oob<'_>) {
//!     timer.stop(oob);
//! }
//! ```
//!
//! Starting a thread allocates and sleeps:
//!
//! ```
//! # use oob::{host::*, stage::*};
//! fn set_up(host: &Host, inband: &Inband<'_>) -> Result<Thread, RunError> {
//!     Thread::run(host, inband, c"loop", 50, |_, _| {})
//! }
//! ```
//!
//! ```compile_fail,E0308
//! # use oob::{host::*, stage::*};
//! fn exchange(host: &Host, oob: &Oob<'_>) -> Result<Thread, RunError> {
//!     Thread::run(host, oob, c"loop", 50, |_, _| {})
//! }
//! ```
//!
//! Stopping a thread waits for its end:
//!
//! ```
//! # use oob::{host::*, stage::*};
//! fn tear_down(thread: Thread, inband: &Inband<'_>) {
//!     thread.stop(inband);
//! }
//! ```
//!
//! ```compile_fail,E0308
//! # use oob::{host::*, stage::*};
//! fn exchange(thread: Thread, oob: &Oob<'_>) {
//!     thread.stop(oob);
//! }
//! ```
//!
//! Cancelling and flushing work wait for its runs. Oob code waits for a single run with
//! [`call_and_wait`](crate::host::Work::call_and_wait):
//!
//! ```
//! # use oob::{host::*, stage::*, time::Instant, wait::WaitError};
//! fn set_up(work: &Work, inband: &Inband<'_>) {
//!     work.cancel(inband);
//!     work.flush(inband);
//! }
//! fn exchange(work: &Work, oob: &Oob<'_>, by: Instant) -> Result<i32, WaitError> {
//!     work.call_and_wait(oob, by)
//! }
//! ```
//!
//! ```compile_fail,E0308
//! # use oob::{host::*, stage::*};
//! fn exchange(work: &Work, oob: &Oob<'_>) {
//!     work.flush(oob);
//! }
//! ```
//!
//! ```compile_fail,E0308
//! # use oob::{host::*, stage::*};
//! fn exchange(work: &Work, oob: &Oob<'_>) {
//!     work.cancel(oob);
//! }
//! ```
//!
//! Requesting an interrupt allocates, too:
//!
//! ```
//! # use oob::{host::*, stage::*};
//! fn set_up<H: Handler>(host: &Host, inband: &Inband<'_>, handler: H) -> Interrupt<H> {
//!     Interrupt::new(host, inband, handler)
//! }
//! ```
//!
//! ```compile_fail,E0308
//! # use oob::{host::*, stage::*};
//! fn exchange<H: Handler>(host: &Host, oob: &Oob<'_>, handler: H) -> Interrupt<H> {
//!     Interrupt::new(host, oob, handler)
//! }
//! ```
