// SPDX-License-Identifier: GPL-2.0-only

//! One DMA channel by itself: its limits, its descriptors, the order of its register accesses.

use crate::rig::{NO_DMA, Rig};
use bcm2835::dma::regs::{FULL_MAX_LEN, LITE_MAX_LEN};
use bcm2835::dma::{Channel, Irq};
use oob::io::Mmio;
use oob::time::{Clock, Ns};
use oob_dma::{
    Channel as DmaChannel, DescriptorMemory, Direction, Fault, PrepareError, PulseChannel, Transfer,
};
use std::cell::RefCell;

/// A channel's registers as plain memory.
#[derive(Default)]
struct Plain {
    registers: RefCell<[u32; 9]>,
    writes: RefCell<Vec<(usize, u32)>>,
}

impl Plain {
    fn lite() -> Self {
        let plain = Self::default();
        plain.registers.borrow_mut()[8] = 1 << 28;
        plain
    }
}

impl Mmio for Plain {
    fn read(&self, offset: usize) -> u32 {
        self.registers.borrow()[offset / 4]
    }

    fn write(&self, offset: usize, value: u32) {
        self.writes.borrow_mut().push((offset, value));
    }

    fn publish(&self) {
        self.writes.borrow_mut().push((usize::MAX, 0));
    }

    fn observe(&self) {}
}

const GOOD: Transfer = Transfer {
    direction: Direction::FromDevice,
    memory: 0xc000_0040,
    device: 0x7e20_4004,
    request: 7,
    len: 8,
    interrupt: true,
};

fn prepare<M: Mmio>(
    channel: &Channel<M>,
    memory: &DescriptorMemory,
    slot: usize,
    transfer: &Transfer,
) -> Result<<Channel<M> as PulseChannel>::Descriptor, PrepareError> {
    // SAFETY: the channel is a fake, whose registers start no transfer.
    unsafe { PulseChannel::prepare(channel, memory, slot, transfer) }
}

#[test]
fn a_channel_keeps_to_its_limits() {
    let (full, lite) = (Channel::new(Plain::default()), Channel::new(Plain::lite()));
    assert!(lite.is_lite() && !full.is_lite());
    let rig = Rig::new(NO_DMA);
    let place = rig.board.dma_alloc(32, 32);
    // SAFETY: the rig's arena outlives the memory, and no other channel uses this part of it.
    let memory = unsafe { DescriptorMemory::new(place.cpu(), u64::from(place.bus()), 32) };
    let block = || -> Vec<u32> {
        let bytes = place.to_vec();
        let words = bytes.as_chunks::<4>().0;
        words.iter().copied().map(u32::from_le_bytes).collect()
    };
    let len = |len| (Transfer { len, ..GOOD }, PrepareError::Length);
    let memory_at = |memory| (Transfer { memory, ..GOOD }, PrepareError::Address);
    let device_at = |device| (Transfer { device, ..GOOD }, PrepareError::Address);
    let request = |request| (Transfer { request, ..GOOD }, PrepareError::Request);
    let refused = [
        len(0),
        len(6),
        len(FULL_MAX_LEN + 4),
        memory_at(0xc000_0042),
        memory_at(1 << 32),
        memory_at(0xffff_fffc),
        device_at(0x4_7e20_4004),
        device_at(0x7e20_4005),
        request(32),
    ];
    for (transfer, error) in refused {
        assert_eq!(
            prepare(&full, &memory, 0, &transfer),
            Err(error),
            "{transfer:?}"
        );
    }
    let long = Transfer {
        len: LITE_MAX_LEN + 4,
        ..GOOD
    };
    assert_eq!(prepare(&lite, &memory, 0, &long), Err(PrepareError::Length));
    let beyond = prepare(&full, &memory, 1, &GOOD);
    assert_eq!(beyond, Err(PrepareError::Slot));
    assert_eq!(block(), [0; 8], "a refusal wrote a descriptor");
    prepare(&full, &memory, 0, &long).unwrap();
    prepare(
        &lite,
        &memory,
        0,
        &Transfer {
            len: LITE_MAX_LEN,
            ..GOOD
        },
    )
    .unwrap();
    // INTEN, WAIT_RESP, DEST_INC, SRC_DREQ, PERMAP 7.
    let ti = 1 | 1 << 3 | 1 << 4 | 1 << 10 | 7 << 16;
    assert_eq!(
        block(),
        [ti, 0x7e20_4004, 0xc000_0040, LITE_MAX_LEN, 0, 0, 0, 0]
    );
    let send = Transfer {
        direction: Direction::ToDevice,
        request: 6,
        interrupt: false,
        ..GOOD
    };
    prepare(&lite, &memory, 0, &send).unwrap();
    // WAIT_RESP, DEST_DREQ, SRC_INC, PERMAP 6.
    let ti = 1 << 3 | 1 << 6 | 1 << 8 | 6 << 16;
    assert_eq!(block(), [ti, 0xc000_0040, 0x7e20_4004, 8, 0, 0, 0, 0]);
}

