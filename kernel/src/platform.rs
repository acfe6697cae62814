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

/// A platform device that a driver is being bound to; who has one is in its `probe`, in-band.
#[derive(Debug)]
pub struct Device<'a>(*mut b::platform_device, PhantomData<&'a ()>);

impl Device<'_> {
    /// The device as the driver core knows it.
    pub fn as_device(&self) -> *mut b::device {
        // SAFETY: live by construction.
        unsafe { b::platform_device_dev(self.0) }
    }

    /// The platform device itself.
    pub const fn as_ptr(&self) -> *mut b::platform_device {
        self.0
    }

    /// What a board's code left for the driver.
    ///
    /// # Safety
    ///
    /// Whoever registered a device of this name passed a `T`.
    pub unsafe fn platform_data<T>(&self) -> Option<&T> {
        // SAFETY: live by construction.
        let data = unsafe { b::dev_get_platdata(self.as_device()) };
        // SAFETY: a `T` by contract, alive as long as the device.
        unsafe { data.cast_const().cast::<T>().as_ref() }
    }

    /// Whether the device's node has the property `name`.
    pub fn has_property(&self, name: &CStr) -> bool {
        // SAFETY: live by construction; a C string.
        unsafe { b::device_property_present(self.as_device(), name.as_ptr()) }
    }

    /// Whether the device has a register window `index`.
    pub fn has_io(&self, index: u32) -> bool {
        self.resource(index).is_some()
    }

    fn resource(&self, index: u32) -> Option<&b::resource> {
        // SAFETY: live by construction.
        let window = unsafe { b::platform_get_resource(self.0, b::IORESOURCE_MEM, index) };
        // SAFETY: null, or one of the device's resources, which live as long as it does.
        unsafe { window.as_ref() }
    }

    /// The first address of the device's register window `index`, which has at least `len` bytes.
    fn window(&self, index: u32, len: usize) -> Result<b::resource_size_t> {
        let window = self.resource(index).ok_or(code::EINVAL)?;
        let last = (len as u64).checked_sub(1).ok_or(code::EINVAL)?;
        match window.start.checked_add(last) {
            Some(end) if end <= window.end => Ok(window.start),
            _ => Err(code::EINVAL),
        }
    }

    /// Maps `len` bytes of the device's register window `index` until the driver is unbound, and keeps other drivers out.
    ///
    /// # Errors
    ///
    /// `EINVAL` where there is no such window, or a shorter one; those of `devm_platform_ioremap_resource`, `EBUSY` where
    /// another driver has the window.
    ///
    /// # Safety
    ///
    /// The registers are not used any more once the driver is unbound.
    pub unsafe fn io(&self, index: u32, len: usize) -> Result<IoMem> {
        self.window(index, len)?;
        // SAFETY: live by construction, and being bound.
        let base = from_err_ptr(unsafe { b::devm_platform_ioremap_resource(self.0, index) })?;
        // SAFETY: mapped until unbound, and not used later by contract; from the window's start, which has `len` bytes.
        Ok(unsafe { IoMem::new(base.cast(), len) })
    }

    /// As [`Self::io`], for a window that lies within the one of another driver, which has requested the whole of it: the
    /// device tree gives each of the two its part.
    ///
    /// # Errors
    ///
    /// `EINVAL` where there is no such window, or a shorter one; `ENOMEM`.
    ///
    /// # Safety
    ///
    /// As for [`Self::io`].
    pub unsafe fn io_within(&self, index: u32, len: usize) -> Result<IoMem> {
        let start = self.window(index, len)?;
        // SAFETY: live by construction, and being bound.
        let base = unsafe { b::devm_ioremap(self.as_device(), start, len as u64) };
        if base.is_null() {
            return Err(code::ENOMEM);
        }
        // SAFETY: `len` bytes, mapped until unbound, and not used later by contract.
        Ok(unsafe { IoMem::new(base.cast(), len) })
    }

    /// The device's interrupt line `index`.
    ///
    /// # Errors
    ///
    /// Those of `platform_get_irq`.
    pub fn irq(&self, index: u32) -> Result<c_uint> {
        // SAFETY: live by construction.
        to_result(unsafe { b::platform_get_irq(self.0, index) }).map(c_int::unsigned_abs)
    }

    /// The device's first clock, running until the value is dropped.
    ///
    /// # Errors
    ///
    /// Those of `clk_get` and `clk_prepare_enable`.
    pub fn clock(&self) -> Result<Clock> {
        // SAFETY: live by construction.
        let clk = from_err_ptr(unsafe { b::clk_get(self.as_device(), core::ptr::null()) })?;
        // SAFETY: a valid clock.
        let enabled = to_result(unsafe { b::clk_prepare_enable(clk) });
        if enabled.is_err() {
            // SAFETY: got above, and used no more.
            unsafe { b::clk_put(clk) };
        }
        enabled.map(|_| Clock(clk))
    }

    /// Declares how much of the address space the device's DMA reaches.
    ///
    /// # Errors
    ///
    /// `EIO` where the system cannot give such memory.
    pub fn set_dma_mask(&self, bits: u32) -> Result {
        let mask = u64::MAX >> 64_u32.saturating_sub(bits).min(63);
        // SAFETY: live by construction.
        to_result(unsafe { b::dma_set_mask_and_coherent(self.as_device(), mask) }).map(|_| ())
    }
}

