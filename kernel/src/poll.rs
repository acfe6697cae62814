// SPDX-License-Identifier: GPL-2.0-only

//! Poll heads: how a device wakes the threads that poll its files.
//!
//! ```text
//!   any context: signal --is there a waiter?--> irq_work --> in-band: wakes poll, select, epoll
//!   File::poll:  watch, then check for events                        wait: sleeps until there are
//! ```
//!
//! The lock of a head's wait queue sleeps on PREEMPT_RT, so out-of-band code must not take it: an
//! irq_work wakes the pollers. A polling thread wakes as fast as any in-band code. On EVL a head is
//! also one of EVL's, for threads that poll out-of-band.

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

/// The file can be read.
pub const IN: u32 = b::POLLIN | b::POLLRDNORM;
/// The file can be written.
pub const OUT: u32 = b::POLLOUT | b::POLLWRNORM;
/// An error occurred.
pub const ERR: u32 = b::POLLERR;
/// The other end is gone.
pub const HUP: u32 = b::POLLHUP;

/// Where a poll of a file registers. The file stays open for `'a`.
#[derive(Debug)]
pub struct PollTable<'a> {
    file: *mut b::file,
    table: *mut b::poll_table_struct,
    /// The argument of an out-of-band poll, which has no file and no table; null otherwise.
    #[cfg(oob_core_evl)]
    oob: *mut b::oob_poll_wait,
    // Invariant in 'a: a head that lives shorter than the file is not accepted.
    open: PhantomData<Cell<&'a ()>>,
}

impl PollTable<'_> {
    /// Wraps the arguments of `->poll`.
    ///
    /// # Safety
    ///
    /// The arguments are those of the running `->poll`. The lifetime does not extend beyond the
    /// file's release.
    pub(crate) const unsafe fn new(file: *mut b::file, table: *mut b::poll_table_struct) -> Self {
        Self {
            file,
            table,
            #[cfg(oob_core_evl)]
            oob: core::ptr::null_mut(),
            open: PhantomData,
        }
    }

    /// Wraps the argument of `->oob_poll`.
    ///
    /// # Safety
    ///
    /// The argument is that of the running `->oob_poll`. The lifetime does not extend beyond the
    /// file's release.
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
    /// The events that were signalled and have not woken the pollers yet.
    events: AtomicU32,
}

/// A poll head; see the module's documentation.
///
/// # Invariants
///
/// Queue and work are initialised, and stay in place until no poll and no irq_work uses them.
pub struct PollHead(KBox<Inner>);

// SAFETY: threads may call the functions for one wait queue or one irq_work side by side; they use
// its lock and atomics.
unsafe impl Sync for PollHead {}
// SAFETY: queue and work lie in a box, so they do not move with this value, and belong to no
// thread.
unsafe impl Send for PollHead {}

static CLASS: LockClass = LockClass::new();
// A static, so that all heads have the name at one address: lockdep compares the addresses, not the
// texts.
static NAME: &CStr = c"oob poll";

impl PollHead {
    /// A head without pollers. Allocates.
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
        // SAFETY: the box keeps the queue in place until `drop`; name and class are static.
        unsafe { b::init_waitqueue_head(queue, NAME.as_ptr(), CLASS.key()) };
        // SAFETY: the box keeps the work in place until `drop`. The work is the first field of an
        // `Inner`, as `wake_pollers` requires.
        unsafe { b::init_irq_work(inner.work.get().cast(), Some(wake_pollers)) };
        // SAFETY: the box keeps EVL's head in place until `drop`.
        #[cfg(oob_core_evl)]
        unsafe {
            b::evl_init_poll_head(inner.evl.get().cast());
        };
        Ok(Self(inner))
    }

    /// Lets [`Self::signal`] wake the poll under way. A file calls it before it checks for events.
    pub fn watch<'a>(&'a self, table: &PollTable<'a>) {
        #[cfg(oob_core_evl)]
        if !table.oob.is_null() {
            // SAFETY: `table` holds the argument of the running `->oob_poll`. The head lives for
            // `'a`, as long as the file is open, and EVL drops what it registers before the file's
            // release.
            unsafe { b::evl_poll_watch(self.0.evl.get().cast(), table.oob, None) };
            return;
        }
        // SAFETY: `table` holds the arguments of the running `->poll`. The queue lives for `'a`, as
        // long as the file is open, and the kernel removes what it registers before the file's
        // release.
        unsafe { b::poll_wait(table.file, self.0.queue.get().cast(), table.table) };
    }

    /// Sleeps until `condition` returns true; it is called whenever the head is signalled. Returns
    /// false if a signal to the process came first, or if the calling kernel thread was asked to
    /// stop.
    pub fn wait<F: FnMut() -> bool>(&self, _inband: &Inband<'_>, mut condition: F) -> bool {
        let (queue, argument) = (self.0.queue.get().cast(), (&raw mut condition).cast());
        // SAFETY: `new` initialised the queue. `argument` points to the `F` that `holds::<F>`
        // takes, and that lives through the call. The token proves that the caller may sleep.
        unsafe { b::wait_event_interruptible(queue, Some(holds::<F>), argument) == 0 }
    }

    /// Wakes the threads that poll for `events`. The caller makes the events visible first.
    /// Callable from any context.
    pub fn signal(&self, events: u32) {
        // SAFETY: `new` initialised EVL's head; any context may signal it.
        #[cfg(oob_core_evl)]
        unsafe {
            b::evl_signal_poll_events(self.0.evl.get().cast(), events);
        };
        // SAFETY: `new` initialised the queue; the check takes no lock.
        if unsafe { b::wq_has_sleeper(self.0.queue.get().cast()) } {
            self.0.events.fetch_or(events, Ordering::Relaxed);
            // SAFETY: `new` initialised the work; any context may queue it. If it is pending
            // already, it has not taken the events yet.
            unsafe { b::irq_work_queue(self.0.work.get().cast()) };
        }
    }
}

unsafe extern "C" fn holds<F: FnMut() -> bool>(condition: *mut c_void) -> bool {
    // SAFETY: `wait` passes a pointer to its own `condition`, which outlives this call and which no
    // other code uses meanwhile.
    let condition = unsafe { &mut *condition.cast::<F>() };
    condition()
}

unsafe extern "C" fn wake_pollers(work: *mut b::irq_work) {
    // SAFETY: `new` set this function up for a work that is the first field of an `Inner`. The box
    // lives until `drop` has waited for this function.
    let inner = unsafe { &*work.cast::<Inner>() };
    let events = inner.events.swap(0, Ordering::Relaxed);
    // SAFETY: `new` initialised the queue; an irq_work of this kind runs in-band, where the queue's
    // lock may be taken.
    unsafe { b::wake_up_poll(inner.queue.get().cast(), events) };
}

impl Drop for PollHead {
    fn drop(&mut self) {
        // SAFETY: `new` initialised the work. No code signals any more: it would borrow the head.
        // Heads are dropped in-band, the kit's rule for values whose drop sleeps.
        unsafe { b::irq_work_sync(self.0.work.get().cast()) };
    }
}
