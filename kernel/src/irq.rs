// SPDX-License-Identifier: GPL-2.0-only

//! Hard interrupt handlers; on EVL, out-of-band ones.

use crate::alloc::KBox;
use crate::error::{Result, code, to_result};
use bindings as b;
use core::ffi::{CStr, c_int, c_uint, c_void};

/// Makes a handler hard, on PREEMPT_RT too.
#[cfg(not(oob_core_evl))]
const HARD: u32 = b::IRQF_NO_THREAD;
/// Makes a handler run out-of-band.
#[cfg(oob_core_evl)]
const HARD: u32 = b::IRQF_OOB;

/// What an interrupt line calls, in hard interrupt context.
pub trait Handler: Send + Sync + 'static {
    /// Returns whether the interrupt was this device's.
    fn handle(&self) -> bool;
}

/// A requested interrupt line.
///
/// # Invariants
///
/// The line is requested with the box's address as its cookie, until `drop` frees it.
pub struct Registration<H: Handler> {
    irq: c_uint,
    handler: KBox<H>,
}

impl<H: Handler> Registration<H> {
    /// Requests `irq`, never forced into a thread; sleeps. The line must be this handler's alone: another one on it would
    /// take its time out of band, whatever it does there.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and those of `request_irq`: `EBUSY` where another driver has the line.
    pub fn new(irq: c_uint, name: &'static CStr, handler: H) -> Result<Self> {
        let handler = KBox::new(handler)?;
        let flags = HARD;
        let cookie = (&raw const *handler).cast_mut().cast::<c_void>();
        // SAFETY: `call` and the cookie belong together; the box outlives the registration.
        let requested = to_result(unsafe {
            b::request_irq(irq, Some(Self::call), flags.into(), name.as_ptr(), cookie)
        });
        if requested == Err(code::EBUSY) {
            // The kernel's own line, just before, has the number in common with this one, and the other driver's name.
            crate::pr_err!(
                "{}: another driver has interrupt {irq} (\"genirq: Flags mismatch\" names it): a line cannot be shared",
                name.to_str().unwrap_or_default()
            );
        }
        requested?;
        Ok(Self { irq, handler })
    }

    /// What the line calls.
    pub fn handler(&self) -> &H {
        &self.handler
    }

    unsafe extern "C" fn call(_irq: c_int, cookie: *mut c_void) -> b::irqreturn_t {
        // SAFETY: the cookie is the registration's handler, which lives until the line is freed.
        let handler = unsafe { &*cookie.cast_const().cast::<H>() };
        if handler.handle() {
            b::irqreturn::IRQ_HANDLED
        } else {
            b::irqreturn::IRQ_NONE
        }
    }
}

impl<H: Handler> Drop for Registration<H> {
    fn drop(&mut self) {
        let cookie = (&raw const *self.handler).cast_mut().cast::<c_void>();
        // SAFETY: requested in `new` with this cookie; waits for handlers that run.
        unsafe { b::free_irq(self.irq, cookie) };
    }
}
