// SPDX-License-Identifier: GPL-2.0-only

//! How a controller's module and `oob_spi.ko` meet: tables of functions with a C layout, since modules share no Rust
//! symbols.
//!
//! ```text
//!   controller's module                      oob_spi.ko
//!   registration::Registration<C>  --Description-->  Bus<Remote, _>
//!          C: Controller     <----Ops-------   Remote: Controller
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
/// As the methods': exclusive, in the context that [`crate::controller`] names; pointers live through the call.
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
/// `controller` points to a `C` that nobody else uses for as long as the result lives.
unsafe fn borrow<'a, C>(controller: *mut c_void) -> &'a mut C {
    // SAFETY: by contract.
    unsafe { &mut *controller.cast::<C>() }
}

unsafe extern "C" fn limits<C: Controller>(controller: *mut c_void, out: *mut Limits) {
    // SAFETY: the table's contract.
    let limits = unsafe { borrow::<C>(controller) }.limits();
    // SAFETY: the table's contract.
    unsafe { out.write(limits) };
}

unsafe extern "C" fn prepare<C: Controller>(
    controller: *mut c_void,
    setup: *const Setup,
    memory: *const FrameMemory,
    out: *mut Prepared,
) -> u32 {
    // SAFETY: the table's contract.
    let controller = unsafe { borrow::<C>(controller) };
    // SAFETY: `prepare` is called in-band.
    let inband = unsafe { Inband::assume() };
    // SAFETY: the table's contract.
    let setup = unsafe { &*setup };
    // SAFETY: the table's contract.
    let memory = unsafe { &*memory };
    // SAFETY: the table's contract.
    match unsafe { controller.prepare(&inband, setup, memory) } {
        Ok(prepared) => {
            // SAFETY: the table's contract.
            unsafe { out.write(prepared) };
            OK
        }
        Err(error) => prepare_code(error),
    }
}

unsafe extern "C" fn start<C: Controller>(controller: *mut c_void) {
    // SAFETY: `start` is called in-band.
    let inband = unsafe { Inband::assume() };
    // SAFETY: the table's contract.
    unsafe { borrow::<C>(controller) }.start(&inband);
}

unsafe extern "C" fn pulse<C: Controller>(
    controller: *mut c_void,
    chip_select: u8,
    kind: u32,
) -> u32 {
    // SAFETY: the table's contract.
    pulse_code(unsafe { borrow::<C>(controller) }.pulse(chip_select, kind_of(kind)))
}

unsafe extern "C" fn pulse_may_sleep<C: Controller>(
    controller: *mut c_void,
    chip_select: u8,
    kind: u32,
    wait: *const LongWait<'_>,
) -> u32 {
    // SAFETY: the table's contract.
    let controller = unsafe { borrow::<C>(controller) };
    // SAFETY: the table's contract.
    pulse_code(controller.pulse_may_sleep(chip_select, kind_of(kind), unsafe { &*wait }))
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
    // SAFETY: the table's contract.
    let wait = unsafe { &*wait };
    // SAFETY: the table's contract.
    match unsafe { borrow::<C>(controller) }.finish(chip_select, outcome, wait) {
        Ok(()) => OK,
        Err(error) => transfer_code(error),
    }
}

unsafe extern "C" fn terminate<C: Controller>(controller: *mut c_void, chip_select: u8) {
    // SAFETY: `terminate` is called in-band.
    let inband = unsafe { Inband::assume() };
    // SAFETY: the table's contract.
    unsafe { borrow::<C>(controller) }.terminate(&inband, chip_select);
}

unsafe extern "C" fn stop<C: Controller>(controller: *mut c_void) {
    // SAFETY: `stop` is called in-band.
    let inband = unsafe { Inband::assume() };
    // SAFETY: the table's contract.
    unsafe { borrow::<C>(controller) }.stop(&inband);
}

/// A controller behind a table.
///
/// # Invariants
///
/// The table fits the controller, which lives until the bus is told that it is gone.
#[derive(Debug)]
pub struct Remote {
    ops: Ops,
    controller: *mut c_void,
}

// SAFETY: `Ops::of` is given `Send` controllers only, through `registration::Registration`.
unsafe impl Send for Remote {}

impl Remote {
    /// Wraps a table and what it is for.
    ///
    /// # Safety
    ///
    /// The type's invariants, and that nobody else calls the controller's methods meanwhile.
    pub const unsafe fn new(ops: Ops, controller: *mut c_void) -> Self {
        Self { ops, controller }
    }
}

impl Controller for Remote {
    fn limits(&self) -> Limits {
        let mut out = MaybeUninit::uninit();
        // SAFETY: by the invariants; called once, while the bus is made.
        unsafe { (self.ops.limits)(self.controller, out.as_mut_ptr()) };
        // SAFETY: written by the call.
        unsafe { out.assume_init() }
    }

    unsafe fn prepare(
        &mut self,
        _inband: &Inband<'_>,
        setup: &Setup,
        memory: &FrameMemory,
    ) -> Result<Prepared, PrepareError> {
        let mut out = MaybeUninit::uninit();
        // SAFETY: by the invariants; in-band by the token; of the memory by contract.
        match unsafe { (self.ops.prepare)(self.controller, setup, memory, out.as_mut_ptr()) } {
            // SAFETY: written by the call.
            OK => Ok(unsafe { out.assume_init() }),
            code => Err(prepare_error(code)),
        }
    }

    fn start(&mut self, _inband: &Inband<'_>) {
        // SAFETY: by the invariants; in-band by the token.
        unsafe { (self.ops.start)(self.controller) };
    }

    fn pulse(&mut self, chip_select: u8, kind: FrameKind) -> Result<Pulse, TransferError> {
        // SAFETY: by the invariants.
        pulse_result(unsafe { (self.ops.pulse)(self.controller, chip_select, kind as u32) })
    }

    fn pulse_may_sleep(
        &mut self,
        chip_select: u8,
        kind: FrameKind,
        wait: &LongWait<'_>,
    ) -> Result<Pulse, TransferError> {
        let pulse = self.ops.pulse_may_sleep;
        // SAFETY: by the invariants.
        pulse_result(unsafe { pulse(self.controller, chip_select, kind as u32, wait) })
    }

    fn finish(
        &mut self,
        chip_select: u8,
        outcome: Outcome,
        wait: &LongWait<'_>,
    ) -> Result<(), TransferError> {
        // SAFETY: by the invariants.
        match unsafe { (self.ops.finish)(self.controller, chip_select, outcome as u32, wait) } {
            OK => Ok(()),
            code => Err(transfer_error(code)),
        }
    }

    fn terminate(&mut self, _inband: &Inband<'_>, chip_select: u8) {
        // SAFETY: by the invariants; in-band by the token.
        unsafe { (self.ops.terminate)(self.controller, chip_select) };
    }

    fn stop(&mut self, _inband: &Inband<'_>) {
        // SAFETY: by the invariants; in-band by the token.
        unsafe { (self.ops.stop)(self.controller) };
    }
}
