// SPDX-License-Identifier: GPL-2.0-only

//! The bridge to mainline: a controller as an ordinary `spi_controller`, for mainline's SPI
//! drivers.
//!
//! ```text
//!   message pump:  prepare_message  { set_cs  transfer_one  set_cs }*  unprepare_message
//!   gate:          enter (waits)                                       exit
//! ```
//!
//! Between `prepare_message` and `unprepare_message` the gate keeps oob mode out, so the controller
//! is the message's alone. `spi_setup` calls `set_cs` outside of messages. Then the bridge tries
//! the gate. Where oob mode is on it drops the call, because chip selects are inactive between oob
//! frames anyway.

use crate::controller::MODE_CS_HIGH;
use crate::inband::{Buffers, InbandController, InbandSetup};
use crate::registration::{BusHandle, Registration};
use core::ffi::{CStr, c_int, c_void};
use core::ptr::NonNull;
use core::slice;
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use kernel::bindings as b;
use kernel::error::{Result, code, from_result, to_result};
use kernel::platform;
use oob::long_wait::LongWait;
use oob::stage::Inband;
use oob::time::Ns;

/// The driver data of a `spi_controller`.
struct Link<C> {
    bus: BusHandle,
    controller: *mut C,
    in_message: AtomicBool,
}

/// A registered `spi_controller`.
///
/// # Invariants
///
/// The controller is registered until `drop`, and this holds one reference to it.
pub struct SpiController(NonNull<b::spi_controller>);

// SAFETY: the pointer is passed to the SPI core only, which synchronises itself, from any thread.
unsafe impl Send for SpiController {}
// SAFETY: the methods that take `&self` read a field that does not change, or call the SPI core,
// which synchronises itself.
unsafe impl Sync for SpiController {}

impl SpiController {
    /// Registers. Devices of the device tree may be probed, and send messages, before this returns.
    ///
    /// # Safety
    ///
    /// `oob` outlives the result, and nobody uses its controller yet.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or what `spi_register_controller` returns.
    pub unsafe fn new<C: InbandController + Send>(
        device: &platform::Device<'_>,
        oob: &Registration<C>,
    ) -> Result<Self> {
        // SAFETY: no other code uses the controller yet, by contract.
        let limits = unsafe { &*oob.controller() }.limits();
        let size = u32::try_from(size_of::<Link<C>>())?;
        // SAFETY: a live device, which is being bound.
        let ctlr = unsafe { b::spi_alloc_host(device.as_device(), size) };
        let ctlr = NonNull::new(ctlr).ok_or(code::ENOMEM)?;
        // SAFETY: `ctlr` is a live controller.
        let link = unsafe { b::spi_controller_get_devdata(ctlr.as_ptr()) }.cast::<Link<C>>();
        // SAFETY: `spi_alloc_host` made room for a `Link<C>` there, aligned for any type, and
        // no other code knows it yet.
        unsafe {
            link.write(Link {
                bus: oob.bus(),
                controller: oob.controller(),
                in_message: AtomicBool::new(false),
            })
        };
        // SAFETY: freshly allocated, and no other code knows it yet.
        let c = unsafe { &mut *ctlr.as_ptr() };
        c.bus_num = -1;
        c.num_chipselect = u16::from(limits.chip_selects);
        c.mode_bits = limits.modes;
        c.bits_per_word_mask = limits.word_bits;
        c.min_speed_hz = limits.min_speed_hz;
        c.max_speed_hz = limits.max_speed_hz;
        c.set_cs = Some(set_cs::<C>);
        c.prepare_message = Some(prepare_message::<C>);
        c.unprepare_message = Some(unprepare_message::<C>);
        c.transfer_one = Some(transfer_one::<C>);
        // SAFETY: the controller and the device are live.
        unsafe { b::spi_controller_inherit_node(ctlr.as_ptr(), device.as_device()) };
        // SAFETY: the controller is complete; its callbacks find the link that was written above.
        let registered = to_result(unsafe { b::spi_register_controller(ctlr.as_ptr()) });
        if let Err(error) = registered {
            // SAFETY: it is not registered, so the reference of the allocation is the only one.
            unsafe { b::spi_controller_put(ctlr.as_ptr()) };
            return Err(error);
        }
        Ok(Self(ctlr))
    }

