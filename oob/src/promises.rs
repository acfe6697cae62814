// SPDX-License-Identifier: GPL-2.0-only

//! What the stage's types do not let compile: a list of promises, each with the right form beside
//! the wrong one.
//!
//! `cargo test` compiles each example on the host core, whose services have the signatures of the
//! kernel cores. Of each pair the right form must compile and run. The wrong form contains only the
//! mistake and must not compile; `cargo xtask test` checks that it fails with the named error. The
//! documentation of `stax` has the promises of the stage lock's guards.
//! `kernel/examples/promises.rs` has the in-band services of kernel modules.
//!
//! # 1. A driver cannot create a token
//!
//! A core gives out the token where it is true:
//!
//! ```
//! # let host = oob::host::Host::new();
//! let inband = host.inband();
//! # let _ = inband;
//! ```
//!
//! ```compile_fail,E0423
//! # let host = oob::host::Host::new();
//! let inband = oob::stage::Inband(std::marker::PhantomData);
//! # let _ = inband;
//! ```
//!
//! # 2. Stating a stage is unsafe
//!
//! ```
//! // SAFETY: this process has one thread, which may wait here.
//! let inband = unsafe { oob::stage::Inband::assume() };
//! # let _ = inband;
//! ```
//!
//! ```compile_fail,E0133
//! let inband = oob::stage::Inband::assume();
//! # let _ = inband;
//! ```
//!
//! # 3. A token is borrowed, not copied
//!
//! ```
//! # use oob::stage::Oob;
//! fn wait(oob: &Oob<'_>) {
//!     let mine = oob;
//! #   let _ = mine;
//! }
//! ```
//!
//! ```compile_fail,E0507
//! # use oob::stage::Oob;
//! fn wait(oob: &Oob<'_>) {
//!     let mine = *oob;
//! #   let _ = mine;
//! }
//! ```
//!
//! # 4. A token stays in its thread
//!
//! ```
//! # let host = oob::host::Host::new();
//! let oob = host.oob();
//! let here = || drop(&oob);
//! here();
//! ```
//!
//! ```compile_fail,E0277
//! # let host = oob::host::Host::new();
//! let oob = host.oob();
//! let elsewhere = || drop(&oob);
//! std::thread::scope(|scope| {
//!     scope.spawn(elsewhere);
//! });
//! ```
//!
//! # 5. A token does not outlive its call
//!
//! ```
//! # use oob::{host::*, stage::Oob};
//! # let host = Host::new();
//! let mut seen: Vec<String> = Vec::new();
//! let mut call = |oob: &Oob<'_>| seen.push(format!("{oob:?}"));
//! call(&host.oob());
//! ```
//!
//! ```compile_fail,E0521
//! # use oob::{host::*, stage::Oob};
//! # let host = Host::new();
//! let mut seen: Vec<&Oob<'_>> = Vec::new();
//! let mut call = |oob: &Oob<'_>| seen.push(oob);
//! call(&host.oob());
//! ```
//!
//! # 6. Oob code cannot call in-band services
//!
//! There are many of them: see [`inband_only`].
//!
//! # 7. In-band code cannot call oob services
//!
//! In-band code must not take part in such waits, because oob threads would then wait for it:
//!
//! ```
//! # use oob::{host::*, stage::*, time::Instant, wait::*};
//! fn exchange(host: &Host, sem: &Semaphore, oob: &Oob<'_>, by: Instant) -> Result<(), WaitError> {
//!     sem.down_until(oob, host, by)
//! }
//! ```
//!
//! ```compile_fail,E0308
//! # use oob::{host::*, stage::*, time::Instant, wait::*};
//! fn set_up(host: &Host, sem: &Semaphore, inband: &Inband<'_>, by: Instant) -> Result<(), WaitError> {
//!     sem.down_until(inband, host, by)
//! }
//! ```
//!
//! ```
//! # use oob::{host::*, stage::*, time::Instant, wait::*};
//! fn exchange(flag: &impl Flag, oob: &Oob<'_>, by: Instant) -> Result<(), WaitError> {
//!     flag.wait_until(oob, by)
//! }
//! ```
//!
//! ```compile_fail,E0308
//! # use oob::{host::*, stage::*, time::Instant, wait::*};
//! fn set_up(flag: &impl Flag, inband: &Inband<'_>, by: Instant) -> Result<(), WaitError> {
//!     flag.wait_until(inband, by)
//! }
//! ```
//!
//! The owner of a mutex inherits the priority of oob threads, which an in-band thread cannot use:
//!
//! ```
//! # use oob::{host::*, stage::*};
//! fn exchange(mutex: &Mutex<u32>, oob: &Oob<'_>) {
//!     *mutex.lock(oob).unwrap() += 1;
//! }
//! ```
//!
//! ```compile_fail,E0308
//! # use oob::{host::*, stage::*};
//! fn set_up(mutex: &Mutex<u32>, inband: &Inband<'_>) {
//!     *mutex.lock(inband).unwrap() += 1;
//! }
//! ```
//!
//! In-band code flushes work. Only oob code waits for a single run:
//!
//! ```compile_fail,E0308
//! # use oob::{host::*, stage::*, time::*, wait::WaitError};
//! fn set_up(work: &Work, inband: &Inband<'_>, by: Instant) -> Result<i32, WaitError> {
//!     work.call_and_wait(inband, by)
//! }
//! ```
//!
//! # 8. A handler cannot wait
//!
//! It gets no token and cannot capture one. It may call what any context may call:
//!
//! ```
//! # use oob::{host::*, stage::*, time::*};
//! # use std::rc::Rc;
//! fn on_tick(host: &Host, inband: &Inband<'_>, oob: &Oob<'_>, sem: Rc<Semaphore>) -> HostTimer {
//!     let machine = host.clone();
//!     host.timer(inband, move |_missed| {
//!         let _ = sem.up(&machine);
//!     })
//! }
//! ```
//!
//! ```compile_fail,E0521
//! # use oob::{host::*, stage::*, time::*};
//! # use std::rc::Rc;
//! fn on_tick(host: &Host, inband: &Inband<'_>, oob: &Oob<'_>, sem: Rc<Semaphore>) -> HostTimer {
//!     let machine = host.clone();
//!     host.timer(inband, move |_missed| {
//!         let _ = sem.down_until(oob, &machine, Instant::NEVER);
//!     })
//! }
//! ```
//!
//! The in-band part of an interrupt gets the in-band token; the oob part gets none:
//!
//! ```
//! # use oob::{host::*, stage::*};
//! # use std::rc::Rc;
//! struct Line(Rc<Work>);
//!
//! impl Handler for Line {
//!     fn handle(&self) -> Handled {
//!         self.0.call();
//!         Handled::Forward
//!     }
//!
//!     fn inband(&self, inband: &Inband<'_>) {
//!         self.0.flush(inband);
//!     }
//! }
//! ```
//!
//! ```compile_fail,E0050
//! # use oob::{host::*, stage::*};
//! # use std::rc::Rc;
//! struct Line(Rc<Work>);
//!
//! impl Handler for Line {
//!     fn handle(&self, inband: &Inband<'_>) -> Handled {
//!         self.0.flush(inband);
//!         Handled::Yes
//!     }
//! }
//! ```
//!
//! # 9. Only a thread with a token can wait
//!
//! A monitor accepts the tokens of both stages and nothing else:
//!
//! ```
//! # use oob::{host::*, stage::*, time::Instant, wait::WaitError};
//! fn wait(host: &Host, line: &Monitor<u32>, stage: &impl MayWait) -> Result<u32, WaitError> {
//!     line.wait_until(stage, host, Instant::NEVER, |n| (*n > 0).then_some(*n))
//! }
//! ```
//!
//! ```compile_fail,E0277
//! # use oob::{host::*, stage::*, time::Instant, wait::WaitError};
//! fn wait(host: &Host, line: &Monitor<u32>, stage: &()) -> Result<u32, WaitError> {
//!     line.wait_until(stage, host, Instant::NEVER, |n| (*n > 0).then_some(*n))
//! }
//! ```
//!
//! # 10. A thread of one stage gets no token of the other
//!
//! ```
//! # use oob::{host::*, stage::*};
//! # let host = Host::new();
//! let in_a_call = |oob: &Oob<'_>| { let _ = oob; };
//! let body = move |oob: &Oob<'_>, _: &Running<'_>| in_a_call(oob);
//! Thread::run(&host, &host.inband(), c"loop", 50, body).unwrap();
//! ```
//!
//! ```compile_fail,E0631
//! # use oob::{host::*, stage::*};
//! # let host = Host::new();
//! let in_a_call = |inband: &Inband<'_>| { let _ = inband; };
//! let body = move |inband: &Inband<'_>, _: &Running<'_>| in_a_call(inband);
//! Thread::run(&host, &host.inband(), c"loop", 50, body).unwrap();
//! ```
//!
//! Work gets the in-band token, whichever context calls it:
//!
//! ```
//! # use oob::{host::*, stage::*};
//! # let host = Host::new();
//! let work = Work::new(&host, &host.inband(), |_: &Inband<'_>| 0);
//! # let _ = work;
//! ```
//!
//! ```compile_fail,E0631
//! # use oob::{host::*, stage::*};
//! # let host = Host::new();
//! let work = Work::new(&host, &host.inband(), |_: &Oob<'_>| 0);
//! # let _ = work;
//! ```
//!
//! # 11. The thread that takes a lock releases it, on its stage
//!
//! The guard of a mutex ends before the call does:
//!
//! ```
//! # use oob::{host::*, stage::Oob};
//! # let host = Host::new();
//! # let mutex = Mutex::new(&host, &host.inband(), 1);
//! let mut seen = Vec::new();
//! let mut call = |oob: &Oob<'_>| seen.push(*mutex.lock(oob).unwrap());
//! call(&host.oob());
//! ```
//!
//! ```compile_fail,E0521
//! # use oob::{host::*, stage::Oob};
//! # let host = Host::new();
//! # let mutex = Mutex::new(&host, &host.inband(), 1);
//! let mut seen = Vec::new();
//! let mut call = |oob: &Oob<'_>| seen.push(mutex.lock(oob).unwrap());
//! call(&host.oob());
//! ```
//!
//! and cannot be sent to another thread (nor can the stage lock's, see `stax`):
//!
//! ```
//! # use oob::{mutex::*, stage::Oob};
//! fn update<R: RawMutex + Sync>(mutex: &Mutex<u32, R>, oob: &Oob<'_>) {
//!     let mut guard = mutex.lock(oob).unwrap();
//!     let mut here = move || *guard += 1;
//!     here();
//! }
//! ```
//!
//! ```compile_fail,E0277
//! # use oob::{mutex::*, stage::Oob};
//! fn update<R: RawMutex + Sync>(mutex: &Mutex<u32, R>, oob: &Oob<'_>) {
//!     let mut guard = mutex.lock(oob).unwrap();
//!     let elsewhere = move || *guard += 1;
//!     std::thread::scope(|scope| {
//!         scope.spawn(elsewhere);
//!     });
//! }
//! ```

pub mod inband_only;