#[test]
fn a_pulse_publishes_then_loads_then_starts() {
    let plain = Plain::default();
    let channel = Channel::new(&plain);
    let rig = Rig::new(NO_DMA);
    let memory = rig.board.dma_alloc(32, 32);
    // SAFETY: the rig's arena outlives the memory, and no other channel uses this part of it.
    let slots = unsafe { DescriptorMemory::new(memory.cpu(), u64::from(memory.bus()), 32) };
    let descriptor = prepare(&channel, &slots, 0, &GOOD).unwrap();
    channel.pulse(descriptor);
    let expected = [(usize::MAX, 0), (0x04, memory.bus()), (0x00, 1)];
    assert_eq!(*plain.writes.borrow(), expected);
}

#[test]
fn a_channel_answers_only_its_own_interrupt() {
    let plain = Plain::default();
    let irq = Irq::new(&plain);
    // Active, and a control block without INTEN has ended: that is no interrupt of this channel.
    plain.registers.borrow_mut()[0] = 0b011;
    assert!(!irq.handle());
    assert!(plain.writes.borrow().is_empty());
    plain.registers.borrow_mut()[0] = 0b111;
    assert!(irq.handle());
    // INT is cleared and ACTIVE is kept: a channel that was started again meanwhile continues.
    assert_eq!(*plain.writes.borrow(), [(0x00, 0b101)]);
}

#[test]
fn faults_are_reported_once_and_cleared() {
    let plain = Plain::default();
    let channel = Channel::new(&plain);
    assert_eq!(channel.take_fault(), None);
    assert!(plain.writes.borrow().is_empty());
    for (debug, fault) in [
        (0b001, Fault::ReadLast),
        (0b010, Fault::Fifo),
        (0b100, Fault::Read),
    ] {
        plain.registers.borrow_mut()[8] = debug | 1 << 28;
        plain.writes.borrow_mut().clear();
        assert_eq!(channel.take_fault(), Some(fault));
        assert_eq!(*plain.writes.borrow(), [(0x20, 0b111)]);
    }
}

#[test]
fn the_residue_is_0_exactly_when_there_is_no_control_block() {
    let plain = Plain::default();
    let channel = Channel::new(&plain);
    let set = |block, left| {
        plain.registers.borrow_mut()[1] = block;
        plain.registers.borrow_mut()[5] = left;
    };
    set(0, 12);
    assert_eq!(channel.residue(), 0);
    set(0xc000_0040, 12);
    assert_eq!(channel.residue(), 12);
    // Everything has been read, and the last write is still outstanding.
    set(0xc000_0040, 0);
    assert_eq!(channel.residue(), 1);
}

#[test]
fn an_abort_gives_up_on_writes_that_never_end() {
    let rig = Rig::new(NO_DMA);
    let plain = Plain::default();
    plain.registers.borrow_mut()[0] = 1 << 6;
    let begin = rig.host.now();
    Channel::new(&plain).abort(&rig.host);
    let took = rig.host.now().since(begin);
    assert!(took >= Ns(20_000) && took < Ns(21_000), "{took:?}");
    assert_eq!(*plain.writes.borrow(), [(0, 0), (0, 1 << 31)]);
}
