// SPDX-License-Identifier: GPL-2.0-only

//! Kernel threads of the out-of-band stage: EVL kthreads that run a function of the module.
//!
//! ```text
//!   Thread::run --> body(&Oob, &Running) ... waits ... returns --> EVL ends the thread, in-band
//!                        ^           |         ^                             |
//!   stop: mark ----------'           '---------'  unblocked, again and again |
//!     '--> returns when the thread is gone <---------------------------------'
//! ```
//!
//! EVL's own stop request would end the thread inside its next wait, with all that the body holds
//! there. So the kit has a stop mark of its own, and ends waits by EVL's forced unblock. A forced
//! unblock reaches only a thread that waits at that moment, so it is repeated until the body has
//! returned.

use super::waiter::Waiter;
use crate::stage::{Inband, MayWait, Oob};
use crate::threads;
use crate::time::Instant;
use crate::wait::WaitError;
use core::cell::UnsafeCell;
use core::ffi::{CStr, c_void};
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering};
use kernel::alloc::KBox;
use kernel::bindings as b;
use kernel::error::{Result, code, to_result};
use kernel::time::sleep_us;

/// The part of a [`Body`] that does not depend on its function; its first field.
#[repr(C)]
struct Head {
    thread: UnsafeCell<MaybeUninit<b::evl_kthread>>,
    is_to_stop: AtomicBool,
    has_returned: AtomicBool,
}

#[repr(C)]
struct Body<F> {
    head: Head,
    f: UnsafeCell<F>,
}

/// The body's handle to its own thread.
///
/// # Invariants
///
/// The head is that of the running thread.
#[derive(Debug)]
pub struct Running(NonNull<Head>);

impl Running {
    /// Whether the thread was asked to stop: its body should return.
    pub fn should_stop(&self) -> bool {
        // SAFETY: the head lives until the thread has been joined, and this value exists only while
        // the thread's body runs.
        unsafe { self.0.as_ref() }
            .is_to_stop
            .load(Ordering::Acquire)
    }

    /// Sleeps until `date`.
    ///
    /// # Errors
    ///
    /// [`WaitError::Interrupted`]: the thread was asked to stop.
    pub fn sleep_until(
        &self,
        stage: &impl MayWait,
        date: Instant,
    ) -> core::result::Result<(), WaitError> {
        match self.should_stop() {
            true => Err(WaitError::Interrupted),
            false => Waiter::with(stage, |waiter| threads::sleep_until(waiter, date)),
        }
    }
}

/// A kernel thread; dropping it is [`Thread::stop`].
///
/// # Invariants
///
/// `head` is the head of a [`Body`] in a box, which `free` can free. The thread has been started
/// and has not been joined. Until it is joined, only the thread touches the body's function.
#[derive(Debug)]
pub struct Thread {
    head: NonNull<Head>,
    free: unsafe fn(NonNull<Head>),
}

// SAFETY: any in-band thread may stop the thread, and may drop its body, because the body is Send.
unsafe impl Send for Thread {}
// SAFETY: no method takes a shared reference.
unsafe impl Sync for Thread {}

