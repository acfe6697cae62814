// SPDX-License-Identifier: GPL-2.0-only

//! What the stage's types keep from compiling: a list of promises, each shown beside what it
//! allows.
//!
//! Every example is compiled by `cargo test`, on the host core, whose services have the signatures
//! of a kernel's. Of each pair the right one has to compile and run, and the wrong one, which
//! differs in the mistake alone, must not compile; that it fails with the very error named is
//! checked by `cargo xtask test`. What holds for the stage lock's guards stands in the
//! documentation of `stax`; every service of in-band's own that a kernel's modules have, in
//! `kernel/examples/promises.rs`.
//!
//! # 1. A token is not made up
//!
//! A core gives it, where it is true:
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
//! # 2. Whoever states a stage says why that is safe
//!
//! ```
//! // SAFETY: this process has no thread that waiting here could hold up.
//! let inband = unsafe { oob::stage::Inband::assume() };
//! # let _ = inband;
//! ```
//!
//! ```compile_fail,E0133
//! let inband = oob::stage::Inband::assume();
//! # let _ = inband;
//! ```
//!
//! # 3. A token is lent, not copied
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
//! # 5. A token ends with the call that it was made for
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
//! # 6. In-band services are not for oob code
//!
//! They are many: see [`inband_only`].
//!
//! # 7. Oob services are not for in-band code
//!
//! In-band would hold up nobody but itself, and so be waited for by those that it may not hold up:
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
//! A mutex' owner inherits the priority of oob threads, which an in-band one has no use for:
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
//! In-band code flushes work; only oob code waits for one run of it:
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
//! It gets no token, and one from outside does not reach into it. It may do what any context may:
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
//! An interrupt's in-band part has the in-band stage's token, and its oob part has none to hand on
//! to it:
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
//! # 9. Nothing but a thread's token lets one wait
//!
//! A monitor serves both stages, and nobody else:
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
//! # 10. A thread of one stage has no token of the other
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
//! and work has the in-band one, whoever calls it:
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
//! # 11. What is held is given back by the thread that holds it, on its stage
//!
//! A mutex' guard ends before the call does:
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
//! and is not sent away (nor is the stage lock's, see `stax`):
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
