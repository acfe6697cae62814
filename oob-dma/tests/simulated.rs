// SPDX-License-Identifier: GPL-2.0-only

//! A simulated DMA controller with chains, rings, and one interrupt for all channels: the traits
//! fit hardware that has these.
//!
//! ```text
//!   descriptor in memory:  | from | to | len | interrupt | next: slot + 1, 0 ends the chain |
//!   Controller::step       each running channel moves one descriptor, then goes to its next
//! ```

use oob::time::{Clock, Instant, Ns};
use oob_dma::*;
use std::cell::{Cell, RefCell};
use std::ptr::NonNull;

/// Bus address of the descriptor memory.
const BASE: u64 = 0x8000_0000;
const SLOTS: usize = 8;

#[derive(Clone, Copy)]
#[repr(C, align(32))]
struct Descriptor {
    memory: u64,
    len: u32,
    interrupt: u32,
    next: u32,
}

/// What a channel's registers hold.
#[derive(Clone, Copy, Default)]
struct State {
    /// The descriptor under way, plus 1; 0 when idle.
    current: u32,
    fault: Option<Fault>,
}

#[derive(Default)]
struct Controller {
    channels: [Cell<State>; 2],
    pending: Cell<u32>,
    /// Channel, memory and length of each descriptor that was moved.
    moved: RefCell<Vec<(usize, u64, u32)>>,
    memory: Cell<Option<NonNull<Descriptor>>>,
}

impl Controller {
    fn descriptor(&self, current: u32) -> Option<Descriptor> {
        let slot = current.checked_sub(1)?;
        let at = self.memory.get()?.as_ptr().wrapping_add(slot as usize);
        // SAFETY: `DescriptorMemory` handed out this slot, and its memory outlives the test.
        Some(unsafe { at.read_volatile() })
    }

    fn step(&self) {
        for (n, channel) in self.channels.iter().enumerate() {
            let state = channel.get();
            let Some(descriptor) = self.descriptor(state.current) else {
                continue;
            };
            let moved = (n, descriptor.memory, descriptor.len);
            self.moved.borrow_mut().push(moved);
            if descriptor.interrupt != 0 {
                self.pending.set(self.pending.get() | 1 << n);
            }
            let current = descriptor.next;
            channel.set(State { current, ..state });
        }
    }
}

impl SharedIrq for Controller {
    fn acknowledge(&self) -> Channels {
        Channels(self.pending.take())
    }
}

struct SimChannel<'a>(&'a Controller, usize);

impl SimChannel<'_> {
    fn state(&self) -> &Cell<State> {
        &self.0.channels[self.1]
    }

    /// Writes one descriptor; `next` is the number of the following slot plus 1.
    fn write(
        memory: &DescriptorMemory,
        slot: usize,
        transfer: &Transfer,
        next: usize,
    ) -> Result<(), PrepareError> {
        if transfer.len == 0 || !transfer.len.is_multiple_of(4) {
            return Err(PrepareError::Length);
        }
        let (cpu, _) = memory.slot(slot, Self::SLOT).ok_or(PrepareError::Slot)?;
        let descriptor = Descriptor {
            memory: transfer.memory,
            len: transfer.len,
            interrupt: transfer.interrupt.into(),
            next: next as u32,
        };
        // SAFETY: `slot` returned room for a descriptor, aligned, in memory that belongs to
        // `memory`.
        unsafe { cpu.cast::<Descriptor>().write_volatile(descriptor) };
        Ok(())
    }
}

impl Channel for SimChannel<'_> {
    const SLOT: usize = size_of::<Descriptor>();
    const ABORT_MAX: Ns = Ns(0);

    fn abort(&self, _: &impl Clock) {
        self.state().set(State::default());
    }

    fn take_fault(&self) -> Option<Fault> {
        let state = self.state().get();
        self.state().set(State {
            fault: None,
            ..state
        });
        state.fault
    }
}

