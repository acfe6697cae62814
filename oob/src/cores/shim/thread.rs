// SPDX-License-Identifier: GPL-2.0-only

//! Kernel threads of the out-of-band stage: `SCHED_FIFO` tasks that run a function of the module's.
//!
//! ```text
//!   Thread::run --> body(&Oob, &Running) ... waits ... returns
//!                        ^           |         ^
//!   stop ----------------'           '---------'  Err(Interrupted), at once and from then on
//!     '--> returns when the thread is gone
//! ```
//!
//! How the waits end: `kthread_stop` first sets the thread's own mark, then wakes it whatever it sleeps in. Monitors,
//! semaphores and flags look at that mark whenever they wake ([`kernel::task::is_stopped`]). In a mutex the kernel looks
//! itself: the thread is left with a pending notification, which counts as a signal.

use super::Tasks;
use crate::monitor;
use crate::stage::{Inband, MayWait, Oob};
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

/// What a thread's body is told of the thread.
#[derive(Debug)]
pub struct Running(PhantomData<*mut ()>);

impl Running {
    /// Whether the body is to return.
    pub fn should_stop(&self) -> bool {
        task::is_stopped()
    }

    /// Sleeps until `date`.
    ///
    /// # Errors
    ///
    /// [`WaitError::Interrupted`]: the thread is to stop.
    pub fn sleep_until(
        &self,
        _stage: &impl MayWait,
        date: Instant,
    ) -> core::result::Result<(), WaitError> {
        monitor::sleep_until(&Tasks, date)
    }
}

/// A kernel thread; dropping it is [`Thread::stop`].
///
/// # Invariants
///
/// `task` is a kthread, and a reference to it is held. `body` came from a box of the cell that `free` knows; only the
/// thread touches its content while there is one.
#[derive(Debug)]
pub struct Thread {
    task: NonNull<b::task_struct>,
    body: NonNull<c_void>,
    free: unsafe fn(NonNull<c_void>),
}

// SAFETY: any in-band thread may stop it; the body may be dropped there, because it is Send.
unsafe impl Send for Thread {}
// SAFETY: there is nothing to be done with a shared one.
unsafe impl Sync for Thread {}

impl Thread {
    /// Starts a thread, called `name`, with `SCHED_FIFO` priority 1 to 98, on processor `cpu` alone where one is given.
    /// `body` is called once; what it owns is dropped in-band, when the thread is stopped.
    ///
    /// # Errors
    ///
    /// `EINVAL`: no such priority, or no such processor is online. `ENOMEM`, and those of creating a kthread.
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
        // SAFETY: always allowed.
        let is_online = |cpu| unsafe { b::cpu_is_online(cpu) };
        if !(1..=98).contains(&priority) || !cpu.is_none_or(is_online) {
            return Err(code::EINVAL);
        }
        let body = KBox::new(inband, UnsafeCell::new(body))?;
        // SAFETY: in-band; `enter` and the cell belong together, and the cell stays until the thread has ended.
        let task = unsafe {
            b::kthread_create(
                Some(enter::<F>),
                (&raw const *body).cast_mut().cast(),
                name.as_ptr(),
            )
        };
        let task = NonNull::new(from_err_ptr(task)?).ok_or(code::ENOMEM)?;
        // SAFETY: the new task lives, and does not run yet.
        unsafe { b::get_task_struct(task.as_ptr()) };
        let body = NonNull::new(KBox::into_raw(body)).ok_or(code::ENOMEM)?;
        let thread = Self {
            task,
            body: body.cast(),
            free: free::<F>,
        };
        // SAFETY: a task that is referred to.
        to_result(unsafe { b::task_set_fifo(task.as_ptr(), priority) })?;
        if let Some(cpu) = cpu {
            // SAFETY: it has not run yet.
            unsafe { b::kthread_bind(task.as_ptr(), cpu) };
        }
        // SAFETY: as above.
        unsafe { b::wake_up_process(task.as_ptr()) };
        Ok(thread)
    }

    /// Asks the thread to stop, ends what it waits for, now and from now on, and waits until it is gone. Where it has not
    /// begun yet, its body never does.
    pub fn stop(self, _inband: &Inband<'_>) {}
}

impl Drop for Thread {
    fn drop(&mut self) {
        // SAFETY: a kthread that is referred to; in-band, as for every drop of what sleeps.
        unsafe { b::kthread_stop(self.task.as_ptr()) };
        // SAFETY: the reference that `run` took.
        unsafe { b::put_task_struct(self.task.as_ptr()) };
        // SAFETY: the thread, which used it, is gone.
        unsafe { (self.free)(self.body) };
    }
}

/// # Safety
///
/// `body` came from a box of `UnsafeCell<F>`, which nobody uses any more.
unsafe fn free<F>(body: NonNull<c_void>) {
    // SAFETY: by contract.
    drop(unsafe { KBox::from_raw(body.as_ptr().cast::<UnsafeCell<F>>()) });
}

unsafe extern "C" fn enter<F: FnMut(&Oob<'_>, &Running)>(body: *mut c_void) -> c_int {
    // SAFETY: the cell of this thread, which nobody else touches before it has ended.
    let cell = unsafe { &*body.cast::<UnsafeCell<F>>() };
    // SAFETY: as above.
    let body = unsafe { &mut *cell.get() };
    // SAFETY: a `SCHED_FIFO` task of the kit's own, in task context with nothing held.
    body(&unsafe { Oob::assume() }, &Running(PhantomData));
    0
}
