// SPDX-License-Identifier: GPL-2.0-only

//! The controller as an ordinary `spi_controller`, for mainline's SPI drivers.
//!
//! ```text
//!   message pump:  prepare_message  { set_cs  transfer_one  set_cs }*  unprepare_message
//!   gate:          enter (waits)                                       exit
//! ```
//!
//! Between `prepare_message` and `unprepare_message` the gate keeps oob mode out, so the controller is this side's alone.
//! `spi_setup` calls `set_cs` outside of messages: then the gate is tried, and where oob mode is on the call is left
//! out, since chip selects are inactive between oob frames anyway.

use super::Hw;
use super::dma_mapped::DmaMappedController;
use crate::spi::{Buffers, InbandSetup, Sleep};
use core::ffi::c_int;
use core::ptr::NonNull;
use core::slice;
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use kernel::bindings as b;
use kernel::error::{Result, code, from_result, to_result};
use kernel::platform;
use oob::board::Child;
use oob::stage::Inband;
use oob::time::Ns;
use oob_spi::controller::{Limits, MODE_CS_HIGH};
use oob_spi::registration::{BusHandle, Registration};

/// What a `spi_controller` carries for its callbacks.
struct Link<H: Hw> {
    bus: BusHandle,
    controller: *mut DmaMappedController<H>,
    in_message: AtomicBool,
}

/// A registered `spi_controller`.
///
/// # Invariants
///
/// The controller is registered until `drop`, and holds one reference.
pub(super) struct InbandController(NonNull<b::spi_controller>);

// SAFETY: the SPI core synchronises itself.
unsafe impl Send for InbandController {}
// SAFETY: as above.
unsafe impl Sync for InbandController {}

impl InbandController {
    /// Registers; devices of the device tree may be probed, and send messages, before this returns.
    ///
    /// # Safety
    ///
    /// `oob` outlives the result.
    pub(super) unsafe fn new<H: Hw>(
        device: &platform::Device<'_>,
        oob: &Registration<DmaMappedController<H>>,
        limits: &Limits,
    ) -> Result<Self> {
        let size = u32::try_from(size_of::<Link<H>>())?;
        // SAFETY: a live device, being bound.
        let ctlr = unsafe { b::spi_alloc_host(device.as_device(), size) };
        let ctlr = NonNull::new(ctlr).ok_or(code::ENOMEM)?;
        // SAFETY: allocated with room for a link.
        let link = unsafe { b::spi_controller_get_devdata(ctlr.as_ptr()) }.cast::<Link<H>>();
        // SAFETY: as above, and nobody else knows it yet.
        unsafe {
            link.write(Link {
                bus: oob.bus(),
                controller: oob.controller(),
                in_message: AtomicBool::new(false),
            })
        };
        // SAFETY: freshly allocated; nobody else knows it yet.
        let c = unsafe { &mut *ctlr.as_ptr() };
        c.bus_num = -1;
        c.num_chipselect = u16::from(limits.chip_selects);
        c.mode_bits = limits.modes;
        c.bits_per_word_mask = limits.word_bits;
        c.min_speed_hz = limits.min_speed_hz;
        c.max_speed_hz = limits.max_speed_hz;
        c.set_cs = Some(set_cs::<H>);
        c.prepare_message = Some(prepare_message::<H>);
        c.unprepare_message = Some(unprepare_message::<H>);
        c.transfer_one = Some(transfer_one::<H>);
        // SAFETY: both are live.
        unsafe { b::spi_controller_inherit_node(ctlr.as_ptr(), device.as_device()) };
        // SAFETY: filled in above.
        let registered = to_result(unsafe { b::spi_register_controller(ctlr.as_ptr()) });
        if let Err(error) = registered {
            // SAFETY: not registered: the reference of the allocation is the only one.
            unsafe { b::spi_controller_put(ctlr.as_ptr()) };
            return Err(error);
        }
        Ok(Self(ctlr))
    }