/// A clock that is running.
///
/// # Invariants
///
/// A clock that was got and enabled, and is given back in `drop`.
#[derive(Debug)]
pub struct Clock(*mut b::clk);

// SAFETY: clock handles may be used from any thread.
unsafe impl Send for Clock {}
// SAFETY: as above.
unsafe impl Sync for Clock {}

impl Clock {
    /// Its rate in Hz. Sleeps.
    pub fn rate(&self, _inband: &Inband<'_>) -> u64 {
        // SAFETY: by the invariants.
        unsafe { b::clk_get_rate(self.0) }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        // SAFETY: by the invariants.
        unsafe { b::clk_disable_unprepare(self.0) };
        // SAFETY: as above; used no more.
        unsafe { b::clk_put(self.0) };
    }
}

/// A driver for platform devices; the value is what one bound device needs.
pub trait Driver: Sized + Send + Sync + 'static {
    /// Name, for devices without a device tree, too.
    const NAME: &'static CStr;
    /// `compatible` strings; empty where the driver serves no device tree.
    const COMPATIBLE: &'static [&'static CStr];

    /// Binds to a device.
    ///
    /// # Errors
    ///
    /// Any; the device stays unbound.
    fn probe(inband: &Inband<'_>, device: &Device<'_>) -> Result<KBox<Self>>;
}

/// Most `compatible` strings of a driver.
const COMPATIBLE_MAX: usize = 7;

struct Inner {
    driver: MaybeUninit<b::oobkit_platform_driver>,
    of_table: [b::of_device_id; COMPATIBLE_MAX + 1],
}

/// A registered driver.
///
/// # Invariants
///
/// The driver is registered, and the box stays where it is until it is unregistered in `drop`.
pub struct Registration<D: Driver>(KBox<Inner>, PhantomData<D>);

// SAFETY: registration is a token; the driver core synchronises itself.
unsafe impl<D: Driver> Send for Registration<D> {}
// SAFETY: as above.
unsafe impl<D: Driver> Sync for Registration<D> {}

impl<D: Driver> Registration<D> {
    /// Registers the driver, and binds it to what is there; sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and those of `platform_driver_register`.
    pub fn new(inband: &Inband<'_>) -> Result<Self> {
        const { assert!(D::COMPATIBLE.len() <= COMPATIBLE_MAX) };
        // SAFETY: entries of zeroes are the table's end marks.
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
        // SAFETY: the box stays in place until `drop` unregisters; callbacks are this driver's own.
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
        // SAFETY: the driver core probes in task context, with nothing held that a sleeper may not hold.
        let inband = unsafe { Inband::assume() };
        from_result(D::probe(&inband, &device).map(|bound| {
            // SAFETY: the device is being bound to this driver, whose data this is.
            unsafe { b::platform_set_drvdata(pdev, KBox::into_raw(bound).cast::<c_void>()) };
            0
        }))
    }

    unsafe extern "C" fn remove(pdev: *mut b::platform_device) {
        // SAFETY: bound by `probe`.
        let data = unsafe { b::platform_get_drvdata(pdev) };
        // SAFETY: `probe` put a box's pointer there; this is its last use.
        drop(unsafe { KBox::<D>::from_raw(data.cast()) });
    }
}

impl<D: Driver> Drop for Registration<D> {
    fn drop(&mut self) {
        // SAFETY: filled in by `new`.
        let driver = unsafe { self.0.driver.assume_init_mut() };
        // SAFETY: registered since `new`.
        unsafe { b::platform_driver_unregister(&raw mut driver.driver) };
    }
}

/// A device that a module makes up.
///
/// # Invariants
///
/// The device is registered until `drop`.
#[derive(Debug)]
pub struct OwnDevice(NonNull<b::platform_device>);

// SAFETY: the driver core synchronises itself.
unsafe impl Send for OwnDevice {}
// SAFETY: as above.
unsafe impl Sync for OwnDevice {}

impl OwnDevice {
    /// Registers a device; its driver gets a copy of `data`. Sleeps.
    ///
    /// # Errors
    ///
    /// Those of `platform_device_register_full`.
    pub fn new<T: Copy>(
        _inband: &Inband<'_>,
        name: &'static CStr,
        id: i32,
        data: &T,
        dma_bits: u32,
    ) -> Result<Self> {
        let mask = u64::MAX >> 64_u32.saturating_sub(dma_bits).min(63);
        let data: *const T = data;
        // SAFETY: the name is static; the data are copied.
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
        // SAFETY: registered since `new`.
        unsafe { b::platform_device_unregister(self.0.as_ptr()) };
    }
}
