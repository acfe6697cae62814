// SPDX-License-Identifier: GPL-2.0-only

//! What controllers' modules call: the functions that `module.c` exports. `registration.rs` is
//! their only caller.

use super::registered::Registered;
use super::shared::Shared;
use crate::vtable::{Ops, Remote};
use core::ffi::{c_int, c_uint, c_void};
use kernel::alloc::KBox;
use kernel::bindings as b;
use kernel::error::{code, from_result};
use oob::stage::Inband;

unsafe extern "C" {
    static oobkit_spi_inband_wait_ms: c_uint;
}

#[unsafe(no_mangle)]
unsafe extern "C" fn oobkit_spi_register(
    device: *mut b::device,
    ops: *const Ops,
    controller: *mut c_void,
) -> *mut c_void {
    // SAFETY: `Registration::new` passes a static table.
    let ops = unsafe { *ops };
    // SAFETY: `Registration::new` passes the controller that the table was made for. It lives until
    // the registration is dropped, which unregisters first.
    let remote = unsafe { Remote::new(ops, controller) };
    // SAFETY: `Registration::new` takes an in-band token.
    let inband = unsafe { Inband::assume() };
    // SAFETY: the caller of `Registration::new` promises that the device outlives the registration.
    match unsafe { Registered::new(&inband, device, remote) } {
        Ok(registered) => KBox::into_raw(registered).cast(),
        Err(error) => core::ptr::without_provenance_mut(error.to_errno() as isize as usize),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn oobkit_spi_publish(bus: *mut c_void, bus_num: c_uint) -> c_int {
    // SAFETY: `bus` came from `oobkit_spi_register`, and the caller's registration is alive.
    let registered = unsafe { &*bus.cast_const().cast::<Registered>() };
    // SAFETY: `Registration::publish` takes an in-band token.
    let inband = unsafe { Inband::assume() };
    from_result(registered.publish(&inband, bus_num).map(|()| 0))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn oobkit_spi_shutdown(bus: *mut c_void) {
    // SAFETY: `bus` came from `oobkit_spi_register`, and the caller's registration is alive.
    let registered = unsafe { &*bus.cast_const().cast::<Registered>() };
    // SAFETY: `Registration::shutdown` takes an in-band token.
    registered.shutdown(&unsafe { Inband::assume() });
}

#[unsafe(no_mangle)]
unsafe extern "C" fn oobkit_spi_unregister(bus: *mut c_void) {
    // SAFETY: `oobkit_spi_register` returned the box's pointer, and this call is the registration's
    // last use of it.
    drop(unsafe { KBox::<Registered>::from_raw(bus.cast()) });
}

/// # Safety
///
/// `bus` came from `oobkit_spi_register` and is registered.
unsafe fn shared<'a>(bus: *mut c_void) -> &'a Shared {
    // SAFETY: by contract `bus` points to a live `Registered`, of which only shared references
    // exist.
    unsafe { &(*bus.cast_const().cast::<Registered>()).shared }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn oobkit_spi_interrupt(
    bus: *mut c_void,
    is_over: unsafe extern "C" fn(*mut c_void) -> bool,
    argument: *mut c_void,
) -> bool {
    // SAFETY: `bus` came from `oobkit_spi_register`, and the caller's registration is alive.
    let bus = &unsafe { shared(bus) }.bus;
    // SAFETY: `BusHandle::interrupt` passes `is_over` together with the argument that it takes.
    bus.interrupt(|| unsafe { is_over(argument) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn oobkit_spi_enter_inband(bus: *mut c_void) -> c_int {
    // SAFETY: `bus` came from `oobkit_spi_register`, and the caller's registration is alive.
    let bus = &unsafe { shared(bus) }.bus;
    // SAFETY: the address of a static of `module.c`. Volatile, because a module parameter may
    // change at any time.
    let limit = unsafe { (&raw const oobkit_spi_inband_wait_ms).read_volatile() };
    // Not even a fatal signal ends this wait. The sender may be a file system that writes back for
    // a dying process, and drivers expect that no signal disturbs an SPI transfer. The limit bounds
    // the wait. SAFETY: `BusHandle::enter_inband` takes an in-band token.
    let inband = unsafe { Inband::assume() };
    let gate = &bus.env().gate;
    let entered = gate.wait(&inband, limit, || bus.gate().try_enter_inband());
    if entered { 0 } else { code::EBUSY.to_errno() }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn oobkit_spi_try_enter_inband(bus: *mut c_void) -> bool {
    // SAFETY: `bus` came from `oobkit_spi_register`, and the caller's registration is alive.
    unsafe { shared(bus) }.bus.gate().try_enter_inband()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn oobkit_spi_exit_inband(bus: *mut c_void) {
    // ENABLE polls the gate, so no thread needs waking.
    // SAFETY: `bus` came from `oobkit_spi_register`, and the caller's registration is alive.
    unsafe { shared(bus) }.bus.gate().exit_inband();
}