    /// The number that the SPI core gave the bus.
    pub(super) fn bus_num(&self) -> u32 {
        // SAFETY: alive by the invariants.
        let number = unsafe { (*self.0.as_ptr()).bus_num };
        u32::try_from(number).unwrap_or(0)
    }

    /// Adds devices that no device tree names. One that fails is left out; the SPI core says why.
    ///
    /// # Safety
    ///
    /// `children` is a list as [`oob::board::Table`] has it.
    pub(super) unsafe fn add_children(&self, mut children: *const Child) {
        loop {
            // SAFETY: the end of the list has not been reached.
            let child = unsafe { children.read() };
            if child.modalias.is_null() {
                return;
            }
            // SAFETY: a board info of zeroes is an empty one.
            let mut info: b::spi_board_info = unsafe { core::mem::zeroed() };
            // SAFETY: a C string, by contract.
            let name = unsafe { core::ffi::CStr::from_ptr(child.modalias) };
            let room = info.modalias.len().saturating_sub(1);
            for (to, from) in info.modalias.iter_mut().take(room).zip(name.to_bytes()) {
                *to = core::ffi::c_char::from_ne_bytes([*from]);
            }
            info.max_speed_hz = child.max_speed_hz;
            info.chip_select = u16::from(child.chip_select);
            // SAFETY: the controller is registered; the info is copied. The device goes with its controller.
            unsafe { b::spi_new_device(self.0.as_ptr(), &raw mut info) };
            // SAFETY: not the last entry.
            children = unsafe { children.add(1) };
        }
    }
}

impl Drop for InbandController {
    fn drop(&mut self) {
        // A message under way, of a sender that the SPI core does not wait for, still calls back.
        // SAFETY: registered by the invariants; gives up the reference, too, as nobody took another one.
        unsafe { b::spi_unregister_and_wait(self.0.as_ptr()) };
    }
}

/// # Safety
///
/// `ctlr` was registered by [`InbandController::new`] for an `H`.
unsafe fn link<'a, H: Hw>(ctlr: *mut b::spi_controller) -> &'a Link<H> {
    // SAFETY: by contract.
    let link = unsafe { b::spi_controller_get_devdata(ctlr) };
    // SAFETY: written by `new`, and only shared since.
    unsafe { &*link.cast_const().cast::<Link<H>>() }
}

impl<H: Hw> Link<H> {
    /// # Safety
    ///
    /// The caller has entered the gate in-band.
    #[allow(clippy::mut_from_ref)]
    unsafe fn controller(&self) -> &mut DmaMappedController<H> {
        // SAFETY: by contract the caller alone uses the controller: the SPI core sends one message at a time.
        unsafe { &mut *self.controller }
    }
}

unsafe extern "C" fn prepare_message<H: Hw>(
    ctlr: *mut b::spi_controller,
    _message: *mut b::spi_message,
) -> c_int {
    // SAFETY: the SPI core passes the controller that this was registered with.
    let link = unsafe { link::<H>(ctlr) };
    // SAFETY: of the message pump: task context, sleeping allowed.
    let inband = unsafe { Inband::assume() };
    // SAFETY: the bus is registered while the controller is.
    from_result(unsafe { link.bus.enter_inband(&inband) }.map(|()| {
        link.in_message.store(true, Ordering::Relaxed);
        0
    }))
}

unsafe extern "C" fn unprepare_message<H: Hw>(
    ctlr: *mut b::spi_controller,
    _message: *mut b::spi_message,
) -> c_int {
    // SAFETY: as above.
    let link = unsafe { link::<H>(ctlr) };
    link.in_message.store(false, Ordering::Relaxed);
    // SAFETY: entered in `prepare_message`.
    unsafe { link.bus.exit_inband() };
    0
}

