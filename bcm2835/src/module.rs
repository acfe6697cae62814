// SPDX-License-Identifier: GPL-2.0-only

//! `oob_bcm2835.ko`: the kernel edge.
//!
//! ```text
//!   device tree: oobkit,bcm2835-spi          vboard.ko: platform device with a Table
//!        IoMem, CLOCK_MONOTONIC                    Window, BoardClock
//!                      \                            /
//!                        Device<Hw>: Spi, its interrupt
//!                       /                            \
//!      oob_spi.ko (registration::Registration)        inband.rs: spi_controller
//! ```
//!
//! Removal: oob mode ends for good, then the in-band controller drains and goes, then the interrupt, then the rest.

mod dma_mapped;

use crate::dma::{Channel, Irq};
use crate::spi::{Dma, MAX_CHIP_SELECTS, Parts, Spi};
use core::cell::UnsafeCell;
use core::convert::Infallible;
use core::ffi::{CStr, c_int, c_void};
use core::num::NonZeroU32;
use core::sync::atomic::{AtomicPtr, Ordering};
use dma_mapped::{Descriptors, DmaMappedController};
use kernel::alloc::KBox;
use kernel::error::{Result, code, from_result, to_result};
use kernel::io::IoMem;
use kernel::platform::{self, Driver, Registration as DriverRegistration};
use oob::io::Mmio;
use oob::irq::{Handled, Handler};
use oob::kernel_core::{Interrupt, Monotonic};
use oob::stage::Inband;
use oob::time::Clock;
use oob_dma::DescriptorMemory;
use oob_spi::registration::{BusHandle, Registration};
use oob_spi::spi_controller::SpiController;
use vboard::table::{BoardClock, Child, Table, WINDOW_DMA, WINDOW_SPI0, Window};

/// Bus address of SPI0's FIFO (BCM2835 ARM Peripherals, 10.5), and its request lines (4.2.1.3).
const FIFO: u64 = 0x7e20_4004;
const TX_REQUEST: u8 = 6;
const RX_REQUEST: u8 = 7;
/// The DMA masters see memory through the lowest GiB of the VideoCore's addresses, in 32 bits.
const DMA_BITS: u32 = 32;

/// What registers and time are reached by.
trait Hw: Send + Sync + 'static {
    type Mmio: Mmio + Send + Sync + 'static;
    type Clock: Clock + Send + Sync + 'static;
}

/// Silicon, or a model of it in the emulator.
struct Silicon;

impl Hw for Silicon {
    type Mmio = IoMem;
    type Clock = Monotonic;
}

/// A board that another module simulates.
struct Simulated;

impl Hw for Simulated {
    type Mmio = Window;
    type Clock = BoardClock;
}

type SpiOf<H> = Spi<<H as Hw>::Mmio, <H as Hw>::Clock, Channel<<H as Hw>::Mmio>, Infallible>;

/// The completion interrupt: that of the RX channel.
struct Completion<M> {
    bus: BusHandle,
    irq: Irq<M>,
}

impl<M: Mmio + Send + Sync + 'static> Handler for Completion<M> {
    fn handle(&self) -> Handled {
        // SAFETY: the interrupt is freed before the bus's registration is dropped.
        match unsafe { self.bus.interrupt(&|| self.irq.handle()) } {
            true => Handled::Yes,
            false => Handled::No,
        }
    }
}

/// How the completion interrupt is connected.
enum Line<H: Hw> {
    /// Frames go through the FIFO only.
    None,
    Requested {
        _line: Interrupt<Completion<H::Mmio>>,
    },
    Simulated {
        board: Table,
        line: u32,
        _completion: KBox<Completion<H::Mmio>>,
    },
}

impl<H: Hw> Drop for Line<H> {
    fn drop(&mut self) {
        if let Self::Simulated { board, line, .. } = self {
            // SAFETY: connected before; the completion lives until this has returned.
            unsafe { (board.disconnect)(board.context, *line) };
        }
    }
}

unsafe extern "C" fn simulated_interrupt<M: Mmio + Send + Sync + 'static>(
    completion: *const c_void,
) {
    // SAFETY: what `connect` was given; it lives until `disconnect` has returned.
    unsafe { &*completion.cast::<Completion<M>>() }.handle();
}

/// A bound controller. Fields are dropped in this order.
struct Device<H: Hw> {
    inband: Option<SpiController>,
    _line: Line<H>,
    oob: Registration<DmaMappedController<H>>,
    _descriptors: Option<Descriptors>,
    _clock: Option<platform::Clock>,
}

