// SPDX-License-Identifier: GPL-2.0-only

//! Work handed to in-band: [`crate::work`] over an unbound workqueue of the kernel's.
//!
//! ```text
//!   call, in any context --> shim: the kernel's queue, which takes raw locks only   --> execute, in a worker:
//!                            EVL:  an irq_work, in whose interrupt in-band queues it    begin, the function, end
//! ```
//!
//! Unbound, so that what an oob thread hands over need not wait for that thread's processor. Which way it goes is chosen
//! in `bindings/helpers.c`.

use super::Waiter;
use crate::monitor::MonitorState;
use crate::stage::{Inband, Oob};
use crate::time::Instant;
use crate::wait::WaitError;
use crate::work::{Calls, Runs};
use core::cell::UnsafeCell;
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use kernel::alloc::KBox;
use kernel::bindings as b;
use kernel::error::{Result, code};
use kernel::sync::RawSpinLock;

/// What all work has in common; the first field of a [`Body`].
#[repr(C)]
struct Head {
    work: UnsafeCell<MaybeUninit<b::oobkit_work_t>>,
    calls: Calls<RawSpinLock<MonitorState<Runs>>>,
    run: unsafe fn(NonNull<Head>, &Inband<'_>) -> i32,
    free: unsafe fn(NonNull<Head>),
}

#[repr(C)]
struct Body<F> {
    head: Head,
    f: UnsafeCell<F>,
}

/// A function that runs in-band, in a worker of the kernel's, whenever it was called for.
///
/// Dropping it cancels it; so neither its own function nor anything that this waits for may drop it.
///
/// # Invariants
///
/// The head is that of a [`Body`] in a box of its own, initialised, until `drop`.
pub struct Work(NonNull<Head>);

// SAFETY: its function is Send, and runs do not overlap; all else synchronises itself.
unsafe impl Send for Work {}
// SAFETY: as above: a shared one calls and waits, no more.
unsafe impl Sync for Work {}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").finish_non_exhaustive()
    }
}

impl Work {
    /// Allocates.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new<F>(inband: &Inband<'_>, f: F) -> Result<Self>
    where
        F: FnMut(&Inband<'_>) -> i32 + Send + 'static,
    {
        let runs = crate::kernel_core::monitor_lock(inband, Runs::default())?;
        let head = Head {
            work: UnsafeCell::new(MaybeUninit::zeroed()),
            calls: Calls::new(runs),
            run: run::<F>,
            free: free::<F>,
        };
        let f = UnsafeCell::new(f);
        let body = KBox::new(inband, Body { head, f })?;
        let head = NonNull::new(KBox::into_raw(body)).ok_or(code::ENOMEM)?;
        let work = Self(head.cast());
        // SAFETY: the memory stays until `drop`; `execute` knows what the work lies in.
        unsafe { b::work_init(work.as_ptr(), Some(execute)) };
        Ok(work)
    }

    fn head(&self) -> &Head {
        // SAFETY: by the invariants.
        unsafe { self.0.as_ref() }
    }

    fn as_ptr(&self) -> *mut b::oobkit_work_t {
        self.head().work.get().cast()
    }

    fn ask(&self) -> crate::work::Call {
        let call = self.head().calls.call();
        if call.is_first {
            // SAFETY: initialised in `new`.
            unsafe { b::work_queue(self.as_ptr()) };
        }
        call
    }

    /// Has the function run, once more than it has begun to by now; false where that was asked for already. In any
    /// context, hard interrupts included.
    pub fn call(&self) -> bool {
        self.ask().is_first
    }

    /// As [`Self::call`], and waits for that run until `deadline`; what the function gave, then or in a later run.
    ///
    /// # Errors
    ///
    /// [`WaitError::TimedOut`], [`WaitError::Interrupted`]: it still runs, once; a call before it begins gets its result,
    /// else nobody does. [`WaitError::Closed`]: it was cancelled.
    pub fn call_and_wait(
        &self,
        oob: &Oob<'_>,
        deadline: Instant,
    ) -> core::result::Result<i32, WaitError> {
        let run = self.ask().run;
        Waiter::with(oob, |waiter| {
            self.head().calls.wait(oob, waiter, run, deadline)
        })
    }

    /// Waits until what was called for before has run. Not from the function itself.
    pub fn flush(&self, _inband: &Inband<'_>) {
        // SAFETY: initialised in `new`; in-band.
        unsafe { b::work_flush(self.as_ptr()) };
    }

    /// Waits for a run that has begun, and has what was called for and has not begun not run. Not from the function
    /// itself. A call that is made meanwhile, elsewhere, may come before or after.
    pub fn cancel(&self, _inband: &Inband<'_>) {
        // SAFETY: as above.
        unsafe { b::work_cancel(self.as_ptr()) };
        self.head().calls.cancel(&Waiter::none());
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // SAFETY: as in `cancel`; in-band, as for every drop of what sleeps.
        unsafe { b::work_cancel(self.as_ptr()) };
        let free = self.head().free;
        // SAFETY: nothing runs any more, and nobody else has it to call.
        unsafe { free(self.0) };
    }
}

unsafe extern "C" fn execute(work: *mut b::oobkit_work_t) {
    let Some(head) = NonNull::new(work.cast::<Head>()) else {
        return;
    };
    // SAFETY: the work is the first field of a head, which stays until `drop` has waited for this.
    let Head { calls, run, .. } = unsafe { head.as_ref() };
    if !calls.begin() {
        return;
    }
    // SAFETY: a worker of the kernel's: task context, nothing held.
    let inband = unsafe { Inband::assume() };
    // SAFETY: the function that belongs to this head; the workqueue does not run one work twice at a time.
    let result = unsafe { run(head, &inband) };
    calls.end(&Waiter::none(), result);
}

/// # Safety
///
/// The head is that of a `Body<F>`, and this is not called twice at a time.
unsafe fn run<F: FnMut(&Inband<'_>) -> i32>(head: NonNull<Head>, inband: &Inband<'_>) -> i32 {
    // SAFETY: by contract.
    let body = unsafe { head.cast::<Body<F>>().as_ref() };
    // SAFETY: nobody else touches the function.
    let f = unsafe { &mut *body.f.get() };
    f(inband)
}

/// # Safety
///
/// The head is that of a `Body<F>` in a box, which nobody uses any more.
unsafe fn free<F>(head: NonNull<Head>) {
    // SAFETY: by contract.
    drop(unsafe { KBox::from_raw(head.cast::<Body<F>>().as_ptr()) });
}