unsafe extern "C" fn set_cs<H: Hw>(spi: *mut b::spi_device, high: bool) {
    // SAFETY: the SPI core passes one of this controller's devices.
    let ctlr = unsafe { (*spi).controller };
    // SAFETY: the controller that this was registered with.
    let link = unsafe { link::<H>(ctlr) };
    // SAFETY: as above.
    let mode = unsafe { b::spi_mode(spi) };
    // SAFETY: as above.
    let chip_select = unsafe { b::spi_get_chipselect(spi) };
    let active = high == (mode & MODE_CS_HIGH != 0);
    let in_message = link.in_message.load(Ordering::Relaxed);
    // SAFETY: the bus is registered while the controller is.
    if !in_message && !unsafe { link.bus.try_enter_inband() } {
        return;
    }
    // SAFETY: the gate was entered here or by the message.
    let controller = unsafe { link.controller() };
    let chip_select = u8::try_from(chip_select).unwrap_or(u8::MAX);
    // SAFETY: of the message pump or spi_setup: task context, sleeping allowed.
    let inband = unsafe { Inband::assume() };
    // A chip select that there is not was refused by the SPI core.
    let _ = controller
        .spi
        .set_cs_inband(&inband, chip_select, mode, active);
    if !in_message {
        // SAFETY: entered above.
        unsafe { link.bus.exit_inband() };
    }
}

struct Usleep;

impl Sleep for Usleep {
    fn sleep(&self, inband: &Inband<'_>, span: Ns) {
        let us = u32::try_from(span.0 / 1000).unwrap_or(u32::MAX);
        kernel::time::sleep_us(inband, us, us.saturating_add(us / 8).saturating_add(10));
    }
}

/// # Safety
///
/// `data` is null, or points to `len` bytes that may be read and written for as long as the result lives.
unsafe fn bytes<'a>(data: *const core::ffi::c_void, len: usize) -> Option<&'a [AtomicU8]> {
    // SAFETY: by contract; atomics because both directions may share one buffer.
    (!data.is_null()).then(|| unsafe { slice::from_raw_parts(data.cast::<AtomicU8>(), len) })
}

unsafe extern "C" fn transfer_one<H: Hw>(
    ctlr: *mut b::spi_controller,
    spi: *mut b::spi_device,
    transfer: *mut b::spi_transfer,
) -> c_int {
    // SAFETY: the SPI core passes the controller that this was registered with.
    let link = unsafe { link::<H>(ctlr) };
    // SAFETY: between prepare_message and unprepare_message.
    let controller = unsafe { link.controller() };
    // SAFETY: the SPI core lends the transfer for the time of the call.
    let transfer = unsafe { &mut *transfer };
    let len = transfer.len as usize;
    // SAFETY: the transfer's buffers have its length. TX is only read through the slice.
    let tx = unsafe { bytes(transfer.tx_buf, len) };
    // SAFETY: as above.
    let rx = unsafe { bytes(transfer.rx_buf, len) };
    let buffers = match (tx, rx) {
        (Some(tx), Some(rx)) => Buffers::Both(tx, rx),
        (Some(tx), None) => Buffers::Send(tx),
        (None, Some(rx)) => Buffers::Receive(rx),
        (None, None) => return 0,
    };
    // SAFETY: the SPI core passes one of this controller's devices.
    let chip_select = unsafe { b::spi_get_chipselect(spi) };
    // SAFETY: as above.
    let mode = unsafe { b::spi_mode(spi) };
    let setup = InbandSetup {
        chip_select: u8::try_from(chip_select).unwrap_or(u8::MAX),
        mode,
        speed_hz: transfer.speed_hz,
    };
    // SAFETY: of the message pump: task context, sleeping allowed.
    let inband = unsafe { Inband::assume() };
    match controller
        .spi
        .transfer_inband(&inband, &setup, buffers, &Usleep)
    {
        Ok(hz) => {
            transfer.effective_speed_hz = hz;
            0
        }
        Err(_) => b::EIO.cast_signed().wrapping_neg(),
    }
}
