// SPDX-License-Identifier: GPL-2.0-only

//! What a controller's module calls in `oob_spi.ko`.

use crate::controller::Controller;
use crate::vtable::Ops;
use core::cell::UnsafeCell;
use core::ffi::{c_int, c_uint, c_void};
use core::marker::PhantomData;
use core::ptr::NonNull;
use kernel::alloc::KBox;
use kernel::bindings as b;
use kernel::error::{Result, from_err_ptr, to_result};
use oob::stage::Inband;

unsafe extern "C" {
    fn oobkit_spi_register(
        device: *mut b::device,
        ops: *const Ops,
        controller: *mut c_void,
    ) -> *mut c_void;
    fn oobkit_spi_publish(bus: *mut c_void, bus_num: c_uint) -> c_int;
    fn oobkit_spi_shutdown(bus: *mut c_void);
    fn oobkit_spi_unregister(bus: *mut c_void);
    fn oobkit_spi_interrupt(
        bus: *mut c_void,
        is_over: unsafe extern "C" fn(*mut c_void) -> bool,
        argument: *mut c_void,
    ) -> bool;
    fn oobkit_spi_enter_inband(bus: *mut c_void) -> c_int;
    fn oobkit_spi_try_enter_inband(bus: *mut c_void) -> bool;
    fn oobkit_spi_exit_inband(bus: *mut c_void);
}

/// A bus as the controller's interrupt and its in-band side see it.
#[derive(Clone, Copy, Debug)]
pub struct BusHandle(NonNull<c_void>);

// SAFETY: the functions behind it may be called from any thread.
unsafe impl Send for BusHandle {}
// SAFETY: as above.
unsafe impl Sync for BusHandle {}

impl BusHandle {
    /// The controller's completion interrupt has fired; see [`crate::bus::Bus::interrupt`].
    ///
    /// # Safety
    ///
    /// The registration that gave the handle is alive.
    pub unsafe fn interrupt<F: Fn() -> bool>(&self, is_over: &F) -> bool {
        unsafe extern "C" fn call<F: Fn() -> bool>(argument: *mut c_void) -> bool {
            // SAFETY: `interrupt` passes its own `is_over`, which outlives the call.
            (unsafe { &*argument.cast_const().cast::<F>() })()
        }
        let argument: *const F = is_over;
        // SAFETY: the bus is alive by contract; `call` and the argument belong together.
        unsafe { oobkit_spi_interrupt(self.0.as_ptr(), call::<F>, argument.cast_mut().cast()) }
    }

    /// Begins an in-band message: waits while oob mode is on.
    ///
    /// # Errors
    ///
    /// `EBUSY` once the module parameter `inband_wait_ms` is over.
    ///
    /// # Safety
    ///
    /// The registration that gave the handle is alive.
    pub unsafe fn enter_inband(&self, _inband: &Inband<'_>) -> Result {
        // SAFETY: the bus is alive by contract.
        to_result(unsafe { oobkit_spi_enter_inband(self.0.as_ptr()) }).map(|_| ())
    }

    /// Begins an in-band message if that can be done at once.
    ///
    /// # Safety
    ///
    /// The registration that gave the handle is alive.
    pub unsafe fn try_enter_inband(&self) -> bool {
        // SAFETY: the bus is alive by contract.
        unsafe { oobkit_spi_try_enter_inband(self.0.as_ptr()) }
    }

    /// Ends an in-band message.
    ///
    /// # Safety
    ///
    /// The registration that gave the handle is alive.
    pub unsafe fn exit_inband(&self) {
        // SAFETY: the bus is alive by contract.
        unsafe { oobkit_spi_exit_inband(self.0.as_ptr()) };
    }
}

/// A registered bus, with its device nodes. Dropping it ends oob mode everywhere and takes the nodes away; what user
/// programs still hold of the bus answers `ENODEV` from then on.
///
/// # Invariants
///
/// The bus is registered. Its controller lies in the box, and is used by the bus's claim holder while oob mode is on, by
/// the sender of an in-band message while it has entered the gate, and by nobody else.
pub struct Registration<C> {
    bus: BusHandle,
    controller: KBox<UnsafeCell<C>>,
    owns: PhantomData<C>,
}

// SAFETY: the controller is reached exclusively, by the invariants.
unsafe impl<C: Send> Send for Registration<C> {}
// SAFETY: as above.
unsafe impl<C: Send> Sync for Registration<C> {}

struct Table<C>(PhantomData<C>);

impl<C: Controller> Table<C> {
    const OPS: &'static Ops = &Ops::of::<C>();
}

impl<C: Controller + Send> Registration<C> {
    /// Registers a bus, without nodes as yet.
    ///
    /// # Safety
    ///
    /// `device` does the controller's DMA, and outlives the registration.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub unsafe fn new(
        _inband: &Inband<'_>,
        device: *mut b::device,
        controller: KBox<UnsafeCell<C>>,
    ) -> Result<Self> {
        // SAFETY: table and controller fit; the box outlives the bus, which `drop` unregisters.
        let bus = from_err_ptr(unsafe {
            oobkit_spi_register(device, Table::<C>::OPS, controller.get().cast())
        })?;
        let bus = BusHandle(NonNull::new(bus).ok_or(kernel::error::code::ENOMEM)?);
        Ok(Self {
            bus,
            controller,
            owns: PhantomData,
        })
    }

    /// Makes the nodes `/dev/oob/spidev<bus_num>.<chip select>`; once.
    ///
    /// # Errors
    ///
    /// Those of `misc_register`.
    pub fn publish(&mut self, _inband: &Inband<'_>, bus_num: u32) -> Result {
        // SAFETY: registered since `new`.
        to_result(unsafe { oobkit_spi_publish(self.bus.0.as_ptr(), bus_num) }).map(|_| ())
    }

    /// Ends oob mode everywhere, for good: the controller is in-band's alone from here on.
    pub fn shutdown(&self, _inband: &Inband<'_>) {
        // SAFETY: registered since `new`.
        unsafe { oobkit_spi_shutdown(self.bus.0.as_ptr()) };
    }

    /// The bus.
    pub const fn bus(&self) -> BusHandle {
        self.bus
    }

    /// The controller, for an in-band message.
    pub fn controller(&self) -> *mut C {
        self.controller.get()
    }
}

impl<C> Drop for Registration<C> {
    fn drop(&mut self) {
        // SAFETY: registered since `new`; the controller is not called any more afterwards.
        unsafe { oobkit_spi_unregister(self.bus.0.as_ptr()) };
    }
}
