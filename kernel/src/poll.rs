// SPDX-License-Identifier: GPL-2.0-only

//! Poll heads: how a device tells those who poll its files that something has changed.
//!
//! ```text
//!   any context: signal --is anybody there?--> irq_work --> in-band: wakes poll, select, epoll
//!   File::poll:  watch, then look whether there is something        wait: sleeps until there is
//! ```
//!
//! A head's queue has a lock that sleeps on PREEMPT_RT, so no out-of-band code may touch it: waking goes round by irq_work.
//! Who polls is woken as fast as in-band code is. On EVL a head is one of EVL's, too, for those who poll out-of-band.

use crate::alloc::KBox;
use crate::error::Result;
use crate::inband::Inband;
use crate::sync::LockClass;
use bindings as b;
use core::cell::{Cell, UnsafeCell};
use core::ffi::{CStr, c_void};
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU32, Ordering};

/// There is something to read.
pub const IN: u32 = b::POLLIN | b::POLLRDNORM;
/// There is room to write.
pub const OUT: u32 = b::POLLOUT | b::POLLWRNORM;
/// Something went wrong.
pub const ERR: u32 = b::POLLERR;
/// The other end is gone.
pub const HUP: u32 = b::POLLHUP;

/// What a poll of a file registers with; `'a` is how long the file is open.
#[derive(Debug)]
pub struct PollTable<'a> {
    file: *mut b::file,
    table: *mut b::poll_table_struct,
    /// Of a poll that is made out-of-band, which has nothing of the above.
    #[cfg(oob_core_evl)]
    oob: *mut b::oob_poll_wait,
    // Invariant: a head that lives shorter than the file must not do.
    open: PhantomData<Cell<&'a ()>>,
}

impl PollTable<'_> {
    /// Wraps what `->poll` was given.
    ///
    /// # Safety
    ///
    /// The arguments are those of the running `->poll`; the lifetime is no longer than until the file's release.
    pub(crate) const unsafe fn new(file: *mut b::file, table: *mut b::poll_table_struct) -> Self {
        Self {
            file,
            table,
            #[cfg(oob_core_evl)]
            oob: core::ptr::null_mut(),
            open: PhantomData,
        }
    }

    /// Wraps what `->oob_poll` was given.
    ///
    /// # Safety
    ///
    /// As for [`Self::new`].
    #[cfg(oob_core_evl)]
    pub(crate) const unsafe fn new_oob(oob: *mut b::oob_poll_wait) -> Self {
        Self {
            file: core::ptr::null_mut(),
            table: core::ptr::null_mut(),
            oob,
            open: PhantomData,
        }
    }
}

#[repr(C)]
struct Inner {
    work: UnsafeCell<MaybeUninit<b::irq_work>>,
    queue: UnsafeCell<MaybeUninit<b::wait_queue_head_t>>,
    #[cfg(oob_core_evl)]
    evl: UnsafeCell<MaybeUninit<b::evl_poll_head>>,
    /// Signalled, and not yet told.
    events: AtomicU32,
}

/// See the module.
///
/// # Invariants
///
/// Queue and work are initialised, and stay where they are until nothing of them is under way.
pub struct PollHead(KBox<Inner>);

// SAFETY: queue and work synchronise themselves.
unsafe impl Sync for PollHead {}
// SAFETY: it lies in memory of its own.
unsafe impl Send for PollHead {}

static CLASS: LockClass = LockClass::new();
// One address wherever it is used: lockdep compares that, not the text.
static NAME: &CStr = c"oob poll";

impl PollHead {
    /// Nobody polls yet. Allocates.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(inband: &Inband<'_>) -> Result<Self> {
        let inner = Inner {
            work: UnsafeCell::new(MaybeUninit::zeroed()),
            queue: UnsafeCell::new(MaybeUninit::zeroed()),
            #[cfg(oob_core_evl)]
            evl: UnsafeCell::new(MaybeUninit::zeroed()),
            events: AtomicU32::new(0),
        };
        let inner = KBox::new(inband, inner)?;
        let queue = inner.queue.get().cast();
        // SAFETY: the memory is there until `drop`, name and class for ever.
        unsafe { b::init_waitqueue_head(queue, NAME.as_ptr(), CLASS.key()) };
        // SAFETY: as above; `tell` gets a pointer into an `Inner`.
        unsafe { b::init_irq_work(inner.work.get().cast(), Some(tell)) };
        // SAFETY: as above.
        #[cfg(oob_core_evl)]
        unsafe {
            b::evl_init_poll_head(inner.evl.get().cast());
        };
        Ok(Self(inner))
    }

    /// Has the poll under way woken by [`Self::signal`]. To be called before looking whether there is something.
    pub fn watch<'a>(&'a self, table: &PollTable<'a>) {
        #[cfg(oob_core_evl)]
        if !table.oob.is_null() {
            // SAFETY: the running ->oob_poll's argument; the head lives as long as the file is open, which EVL forgets
            // before its release.
            unsafe { b::evl_poll_watch(self.0.evl.get().cast(), table.oob, None) };
            return;
        }
        // SAFETY: the running ->poll's arguments; the queue lives as long as the file is open, and the kernel takes what it
        // registers out before the file's release.
        unsafe { b::poll_wait(table.file, self.0.queue.get().cast(), table.table) };
    }

    /// Sleeps until `condition` holds, which is looked at whenever somebody signals; false where a signal to the
    /// process came first, or the calling kernel thread is to stop.
    pub fn wait<F: FnMut() -> bool>(&self, _inband: &Inband<'_>, mut condition: F) -> bool {
        let (queue, argument) = (self.0.queue.get().cast(), (&raw mut condition).cast());
        // SAFETY: the queue was initialised in `new`; `holds` and `argument` belong together.
        unsafe { b::wait_event_interruptible(queue, Some(holds::<F>), argument) == 0 }
    }

    /// Tells those who poll that `events` are there. After they can be seen; in any context.
    pub fn signal(&self, events: u32) {
        // SAFETY: initialised in `new`.
        #[cfg(oob_core_evl)]
        unsafe {
            b::evl_signal_poll_events(self.0.evl.get().cast(), events);
        };
        // SAFETY: initialised in `new`.
        if unsafe { b::wq_has_sleeper(self.0.queue.get().cast()) } {
            self.0.events.fetch_or(events, Ordering::Relaxed);
            // SAFETY: initialised in `new`. Where it is pending already, it has yet to take the events.
            unsafe { b::irq_work_queue(self.0.work.get().cast()) };
        }
    }
}

unsafe extern "C" fn holds<F: FnMut() -> bool>(condition: *mut c_void) -> bool {
    // SAFETY: `wait` passes its own condition, which outlives the call and is used by nobody else meanwhile.
    let condition = unsafe { &mut *condition.cast::<F>() };
    condition()
}

unsafe extern "C" fn tell(work: *mut b::irq_work) {
    // SAFETY: the first field of an `Inner`, which lives until `drop` has seen the end of this.
    let inner = unsafe { &*work.cast::<Inner>() };
    let events = inner.events.swap(0, Ordering::Relaxed);
    // SAFETY: initialised in `new`; in-band, where the queue's lock may be taken.
    unsafe { b::wake_up_poll(inner.queue.get().cast(), events) };
}

impl Drop for PollHead {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`. In-band; nobody signals any more.
        unsafe { b::irq_work_sync(self.0.work.get().cast()) };
    }
}