impl<H: Hw> Device<H> {
    /// Registers the in-band controller and the oob nodes.
    fn go_public(
        &mut self,
        token: &Inband<'_>,
        device: &platform::Device<'_>,
    ) -> Result<&SpiController> {
        // SAFETY: `oob` is dropped after `inband`, and nobody uses the controller before it is public.
        let inband = unsafe { SpiController::new(device, &self.oob) }?;
        let bus_num = inband.bus_num();
        let inband = self.inband.insert(inband);
        self.oob.publish(token, bus_num)?;
        Ok(inband)
    }
}

impl<H: Hw> Drop for Device<H> {
    fn drop(&mut self) {
        // SAFETY: in-band, as for every drop of what sleeps.
        self.oob.shutdown(&unsafe { Inband::assume() });
    }
}

/// What this driver keeps of a device.
enum Bound {
    Silicon(Device<Silicon>),
    Simulated(Device<Simulated>),
}

impl Driver for Bound {
    const NAME: &'static CStr = c"oobkit-bcm2835-spi";
    const COMPATIBLE: &'static [&'static CStr] = &[c"oobkit,bcm2835-spi"];

    fn probe(inband: &Inband<'_>, device: &platform::Device<'_>) -> Result<KBox<Self>> {
        device.set_dma_mask(DMA_BITS)?;
        // SAFETY: devices of this driver's name are registered by `vboard.ko` alone, with a `Table`; those of a device
        // tree have no platform data.
        let board = unsafe { device.platform_data::<Table>() };
        match board {
            Some(board) => probe_simulated(inband, device, *board),
            None => probe_silicon(inband, device),
        }
    }
}

/// The controller's logic. In a frame of its own: it passes over the stack, which is scarce in a kernel.
#[inline(never)]
fn controller<H: Hw>(
    inband: &Inband<'_>,
    mmio: H::Mmio,
    clock: H::Clock,
    core_hz: u32,
    chip_selects: u8,
    dma: Option<Dma<Channel<H::Mmio>>>,
    board: Option<Table>,
) -> Result<KBox<UnsafeCell<DmaMappedController<H>>>> {
    let spi = Spi::new(Parts {
        mmio,
        clock,
        core_hz: NonZeroU32::new(core_hz).ok_or(code::EINVAL)?,
        chip_selects,
        lines: [const { None }; MAX_CHIP_SELECTS],
        dma,
    });
    KBox::new(
        inband,
        UnsafeCell::new(DmaMappedController::new(spi, board)),
    )
}

fn dma_of<M: Mmio>(tx: M, rx: M, memory: DescriptorMemory) -> Dma<Channel<M>> {
    Dma {
        tx: Channel::new(tx),
        rx: Channel::new(rx),
        tx_request: TX_REQUEST,
        rx_request: RX_REQUEST,
        fifo: FIFO,
        memory,
    }
}

#[inline(never)]
fn probe_silicon(inband: &Inband<'_>, device: &platform::Device<'_>) -> Result<KBox<Bound>> {
    if device.has_property(c"cs-gpios") {
        // Frames would go out with no chip select active.
        kernel::pr_err!(
            "oob_bcm2835: cs-gpios: chip selects on GPIO lines are not driven; not bound"
        );
        return Err(code::EINVAL);
    }
    // SAFETY: what uses it is dropped with `Bound`, which is before the mapping ends.
    let spi = unsafe { device.io(0, 0x18) }?;
    let clock = device.clock()?;
    // The base tree's SPI node has one window; the kit's overlay adds those of two DMA channels, which lie in the window
    // of mainline's DMA driver. That one leaves them alone by its channel mask, but has requested all of it.
    let dma = match device.has_io(1) {
        true => Some((
            // SAFETY: as above.
            unsafe { device.io_within(1, 0x100) }?,
            // SAFETY: as above.
            unsafe { device.io_within(2, 0x100) }?,
            device.irq(1)?,
            Descriptors::new(inband, device, None)?,
        )),
        false => None,
    };
    let core_hz = u32::try_from(clock.rate(inband))?;
    let lent = dma
        .as_ref()
        .map(|(tx, rx, _, memory)| dma_of(*tx, *rx, memory.lend()));
    let controller = controller::<Silicon>(inband, spi, Monotonic, core_hz, 2, lent, None)?;
    // SAFETY: the device is bound for as long as the registration lives.
    let oob = unsafe { Registration::new(inband, device.as_device(), controller) }?;
    let mut line = Line::None;
    let mut descriptors = None;
    if let Some((_, rx, irq, memory)) = dma {
        let completion = Completion {
            bus: oob.bus(),
            irq: Irq::new(rx),
        };
        let requested = Interrupt::new(inband, irq, c"oob_bcm2835", completion)?;
        line = Line::Requested { _line: requested };
        descriptors = Some(memory);
    }
    let bound = Device {
        inband: None,
        _line: line,
        oob,
        _descriptors: descriptors,
        _clock: Some(clock),
    };
    let mut bound = KBox::new(inband, Bound::Silicon(bound))?;
    if let Bound::Silicon(bound) = &mut *bound {
        bound.go_public(inband, device)?;
    }
    Ok(bound)
}

