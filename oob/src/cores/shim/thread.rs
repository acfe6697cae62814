// SPDX-License-Identifier: GPL-2.0-only

//! Kernel threads of the out-of-band stage: `SCHED_FIFO` kthreads that run a function of the
//! module.
//!
//! ```text
//!   Thread::run --> body(&Oob, &Running) ... waits ... returns
//!                        ^           |         ^
//!   stop ----------------'           '---------'  Err(Interrupted), at once and from then on
//!     '--> returns when the thread is gone
//! ```
//!
//! How a stop ends the thread's waits: `kthread_stop` sets the thread's stop mark, then wakes the
//! thread in whatever it sleeps. Monitors, semaphores and flags check the mark when they wake
//! ([`kernel::task::is_stopped`]). In a mutex the kernel checks: `kthread_stop` leaves the thread a
//! pending notification, which counts as a signal.

use super::tasks::Tasks;
use crate::stage::{Inband, MayWait, Oob};
use crate::threads;
use crate::time::Instant;
use crate::wait::WaitError;
use core::cell::UnsafeCell;
use core::ffi::{CStr, c_int, c_void};
use core::marker::PhantomData;
use core::ptr::NonNull;
use kernel::alloc::KBox;
use kernel::bindings as b;
use kernel::error::{Result, code, from_err_ptr, to_result};
use kernel::task;

/// The body's handle to its own thread.
#[derive(Debug)]
pub struct Running(PhantomData<*mut ()>);

impl Running {
    /// Whether the thread was asked to stop: its body should return.
    pub fn should_stop(&self) -> bool {
        task::is_stopped()
    }

    /// Sleeps until `date`.
    ///
    /// # Errors
    ///
    /// [`WaitError::Interrupted`]: the thread was asked to stop.
    pub fn sleep_until(
        &self,
        _stage: &impl MayWait,
        date: Instant,
    ) -> core::result::Result<(), WaitError> {
        threads::sleep_until(&Tasks, date)
    }
}

/// A kernel thread; dropping it is [`Thread::stop`].
///
/// # Invariants
///
/// `task` is a kthread, and this value holds a reference to it. `body` came from a boxed cell that
/// `free` can free. Until the thread has ended, only the thread touches the cell's content.
#[derive(Debug)]
pub struct Thread {
    task: NonNull<b::task_struct>,
    body: NonNull<c_void>,
    free: unsafe fn(NonNull<c_void>),
}

// SAFETY: any in-band thread may stop the thread, and may drop its body, because the body is Send.
unsafe impl Send for Thread {}
// SAFETY: no method takes a shared reference.
unsafe impl Sync for Thread {}

impl Thread {
    /// Starts a thread called `name`, with `SCHED_FIFO` priority 1 to 98. With `cpu` it runs on
    /// that processor only. The thread calls `body` once; stopping the thread drops `body`,
    /// in-band.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the priority is out of range, or the processor is not online. `ENOMEM`, and the
    /// errors of creating a kthread.
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
        // SAFETY: reads the mask of online processors; any number may be asked for.
        let is_online = |cpu| unsafe { b::cpu_is_online(cpu) };
        if !(1..=98).contains(&priority) || !cpu.is_none_or(is_online) {
            return Err(code::EINVAL);
        }
        let body = KBox::new(inband, UnsafeCell::new(body))?;
        // SAFETY: the token proves in-band task context. `enter::<F>` takes a pointer to an
        // `UnsafeCell<F>`, and that cell stays in its box until the thread has ended.
        let task = unsafe {
            b::kthread_create(
                Some(enter::<F>),
                (&raw const *body).cast_mut().cast(),
                name.as_ptr(),
            )
        };
        let task = NonNull::new(from_err_ptr(task)?).ok_or(code::ENOMEM)?;
        // SAFETY: a new kthread lives at least until it is woken for the first time.
        unsafe { b::get_task_struct(task.as_ptr()) };
        let body = NonNull::new(KBox::into_raw(body)).ok_or(code::ENOMEM)?;
        let thread = Self {
            task,
            body: body.cast(),
            free: free::<F>,
        };
        // SAFETY: the reference taken above keeps the task alive.
        to_result(unsafe { b::task_set_fifo(task.as_ptr(), priority) })?;
        if let Some(cpu) = cpu {
            // SAFETY: the kthread has not been woken yet, so it has not run, as `kthread_bind`
            // requires.
            unsafe { b::kthread_bind(task.as_ptr(), cpu) };
        }
        // SAFETY: the reference taken above keeps the task alive.
        unsafe { b::wake_up_process(task.as_ptr()) };
        Ok(thread)
    }

    /// Asks the thread to stop, ends its present wait and all later ones, and waits until it has
    /// ended. A thread that has not called its body yet never does.
    pub fn stop(self, _inband: &Inband<'_>) {}
}

impl Drop for Thread {
    fn drop(&mut self) {
        // SAFETY: the task is a kthread that this value holds a reference to. Threads are dropped
        // in-band, the kit's rule for values whose drop sleeps.
        unsafe { b::kthread_stop(self.task.as_ptr()) };
        // SAFETY: gives back the reference that `run` took.
        unsafe { b::put_task_struct(self.task.as_ptr()) };
        // SAFETY: the thread, the cell's only user, has ended.
        unsafe { (self.free)(self.body) };
    }
}

/// # Safety
///
/// `body` came from a boxed `UnsafeCell<F>` that no code uses any more.
unsafe fn free<F>(body: NonNull<c_void>) {
    // SAFETY: by this function's contract the pointer is that of a boxed `UnsafeCell<F>` without
    // users.
    drop(unsafe { KBox::from_raw(body.as_ptr().cast::<UnsafeCell<F>>()) });
}

unsafe extern "C" fn enter<F: FnMut(&Oob<'_>, &Running)>(body: *mut c_void) -> c_int {
    // SAFETY: `run::<F>` started this thread with a pointer to an `UnsafeCell<F>`, which lives
    // until the thread has ended.
    let cell = unsafe { &*body.cast::<UnsafeCell<F>>() };
    // SAFETY: by the invariants of `Thread`, only this thread touches the cell's content until it
    // has ended.
    let body = unsafe { &mut *cell.get() };
    // SAFETY: this is a `SCHED_FIFO` kthread of the kit, in task context with no lock held, until
    // its body returns.
    body(&unsafe { Oob::assume() }, &Running(PhantomData));
    0
}
