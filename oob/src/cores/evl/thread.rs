// SPDX-License-Identifier: GPL-2.0-only

//! Kernel threads of the out-of-band stage: EVL's kthreads, which run a function of the module's.
//!
//! ```text
//!   Thread::run --> body(&Oob, &Running) ... waits ... returns --> EVL ends the thread, in-band
//!                        ^           |         ^                             |
//!   stop: mark ----------'           '---------'  unblocked, again and again |
//!     '--> returns when the thread is gone <---------------------------------'
//! ```
//!
//! EVL's own way to stop a thread ends it in whatever wait it stands next, with all that its body holds there. So the mark
//! is the kit's, and a wait is ended by EVL's forced unblock, which reaches who waits at that moment: it is repeated until
//! the body has returned.

use super::waiting::Waiter;
use crate::monitor;
use crate::stage::{Inband, MayWait, Oob};
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

/// What all threads have in common; the first field of a [`Body`].
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

/// What a thread's body is told of the thread.
///
/// # Invariants
///
/// The head is the running thread's.
#[derive(Debug)]
pub struct Running(NonNull<Head>);

impl Running {
    /// Whether the body is to return.
    pub fn should_stop(&self) -> bool {
        // SAFETY: the thread's head outlives its body.
        unsafe { self.0.as_ref() }
            .is_to_stop
            .load(Ordering::Acquire)
    }

    /// Sleeps until `date`.
    ///
    /// # Errors
    ///
    /// [`WaitError::Interrupted`]: the thread is to stop.
    pub fn sleep_until(
        &self,
        stage: &impl MayWait,
        date: Instant,
    ) -> core::result::Result<(), WaitError> {
        match self.should_stop() {
            true => Err(WaitError::Interrupted),
            false => Waiter::with(stage, |waiter| monitor::sleep_until(waiter, date)),
        }
    }
}

/// A kernel thread; dropping it is [`Thread::stop`].
///
/// # Invariants
///
/// `head` is that of a [`Body`] in a box of its own, which `free` knows; its thread has begun and has not been joined. Only
/// the thread touches the function while there is one.
#[derive(Debug)]
pub struct Thread {
    head: NonNull<Head>,
    free: unsafe fn(NonNull<Head>),
}

// SAFETY: any in-band thread may stop it; the body may be dropped there, because it is Send.
unsafe impl Send for Thread {}
// SAFETY: there is nothing to be done with a shared one.
unsafe impl Sync for Thread {}

impl Thread {
    /// Starts a thread, called `name`, with EVL's FIFO priority 1 to 98, on processor `cpu` alone where one is given.
    /// `body` is called once; what it owns is dropped in-band, when the thread is stopped.
    ///
    /// # Errors
    ///
    /// `EINVAL`: no such priority, or no such processor is online and EVL's. `EEXIST`: EVL has a thread of that name.
    /// `ENOMEM`, and those of creating a thread.
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
        // SAFETY: in-band; `enter` and the body belong together, and it stays until the thread has been joined.
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
                // SAFETY: there is no thread.
                unsafe { free(head) };
                Err(error)
            }
        }
    }

    /// Asks the thread to stop, ends what it waits for, now and from now on, and waits until it is gone. Where it has not
    /// begun yet, its body never does.
    pub fn stop(self, _inband: &Inband<'_>) {}
}

const fn thread_of(head: NonNull<Head>) -> *mut b::evl_kthread {
    head.cast().as_ptr()
}

impl Drop for Thread {
    fn drop(&mut self) {
        // SAFETY: by the invariants.
        let head = unsafe { self.head.as_ref() };
        head.is_to_stop.store(true, Ordering::Release);
        while !head.has_returned.load(Ordering::Acquire) {
            // SAFETY: a thread that has not been joined.
            unsafe { b::evl_unblock_kthread(thread_of(self.head)) };
            // SAFETY: in-band, as for every drop of what sleeps.
            sleep_us(&unsafe { Inband::assume() }, 200, 500);
        }
        // SAFETY: as above; in-band, as for every drop of what sleeps.
        unsafe { b::evl_join_kthread(thread_of(self.head)) };
        // SAFETY: the thread, which used it, is gone.
        unsafe { (self.free)(self.head) };
    }
}

/// # Safety
///
/// The head is that of a `Body<F>` in a box, which nobody uses any more.
unsafe fn free<F>(head: NonNull<Head>) {
    // SAFETY: by contract.
    drop(unsafe { KBox::from_raw(head.cast::<Body<F>>().as_ptr()) });
}

unsafe extern "C" fn enter<F: FnMut(&Oob<'_>, &Running)>(body: *mut c_void) {
    let Some(head) = NonNull::new(body.cast::<Head>()) else {
        return;
    };
    // SAFETY: what this thread was started with, which stays until it has been joined.
    let Body { head: mine, f } = unsafe { head.cast::<Body<F>>().as_ref() };
    // EVL has the thread wait until its mutexes know it by number; but that begins at the next scheduling only.
    // SAFETY: out-of-band, nothing held.
    unsafe { b::evl_reschedule() };
    if !mine.is_to_stop.load(Ordering::Acquire) {
        // SAFETY: nobody else touches the function before this thread has ended.
        let f = unsafe { &mut *f.get() };
        // SAFETY: an EVL thread of the kit's own, out-of-band with nothing held.
        f(&unsafe { Oob::assume() }, &Running(head));
    }
    mine.has_returned.store(true, Ordering::Release);
}
