// SPDX-License-Identifier: GPL-2.0-only

//! The kernel's interrupt lines.

use super::work::Work;
use crate::irq::{Handled, Handler};
use crate::stage::Inband;
use core::ffi::{CStr, c_int, c_uint, c_void};
use core::fmt;
use kernel::alloc::{KArc, KBox};
use kernel::bindings as b;
use kernel::error::{Result, code, to_result};
use kernel::pr_err;

/// Makes the handler run in hard interrupt context, on PREEMPT_RT, too.
#[cfg(not(oob_core_evl))]
const HARD: u32 = b::IRQF_NO_THREAD;
/// Makes the handler run out-of-band.
#[cfg(oob_core_evl)]
const HARD: u32 = b::IRQF_OOB;

struct Inner<H> {
    handler: KArc<H>,
    /// The in-band part. EVL has two ways of its own to forward an interrupt in-band: one is not
    /// exported by all versions, the other keeps the line masked.
    rest: Work,
}

/// A requested interrupt line. Dropping it frees the line; an in-band part that has not begun then
/// never runs.
///
/// # Invariants
///
/// Until `drop` frees it, the line is requested with the box's address as its cookie.
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
    /// Requests `irq`; the kernel never moves the handler into a thread. The line must not be
    /// shared: another driver's handler on it would also run out-of-band.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and the errors of `request_irq`: `EBUSY` if another driver has the line.
    pub fn new(inband: &Inband<'_>, irq: c_uint, name: &'static CStr, handler: H) -> Result<Self> {
        let handler = KArc::new(inband, handler)?;
        let forwarded = handler.clone();
        let rest = Work::new(inband, move |inband: &Inband<'_>| {
            forwarded.inband(inband);
            0
        })?;
        let inner = KBox::new(inband, Inner { handler, rest })?;
        let cookie = (&raw const *inner).cast_mut().cast::<c_void>();
        // SAFETY: `call` takes the address of an `Inner<H>`, which the cookie is. The box outlives
        // the registration, because `drop` frees the line before it frees the box.
        let requested = to_result(unsafe {
            b::request_irq(irq, Some(Self::call), HARD.into(), name.as_ptr(), cookie)
        });
        if requested == Err(code::EBUSY) {
            // The kernel has just logged a line with the same number and the other driver's name.
            pr_err!(
                "{}: another driver has interrupt {irq} (\"genirq: Flags mismatch\" names it): a line cannot be shared",
                name.to_str().unwrap_or_default()
            );
        }
        requested?;
        Ok(Self { irq, inner })
    }

    /// The line's handler.
    pub fn handler(&self) -> &H {
        &self.inner.handler
    }

    unsafe extern "C" fn call(_irq: c_int, cookie: *mut c_void) -> b::irqreturn_t {
        // SAFETY: `new` registered this function with the address of an `Inner<H>` as its cookie.
        // The box lives until `drop` has freed the line, which waits for this function.
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
        // SAFETY: `new` requested the line with this cookie. Interrupts are dropped in-band, the
        // kit's rule for values whose drop sleeps: this call waits for a handler that runs.
        unsafe { b::free_irq(self.irq, cookie) };
    }
}
