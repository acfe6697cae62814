// SPDX-License-Identifier: GPL-2.0-only

//! Threads of both stages: starting, signalling, stopping and joining them.

use super::machine::Host;
use super::sim_thread::{Class, SimThread};
use super::work::Undisturbed;
use crate::stage::{Inband, MayWait, Oob};
use crate::time::Instant;
use crate::wait::WaitError;
use std::ffi::CStr;
use std::fmt;
use std::rc::Rc;

/// Why a thread was not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunError {
    /// The priority is not in 1..=98.
    Priority,
}

/// The body's handle to its own thread.
pub struct Running<'a> {
    host: &'a Host,
    thread: &'a SimThread,
}

impl fmt::Debug for Running<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Running").field(&self.thread.name).finish()
    }
}

impl Running<'_> {
    /// Whether the thread was asked to stop: its body should return.
    pub fn should_stop(&self) -> bool {
        self.thread.stopping.get()
    }

    /// Takes the signal or the forced unblock that ended a wait. If the thread does not take it, it
    /// also ends the next wait.
    pub fn take_signal(&self) -> bool {
        self.thread.signal.replace(false)
    }

    /// Sleeps until `date`.
    ///
    /// # Errors
    ///
    /// [`WaitError::Interrupted`]: a signal, a forced unblock or a stop request came first.
    pub fn sleep_until(&self, stage: &impl MayWait, date: Instant) -> Result<(), WaitError> {
        self.host.sleep_until_date(stage, date)
    }
}

macro_rules! thread {
    ($Type:ident, $what:literal) => {
        #[doc = $what]
        /// Dropping the handle lets the thread run on.
        pub struct $Type {
            host: Host,
            thread: Rc<SimThread>,
        }

        impl fmt::Debug for $Type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($Type))
                    .field(&self.thread.name)
                    .finish()
            }
        }

        impl $Type {
            /// Whether the thread has ended.
            pub fn has_ended(&self) -> bool {
                self.thread.has_ended()
            }

            /// Asks the thread to stop, ends its waits, and waits until it has ended.
            pub fn stop(self, inband: &Inband<'_>) {
                self.host.stop_thread(self.thread.number);
                self.join(inband);
            }

            /// Waits until the thread has ended.
            pub fn join(self, _inband: &Inband<'_>) {
                if !self.has_ended() {
                    let threads = Undisturbed(&self.host);
                    let end = self.thread.ended.wait_until(&threads, Instant::NEVER);
                    debug_assert_eq!(end, Ok(()));
                }
            }
        }
    };
}

thread!(Thread, "A thread of the out-of-band stage.");
thread!(Task, "A thread of the in-band stage.");

impl Thread {
    /// Starts a thread. `body` gets the stage's token and a handle to its own thread.
    ///
    /// # Errors
    ///
    /// [`RunError`].
    pub fn run(
        host: &Host,
        _inband: &Inband<'_>,
        name: &CStr,
        priority: i32,
        body: impl FnOnce(&Oob<'_>, &Running<'_>) + 'static,
    ) -> Result<Self, RunError> {
        if !(1..=98).contains(&priority) {
            return Err(RunError::Priority);
        }
        let name = name.to_string_lossy();
        let of_body = host.clone();
        let thread = host.begin(&name, Class::Oob, priority, false, move |thread| {
            // SAFETY: this closure is the body of an oob thread of the machine, until the thread
            // ends.
            let oob = unsafe { Oob::assume() };
            let host = &of_body;
            body(&oob, &Running { host, thread });
        });
        let host = host.clone();
        host.point();
        Ok(Self { host, thread })
    }

    /// Forces the thread out of its present wait, or else out of its next one.
    pub fn unblock(&self) {
        self.host.signal_thread(self.thread.number);
    }
}

impl Task {
    /// Starts a thread. `body` gets the stage's token and a handle to its own thread.
    pub fn run(
        host: &Host,
        _inband: &Inband<'_>,
        name: &CStr,
        body: impl FnOnce(&Inband<'_>, &Running<'_>) + 'static,
    ) -> Self {
        Self::begin(host, name, false, body)
    }

    /// Starts a thread of the machine itself. No run waits for its end.
    pub(super) fn serve(
        host: &Host,
        name: &CStr,
        body: impl FnOnce(&Inband<'_>, &Running<'_>) + 'static,
    ) -> Self {
        Self::begin(host, name, true, body)
    }

    fn begin(
        host: &Host,
        name: &CStr,
        is_service: bool,
        body: impl FnOnce(&Inband<'_>, &Running<'_>) + 'static,
    ) -> Self {
        let name = name.to_string_lossy();
        let of_body = host.clone();
        let thread = host.begin(&name, Class::Inband, 0, is_service, move |thread| {
            // SAFETY: this closure is the body of an in-band thread of the machine, until the
            // thread ends.
            let inband = unsafe { Inband::assume() };
            let host = &of_body;
            body(&inband, &Running { host, thread });
        });
        let host = host.clone();
        host.point();
        Self { host, thread }
    }

    /// Sends the thread a signal.
    pub fn signal(&self) {
        self.host.signal_thread(self.thread.number);
    }
}
