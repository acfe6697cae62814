// SPDX-License-Identifier: GPL-2.0-only

//! How a controller's module registers its bus with `oob_spi.ko`.

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

/// A registered bus, for the controller's interrupt handler and its in-band side.
#[derive(Clone, Copy, Debug)]
pub struct BusHandle(NonNull<c_void>);

// SAFETY: the functions that take the pointer may be called from any thread.
unsafe impl Send for BusHandle {}
// SAFETY: the functions that take the pointer may be called from several threads at once.
unsafe impl Sync for BusHandle {}

impl BusHandle {
    /// The controller's completion interrupt has fired; see [`crate::bus::Bus::interrupt`].
    ///
    /// # Safety
    ///
    /// The registration that gave the handle is alive.
    pub unsafe fn interrupt<F: Fn() -> bool>(&self, is_over: &F) -> bool {
        unsafe extern "C" fn call<F: Fn() -> bool>(argument: *mut c_void) -> bool {
            // SAFETY: `interrupt` passes a pointer to its `is_over`, an `F` that outlives the call.
            (unsafe { &*argument.cast_const().cast::<F>() })()
        }
        let argument: *const F = is_over;
        // SAFETY: the registration is alive, by contract. `call::<F>` takes a pointer to an `F`,
        // which the argument is.
        unsafe { oobkit_spi_interrupt(self.0.as_ptr(), call::<F>, argument.cast_mut().cast()) }
    }

    /// Begins an in-band message. Waits while oob mode is on.
    ///
    /// # Errors
    ///
    /// `EBUSY` after the time of the module parameter `inband_wait_ms`.
    ///
    /// # Safety
    ///
    /// The registration that gave the handle is alive.
    pub unsafe fn enter_inband(&self, _inband: &Inband<'_>) -> Result {
        // SAFETY: the registration is alive, by contract.
        to_result(unsafe { oobkit_spi_enter_inband(self.0.as_ptr()) }).map(|_| ())
    }

    /// Begins an in-band message if the gate is free. Returns whether it did.
    ///
    /// # Safety
    ///
    /// The registration that gave the handle is alive.
    pub unsafe fn try_enter_inband(&self) -> bool {
        // SAFETY: the registration is alive, by contract.
        unsafe { oobkit_spi_try_enter_inband(self.0.as_ptr()) }
    }

    /// Ends an in-band message.
    ///
    /// # Safety
    ///
    /// The registration that gave the handle is alive.
    pub unsafe fn exit_inband(&self) {
        // SAFETY: the registration is alive, by contract.
        unsafe { oobkit_spi_exit_inband(self.0.as_ptr()) };
    }
}

/// A registered bus, with its device nodes. Dropping it ends oob mode everywhere and removes the
/// nodes. Files that user programs still have open return `ENODEV` from then on.
///
/// # Invariants
///
/// The bus is registered. Its controller lies in the box. Only two actors use the controller: the
/// holder of the bus's claim while oob mode is on, and the sender of an in-band message while it
/// has the gate.
pub struct Registration<C> {
    bus: BusHandle,
    controller: KBox<UnsafeCell<C>>,
    owns: PhantomData<C>,
}

// SAFETY: the controller, which is `Send`, moves along; the bus may be used from any thread.
unsafe impl<C: Send> Send for Registration<C> {}
// SAFETY: one actor at a time uses the controller, by the invariants, and `C: Send` lets it move
// between them.
unsafe impl<C: Send> Sync for Registration<C> {}

struct Table<C>(PhantomData<C>);

impl<C: Controller> Table<C> {
    const OPS: &'static Ops = &Ops::of::<C>();
}

impl<C: Controller + Send> Registration<C> {
    /// Registers a bus, without nodes.
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
        // SAFETY: the vtable is static and was made for a `C`, which the box holds. `drop`
        // unregisters before the box is freed. The caller promises that the device outlives the
        // registration, and the token shows that this is in-band.
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

    /// Makes the nodes `/dev/oob/spidev<bus_num>.<chip select>`. Call it once.
    ///
    /// # Errors
    ///
    /// Those of `misc_register`.
    pub fn publish(&mut self, _inband: &Inband<'_>, bus_num: u32) -> Result {
        // SAFETY: `new` registered the bus. The token shows that this is in-band.
        to_result(unsafe { oobkit_spi_publish(self.bus.0.as_ptr(), bus_num) }).map(|_| ())
    }

    /// Ends oob mode everywhere, for good. From here on only in-band messages use the controller.
    pub fn shutdown(&self, _inband: &Inband<'_>) {
        // SAFETY: `new` registered the bus. The token shows that this is in-band.
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
        // SAFETY: `new` registered the bus, and this is the last use of it. The bus does not call
        // the controller any more afterwards.
        unsafe { oobkit_spi_unregister(self.bus.0.as_ptr()) };
    }
}
