// SPDX-License-Identifier: GPL-2.0-only

//! What controllers' modules call: the functions that `module.c` exports, each a registration's, as `registration.rs` calls it.

use super::{Registered, Shared, oobkit_spi_inband_wait_ms, register};
use crate::vtable::{Ops, Remote};
use core::ffi::{c_int, c_uint, c_void};
use kernel::alloc::KBox;
use kernel::bindings as b;
use kernel::error::{code, from_result};
use oob::stage::Inband;

#[unsafe(no_mangle)]
unsafe extern "C" fn oobkit_spi_register(
    device: *mut b::device,
    ops: *const Ops,
    controller: *mut c_void,
) -> *mut c_void {
    // SAFETY: `registration::Registration` passes a live table.
    let ops = unsafe { *ops };
    // SAFETY: `registration::Registration` passes a controller that fits the table and lives until it unregisters.
    let remote = unsafe { Remote::new(ops, controller) };
    // SAFETY: and has an in-band token.
    let inband = unsafe { Inband::assume() };
    match register(&inband, device, remote) {
        Ok(registered) => KBox::into_raw(registered).cast(),
        Err(error) => core::ptr::without_provenance_mut(error.to_errno() as isize as usize),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn oobkit_spi_publish(bus: *mut c_void, bus_num: c_uint) -> c_int {
    // SAFETY: the caller's registration is alive.
    let registered = unsafe { &*bus.cast_const().cast::<Registered>() };
    // SAFETY: the caller has an in-band token.
    let inband = unsafe { Inband::assume() };
    from_result(registered.publish(&inband, bus_num).map(|()| 0))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn oobkit_spi_shutdown(bus: *mut c_void) {
    // SAFETY: the caller's registration is alive.
    let registered = unsafe { &*bus.cast_const().cast::<Registered>() };
    // SAFETY: the caller has an in-band token.
    registered.shutdown(&unsafe { Inband::assume() });
}

#[unsafe(no_mangle)]
unsafe extern "C" fn oobkit_spi_unregister(bus: *mut c_void) {
    // SAFETY: `register` gave a box's pointer; this is its last use.
    drop(unsafe { KBox::<Registered>::from_raw(bus.cast()) });
}

/// # Safety
///
/// `bus` came from `oobkit_spi_register` and is registered.
unsafe fn shared<'a>(bus: *mut c_void) -> &'a Shared {
    // SAFETY: by contract.
    unsafe { &(*bus.cast_const().cast::<Registered>()).shared }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn oobkit_spi_interrupt(
    bus: *mut c_void,
    is_over: unsafe extern "C" fn(*mut c_void) -> bool,
    argument: *mut c_void,
) -> bool {
    // SAFETY: the caller's registration is alive.
    let bus = &unsafe { shared(bus) }.bus;
    // SAFETY: function and argument belong together, by the caller's contract.
    bus.interrupt(|| unsafe { is_over(argument) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn oobkit_spi_enter_inband(bus: *mut c_void) -> c_int {
    // SAFETY: the caller's registration is alive.
    let bus = &unsafe { shared(bus) }.bus;
    // SAFETY: a module parameter, which may change at any time.
    let limit = unsafe { (&raw const oobkit_spi_inband_wait_ms).read_volatile() };
    // Not even a fatal signal ends this: who waits may be a file system that writes back for a process that is dying, and
    // drivers take an SPI transfer for one that no signal disturbs. The limit bounds it.
    // SAFETY: the caller has an in-band token.
    let inband = unsafe { Inband::assume() };
    let gate = &bus.env().gate;
    let entered = gate.wait(&inband, limit, || bus.gate().try_enter_inband());
    if entered { 0 } else { code::EBUSY.to_errno() }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn oobkit_spi_try_enter_inband(bus: *mut c_void) -> bool {
    // SAFETY: the caller's registration is alive.
    unsafe { shared(bus) }.bus.gate().try_enter_inband()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn oobkit_spi_exit_inband(bus: *mut c_void) {
    // SAFETY: the caller's registration is alive. ENABLE polls the gate, so nobody needs waking.
    unsafe { shared(bus) }.bus.gate().exit_inband();
}
