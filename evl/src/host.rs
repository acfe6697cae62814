// SPDX-License-Identifier: GPL-2.0-only

//! The host core: the stage in a plain process, under virtual time.
//!
//! ```text
//!   driver logic --- Clock::relax, Flag::wait_until ---> Host: moves virtual time
//!                                                         |   runs what is due, in order of date
//!                                   Device::advance <-----+-----> timers, scripted events
//!                                         |
//!                                   interrupt handler (driver logic again)
//! ```
//!
//! Nothing here reads the machine's clock: a run is the same every time. Time moves only when the driver waits or
//! polls, so a driver that polls without [`Clock::relax`] hangs, and a wait for an event that never comes ends at its
//! deadline without any real time going by.

use crate::stage::{Inband, Oob};
use crate::time::{Clock, Instant, Ns, Timer};
use crate::wait::{Flag, WaitError};
use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::vec::Vec;

/// Something with time in it: a simulated board.
pub trait Device {
    /// The next date at which something happens by itself.
    fn next_event(&self) -> Option<Instant>;

    /// Brings the device to `now` and delivers the interrupts that are due.
    fn advance(&self, now: Instant);
}

type Handler = Rc<dyn Fn()>;

struct Due {
    date: Instant,
    order: u64,
    period: Ns,
    timer: u64,
    handler: Handler,
}

struct Inner {
    now: Cell<Instant>,
    quantum: Cell<Ns>,
    next_id: Cell<u64>,
    devices: RefCell<Vec<Rc<dyn Device>>>,
    due: RefCell<Vec<Due>>,
}

/// A simulated machine; clones are handles to the same one.
#[derive(Clone)]
pub struct Host(Rc<Inner>);

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("now", &self.0.now.get())
            .finish_non_exhaustive()
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Host {
    /// A machine at date 1 us, with no devices. One turn of a polling loop takes 20 ns.
    pub fn new() -> Self {
        Self(Rc::new(Inner {
            now: Cell::new(Instant(1_000)),
            quantum: Cell::new(Ns(20)),
            next_id: Cell::new(0),
            devices: RefCell::new(Vec::new()),
            due: RefCell::new(Vec::new()),
        }))
    }

    /// Sets what one turn of a polling loop costs; at least 1 ns.
    pub fn set_quantum(&self, quantum: Ns) {
        self.0.quantum.set(Ns(quantum.0.max(1)));
    }

    /// Adds a device whose time this machine keeps.
    pub fn attach(&self, device: Rc<dyn Device>) {
        self.0.devices.borrow_mut().push(device);
    }

    /// Calls `handler` once at `date`.
    pub fn at(&self, date: Instant, handler: impl FnOnce() + 'static) {
        let once = Cell::new(Some(Box::new(handler) as Box<dyn FnOnce()>));
        let id = self.id();
        self.arm(
            id,
            date,
            Ns(0),
            Rc::new(move || {
                if let Some(f) = once.take() {
                    f();
                }
            }),
        );
    }

    /// A timer that calls `handler`.
    pub fn timer(&self, handler: impl Fn() + 'static) -> HostTimer {
        HostTimer {
            host: self.clone(),
            id: self.id(),
            handler: Rc::new(handler),
        }
    }

    /// A flag that is waited on in this machine's time.
    pub fn flag(&self) -> HostFlag {
        HostFlag {
            host: self.clone(),
            raised: Cell::new(false),
        }
    }

    /// Runs everything that is due up to `date`, then stands at `date`.
    pub fn run_until(&self, date: Instant) {
        while let Some(next) = self.next_event().filter(|next| *next <= date) {
            self.step(next);
        }
        if self.now() < date {
            self.0.now.set(date);
            self.advance_devices();
        }
    }

    /// Lets `span` go by while the simulated processor is busy and takes no interrupt: a register access, for example.
    ///
    /// What falls due meanwhile runs late, at the next wait or polling turn.
    pub fn elapse(&self, span: Ns) {
        self.0.now.set(self.now().after(span));
    }

    /// The out-of-band stage's token, for the simulated thread.
    pub fn oob(&self) -> Oob<'_> {
        // SAFETY: the process is the simulated thread; waiting moves virtual time and cannot block anything else.
        unsafe { Oob::assume() }
    }

    /// The in-band stage's token, for the simulated thread.
    pub fn inband(&self) -> Inband<'_> {
        // SAFETY: as for `oob`: no context of a process is atomic.
        unsafe { Inband::assume() }
    }

    fn id(&self) -> u64 {
        let id = self.0.next_id.get();
        self.0.next_id.set(id + 1);
        id
    }

    fn arm(&self, timer: u64, date: Instant, period: Ns, handler: Handler) {
        let order = self.id();
        self.0.due.borrow_mut().push(Due {
            date,
            order,
            period,
            timer,
            handler,
        });
    }

    fn disarm(&self, timer: u64) {
        self.0.due.borrow_mut().retain(|due| due.timer != timer);
    }

    fn next_event(&self) -> Option<Instant> {
        let devices = self.0.devices.borrow().clone();
        let of_devices = devices.iter().filter_map(|d| d.next_event()).min();
        let of_timers = self.0.due.borrow().iter().map(|due| due.date).min();
        match (of_devices, of_timers) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn step(&self, date: Instant) {
        self.0.now.set(self.now().max(date));
        self.advance_devices();
        while let Some(handler) = self.pop_due() {
            handler();
        }
    }

    fn pop_due(&self) -> Option<Handler> {
        let now = self.now();
        let mut due = self.0.due.borrow_mut();
        let first = (0..due.len())
            .filter(|i| due[*i].date <= now)
            .min_by_key(|i| (due[*i].date, due[*i].order))?;
        let mut entry = due.swap_remove(first);
        let handler = entry.handler.clone();
        if entry.period.0 > 0 {
            entry.date = entry.date.after(entry.period);
            due.push(entry);
        }
        Some(handler)
    }

    fn advance_devices(&self) {
        let devices = self.0.devices.borrow().clone();
        for device in devices {
            device.advance(self.now());
        }
    }
}

