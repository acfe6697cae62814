// SPDX-License-Identifier: GPL-2.0-only

//! Platform devices and their drivers.

use crate::alloc::KBox;
use crate::error::{Result, code, from_err_ptr, from_result, to_result};
use crate::inband::Inband;
use crate::io::IoMem;
use bindings as b;
use core::ffi::{CStr, c_int, c_uint, c_void};
use core::marker::PhantomData;
use core::mem::{self, MaybeUninit};
use core::ptr::NonNull;

/// A platform device that a driver is being bound to. It exists only inside the driver's `probe`,
/// in-band.
#[derive(Debug)]
pub struct Device<'a>(*mut b::platform_device, PhantomData<&'a ()>);

impl Device<'_> {
    /// The driver core's device.
    pub fn as_device(&self) -> *mut b::device {
        // SAFETY: a `Device` exists only in `probe`, while the platform device lives.
        unsafe { b::platform_device_dev(self.0) }
    }

    /// The platform device itself.
    pub const fn as_ptr(&self) -> *mut b::platform_device {
        self.0
    }

    /// The platform data that the device's creator left for the driver.
    ///
    /// # Safety
    ///
    /// The code that registers devices of this name passes a `T` as platform data.
    pub unsafe fn platform_data<T>(&self) -> Option<&T> {
        // SAFETY: a `Device` exists only in `probe`, while the platform device lives.
        let data = unsafe { b::dev_get_platdata(self.as_device()) };
        // SAFETY: the pointer is null or to a `T`, by contract; the device owns the data and
        // outlives `self`.
        unsafe { data.cast_const().cast::<T>().as_ref() }
    }

    /// Whether the device's node has the property `name`.
    pub fn has_property(&self, name: &CStr) -> bool {
        // SAFETY: a `Device` exists only in `probe`, while the platform device lives; the name is a
        // C string.
        unsafe { b::device_property_present(self.as_device(), name.as_ptr()) }
    }

    /// Whether the device has a register window `index`.
    pub fn has_io(&self, index: u32) -> bool {
        self.resource(index).is_some()
    }

    fn resource(&self, index: u32) -> Option<&b::resource> {
        // SAFETY: a `Device` exists only in `probe`, while the platform device lives.
        let window = unsafe { b::platform_get_resource(self.0, b::IORESOURCE_MEM, index) };
        // SAFETY: the pointer is null or to one of the device's resources, which live as long as
        // the device.
        unsafe { window.as_ref() }
    }

    /// The first address of the device's register window `index`, if the window has at least `len`
    /// bytes.
    fn window(&self, index: u32, len: usize) -> Result<b::resource_size_t> {
        let window = self.resource(index).ok_or(code::EINVAL)?;
        let last = (len as u64).checked_sub(1).ok_or(code::EINVAL)?;
        match window.start.checked_add(last) {
            Some(end) if end <= window.end => Ok(window.start),
            _ => Err(code::EINVAL),
        }
    }

    /// Requests the device's register window `index`, and maps `len` bytes of it until the driver
    /// is unbound.
    ///
    /// # Errors
    ///
    /// `EINVAL`: there is no such window, or it is shorter. Otherwise the errors of
    /// `devm_platform_ioremap_resource`: `EBUSY` if another driver has the window.
    ///
    /// # Safety
    ///
    /// The registers are not used after the driver has been unbound.
    pub unsafe fn io(&self, index: u32, len: usize) -> Result<IoMem> {
        self.window(index, len)?;
        // SAFETY: a `Device` exists only in `probe`: the platform device lives and is being bound.
        let base = from_err_ptr(unsafe { b::devm_platform_ioremap_resource(self.0, index) })?;
        // SAFETY: the window has `len` bytes and is mapped from its start until the driver is
        // unbound; by contract it is not used later. Mappings are page-aligned to the window's
        // start.
        Ok(unsafe { IoMem::new(base.cast(), len) })
    }

    /// As [`Self::io`], for a window inside another driver's. That driver has requested its whole
    /// window, so this one is not requested. The device tree gives each driver its part.
    ///
    /// # Errors
    ///
    /// `EINVAL`: there is no such window, or it is shorter. `ENOMEM`.
    ///
    /// # Safety
    ///
    /// As for [`Self::io`].
    pub unsafe fn io_within(&self, index: u32, len: usize) -> Result<IoMem> {
        let start = self.window(index, len)?;
        // SAFETY: a `Device` exists only in `probe`: the platform device lives and is being bound.
        let base = unsafe { b::devm_ioremap(self.as_device(), start, len as u64) };
        if base.is_null() {
            return Err(code::ENOMEM);
        }
        // SAFETY: `len` bytes are mapped until the driver is unbound; by contract they are not used
        // later.
        Ok(unsafe { IoMem::new(base.cast(), len) })
    }

    /// The device's interrupt line `index`.
    ///
    /// # Errors
    ///
    /// The errors of `platform_get_irq`.
    pub fn irq(&self, index: u32) -> Result<c_uint> {
        // SAFETY: a `Device` exists only in `probe`, while the platform device lives.
        to_result(unsafe { b::platform_get_irq(self.0, index) }).map(c_int::unsigned_abs)
    }

    /// The device's first clock. It runs until the value is dropped.
    ///
    /// # Errors
    ///
    /// The errors of `clk_get` and `clk_prepare_enable`.
    pub fn clock(&self) -> Result<Clock> {
        // SAFETY: a `Device` exists only in `probe`, while the platform device lives.
        let clk = from_err_ptr(unsafe { b::clk_get(self.as_device(), core::ptr::null()) })?;
        // SAFETY: `clk` is the clock that `clk_get` has just returned.
        let enabled = to_result(unsafe { b::clk_prepare_enable(clk) });
        if enabled.is_err() {
            // SAFETY: `clk_get` returned the clock above, and it is not used any more.
            unsafe { b::clk_put(clk) };
        }
        enabled.map(|_| Clock(clk))
    }

    /// Declares that the device's DMA reaches addresses of `bits` bits.
    ///
    /// # Errors
    ///
    /// `EIO`: the system has no such memory.
    pub fn set_dma_mask(&self, bits: u32) -> Result {
        let mask = u64::MAX >> 64_u32.saturating_sub(bits).min(63);
        // SAFETY: a `Device` exists only in `probe`, while the platform device lives.
        to_result(unsafe { b::dma_set_mask_and_coherent(self.as_device(), mask) }).map(|_| ())
    }
}

