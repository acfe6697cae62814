// SPDX-License-Identifier: GPL-2.0-only

//! The relay of the kernel cores: [`crate::relay`] with an in-band thread that writes to an open
//! file.
//!
//! ```text
//!   write --> queue of blocks --> in-band thread --> file
//!     '--signals--> poll head --wakes---^      '--signals--> poll head --wakes--> flush
//! ```
//!
//! The relay has a thread of its own because a write to a file, such as a pipe, may wait without
//! limit. Closing the relay stops the thread, which ends such a wait. Nothing could end the wait of
//! a kernel worker.

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
    /// The thread waits here for messages, and a flush waits here for the thread.
    head: PollHead,
}

/// Lets out-of-band code write to an in-band file.
///
/// # Invariants
///
/// `thread` is a kthread that this value holds a reference to. It uses `inner` until it has been
/// stopped.
pub struct Relay {
    thread: NonNull<b::task_struct>,
    inner: KBox<Inner>,
}

// SAFETY: any in-band thread may stop the kthread; the contents of `inner` are Send and Sync.
unsafe impl Send for Relay {}
// SAFETY: the methods on a shared reference use only `inner`, whose contents are Sync.
unsafe impl Sync for Relay {}

static NAME: &CStr = c"oob relay";

impl Relay {
    /// A relay that writes to `file` from the file's position on. It holds up to `count` unwritten
    /// messages of up to `longest` bytes each.
    ///
    /// # Errors
    ///
    /// The errors of [`pool`], and those of creating a kthread.
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
        // SAFETY: the token proves in-band task context. `run` takes a pointer to an `Inner`, and
        // the box keeps `inner` until the thread has been stopped.
        let thread = from_err_ptr(unsafe { b::kthread_create(Some(run), argument, NAME.as_ptr()) });
        let thread = NonNull::new(thread?).ok_or(code::ENOMEM)?;
        // SAFETY: a new kthread lives at least until it is woken for the first time.
        unsafe { b::get_task_struct(thread.as_ptr()) };
        // SAFETY: the reference taken above keeps the task alive.
        unsafe { b::wake_up_process(thread.as_ptr()) };
        Ok(Self { thread, inner })
    }

    /// Accepts a message, whole or not at all; the thread writes it later.
    ///
    /// # Errors
    ///
    /// See [`RelayError`]; the message is counted as lost.
    pub fn write(&self, _oob: &Oob<'_>, message: &[u8]) -> core::result::Result<(), RelayError> {
        self.inner.messages.write(message)?;
        self.inner.head.signal(poll::IN);
        Ok(())
    }

    /// The number of messages that the relay or the file did not accept.
    pub fn lost(&self) -> u64 {
        self.inner.messages.lost()
    }

    /// Waits until all messages accepted before the call have been written or lost.
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
    /// Ends a write that waits. The thread still writes the queued messages that the file accepts
    /// without waiting.
    fn drop(&mut self) {
        // SAFETY: the task is a kthread that this value holds a reference to. Relays are dropped
        // in-band, the kit's rule for values whose drop sleeps.
        unsafe { b::kthread_stop(self.thread.as_ptr()) };
        // SAFETY: gives back the reference that `new` took.
        unsafe { b::put_task_struct(self.thread.as_ptr()) };
    }
}

unsafe extern "C" fn run(argument: *mut c_void) -> c_int {
    // SAFETY: `new` started this thread with a pointer to an `Inner`, which its box keeps until
    // this thread has ended.
    let Inner {
        messages,
        file,
        head,
    } = unsafe { &*argument.cast_const().cast::<Inner>() };
    // SAFETY: this is a kthread, in-band, in task context, with no lock held.
    let inband = unsafe { Inband::assume() };
    let mut position = file.position();
    loop {
        // Checked before the queue: messages accepted before the stop request are then still
        // drained.
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