#[inline(never)]
fn probe_simulated(
    inband: &Inband<'_>,
    device: &platform::Device<'_>,
    board: Table,
) -> Result<KBox<Bound>> {
    let [tx, rx] = board.dma_channels;
    // SAFETY: the board removes its device before it goes.
    let window = |window, base| unsafe { Window::new(board, window, base) };
    let channel = |n: u32| window(WINDOW_DMA, n.wrapping_mul(0x100));
    let descriptors = Descriptors::new(inband, device, Some(board))?;
    let dma = dma_of(channel(tx), channel(rx), descriptors.lend());
    // SAFETY: as above.
    let clock = unsafe { BoardClock::new(board) };
    let spi = window(WINDOW_SPI0, 0);
    let controller =
        controller::<Simulated>(inband, spi, clock, board.core_hz, 3, Some(dma), Some(board))?;
    // SAFETY: the device is bound for as long as the registration lives.
    let oob = unsafe { Registration::new(inband, device.as_device(), controller) }?;
    let completion = KBox::new(
        inband,
        Completion {
            bus: oob.bus(),
            irq: Irq::new(channel(rx)),
        },
    )?;
    let argument: *const Completion<Window> = &raw const *completion;
    // SAFETY: the completion lives until `Line` has disconnected it.
    to_result(unsafe {
        (board.connect)(
            board.context,
            rx,
            simulated_interrupt::<Window>,
            argument.cast(),
        )
    })?;
    let line = Line::Simulated {
        board,
        line: rx,
        _completion: completion,
    };
    let bound = Device {
        inband: None,
        _line: line,
        oob,
        _descriptors: Some(descriptors),
        _clock: None,
    };
    let mut bound = KBox::new(inband, Bound::Simulated(bound))?;
    if let Bound::Simulated(bound) = &mut *bound {
        let public = bound.go_public(inband, device)?;
        // SAFETY: the list ends with a null name, and is static in the board's module.
        unsafe { add_children(public, board.children) };
    }
    Ok(bound)
}

/// Adds the devices that the board has on its bus.
///
/// # Safety
///
/// `child` points into a list that ends with a null name.
unsafe fn add_children(controller: &SpiController, mut child: *const Child) {
    loop {
        // SAFETY: the loop has not passed the end of the list.
        let Child {
            modalias,
            chip_select,
            max_speed_hz,
        } = unsafe { child.read() };
        if modalias.is_null() {
            return;
        }
        // SAFETY: a name of the list that is not null is a C string.
        let modalias = unsafe { CStr::from_ptr(modalias) };
        controller.add_device(modalias, chip_select, max_speed_hz);
        // SAFETY: this was not the last entry.
        child = unsafe { child.add(1) };
    }
}

static DRIVER: AtomicPtr<DriverRegistration<Bound>> = AtomicPtr::new(core::ptr::null_mut());

#[unsafe(no_mangle)]
extern "C" fn oobkit_bcm2835_init() -> c_int {
    // SAFETY: the kernel initialises modules in task context, with nothing held.
    let inband = &unsafe { Inband::assume() };
    let registered = DriverRegistration::new(inband).and_then(|driver| KBox::new(inband, driver));
    from_result(registered.map(|driver| {
        DRIVER.store(KBox::into_raw(driver), Ordering::Relaxed);
        0
    }))
}

#[unsafe(no_mangle)]
extern "C" fn oobkit_bcm2835_exit() {
    let driver = DRIVER.swap(core::ptr::null_mut(), Ordering::Relaxed);
    // SAFETY: `init` put a box's pointer there; this runs once, after a successful `init`.
    drop(unsafe { KBox::from_raw(driver) });
}