    /// The number that the SPI core gave the bus.
    pub fn bus_num(&self) -> u32 {
        // SAFETY: the controller is alive by the invariants, and its number does not change while
        // it is registered.
        let number = unsafe { (*self.0.as_ptr()).bus_num };
        u32::try_from(number).unwrap_or(0)
    }

    /// Adds a device that no device tree names. The device goes with its controller. Where this
    /// fails, the SPI core logs why.
    pub fn add_device(&self, modalias: &CStr, chip_select: u8, max_speed_hz: u32) {
        // SAFETY: a `spi_board_info` has integers and pointers only, for which zero is a value.
        let mut info: b::spi_board_info = unsafe { core::mem::zeroed() };
        let room = info.modalias.len().saturating_sub(1);
        for (to, from) in info.modalias.iter_mut().take(room).zip(modalias.to_bytes()) {
            *to = core::ffi::c_char::from_ne_bytes([*from]);
        }
        info.max_speed_hz = max_speed_hz;
        info.chip_select = u16::from(chip_select);
        // SAFETY: the controller is registered, by the invariants; the SPI core copies the info.
        unsafe { b::spi_new_device(self.0.as_ptr(), &raw mut info) };
    }
}

impl Drop for SpiController {
    fn drop(&mut self) {
        // The SPI core does not wait for the message that a sender sends by itself (`spi_sync`),
        // and that still calls back. SAFETY: registered by the invariants. This also gives up the
        // reference, which is the only one.
        unsafe { b::spi_unregister_and_wait(self.0.as_ptr()) };
    }
}

/// # Safety
///
/// [`SpiController::new`] registered `ctlr` for a `C`.
unsafe fn link<'a, C>(ctlr: *mut b::spi_controller) -> &'a Link<C> {
    // SAFETY: `ctlr` is a live controller: the SPI core, which calls back, holds a reference.
    let link = unsafe { b::spi_controller_get_devdata(ctlr) };
    // SAFETY: `new` wrote a `Link<C>` there, and only shared references to it exist since.
    unsafe { &*link.cast_const().cast::<Link<C>>() }
}

impl<C> Link<C> {
    /// # Safety
    ///
    /// The caller has entered the gate in-band.
    #[allow(clippy::mut_from_ref)]
    unsafe fn controller(&self) -> &mut C {
        // SAFETY: the controller lives as long as the registration, which outlives the
        // `spi_controller`. The caller alone uses it: the gate keeps oob mode out, and the SPI core
        // sends one message at a time.
        unsafe { &mut *self.controller }
    }
}

unsafe extern "C" fn prepare_message<C: InbandController>(
    ctlr: *mut b::spi_controller,
    _message: *mut b::spi_message,
) -> c_int {
    // SAFETY: the SPI core passes the controller that this callback was registered with.
    let link = unsafe { link::<C>(ctlr) };
    // SAFETY: the message pump calls this in task context, where it may sleep.
    let inband = unsafe { Inband::assume() };
    // SAFETY: the registration outlives the `spi_controller`, by the contract of `new`.
    from_result(unsafe { link.bus.enter_inband(&inband) }.map(|()| {
        link.in_message.store(true, Ordering::Relaxed);
        0
    }))
}

unsafe extern "C" fn unprepare_message<C: InbandController>(
    ctlr: *mut b::spi_controller,
    _message: *mut b::spi_message,
) -> c_int {
    // SAFETY: the SPI core passes the controller that this callback was registered with.
    let link = unsafe { link::<C>(ctlr) };
    link.in_message.store(false, Ordering::Relaxed);
    // SAFETY: the registration outlives the `spi_controller`, by the contract of `new`.
    // `prepare_message` entered the gate.
    unsafe { link.bus.exit_inband() };
    0
}

