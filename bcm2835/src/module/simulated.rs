// SPDX-License-Identifier: GPL-2.0-only

//! Binding to the board that `vboard.ko` simulates.

use super::device::{Bound, Completion, CompletionLine, Device, controller, dma_of};
use super::dma_mapped::Descriptors;
use super::hw::Simulated;
use crate::dma::Irq;
use core::ffi::{CStr, c_void};
use kernel::alloc::KBox;
use kernel::error::{Result, to_result};
use kernel::platform;
use oob::irq::Handler;
use oob::stage::Inband;
use oob_spi::registration::Registration;
use oob_spi::spi_controller::SpiController;
use vboard::table::{BoardClock, Child, Table, WINDOW_DMA, WINDOW_SPI0, Window};

unsafe extern "C" fn interrupt(completion: *const c_void) {
    // SAFETY: `probe` passed a `Completion<Window>` to `connect`. It lives until `disconnect` has
    // returned.
    unsafe { &*completion.cast::<Completion<Window>>() }.handle();
}

#[inline(never)]
pub(super) fn probe(
    inband: &Inband<'_>,
    device: &platform::Device<'_>,
    board: Table,
) -> Result<KBox<Bound>> {
    let [tx, rx] = board.dma_channels;
    // SAFETY: the board removes its platform device, and so unbinds this driver, before it goes.
    let window = |window, base| unsafe { Window::new(board, window, base) };
    let channel = |n: u32| window(WINDOW_DMA, n.wrapping_mul(0x100));
    let descriptors = Descriptors::new(inband, device, Some(board))?;
    let dma = dma_of(channel(tx), channel(rx), descriptors.lend());
    // SAFETY: the board removes its platform device, and so unbinds this driver, before it goes.
    let clock = unsafe { BoardClock::new(board) };
    let spi = window(WINDOW_SPI0, 0);
    let controller =
        controller::<Simulated>(inband, spi, clock, board.core_hz, 3, Some(dma), Some(board))?;
    // SAFETY: the device stays bound for as long as the registration lives: `Bound` owns it.
    let oob = unsafe { Registration::new(inband, device.as_device(), controller) }?;
    let completion = KBox::new(
        inband,
        Completion {
            bus: oob.bus(),
            irq: Irq::new(channel(rx)),
        },
    )?;
    let argument: *const Completion<Window> = &raw const *completion;
    // SAFETY: `interrupt` takes this argument, which lives until `CompletionLine` has disconnected
    // it.
    to_result(unsafe { (board.connect)(board.context, rx, interrupt, argument.cast()) })?;
    let line = CompletionLine::Simulated {
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