/// A slot, plus 1.
#[derive(Clone, Copy)]
struct First(u32);

impl PulseChannel for SimChannel<'_> {
    type Descriptor = First;

    unsafe fn prepare(
        &self,
        memory: &DescriptorMemory,
        slot: usize,
        transfer: &Transfer,
    ) -> Result<First, PrepareError> {
        Self::write(memory, slot, transfer, 0)?;
        Ok(First(slot as u32 + 1))
    }

    fn pulse(&self, First(current): First) {
        self.state().set(State {
            current,
            ..self.state().get()
        });
    }

    fn residue(&self) -> u32 {
        let mut left = 0;
        let mut current = self.state().get().current;
        while let Some(descriptor) = self.0.descriptor(current) {
            left += descriptor.len;
            current = descriptor.next;
        }
        left
    }
}

impl ChainChannel for SimChannel<'_> {
    unsafe fn prepare_chain(
        &self,
        memory: &DescriptorMemory,
        first: usize,
        transfers: &[Transfer],
    ) -> Result<First, PrepareError> {
        let last = transfers.len().checked_sub(1).ok_or(PrepareError::Length)?;
        for (i, transfer) in transfers.iter().enumerate() {
            let next = if i == last { 0 } else { first + i + 2 };
            Self::write(memory, first + i, transfer, next)?;
        }
        Ok(First(first as u32 + 1))
    }
}

/// The first slot, plus 1.
#[derive(Clone, Copy)]
struct Ring(u32);

/// A channel that moves rings, in slots from 4 on.
struct RingChannel<'a>(SimChannel<'a>);

const RING: u32 = 4;

impl Channel for RingChannel<'_> {
    const SLOT: usize = SimChannel::SLOT;
    const ABORT_MAX: Ns = SimChannel::ABORT_MAX;

    fn abort(&self, clock: &impl Clock) {
        self.0.abort(clock);
    }

    fn take_fault(&self) -> Option<Fault> {
        self.0.take_fault()
    }
}

impl CyclicChannel for RingChannel<'_> {
    type Ring = Ring;

    unsafe fn prepare_ring(
        &self,
        memory: &DescriptorMemory,
        first: usize,
        transfer: &Transfer,
        periods: u32,
    ) -> Result<Ring, PrepareError> {
        let len = transfer.len.checked_div(periods);
        let len = len.filter(|len| len * periods == transfer.len);
        let len = len.ok_or(PrepareError::Length)?;
        for i in 0..periods {
            let next = first + (i as usize + 1) % periods as usize + 1;
            let period = Transfer {
                memory: transfer.memory + u64::from(i * len),
                len,
                ..*transfer
            };
            SimChannel::write(memory, first + i as usize, &period, next)?;
        }
        Ok(Ring(first as u32 + 1))
    }

    fn start(&self, Ring(first): Ring) {
        self.0.pulse(First(first));
    }

    fn period(&self) -> Option<u32> {
        self.0.state().get().current.checked_sub(RING + 1)
    }
}

struct NoClock;

impl Clock for NoClock {
    fn now(&self) -> Instant {
        Instant(0)
    }

    fn relax(&self) {}
}

#[repr(align(32))]
struct Room([Descriptor; SLOTS]);

fn room() -> Box<Room> {
    let none = Descriptor {
        memory: 0,
        len: 0,
        interrupt: 0,
        next: 0,
    };
    Box::new(Room([none; SLOTS]))
}

fn descriptors(controller: &Controller, room: &mut Room) -> DescriptorMemory {
    let start = NonNull::from(&mut room.0).cast::<Descriptor>();
    controller.memory.set(Some(start));
    // SAFETY: each test keeps its room to the end, and reaches it through the controller only.
    unsafe { DescriptorMemory::new(start.cast(), BASE, size_of::<Room>()) }
}

fn transfer(memory: u64, len: u32, interrupt: bool) -> Transfer {
    Transfer {
        direction: Direction::FromDevice,
        memory,
        device: 0x4000,
        request: 1,
        len,
        interrupt,
    }
}

