// SPDX-License-Identifier: GPL-2.0-only

//! What out-of-band code in a kernel cannot call: the services of in-band's own, each once with
//! either token, but for those that take none, which `docs/stage.md`, section 2, lists.
//!
//! ```text
//!   name: |stage, ...| call;    with the in-band token: compiles
//!                               with the out-of-band one: only with --cfg mistakes, and not there
//! ```
//!
//! Rules: what is marked must not compile, each line with the error that its mark names; all else
//! must. `cargo xtask test` looks, for each core; nothing of it is ever run. A call is written with
//! its module's name, by which `cargo test` finds out whether one is missing. What in a process has
//! the same signatures stands in `oob/src/promises.rs`, too.
#![no_std]
#![no_main]
#![allow(dead_code, reason = "only compiled")]

use core::ffi::{CStr, c_void};
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::null_mut;
use kernel::debugfs::{Numbers, Seq, Show};
use kernel::error::Result;
use kernel::miscdevice::File;
use kernel::platform::Driver;
use kernel::sync::LockClass;
use kernel::time::TimerHandler;
use kernel::{
    alloc, debugfs, dma, file, miscdevice, mm, platform, poll, sync, task, time, tracepoint,
    uaccess,
};
use oob::irq::{Handled, Handler};
use oob::kernel_core;
use oob::stage::{Inband, Oob};
use oob::time::Timer;
use oob::wait::Flag;

/// Each of these with the in-band token, and as a mistake with the other one.
macro_rules! inband_only {
    ($($name:ident: |$stage:ident $(, $argument:ident: $type:ty)*| $call:expr;)*) => {
        mod right {
            use super::*;
            $(fn $name($stage: &Inband<'_> $(, $argument: $type)*) {
                let _ = $call;
            })*
        }

        #[cfg(mistakes)]
        mod wrong {
            use super::*;
            $(fn $name($stage: &Oob<'_> $(, $argument: $type)*) {
                let _ = $call;
            })*
        }
    };
}

