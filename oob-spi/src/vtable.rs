// SPDX-License-Identifier: GPL-2.0-only

//! The vtable of a controller. It has a C layout, because a controller's module and `oob_spi.ko`
//! share no Rust symbols.
//!
//! ```text
//!   controller's module                      oob_spi.ko
//!   Registration<C: Controller>  --Ops-->    Bus<Remote, _>
//!          C             <--calls through Ops--   Remote: Controller
//! ```

use crate::controller::{
    Controller, FrameKind, FrameMemory, Limits, Outcome, PrepareError, Prepared, Pulse, Setup,
    TransferError,
};
use core::ffi::c_void;
use core::mem::MaybeUninit;
use oob::long_wait::LongWait;
use oob::stage::Inband;

/// The functions of a [`Controller`], each with the controller as first argument.
///
/// # Safety of calls
///
/// The first argument points to the `C` of [`Ops::of`]. Calls are exclusive, and in the context
/// that [`crate::controller`] says: all but `pulse`, `pulse_may_sleep` and `finish` are in-band.
/// The other pointers are valid until the call returns.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Ops {
    limits: unsafe extern "C" fn(*mut c_void, *mut Limits),
    prepare:
        unsafe extern "C" fn(*mut c_void, *const Setup, *const FrameMemory, *mut Prepared) -> u32,
    start: unsafe extern "C" fn(*mut c_void),
    pulse: unsafe extern "C" fn(*mut c_void, u8, u32) -> u32,
    pulse_may_sleep: unsafe extern "C" fn(*mut c_void, u8, u32, *const LongWait<'_>) -> u32,
    finish: unsafe extern "C" fn(*mut c_void, u8, u32, *const LongWait<'_>) -> u32,
    terminate: unsafe extern "C" fn(*mut c_void, u8),
    stop: unsafe extern "C" fn(*mut c_void),
}

const OK: u32 = 0;
const IN_FLIGHT: u32 = 1;

const fn prepare_code(error: PrepareError) -> u32 {
    match error {
        PrepareError::Speed => 2,
        PrepareError::NoDma => 3,
        PrepareError::ActiveHigh => 4,
    }
}

const fn prepare_error(code: u32) -> PrepareError {
    match code {
        2 => PrepareError::Speed,
        4 => PrepareError::ActiveHigh,
        _ => PrepareError::NoDma,
    }
}

const fn transfer_code(error: TransferError) -> u32 {
    match error {
        TransferError::Stuck => 2,
        TransferError::Bus => 3,
        TransferError::NotPrepared => 4,
    }
}

const fn transfer_error(code: u32) -> TransferError {
    match code {
        3 => TransferError::Bus,
        4 => TransferError::NotPrepared,
        _ => TransferError::Stuck,
    }
}

#[inline(always)]
const fn kind_of(code: u32) -> FrameKind {
    if code == FrameKind::Stop as u32 {
        FrameKind::Stop
    } else {
        FrameKind::Regular
    }
}

#[inline(always)]
const fn pulse_code(pulsed: Result<Pulse, TransferError>) -> u32 {
    match pulsed {
        Ok(Pulse::Done) => OK,
        Ok(Pulse::InFlight) => IN_FLIGHT,
        Err(error) => transfer_code(error),
    }
}

#[inline(always)]
const fn pulse_result(code: u32) -> Result<Pulse, TransferError> {
    match code {
        OK => Ok(Pulse::Done),
        IN_FLIGHT => Ok(Pulse::InFlight),
        code => Err(transfer_error(code)),
    }
}

impl Ops {
    /// The table of a controller of type `C`; its first arguments are pointers to a `C`.
    pub const fn of<C: Controller>() -> Self {
        Self {
            limits: limits::<C>,
            prepare: prepare::<C>,
            start: start::<C>,
            pulse: pulse::<C>,
            pulse_may_sleep: pulse_may_sleep::<C>,
            finish: finish::<C>,
            terminate: terminate::<C>,
            stop: stop::<C>,
        }
    }
}

/// # Safety
///
/// `controller` points to a `C` that no other code uses for as long as the result lives.
unsafe fn borrow<'a, C>(controller: *mut c_void) -> &'a mut C {
    // SAFETY: the caller promises that `controller` points to a `C`, and that the reference is the
    // only one.
    unsafe { &mut *controller.cast::<C>() }
}

unsafe extern "C" fn limits<C: Controller>(controller: *mut c_void, out: *mut Limits) {
    // SAFETY: the first argument points to a `C`, and calls are exclusive.
    let limits = unsafe { borrow::<C>(controller) }.limits();
    // SAFETY: `out` points to room for `Limits`, until this call returns.
    unsafe { out.write(limits) };
}

unsafe extern "C" fn prepare<C: Controller>(
    controller: *mut c_void,
    setup: *const Setup,
    memory: *const FrameMemory,
    out: *mut Prepared,
) -> u32 {
    // SAFETY: the first argument points to a `C`, and calls are exclusive.
    let controller = unsafe { borrow::<C>(controller) };
    // SAFETY: `Remote::prepare`, the only caller, has an in-band token.
    let inband = unsafe { Inband::assume() };
    // SAFETY: `setup` points to a `Setup`, which is valid until this call returns.
    let setup = unsafe { &*setup };
    // SAFETY: `memory` points to a `FrameMemory`, which is valid until this call returns.
    let memory = unsafe { &*memory };
    // SAFETY: the caller of `Remote::prepare` promises of the memory what `Controller::prepare`
    // requires.
    match unsafe { controller.prepare(&inband, setup, memory) } {
        Ok(prepared) => {
            // SAFETY: `out` points to room for a `Prepared`, until this call returns.
            unsafe { out.write(prepared) };
            OK
        }
        Err(error) => prepare_code(error),
    }
}

unsafe extern "C" fn start<C: Controller>(controller: *mut c_void) {
    // SAFETY: `Remote::start`, the only caller, has an in-band token.
    let inband = unsafe { Inband::assume() };
    // SAFETY: the argument points to a `C`, and calls are exclusive.
    unsafe { borrow::<C>(controller) }.start(&inband);
}

unsafe extern "C" fn pulse<C: Controller>(
    controller: *mut c_void,
    chip_select: u8,
    kind: u32,
) -> u32 {
    // SAFETY: the first argument points to a `C`, and calls are exclusive.
    pulse_code(unsafe { borrow::<C>(controller) }.pulse(chip_select, kind_of(kind)))
}

unsafe extern "C" fn pulse_may_sleep<C: Controller>(
    controller: *mut c_void,
    chip_select: u8,
    kind: u32,
    wait: *const LongWait<'_>,
) -> u32 {
    // SAFETY: the first argument points to a `C`, and calls are exclusive.
    let controller = unsafe { borrow::<C>(controller) };
    // SAFETY: `wait` points to a `LongWait`, which is valid until this call returns.
    let wait = unsafe { &*wait };
    pulse_code(controller.pulse_may_sleep(chip_select, kind_of(kind), wait))
}

unsafe extern "C" fn finish<C: Controller>(
    controller: *mut c_void,
    chip_select: u8,
    outcome: u32,
    wait: *const LongWait<'_>,
) -> u32 {
    let outcome = if outcome == Outcome::TimedOut as u32 {
        Outcome::TimedOut
    } else {
        Outcome::Signalled
    };
    // SAFETY: `wait` points to a `LongWait`, which is valid until this call returns.
    let wait = unsafe { &*wait };
    // SAFETY: the first argument points to a `C`, and calls are exclusive.
    match unsafe { borrow::<C>(controller) }.finish(chip_select, outcome, wait) {
        Ok(()) => OK,
        Err(error) => transfer_code(error),
    }
}

unsafe extern "C" fn terminate<C: Controller>(controller: *mut c_void, chip_select: u8) {
    // SAFETY: `Remote::terminate`, the only caller, has an in-band token.
    let inband = unsafe { Inband::assume() };
    // SAFETY: the first argument points to a `C`, and calls are exclusive.
    unsafe { borrow::<C>(controller) }.terminate(&inband, chip_select);
}

unsafe extern "C" fn stop<C: Controller>(controller: *mut c_void) {
    // SAFETY: `Remote::stop`, the only caller, has an in-band token.
    let inband = unsafe { Inband::assume() };
    // SAFETY: the argument points to a `C`, and calls are exclusive.
    unsafe { borrow::<C>(controller) }.stop(&inband);
}

/// A controller behind its vtable.
///
/// # Invariants
///
/// The vtable was made for the controller's type. The controller lives until the bus has been shut
/// down, and no other code calls its methods while oob mode is on.
#[derive(Debug)]
pub struct Remote {
    ops: Ops,
    controller: *mut c_void,
}

// SAFETY: `Registration::new`, the only maker of vtables, requires `C: Send`.
unsafe impl Send for Remote {}

impl Remote {
    /// Wraps a vtable and its controller.
    ///
    /// # Safety
    ///
    /// The type's invariants hold.
    pub const unsafe fn new(ops: Ops, controller: *mut c_void) -> Self {
        Self { ops, controller }
    }
}

impl Controller for Remote {
    fn limits(&self) -> Limits {
        let mut out = MaybeUninit::uninit();
        // SAFETY: the vtable fits the controller, by the invariants. `Bus::new` calls this before
        // anybody else uses the controller.
        unsafe { (self.ops.limits)(self.controller, out.as_mut_ptr()) };
        // SAFETY: `limits::<C>` has written it.
        unsafe { out.assume_init() }
    }

    unsafe fn prepare(
        &mut self,
        _inband: &Inband<'_>,
        setup: &Setup,
        memory: &FrameMemory,
    ) -> Result<Prepared, PrepareError> {
        let mut out = MaybeUninit::uninit();
        // SAFETY: the vtable fits the controller, by the invariants, and `&mut self` makes calls
        // exclusive. The token shows that this is in-band. The caller promises of the memory what
        // `Controller::prepare` requires.
        match unsafe { (self.ops.prepare)(self.controller, setup, memory, out.as_mut_ptr()) } {
            // SAFETY: `prepare::<C>` has written it, because it returned `OK`.
            OK => Ok(unsafe { out.assume_init() }),
            code => Err(prepare_error(code)),
        }
    }

    fn start(&mut self, _inband: &Inband<'_>) {
        // SAFETY: the vtable fits the controller, by the invariants, and `&mut self` makes calls
        // exclusive. The token shows that this is in-band.
        unsafe { (self.ops.start)(self.controller) };
    }

    fn pulse(&mut self, chip_select: u8, kind: FrameKind) -> Result<Pulse, TransferError> {
        // SAFETY: the vtable fits the controller, by the invariants, and `&mut self` makes calls
        // exclusive.
        pulse_result(unsafe { (self.ops.pulse)(self.controller, chip_select, kind as u32) })
    }

    fn pulse_may_sleep(
        &mut self,
        chip_select: u8,
        kind: FrameKind,
        wait: &LongWait<'_>,
    ) -> Result<Pulse, TransferError> {
        let pulse = self.ops.pulse_may_sleep;
        // SAFETY: the vtable fits the controller, by the invariants, and `&mut self` makes calls
        // exclusive.
        pulse_result(unsafe { pulse(self.controller, chip_select, kind as u32, wait) })
    }

    fn finish(
        &mut self,
        chip_select: u8,
        outcome: Outcome,
        wait: &LongWait<'_>,
    ) -> Result<(), TransferError> {
        // SAFETY: the vtable fits the controller, by the invariants, and `&mut self` makes calls
        // exclusive.
        match unsafe { (self.ops.finish)(self.controller, chip_select, outcome as u32, wait) } {
            OK => Ok(()),
            code => Err(transfer_error(code)),
        }
    }

    fn terminate(&mut self, _inband: &Inband<'_>, chip_select: u8) {
        // SAFETY: the vtable fits the controller, by the invariants, and `&mut self` makes calls
        // exclusive. The token shows that this is in-band.
        unsafe { (self.ops.terminate)(self.controller, chip_select) };
    }

    fn stop(&mut self, _inband: &Inband<'_>) {
        // SAFETY: the vtable fits the controller, by the invariants, and `&mut self` makes calls
        // exclusive. The token shows that this is in-band.
        unsafe { (self.ops.stop)(self.controller) };
    }
}