unsafe extern "C" fn set_cs<C: InbandController>(spi: *mut b::spi_device, high: bool) {
    // SAFETY: the SPI core passes a live device of this controller.
    let ctlr = unsafe { (*spi).controller };
    // SAFETY: that controller is the one that this callback was registered with.
    let link = unsafe { link::<C>(ctlr) };
    // SAFETY: a live device.
    let mode = unsafe { b::spi_mode(spi) };
    // SAFETY: a live device.
    let chip_select = unsafe { b::spi_get_chipselect(spi) };
    let active = high == (mode & MODE_CS_HIGH != 0);
    let in_message = link.in_message.load(Ordering::Relaxed);
    // SAFETY: the registration outlives the `spi_controller`, by the contract of `new`.
    if !in_message && !unsafe { link.bus.try_enter_inband() } {
        return;
    }
    // SAFETY: the gate was entered, by `prepare_message` or just now.
    let controller = unsafe { link.controller() };
    let chip_select = u8::try_from(chip_select).unwrap_or(u8::MAX);
    // SAFETY: the message pump and `spi_setup` call this in task context, where it may sleep.
    let inband = unsafe { Inband::assume() };
    // The SPI core has refused chip selects that do not exist.
    let _ = controller.set_cs_inband(&inband, chip_select, mode, active);
    if !in_message {
        // SAFETY: the registration outlives the `spi_controller`, by the contract of `new`. The
        // gate was entered above.
        unsafe { link.bus.exit_inband() };
    }
}

/// # Safety
///
/// `data` is null, or points to `len` bytes that may be read and written for as long as the result
/// lives.
unsafe fn bytes<'a>(data: *const c_void, len: usize) -> Option<&'a [AtomicU8]> {
    // SAFETY: by contract. They are atomics, because both directions may share one buffer.
    (!data.is_null()).then(|| unsafe { slice::from_raw_parts(data.cast::<AtomicU8>(), len) })
}

unsafe extern "C" fn transfer_one<C: InbandController>(
    ctlr: *mut b::spi_controller,
    spi: *mut b::spi_device,
    transfer: *mut b::spi_transfer,
) -> c_int {
    // SAFETY: the SPI core passes the controller that this callback was registered with.
    let link = unsafe { link::<C>(ctlr) };
    // SAFETY: the SPI core calls this between `prepare_message`, which entered the gate, and
    // `unprepare_message`.
    let controller = unsafe { link.controller() };
    // SAFETY: the SPI core lends the transfer for the time of the call.
    let transfer = unsafe { &mut *transfer };
    let len = transfer.len as usize;
    // SAFETY: the TX buffer, if any, has the transfer's length, and is only read through the slice.
    let tx = unsafe { bytes(transfer.tx_buf, len) };
    // SAFETY: the RX buffer, if any, has the transfer's length.
    let rx = unsafe { bytes(transfer.rx_buf, len) };
    let buffers = match (tx, rx) {
        (Some(tx), Some(rx)) => Buffers::Both(tx, rx),
        (Some(tx), None) => Buffers::Send(tx),
        (None, Some(rx)) => Buffers::Receive(rx),
        (None, None) => return 0,
    };
    // SAFETY: the SPI core passes a live device of this controller.
    let chip_select = unsafe { b::spi_get_chipselect(spi) };
    // SAFETY: a live device.
    let mode = unsafe { b::spi_mode(spi) };
    let setup = InbandSetup {
        chip_select: u8::try_from(chip_select).unwrap_or(u8::MAX),
        mode,
        speed_hz: transfer.speed_hz,
    };
    // SAFETY: the message pump calls this in task context, where it may sleep.
    let inband = unsafe { Inband::assume() };
    let sleep = |Ns(span)| {
        let us = u32::try_from(span / 1000).unwrap_or(u32::MAX);
        let slack = (us / 8).saturating_add(10);
        kernel::time::sleep_us(&inband, us, us.saturating_add(slack));
        true
    };
    match controller.transfer_inband(&inband, &setup, buffers, &LongWait::new(&sleep)) {
        Ok(hz) => {
            transfer.effective_speed_hz = hz;
            0
        }
        Err(_) => b::EIO.cast_signed().wrapping_neg(),
    }
}