inband_only! {
    // Memory.
    new_box: |stage| alloc::KBox::new(stage, 0_u32); //~ E0308
    zeroed_box: |stage| alloc::KBox::<MaybeUninit<u32>>::zeroed(stage); //~ E0308
    new_arc: |stage| alloc::KArc::new(stage, 0_u32); //~ E0308
    new_bytes: |stage| alloc::VBytes::zeroed(stage, 64); //~ E0308
    // SAFETY: never run.
    new_coherent: |stage| unsafe { dma::Coherent::new(stage, null_mut(), 64) }; //~ E0308

    // What the stage is made of.
    new_flag: |stage| kernel_core::TaskFlag::new(stage); //~ E0308
    new_monitor: |stage| kernel_core::monitor_lock(stage, 0_u32).map(kernel_core::Monitor::new); //~ E0308
    new_pool: |stage| kernel_core::pool(stage, 1, 64); //~ E0308
    new_stage_lock: |stage| stax::new(stage, 0_u32); //~ E0308
    new_stage_lock_backend: |stage| stax::kernel_backend(stage); //~ E0308
    new_semaphore: |stage| kernel_core::monitor_lock(stage, 0_u32).map(kernel_core::Semaphore::new); //~ E0308
    new_mutex: |stage| kernel_core::Mutex::new(stage, 0_u32, c"", &CLASS); //~ E0308
    new_timer: |stage| time::HardTimer::new(stage, Nothing); //~ E0308
    stop_timer: |stage, timer: &time::HardTimer<Nothing>| timer.stop(stage); //~ E0308
    cancel_timer: |stage, timer: &time::HardTimer<Nothing>| timer.cancel(stage); //~ E0308
    new_work: |stage| kernel_core::Work::new(stage, |_: &Inband<'_>| 0); //~ E0308
    flush_work: |stage, work: &kernel_core::Work| work.flush(stage); //~ E0308
    cancel_work: |stage, work: &kernel_core::Work| work.cancel(stage); //~ E0308
    run_thread: |stage| kernel_core::Thread::run(stage, c"", 1, None, |_: &Oob<'_>, _: &_| ()); //~ E0308
    stop_thread: |stage, thread: kernel_core::Thread| thread.stop(stage); //~ E0308
    new_interrupt: |stage| kernel_core::Interrupt::new(stage, 0, c"", Nothing); //~ E0308
    make_buffers: |stage, b: &mut kernel_core::MappedBuffers<1, 1>| b.make(stage, 0, 4096); //~ E0308
    may_map_buffer: |stage, b: &mut kernel_core::MappedBuffers<1, 1>, vma: &mm::Vma<'_>| b.may_map(stage, 0, vma); //~ E0308
    map_buffer: |stage, b: &mut kernel_core::MappedBuffers<1, 1>, vma: &mm::Vma<'_>| b.map(stage, 0, vma); //~ E0308
    take_process: |stage, b: &mut kernel_core::MappedBuffers<1, 1>| b.take_process(stage); //~ E0308
    revoke_buffers: |stage, b: &mut kernel_core::MappedBuffers<1, 1>| b.revoke(stage); //~ E0308
    new_relay: |stage, file: file::OpenFile| kernel_core::Relay::new(stage, file, 1, 64); //~ E0308
    flush_relay: |stage, relay: &kernel_core::Relay| relay.flush(stage); //~ E0308

    // In-band's own locks and waits.
    new_spinlock: |stage| sync::RawSpinLock::new(stage, 0_u32, c"", &CLASS); //~ E0308
    new_sleeping_lock: |stage| sync::Mutex::new(stage, 0_u32, c"", &CLASS); //~ E0308
    lock: |stage, lock: &sync::Mutex<u32>| *lock.lock(stage) += 1; //~ E0308
    new_queue: |stage| sync::WaitQueue::new(stage, c"", &CLASS); //~ E0308
    wait: |stage, queue: &sync::WaitQueue| queue.wait(stage, 1, || true); //~ E0308
    wake: |stage, queue: &sync::WaitQueue| queue.wake_all(stage); //~ E0308
    sleep: |stage| time::sleep_us(stage, 1, 2); //~ E0308
    new_poll_head: |stage| poll::PollHead::new(stage); //~ E0308
    wait_for_events: |stage, head: &poll::PollHead| head.wait(stage, || true); //~ E0308

    // Files, devices and drivers.
    new_node: |stage| miscdevice::Registration::<Nothing>::new(stage, b"", b"", ()); //~ E0308
    // SAFETY: never run.
    new_numbers: |stage| unsafe { debugfs::Dir::new(stage, c"", &Nothing) }; //~ E0308
    new_text: |stage| debugfs::Text::new(stage, c"", c"", Nothing); //~ E0308
    new_driver: |stage| platform::Registration::<Nothing>::new(stage); //~ E0308
    new_device: |stage| platform::OwnDevice::new(stage, c"", 0, &0_u32, 32); //~ E0308
    clock_rate: |stage, clock: &platform::Clock| clock.rate(stage); //~ E0308
    // SAFETY: never run.
    new_probe: |stage, f: *mut c_void| unsafe { tracepoint::Probe::new(stage, c"", f) }; //~ E0308
    open: |stage| file::OpenFile::to_write(stage, 0); //~ E0308
    write: |stage, file: &file::OpenFile| file.write_all(stage, b"", &mut 0); //~ E0308

    // Processes and their memory.
    read_user: |stage, from: uaccess::UserPtr| from.read::<u32>(stage); //~ E0308
    write_user: |stage, to: uaccess::UserPtr| to.write(stage, &0_u32); //~ E0308
    process: |stage| mm::Mm::current(stage); //~ E0308
    pass: |stage, process: &mm::Mm| process.pass(stage); //~ E0308
    // SAFETY: never run.
    unmap: |stage, node: mm::Node| unsafe { node.unmap(stage) }; //~ E0308
    may: |stage| task::capable_sys_nice(stage); //~ E0308
    // SAFETY: never run.
    describe: |stage| unsafe { task::describe(stage, || None) }; //~ E0308
}

static CLASS: LockClass = LockClass::new();

struct Nothing;

/// A handler does what any context may.
struct Wakes(kernel_core::TaskFlag);

impl TimerHandler for Wakes {
    fn expired(&self, _missed: u64) {
        self.0.raise();
    }
}

/// It is given no token, and cannot have kept one.
#[cfg(mistakes)]
struct Allocates(Inband<'static>);

#[cfg(mistakes)]
#[rustfmt::skip]
impl TimerHandler for Allocates { //~ E0277
    fn expired(&self, _missed: u64) {
        let _ = alloc::KBox::new(&self.0, 0_u32);
    }
}

/// What a user gave stays in its call: the copies sleep where a page is missing.
#[cfg(mistakes)]
struct Copies(uaccess::UserPtr);

#[cfg(mistakes)]
#[rustfmt::skip]
impl TimerHandler for Copies { //~ E0277
    fn expired(&self, _missed: u64) {
        let _ = self.0.read_oob::<u32>();
    }
}

/// A timer that is forgotten stays armed: a handler that borrowed something would not be this.
fn borrows_nothing<H: TimerHandler>(handler: H) -> impl Sized + 'static {
    handler
}

impl TimerHandler for Nothing {
    fn expired(&self, _missed: u64) {}
}

impl Handler for Nothing {
    fn handle(&self) -> Handled {
        Handled::Yes
    }
}

impl File for Nothing {
    type Device = ();

    fn open(inband: &Inband<'_>, _device: &()) -> Result<Self> {
        alloc::KBox::new(inband, 0_u32).map(|_| Self)
    }

    fn ioctl(
        &self,
        inband: &Inband<'_>,
        _command: u32,
        _argument: uaccess::UserPtr,
    ) -> Result<i32> {
        alloc::KBox::new(inband, 0_u32).map(|_| 0)
    }
}

#[cfg(mistakes)]
struct Exchanges;

/// An exchange call is not told that it is in-band.
#[cfg(mistakes)]
#[rustfmt::skip]
impl File for Exchanges {
    type Device = ();

    fn open(_inband: &Inband<'_>, _device: &()) -> Result<Self> {
        Ok(Self)
    }

    fn oob_ioctl(&self, inband: &Inband<'_>, _: u32, _: uaccess::UserPtr) -> Option<Result<i32>> { //~ E0050
        Some(alloc::KBox::new(inband, 0_u32).map(|_| 0))
    }

    fn ioctl(&self, _inband: &Inband<'_>, _command: u32, _argument: uaccess::UserPtr) -> Result<i32> {
        Ok(0)
    }
}

impl Driver for Nothing {
    const NAME: &'static CStr = c"";
    const COMPATIBLE: &'static [&'static CStr] = &[];

    fn probe(inband: &Inband<'_>, _device: &platform::Device<'_>) -> Result<alloc::KBox<Self>> {
        alloc::KBox::new(inband, Self)
    }
}

impl Numbers for Nothing {
    const FILES: &'static [(&'static CStr, bool)] = &[];

    fn get(&self, _index: usize) -> u64 {
        0
    }

    fn set(&self, _index: usize, _value: u64) {}
}

impl Show for Nothing {
    fn show(&self, _inband: &Inband<'_>, _out: &mut Seq<'_>) -> fmt::Result {
        Ok(())
    }
}
