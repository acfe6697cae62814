// SPDX-License-Identifier: GPL-2.0-only

//! Work that any context queues for in-band: [`crate::work`] over an unbound workqueue of the
//! kernel.
//!
//! ```text
//!   call, in any context --> shim: queue_work, which takes raw locks only            --> execute, in a worker:
//!                            EVL:  an irq_work, whose in-band interrupt queues it         begin, the function, end
//! ```
//!
//! The queue is unbound, so work that an oob thread queues need not wait for that thread's
//! processor. `bindings/helpers.c` chooses between the two ways.

use super::chosen::Waiter;
use super::monitor::monitor_lock;
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

/// The part of a [`Body`] that does not depend on its function; its first field.
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

/// A function that runs in-band, in a kernel worker, when a caller asks for a run.
///
/// Dropping the work cancels it. So neither the function itself nor code that the function waits
/// for may drop it.
///
/// # Invariants
///
/// The head is that of a [`Body`] in a box, with its work initialised, until `drop`.
pub struct Work(NonNull<Head>);

// SAFETY: the function is Send and its runs do not overlap; the work item and the calls are used
// through the kernel's queue and a hard lock only.
unsafe impl Send for Work {}
// SAFETY: a shared reference only calls and waits, through the kernel's queue and a hard lock; only
// a worker reaches the function.
unsafe impl Sync for Work {}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").finish_non_exhaustive()
    }
}

impl Work {
    /// Work that has not been called. Allocates.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new<F>(inband: &Inband<'_>, f: F) -> Result<Self>
    where
        F: FnMut(&Inband<'_>) -> i32 + Send + 'static,
    {
        let runs = monitor_lock(inband, Runs::default())?;
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
        // SAFETY: the box stays until `drop`. The work is the first field of a `Head`, as `execute`
        // requires.
        unsafe { b::work_init(work.as_ptr(), Some(execute)) };
        Ok(work)
    }

    fn head(&self) -> &Head {
        // SAFETY: by the invariants the head lies in a box that lives until `drop`, and no code
        // borrows it mutably.
        unsafe { self.0.as_ref() }
    }

    fn as_ptr(&self) -> *mut b::oobkit_work_t {
        self.head().work.get().cast()
    }

    fn request_run(&self) -> crate::work::Call {
        let call = self.head().calls.call();
        if call.is_first {
            // SAFETY: `new` initialised the work; any context may queue it.
            unsafe { b::work_queue(self.as_ptr()) };
        }
        call
    }

    /// Requests one run that begins after this call. Returns false if such a run was requested
    /// already. Callable from any context, hard interrupts included.
    pub fn call(&self) -> bool {
        self.request_run().is_first
    }

    /// As [`Self::call`], and waits for that run until `deadline`. Returns the function's result of
    /// that run or of a later one.
    ///
    /// # Errors
    ///
    /// [`WaitError::TimedOut`], [`WaitError::Interrupted`]: the work still runs once. A caller that
    /// calls before that run begins can wait for its result; otherwise the result is dropped.
    /// [`WaitError::Closed`]: the work was cancelled.
    pub fn call_and_wait(
        &self,
        oob: &Oob<'_>,
        deadline: Instant,
    ) -> core::result::Result<i32, WaitError> {
        let run = self.request_run().run;
        Waiter::with(oob, |waiter| {
            self.head().calls.wait(oob, waiter, run, deadline)
        })
    }

    /// Waits until all runs requested before have ended. The function itself must not call it.
    pub fn flush(&self, _inband: &Inband<'_>) {
        // SAFETY: `new` initialised the work; the token proves that the caller may sleep.
        unsafe { b::work_flush(self.as_ptr()) };
    }

    /// Takes back a requested run that has not begun, and waits for a run that has. The function
    /// itself must not call it. A concurrent call of [`Self::call`] may take effect before or after
    /// the cancellation.
    pub fn cancel(&self, _inband: &Inband<'_>) {
        // SAFETY: `new` initialised the work; the token proves that the caller may sleep.
        unsafe { b::work_cancel(self.as_ptr()) };
        self.head().calls.cancel(&Waiter::none());
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // SAFETY: `new` initialised the work. Work is dropped in-band, the kit's rule for values
        // whose drop sleeps.
        unsafe { b::work_cancel(self.as_ptr()) };
        let free = self.head().free;
        // SAFETY: the cancellation has waited for a run, and this value was the only handle, so no
        // code uses the body any more.
        unsafe { free(self.0) };
    }
}

unsafe extern "C" fn execute(work: *mut b::oobkit_work_t) {
    let Some(head) = NonNull::new(work.cast::<Head>()) else {
        return;
    };
    // SAFETY: `Work::new` set this function up for a work that is the first field of a `Head`. The
    // head lives until `drop` has waited for this function.
    let Head { calls, run, .. } = unsafe { head.as_ref() };
    if !calls.begin() {
        return;
    }
    // SAFETY: this is a kernel worker: in-band task context, no lock held.
    let inband = unsafe { Inband::assume() };
    // SAFETY: `run` is the one that `Work::new` stored in this very head; a workqueue does not run
    // one work item on two workers at a time.
    let result = unsafe { run(head, &inband) };
    calls.end(&Waiter::none(), result);
}

/// # Safety
///
/// `head` is the head of a `Body<F>`, and two calls for one head do not overlap.
unsafe fn run<F: FnMut(&Inband<'_>) -> i32>(head: NonNull<Head>, inband: &Inband<'_>) -> i32 {
    // SAFETY: by this function's contract the pointer is to a `Body<F>`, whose first field the head
    // is.
    let body = unsafe { head.cast::<Body<F>>().as_ref() };
    // SAFETY: only this function reaches `f`, and its calls do not overlap.
    let f = unsafe { &mut *body.f.get() };
    f(inband)
}

/// # Safety
///
/// `head` is the head of a `Body<F>` in a box, and no code uses the body any more.
unsafe fn free<F>(head: NonNull<Head>) {
    // SAFETY: by this function's contract the pointer is that of a boxed `Body<F>` without users.
    drop(unsafe { KBox::from_raw(head.cast::<Body<F>>().as_ptr()) });
}