impl Thread {
    /// Starts a thread called `name`, with EVL's FIFO priority 1 to 98. With `cpu` it runs on that
    /// processor only. The thread calls `body` once; stopping the thread drops `body`, in-band.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the priority is out of range, or the processor is not online or not EVL's.
    /// `EEXIST`: EVL has a thread of that name. `ENOMEM`, and the errors of creating a thread.
    pub fn run<F>(
        inband: &Inband<'_>,
        name: &CStr,
        priority: i32,
        cpu: Option<u32>,
        body: F,
    ) -> Result<Self>
    where
        F: FnMut(&Oob<'_>, &Running) + Send + 'static,
    {
        if !(1..=98).contains(&priority) {
            return Err(code::EINVAL);
        }
        let cpu = cpu
            .map_or(Ok(-1), i32::try_from)
            .map_err(|_| code::EINVAL)?;
        let head = Head {
            thread: UnsafeCell::new(MaybeUninit::zeroed()),
            is_to_stop: AtomicBool::new(false),
            has_returned: AtomicBool::new(false),
        };
        let f = UnsafeCell::new(body);
        let body = KBox::new(inband, Body { head, f })?;
        let head = NonNull::new(KBox::into_raw(body)).ok_or(code::ENOMEM)?;
        let head = head.cast::<Head>();
        // SAFETY: the token proves in-band task context. `enter::<F>` takes the head of a
        // `Body<F>`, and that body stays in its box until the thread has been joined.
        let started = to_result(unsafe {
            b::evl_run_kthread(
                thread_of(head),
                Some(enter::<F>),
                head.as_ptr().cast(),
                priority,
                cpu,
                name.as_ptr(),
            )
        });
        let free = free::<F>;
        match started {
            Ok(_) => Ok(Self { head, free }),
            Err(error) => {
                // SAFETY: the head is that of the `Body<F>` boxed above, and no thread was started
                // that uses it.
                unsafe { free(head) };
                Err(error)
            }
        }
    }

    /// Asks the thread to stop, ends its present wait and all later ones, and waits until it has
    /// ended. A thread that has not called its body yet never does.
    pub fn stop(self, _inband: &Inband<'_>) {}
}

const fn thread_of(head: NonNull<Head>) -> *mut b::evl_kthread {
    head.cast().as_ptr()
}

impl Drop for Thread {
    fn drop(&mut self) {
        // SAFETY: by the invariants the head lies in a box that is not freed yet; the thread, too,
        // only reads it and its atomics.
        let head = unsafe { self.head.as_ref() };
        head.is_to_stop.store(true, Ordering::Release);
        while !head.has_returned.load(Ordering::Acquire) {
            // SAFETY: by the invariants the thread was started and has not been joined.
            unsafe { b::evl_unblock_kthread(thread_of(self.head)) };
            // SAFETY: threads are dropped in-band with no lock held, the kit's rule for values
            // whose drop sleeps.
            sleep_us(&unsafe { Inband::assume() }, 200, 500);
        }
        // SAFETY: the thread was started and has not been joined. Threads are dropped in-band, the
        // kit's rule for values whose drop sleeps.
        unsafe { b::evl_join_kthread(thread_of(self.head)) };
        // SAFETY: the thread, the body's only user, has been joined.
        unsafe { (self.free)(self.head) };
    }
}

/// # Safety
///
/// `head` is the head of a `Body<F>` in a box, and no code uses the body any more.
unsafe fn free<F>(head: NonNull<Head>) {
    // SAFETY: by this function's contract the pointer is that of a boxed `Body<F>` without users;
    // the head is its first field.
    drop(unsafe { KBox::from_raw(head.cast::<Body<F>>().as_ptr()) });
}

unsafe extern "C" fn enter<F: FnMut(&Oob<'_>, &Running)>(body: *mut c_void) {
    let Some(head) = NonNull::new(body.cast::<Head>()) else {
        return;
    };
    // SAFETY: `run::<F>` started this thread with the head of a `Body<F>`, which stays in its box
    // until the thread has been joined.
    let Body { head: mine, f } = unsafe { head.cast::<Body<F>>().as_ref() };
    // EVL keeps a new thread waiting until its mutexes know it by number, but only from the next
    // scheduling on.
    // SAFETY: a new EVL thread is out-of-band and holds no lock.
    unsafe { b::evl_reschedule() };
    if !mine.is_to_stop.load(Ordering::Acquire) {
        // SAFETY: by the invariants of `Thread`, only this thread touches the function until it has
        // been joined.
        let f = unsafe { &mut *f.get() };
        // SAFETY: this is an EVL thread, out-of-band, that holds no lock, until its body returns.
        f(&unsafe { Oob::assume() }, &Running(head));
    }
    mine.has_returned.store(true, Ordering::Release);
}