#[test]
fn a_chain_is_moved_by_one_pulse_and_interrupts_at_its_end() {
    let (controller, mut room) = (Controller::default(), room());
    let memory = descriptors(&controller, &mut room);
    let channel = SimChannel(&controller, 0);
    let parts = [
        transfer(0x100, 8, false),
        transfer(0x200, 4, false),
        transfer(0x300, 12, true),
    ];
    // SAFETY: the simulated controller moves no memory.
    let chain = unsafe { channel.prepare_chain(&memory, 1, &parts) }.unwrap();
    for _ in 0..2 {
        controller.moved.borrow_mut().clear();
        channel.pulse(chain);
        for left in [24, 16, 12] {
            assert_eq!(channel.residue(), left);
            assert!(controller.acknowledge().is_empty(), "not at its end yet");
            controller.step();
        }
        assert_eq!(channel.residue(), 0);
        assert!(controller.acknowledge().contains(0));
        let moved = [(0, 0x100, 8), (0, 0x200, 4), (0, 0x300, 12)];
        assert_eq!(*controller.moved.borrow(), moved);
    }
    // SAFETY: the simulated controller moves no memory.
    let none = unsafe { channel.prepare_chain(&memory, 0, &[]) };
    assert_eq!(none.err(), Some(PrepareError::Length));
    // SAFETY: the simulated controller moves no memory.
    let beyond = unsafe { channel.prepare_chain(&memory, SLOTS - 1, &parts) };
    assert_eq!(beyond.err(), Some(PrepareError::Slot));
}

#[test]
fn a_ring_goes_round_until_it_is_aborted() {
    let (controller, mut room) = (Controller::default(), room());
    let memory = descriptors(&controller, &mut room);
    let channel = RingChannel(SimChannel(&controller, 1));
    let buffer = transfer(0x1000, 24, true);
    // SAFETY: the simulated controller moves no memory.
    let ring = unsafe { channel.prepare_ring(&memory, RING as usize, &buffer, 3) }.unwrap();
    assert_eq!(channel.period(), None);
    channel.start(ring);
    for n in 0..7 {
        assert_eq!(channel.period(), Some(n % 3));
        controller.step();
        assert_eq!(controller.acknowledge(), Channels(1 << 1));
    }
    channel.abort(&NoClock);
    controller.step();
    assert_eq!((channel.period(), channel.take_fault()), (None, None));
    assert!(controller.acknowledge().is_empty());
    let moved = controller.moved.borrow();
    let memory_of: Vec<_> = moved.iter().map(|(_, memory, _)| *memory).collect();
    let round = [0x1000, 0x1008, 0x1010];
    assert_eq!(memory_of, [&round[..], &round, &round[..1]].concat());
    // SAFETY: the simulated controller moves no memory.
    let uneven = unsafe { channel.prepare_ring(&memory, 0, &buffer, 5) };
    assert_eq!(uneven.err(), Some(PrepareError::Length));
}

#[test]
fn one_interrupt_names_every_channel_that_raised_it() {
    let (controller, mut room) = (Controller::default(), room());
    let memory = descriptors(&controller, &mut room);
    let channels = [0, 1].map(|n| SimChannel(&controller, n));
    let prepared = [0, 1].map(|n| {
        let one = transfer(0x100, 4, true);
        // SAFETY: the simulated controller moves no memory.
        unsafe { channels[n].prepare(&memory, n, &one) }.unwrap()
    });
    channels[1].pulse(prepared[1]);
    controller.step();
    let raised = controller.acknowledge();
    assert!(raised.contains(1) && !raised.contains(0) && !raised.contains(32));
    channels[0].pulse(prepared[0]);
    channels[1].pulse(prepared[1]);
    controller.step();
    assert_eq!(controller.acknowledge(), Channels(0b11));
    assert!(controller.acknowledge().is_empty(), "acknowledged once");
}