/// A running clock.
///
/// # Invariants
///
/// `clk_get` returned the clock, and it is enabled, until `drop` gives it back.
#[derive(Debug)]
pub struct Clock(*mut b::clk);

// SAFETY: a clock handle belongs to no thread.
unsafe impl Send for Clock {}
// SAFETY: threads may call the clock functions for one handle side by side; they take the clock
// core's locks.
unsafe impl Sync for Clock {}

impl Clock {
    /// The rate in Hz. Sleeps.
    pub fn rate(&self, _inband: &Inband<'_>) -> u64 {
        // SAFETY: by the invariants `clk_get` returned the clock, and it has not been given back.
        unsafe { b::clk_get_rate(self.0) }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        // SAFETY: by the invariants the clock is enabled and has not been given back.
        unsafe { b::clk_disable_unprepare(self.0) };
        // SAFETY: by the invariants `clk_get` returned the clock, and it is not used any more.
        unsafe { b::clk_put(self.0) };
    }
}

/// A driver for platform devices. A value of the type is the driver's state for one bound device.
pub trait Driver: Sized + Send + Sync + 'static {
    /// The driver's name. Devices without a device tree are matched by it.
    const NAME: &'static CStr;
    /// The `compatible` strings; empty if the driver serves no device tree.
    const COMPATIBLE: &'static [&'static CStr];

    /// Binds to a device.
    ///
    /// # Errors
    ///
    /// Any error; the device stays unbound.
    fn probe(inband: &Inband<'_>, device: &Device<'_>) -> Result<KBox<Self>>;
}

/// The largest number of `compatible` strings of a driver.
const COMPATIBLE_MAX: usize = 7;

struct Inner {
    driver: MaybeUninit<b::oobkit_platform_driver>,
    of_table: [b::of_device_id; COMPATIBLE_MAX + 1],
}

/// A registered driver.
///
/// # Invariants
///
/// The driver is registered, and its box stays in place, until `drop` unregisters it.
pub struct Registration<D: Driver>(KBox<Inner>, PhantomData<D>);

// SAFETY: the registration's only use is to unregister the driver, which any in-band thread may do.
unsafe impl<D: Driver> Send for Registration<D> {}
// SAFETY: a shared registration has no methods.
unsafe impl<D: Driver> Sync for Registration<D> {}

