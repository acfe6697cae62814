// SPDX-License-Identifier: GPL-2.0-only

//! The relay of the kernel's cores: [`crate::relay`] with an in-band thread that writes to an open file.
//!
//! ```text
//!   write --> line of blocks --> in-band thread --> file
//!     '--signals--> poll head --wakes--^      '--signals--> poll head --wakes--> flush
//! ```
//!
//! A thread of its own, because a file such as a pipe may have its writer wait as long as it likes: closing the relay ends
//! that wait, which nothing could do to a worker of the kernel's.

use super::pool::pool;
use crate::pool::Lists;
use crate::relay::{self, RelayError};
use crate::stage::{Inband, Oob};
use crate::wait::WaitError;
use core::ffi::{CStr, c_int, c_void};
use core::ptr::NonNull;
use kernel::alloc::{KBox, VBytes};
use kernel::bindings as b;
use kernel::error::{Result, code, from_err_ptr};
use kernel::file::OpenFile;
use kernel::poll::{self, PollHead};
use kernel::sync::RawSpinLock;
use kernel::task::is_stopped;

type Messages = relay::Relay<RawSpinLock<Lists>, VBytes>;

struct Inner {
    messages: Messages,
    file: OpenFile,
    /// On which the thread waits for messages, and who flushes for the thread.
    head: PollHead,
}

/// Out-of-band code writes through it to an in-band file.
///
/// # Invariants
///
/// `thread` is a kthread to which a reference is held, and which uses `inner` until it has been stopped.
pub struct Relay {
    thread: NonNull<b::task_struct>,
    inner: KBox<Inner>,
}

// SAFETY: the thread may be stopped by any other; all else is Send and Sync itself.
unsafe impl Send for Relay {}
// SAFETY: as above.
unsafe impl Sync for Relay {}

static NAME: &CStr = c"oob relay";

impl Relay {
    /// To `file`, from its position on, for up to `count` messages under way of up to `longest` bytes each.
    ///
    /// # Errors
    ///
    /// Those of [`pool`], and those of creating a kthread.
    pub fn new(inband: &Inband<'_>, file: OpenFile, count: u32, longest: usize) -> Result<Self> {
        let messages = Messages::new(pool(inband, count, longest)?);
        let head = PollHead::new(inband)?;
        let inner = KBox::new(
            inband,
            Inner {
                messages,
                file,
                head,
            },
        )?;
        let argument = (&raw const *inner).cast_mut().cast::<c_void>();
        // SAFETY: in-band; `run` gets what stays until the thread has been stopped.
        let thread = from_err_ptr(unsafe { b::kthread_create(Some(run), argument, NAME.as_ptr()) });
        let thread = NonNull::new(thread?).ok_or(code::ENOMEM)?;
        // SAFETY: the new task lives, and does not run yet.
        unsafe { b::get_task_struct(thread.as_ptr()) };
        // SAFETY: as above.
        unsafe { b::wake_up_process(thread.as_ptr()) };
        Ok(Self { thread, inner })
    }

    /// Takes a message, whole or not at all; it is written later.
    ///
    /// # Errors
    ///
    /// See [`RelayError`]; it is counted as lost.
    pub fn write(&self, _oob: &Oob<'_>, message: &[u8]) -> core::result::Result<(), RelayError> {
        self.inner.messages.write(message)?;
        self.inner.head.signal(poll::IN);
        Ok(())
    }

    /// Messages that were not taken, and those that the file did not take.
    pub fn lost(&self) -> u64 {
        self.inner.messages.lost()
    }

    /// Waits until what was taken before has been written, or lost.
    ///
    /// # Errors
    ///
    /// [`WaitError::Interrupted`].
    pub fn flush(&self, inband: &Inband<'_>) -> core::result::Result<(), WaitError> {
        let Inner { messages, head, .. } = &*self.inner;
        let goal = messages.written();
        match head.wait(inband, || messages.drained() >= goal) {
            true => Ok(()),
            false => Err(WaitError::Interrupted),
        }
    }
}

impl Drop for Relay {
    /// Ends a write that waits. What is under way is written as far as the file takes it at once.
    fn drop(&mut self) {
        // SAFETY: a kthread that is referred to; in-band, as for every drop of what sleeps.
        unsafe { b::kthread_stop(self.thread.as_ptr()) };
        // SAFETY: the reference that `new` took.
        unsafe { b::put_task_struct(self.thread.as_ptr()) };
    }
}

unsafe extern "C" fn run(argument: *mut c_void) -> c_int {
    // SAFETY: what `new` gave, which stays until this thread is gone.
    let Inner {
        messages,
        file,
        head,
    } = unsafe { &*argument.cast_const().cast::<Inner>() };
    // SAFETY: a thread of the kernel's, in task context, nothing held.
    let inband = unsafe { Inband::assume() };
    let mut position = file.position();
    loop {
        // Looked at first: what was taken before the relay's end is drained after it.
        let is_over = is_stopped();
        while messages.drain(&inband, |inband, message| {
            file.write_all(inband, message, &mut position).is_ok()
        }) {
            head.signal(poll::OUT);
        }
        if is_over {
            return 0;
        }
        head.wait(&inband, || !messages.is_empty() || is_stopped());
    }
}