impl Clock for Host {
    fn now(&self) -> Instant {
        self.0.now.get()
    }

    fn relax(&self) {
        self.run_until(self.now().after(self.0.quantum.get()));
    }
}

/// A timer in virtual time.
pub struct HostTimer {
    host: Host,
    id: u64,
    handler: Handler,
}

impl fmt::Debug for HostTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostTimer")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Timer for HostTimer {
    fn start(&self, first: Instant, period: Ns) {
        self.host.disarm(self.id);
        self.host.arm(self.id, first, period, self.handler.clone());
    }

    fn stop(&self) {
        self.host.disarm(self.id);
    }
}

impl Drop for HostTimer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A flag in virtual time.
#[derive(Debug)]
pub struct HostFlag {
    host: Host,
    raised: Cell<bool>,
}

impl Flag for HostFlag {
    fn clear(&self) {
        self.raised.set(false);
    }

    fn raise(&self) {
        self.raised.set(true);
    }

    fn wait_until(&self, _oob: &Oob<'_>, deadline: Instant) -> Result<(), WaitError> {
        loop {
            if self.raised.replace(false) {
                return Ok(());
            }
            match self.host.next_event().filter(|next| *next <= deadline) {
                Some(next) => self.host.step(next),
                None if self.host.now() >= deadline => return Err(WaitError::TimedOut),
                None => {
                    assert!(
                        deadline != Instant::NEVER,
                        "deadlock: nothing left to happen, and no deadline"
                    );
                    self.host.run_until(deadline);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raise_before_the_wait_is_not_lost() {
        let host = Host::new();
        let flag = host.flag();
        flag.raise();
        assert_eq!(flag.wait_until(&host.oob(), host.now()), Ok(()));
        assert_eq!(
            flag.wait_until(&host.oob(), host.now()),
            Err(WaitError::TimedOut)
        );
    }

    #[test]
    fn a_wait_ends_at_its_deadline_or_its_event_whichever_is_first() {
        let host = Host::new();
        let flag = Rc::new(host.flag());
        let raised = flag.clone();
        host.at(Instant(5_000), move || raised.raise());
        assert_eq!(
            flag.wait_until(&host.oob(), Instant(4_000)),
            Err(WaitError::TimedOut)
        );
        assert_eq!(host.now(), Instant(4_000));
        assert_eq!(flag.wait_until(&host.oob(), Instant(9_000)), Ok(()));
        assert_eq!(host.now(), Instant(5_000));
    }

    #[test]
    fn what_fell_due_while_the_processor_was_busy_still_beats_the_deadline() {
        let host = Host::new();
        let flag = Rc::new(host.flag());
        let raised = flag.clone();
        host.at(Instant(1_500), move || raised.raise());
        host.elapse(Ns(5_000));
        assert_eq!(flag.wait_until(&host.oob(), Instant(2_000)), Ok(()));
        assert_eq!(host.now(), Instant(6_000));
    }

    #[test]
    fn a_periodic_timer_keeps_its_grid_and_stops() {
        let host = Host::new();
        let dates = Rc::new(RefCell::new(Vec::new()));
        let (seen, clock) = (dates.clone(), host.clone());
        let timer = host.timer(move || seen.borrow_mut().push(clock.now().0));
        timer.start(Instant(2_000), Ns(500));
        host.run_until(Instant(3_100));
        timer.stop();
        host.run_until(Instant(9_000));
        assert_eq!(*dates.borrow(), [2_000, 2_500, 3_000]);
    }
}
