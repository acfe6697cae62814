// SPDX-License-Identifier: GPL-2.0-only

//! Threads of both stages: begun, signalled, stopped, joined.

use super::Host;
use super::threads::{Class, Slot};
use super::work::Undisturbed;
use crate::stage::{Inband, MayWait, Oob};
use crate::time::Instant;
use crate::wait::WaitError;
use std::ffi::CStr;
use std::fmt;
use std::rc::Rc;

/// Why a thread was not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunError {
    /// Not in 1..=98.
    Priority,
}

/// What a thread knows of itself.
pub struct Running<'a> {
    host: &'a Host,
    slot: &'a Slot,
}

impl fmt::Debug for Running<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Running").field(&self.slot.name).finish()
    }
}

impl Running<'_> {
    /// Whether it is to end.
    pub fn should_stop(&self) -> bool {
        self.slot.stopping.get()
    }

    /// Takes the signal, or the forced unblock, that ended a wait; without that the next wait ends by it, too.
    pub fn take_signal(&self) -> bool {
        self.slot.signal.replace(false)
    }

    /// Sleeps until `date`.
    ///
    /// # Errors
    ///
    /// [`WaitError::Interrupted`]: by a signal, a forced unblock, or because the thread is to end.
    pub fn sleep_until(&self, stage: &impl MayWait, date: Instant) -> Result<(), WaitError> {
        self.host.sleep_until_date(stage, date)
    }
}

macro_rules! thread {
    ($Type:ident, $what:literal) => {
        #[doc = $what]
        /// Dropping it lets it go on by itself.
        pub struct $Type {
            host: Host,
            slot: Rc<Slot>,
        }

        impl fmt::Debug for $Type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($Type))
                    .field(&self.slot.name)
                    .finish()
            }
        }

        impl $Type {
            /// Whether it has ended.
            pub fn has_ended(&self) -> bool {
                self.slot.has_ended()
            }

            /// Asks it to end, ends its waits, and waits for its end.
            pub fn stop(self, inband: &Inband<'_>) {
                self.host.stop_thread(self.slot.number);
                self.join(inband);
            }

            /// Waits for its end.
            pub fn join(self, _inband: &Inband<'_>) {
                if !self.has_ended() {
                    let threads = Undisturbed(&self.host);
                    let end = self.slot.ended.wait_until(&threads, Instant::NEVER);
                    debug_assert_eq!(end, Ok(()));
                }
            }
        }
    };
}

thread!(Thread, "A thread of the out-of-band stage.");
thread!(Task, "A thread of the in-band stage.");

impl Thread {
    /// Begins one. `body` gets the stage and itself.
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
        let slot = host.begin(&name, Class::Oob, priority, false, move |slot| {
            // SAFETY: an oob thread of the machine, until its end.
            let oob = unsafe { Oob::assume() };
            let host = &of_body;
            body(&oob, &Running { host, slot });
        });
        let host = host.clone();
        host.point();
        Ok(Self { host, slot })
    }

    /// Forces it out of the wait in which it is, or out of the next one.
    pub fn unblock(&self) {
        self.host.signal_thread(self.slot.number);
    }
}

impl Task {
    /// Begins one. `body` gets the stage and itself.
    pub fn run(
        host: &Host,
        _inband: &Inband<'_>,
        name: &CStr,
        body: impl FnOnce(&Inband<'_>, &Running<'_>) + 'static,
    ) -> Self {
        Self::begin(host, name, false, body)
    }

    /// Begins one of the machine's own, whose end no run waits for.
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
        let slot = host.begin(&name, Class::Inband, 0, is_service, move |slot| {
            // SAFETY: an in-band thread of the machine, until its end.
            let inband = unsafe { Inband::assume() };
            let host = &of_body;
            body(&inband, &Running { host, slot });
        });
        let host = host.clone();
        host.point();
        Self { host, slot }
    }

    /// Sends it a signal.
    pub fn signal(&self) {
        self.host.signal_thread(self.slot.number);
    }
}
