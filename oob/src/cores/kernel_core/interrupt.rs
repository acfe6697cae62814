// SPDX-License-Identifier: GPL-2.0-only

//! An interrupt line of the kernel's.

use super::Work;
use crate::irq::{Handled, Handler};
use crate::stage::Inband;
use core::ffi::{CStr, c_int, c_uint, c_void};
use core::fmt;
use kernel::alloc::{KArc, KBox};
use kernel::bindings as b;
use kernel::error::{Result, code, to_result};
use kernel::pr_err;

/// Makes a handler hard, on PREEMPT_RT too.
#[cfg(not(oob_core_evl))]
const HARD: u32 = b::IRQF_NO_THREAD;
/// Makes a handler run out-of-band.
#[cfg(oob_core_evl)]
const HARD: u32 = b::IRQF_OOB;

struct Inner<H> {
    handler: KArc<H>,
    /// The in-band part. Of EVL's own ways to forward, one is not exported everywhere and the other keeps the line masked.
    rest: Work,
}

/// A requested interrupt line; dropping it frees the line, and an in-band part that has not begun never does.
///
/// # Invariants
///
/// The line is requested with the box's address as its cookie, until `drop` frees it.
pub struct Interrupt<H: Handler + Send + Sync> {
    irq: c_uint,
    inner: KBox<Inner<H>>,
}

impl<H: Handler + Send + Sync> fmt::Debug for Interrupt<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interrupt")
            .field("irq", &self.irq)
            .finish_non_exhaustive()
    }
}

impl<H: Handler + Send + Sync> Interrupt<H> {
    /// Requests `irq`, never forced into a thread. The line must be this handler's alone: another one on it would
    /// take its time out of band, whatever it does there.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and those of `request_irq`: `EBUSY` where another driver has the line.
    pub fn new(inband: &Inband<'_>, irq: c_uint, name: &'static CStr, handler: H) -> Result<Self> {
        let handler = KArc::new(inband, handler)?;
        let forwarded = handler.clone();
        let rest = Work::new(inband, move |inband: &Inband<'_>| {
            forwarded.inband(inband);
            0
        })?;
        let inner = KBox::new(inband, Inner { handler, rest })?;
        let cookie = (&raw const *inner).cast_mut().cast::<c_void>();
        // SAFETY: `call` and the cookie belong together; the box outlives the registration.
        let requested = to_result(unsafe {
            b::request_irq(irq, Some(Self::call), HARD.into(), name.as_ptr(), cookie)
        });
        if requested == Err(code::EBUSY) {
            // The kernel's own line, just before, has the number in common with this one, and the other driver's name.
            pr_err!(
                "{}: another driver has interrupt {irq} (\"genirq: Flags mismatch\" names it): a line cannot be shared",
                name.to_str().unwrap_or_default()
            );
        }
        requested?;
        Ok(Self { irq, inner })
    }

    /// What the line calls.
    pub fn handler(&self) -> &H {
        &self.inner.handler
    }

    unsafe extern "C" fn call(_irq: c_int, cookie: *mut c_void) -> b::irqreturn_t {
        // SAFETY: the cookie is the registration's, which lives until the line is freed.
        let inner = unsafe { &*cookie.cast_const().cast::<Inner<H>>() };
        match inner.handler.handle() {
            Handled::No => return b::irqreturn::IRQ_NONE,
            Handled::Yes => {}
            Handled::Forward => {
                inner.rest.call();
            }
        }
        b::irqreturn::IRQ_HANDLED
    }
}

impl<H: Handler + Send + Sync> Drop for Interrupt<H> {
    fn drop(&mut self) {
        let cookie = (&raw const *self.inner).cast_mut().cast::<c_void>();
        // SAFETY: requested in `new` with this cookie; waits for handlers that run.
        unsafe { b::free_irq(self.irq, cookie) };
    }
}
