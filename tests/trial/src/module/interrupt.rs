// SPDX-License-Identifier: GPL-2.0-only

//! Interrupt lines: the handler, and its in-band part.
//!
//! ```text
//!   line of the machine   a printer port raises it
//!   line of the trial     a timer's handler, in hard interrupt context, acts as the interrupt controller's entry
//! ```

use super::support::{Cell, Idle};
use crate::services::{INTERRUPT, Interrupts};
use core::ffi::{c_int, c_uint, c_ushort};
use core::sync::atomic::{AtomicBool, Ordering};
use kernel::alloc::KArc;
use kernel::bindings as b;
use kernel::error::{Result, code, to_result};
use kernel::task;
use kernel::time::{HardTimer, TimerHandler};
use kernel::uaccess::UserPtr;
use oob::irq::{Handled, Handler};
use oob::kernel_core::{Interrupt, Monotonic};
use oob::stage::Inband;
use oob::time::{Clock, Ns};

// In `lines.c`.
unsafe extern "C" {
    fn oobkit_soft_irq_line() -> c_int;
    fn oobkit_free_soft_irq_line(line: c_uint);
    fn oobkit_printer_interrupt(port: c_ushort) -> c_int;
}

/// The counts of a line.
#[derive(Default)]
struct Seen {
    handled: Cell,
    inband: Cell,
    astray: Cell,
    is_inside: AtomicBool,
}

struct Line {
    seen: KArc<Seen>,
    says: Handled,
    idle: Idle,
    caller: usize,
}

impl Handler for Line {
    fn handle(&self) -> Handled {
        self.seen.handled.add();
        self.says
    }

    fn inband(&self, inband: &Inband<'_>) {
        let seen = &self.seen;
        let is_beside = seen.is_inside.swap(true, Ordering::AcqRel);
        if is_beside || task::current().addr() == self.caller {
            seen.astray.add();
        }
        self.idle.sleep(inband, Ns(500_000));
        seen.is_inside.store(false, Ordering::Release);
        seen.inband.add();
    }
}

/// A line of the trial itself.
struct OwnLine(c_uint);

impl OwnLine {
    fn new(_inband: &Inband<'_>) -> Result<Self> {
        // SAFETY: the token proves in-band task context.
        let line = to_result(unsafe { oobkit_soft_irq_line() })?;
        Ok(Self(u32::try_from(line)?))
    }
}

impl Drop for OwnLine {
    fn drop(&mut self) {
        // SAFETY: `new` created the line; it is dropped after the value that requested it.
        unsafe { oobkit_free_soft_irq_line(self.0) };
    }
}

/// Plays the interrupt controller.
struct Controller(c_uint);

impl TimerHandler for Controller {
    fn expired(&self, _missed: u64) {
        // SAFETY: a timer's handler runs in hard interrupt context, and the line outlives the
        // timer.
        unsafe { b::generic_handle_irq(self.0) };
    }
}

pub(super) fn ioctl(inband: &Inband<'_>, command: u32, argument: UserPtr) -> Result<i32> {
    if command != INTERRUPT {
        return Err(code::ENOTTY);
    }
    let args: Interrupts = argument.read(inband)?;
    let own = (args.line < 0).then(|| OwnLine::new(inband)).transpose()?;
    let line = match &own {
        Some(OwnLine(line)) => *line,
        None => u32::try_from(args.line)?,
    };
    let played = play(inband, line, own.is_some(), args)?;
    argument.write(inband, &played).map(|()| 0)
}

fn play(inband: &Inband<'_>, line: c_uint, is_own: bool, args: Interrupts) -> Result<Interrupts> {
    let seen = KArc::new(inband, Seen::default())?;
    let port = args.port.try_into()?;
    let handler = Line {
        seen: seen.clone(),
        says: match args.says {
            0 => Handled::No,
            1 => Handled::Yes,
            _ => Handled::Forward,
        },
        idle: Idle::new(inband)?,
        caller: task::current().addr(),
    };
    let interrupt = Interrupt::new(inband, line, c"oob_trial", handler)?;
    let controller = HardTimer::new(inband, Controller(line))?;
    for n in 1..=args.times {
        match is_own {
            true => controller.start(Monotonic.now().after(Ns(100_000)).0, 0),
            // SAFETY: the port's line was requested above without sharing, so no driver uses the
            // port.
            false => to_result(unsafe { oobkit_printer_interrupt(port) }).map(drop)?,
        }
        seen.handled.reaches(inband, n)?;
        if args.says == 2 {
            seen.inband.reaches(inband, n)?;
        }
    }
    drop(interrupt);
    Ok(Interrupts {
        handled: seen.handled.get(),
        inband: seen.inband.get(),
        astray: seen.astray.get(),
        ..args
    })
}