impl<D: Driver> Registration<D> {
    /// Registers the driver and binds it to the matching devices. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and the errors of `platform_driver_register`.
    pub fn new(inband: &Inband<'_>) -> Result<Self> {
        const { assert!(D::COMPATIBLE.len() <= COMPATIBLE_MAX) };
        // SAFETY: an entry holds text and a number, for which zero is valid; a zeroed entry ends
        // the table.
        let of_table = unsafe { mem::zeroed() };
        let driver = MaybeUninit::zeroed();
        let mut inner = KBox::new(inband, Inner { driver, of_table })?;
        for (entry, compatible) in inner.of_table.iter_mut().zip(D::COMPATIBLE) {
            for (to, from) in entry.compatible.iter_mut().zip(compatible.to_bytes()) {
                *to = core::ffi::c_char::from_ne_bytes([*from]);
            }
        }
        let table = if D::COMPATIBLE.is_empty() {
            core::ptr::null()
        } else {
            inner.of_table.as_ptr()
        };
        let owner = (&raw const b::__this_module).cast_mut();
        // SAFETY: the box, which holds driver and table, stays in place until `drop` unregisters
        // the driver. The callbacks are functions of this module.
        to_result(unsafe {
            b::platform_driver_register(
                inner.driver.as_mut_ptr(),
                owner,
                D::NAME.as_ptr(),
                table,
                Some(Self::probe),
                Some(Self::remove),
            )
        })?;
        Ok(Self(inner, PhantomData))
    }

    unsafe extern "C" fn probe(pdev: *mut b::platform_device) -> c_int {
        let device = Device(pdev, PhantomData);
        // SAFETY: the driver core calls `probe` in in-band task context and lets it sleep.
        let inband = unsafe { Inband::assume() };
        from_result(D::probe(&inband, &device).map(|bound| {
            // SAFETY: the device is being bound to this driver, which owns its driver data.
            unsafe { b::platform_set_drvdata(pdev, KBox::into_raw(bound).cast::<c_void>()) };
            0
        }))
    }

    unsafe extern "C" fn remove(pdev: *mut b::platform_device) {
        // SAFETY: the driver core calls `remove` with a device that `probe` has bound.
        let data = unsafe { b::platform_get_drvdata(pdev) };
        // SAFETY: `probe` stored the pointer of a boxed `D` there, and this is its last use.
        drop(unsafe { KBox::<D>::from_raw(data.cast()) });
    }
}

impl<D: Driver> Drop for Registration<D> {
    fn drop(&mut self) {
        // SAFETY: `new` zeroed the structure, and registering filled it in.
        let driver = unsafe { self.0.driver.assume_init_mut() };
        // SAFETY: `new` registered the driver.
        unsafe { b::platform_driver_unregister(&raw mut driver.driver) };
    }
}

/// A platform device that a module creates.
///
/// # Invariants
///
/// The device is registered until `drop`.
#[derive(Debug)]
pub struct OwnDevice(NonNull<b::platform_device>);

// SAFETY: the value's only use is to unregister the device, which any in-band thread may do.
unsafe impl Send for OwnDevice {}
// SAFETY: a shared value has no methods.
unsafe impl Sync for OwnDevice {}

impl OwnDevice {
    /// Registers a device. Its driver gets a copy of `data`. Sleeps.
    ///
    /// # Errors
    ///
    /// The errors of `platform_device_register_full`.
    pub fn new<T: Copy>(
        _inband: &Inband<'_>,
        name: &'static CStr,
        id: i32,
        data: &T,
        dma_bits: u32,
    ) -> Result<Self> {
        let mask = u64::MAX >> 64_u32.saturating_sub(dma_bits).min(63);
        let data: *const T = data;
        // SAFETY: the name is static; the kernel copies the `size_of::<T>()` bytes at `data`.
        let pdev = unsafe {
            b::platform_device_register(name.as_ptr(), id, data.cast(), size_of::<T>(), mask)
        };
        NonNull::new(from_err_ptr(pdev)?)
            .map(Self)
            .ok_or(code::ENOMEM)
    }
}

impl Drop for OwnDevice {
    fn drop(&mut self) {
        // SAFETY: `new` registered the device.
        unsafe { b::platform_device_unregister(self.0.as_ptr()) };
    }
}
