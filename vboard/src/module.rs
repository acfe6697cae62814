// SPDX-License-Identifier: GPL-2.0-only

//! `vboard.ko`: gives any machine a board with an SPI bus, and on it a motor (chip select 0) and a NOR flash (1).
//!
//! ```text
//!   driver --Table--> access: lock, stamp, model, stamp --> arm --> hrtimer --> deliver: handlers of the lines
//!                                   |
//!                                 cost: what the model took; the board's date is the machine's less the cost
//! ```
//!
//! - The model computes on the processor that it is a model beside. What that costs is stamped at its entry and exit and
//!   taken out of the board's time, so a driver is given the time on the wire that its registers ask for. The sum is
//!   `cost_ns` in debugfs.
//! - An interrupt is delivered from the timer's hard interrupt only, one handler at a time.

mod memory;
mod numbers;

use crate::bcm2835::board::{Block, Board};
use crate::slaves::flash::{FLASH_LEN, Flash};
use crate::slaves::motor::Motor;
use crate::slaves::{Sockets, Unconnected};
use crate::table::{Child, Table, WINDOW_SPI0};
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicPtr, Ordering};
use kernel::alloc::{KBox, VBytes};
use kernel::debugfs::Dir;
use kernel::error::{Result, code, from_result};
use kernel::platform::OwnDevice;
use kernel::sync::{LockClass, RawSpinLock};
use kernel::time::{HardTimer, TimerHandler, monotonic_ns};
use memory::Regions;
use oob::stage::Inband;
use oob::time::Instant;

/// The clock of BCM2835 to 2837 (250 MHz nominal).
const CORE_MHZ: u32 = 250;
/// The SPI driver's DMA channels, TX and RX: two full ones that the family's firmware leaves to the system.
const DMA_CHANNELS: [u32; 2] = [4, 5];
const LINES: usize = 15;
/// What a register read takes of the board's time, as a processor waits for its bus. No document gives the figure: it was
/// chosen so that a polling loop does not come round so often that the model's cost outgrows the frame's. See
/// `docs/benchmarks.md` for what was measured on silicon, and what depends on it.
const READ_NS: u64 = 160;
/// What one entry of the model costs at most. What takes longer is an emulated processor that was held up, and meanwhile
/// the board's time went on: else its frames would end that much later, behind the driver's time limit.
const COST_MAX_NS: u64 = 5_000_000;
/// How often a line may still be high after its handler ran before it is left alone.
const STORM: u32 = 64;

type Model = Board<Sockets<Motor, Flash<VBytes>, Unconnected>, Regions>;

#[derive(Clone, Copy)]
struct Connection {
    handler: unsafe extern "C" fn(*const c_void),
    argument: *const c_void,
}

/// What the lock guards.
struct State {
    model: Model,
    connections: [Option<Connection>; LINES],
    /// What the timer is armed for, in the board's time.
    armed: Option<Instant>,
    /// The timer's handler is delivering, and looks again by itself.
    delivering: bool,
    cost_ns: u64,
    accesses: u64,
    /// What reading the clock takes: of the two readings round an entry, one falls outside of what they show.
    stamp_ns: u64,
}

// SAFETY: a connection's argument may be used from any thread, by the contract of `Table::connect`.
unsafe impl Send for State {}

impl State {
    /// The board's date at the machine's date `now`.
    const fn date(&self, now: u64) -> Instant {
        Instant(now.saturating_sub(self.cost_ns))
    }

    /// What was done since the machine's date `entry` took no time of the board's, but for `bus`.
    fn charge(&mut self, entry: u64, bus: u64) {
        let took = monotonic_ns().saturating_sub(entry);
        let took = took.saturating_add(self.stamp_ns).min(COST_MAX_NS);
        self.cost_ns = self.cost_ns.wrapping_add(took.saturating_sub(bus));
    }

    /// The connection of a line that is high.
    fn pending(&self) -> Option<Connection> {
        let high = self.model.irq_lines().channels();
        let connected = self.connections.iter().enumerate();
        connected
            .filter(|(line, _)| high & 1u16.wrapping_shl(*line as u32) != 0)
            .find_map(|(_, c)| *c)
    }
}

/// The board.
struct Vboard {
    state: RawSpinLock<State>,
    timer: HardTimer<Tick>,
}

/// The timer's handler; finds the board through [`BOARD`].
struct Tick;

impl TimerHandler for Tick {
    fn expired(&self, _missed: u64) {
        if let Some(board) = board() {
            board.deliver();
        }
    }
}

/// What the module holds while it is loaded. Fields are dropped in this order.
struct Module {
    _device: OwnDevice,
    _numbers: Dir<Vboard>,
}

static BOARD: AtomicPtr<Vboard> = AtomicPtr::new(core::ptr::null_mut());
static MODULE: AtomicPtr<Module> = AtomicPtr::new(core::ptr::null_mut());

fn board() -> Option<&'static Vboard> {
    // SAFETY: set before anything can call here, and taken away when nothing can any more.
    unsafe { BOARD.load(Ordering::Acquire).as_ref() }
}

/// The shortest time between two readings of the clock.
fn stamp_ns() -> u64 {
    let between = |_| {
        let first = monotonic_ns();
        monotonic_ns().saturating_sub(first)
    };
    (0..64).map(between).min().unwrap_or(0)
}

impl Vboard {
    /// In a frame of its own: the state passes over the stack, which is scarce in a kernel.
    #[inline(never)]
    fn new(inband: &Inband<'_>) -> Result<KBox<Self>> {
        static CLASS: LockClass = LockClass::new();
        let mut storage = VBytes::zeroed(inband, FLASH_LEN)?;
        storage.as_mut().fill(0xff);
        let slaves = Sockets(Motor::new(), Flash::new(storage), Unconnected);
        let state = State {
            model: Board::new(slaves, Regions::new(), CORE_MHZ, Instant(monotonic_ns())),
            connections: [None; LINES],
            armed: None,
            delivering: false,
            cost_ns: 0,
            accesses: 0,
            stamp_ns: stamp_ns(),
        };
        let state = RawSpinLock::new(inband, state, c"vboard", &CLASS)?;
        let timer = HardTimer::new(inband, Tick)?;
        KBox::new(inband, Self { state, timer })
    }

    /// Runs `f` on the model at the board's present date, and sees to what follows from it. `bus` of what that takes is
    /// time that the real access would take, too.
    fn with<R>(&self, bus: u64, f: impl FnOnce(&mut Model, Instant) -> R) -> R {
        let entry = monotonic_ns();
        let mut state = self.state.lock();
        let date = state.date(entry);
        let result = f(&mut state.model, date);
        self.arm(&mut state, date);
        state.accesses = state.accesses.wrapping_add(1);
        state.charge(entry, bus);
        result
    }

    /// Arms the timer for the next change of a line, or at once where one is high that has a handler.
    fn arm(&self, state: &mut State, date: Instant) {
        if state.delivering {
            return;
        }
        let next = if state.pending().is_some() {
            Some(date)
        } else {
            state.model.next_event()
        };
        if let Some(next) = next
            && state.armed != Some(next)
        {
            self.timer.start(next.0.saturating_add(state.cost_ns), 0);
        }
        state.armed = next;
    }

    fn deliver(&self) {
        for _ in 0..STORM {
            let entry = monotonic_ns();
            let mut state = self.state.lock();
            let date = state.date(entry);
            state.armed = None;
            state.model.advance(date);
            let pending = state.pending();
            state.delivering = pending.is_some();
            self.arm(&mut state, date);
            state.charge(entry, 0);
            drop(state);
            match pending {
                // SAFETY: handler and argument belong together until `disconnect` has returned, which waits for us.
                Some(connection) => unsafe { (connection.handler)(connection.argument) },
                None => return,
            }
        }
        self.state.lock().delivering = false;
        kernel::pr_err!("vboard: an interrupt is not acknowledged; the line is left alone");
    }
}

/// # Safety
///
/// `context` is the table's.
unsafe fn of<'a>(context: *const c_void) -> &'a Vboard {
    // SAFETY: the table's context is the board, which lives until its device is gone.
    unsafe { &*context.cast::<Vboard>() }
}

const fn block(window: u32) -> Block {
    if window == WINDOW_SPI0 {
        Block::Spi0
    } else {
        Block::Dma
    }
}

unsafe extern "C" fn now(context: *const c_void) -> u64 {
    let entry = monotonic_ns();
    // SAFETY: the table's contract.
    let mut state = unsafe { of(context) }.state.lock();
    let date = state.date(entry).0;
    state.charge(entry, 0);
    date
}

unsafe extern "C" fn read(context: *const c_void, window: u32, offset: u32) -> u32 {
    // SAFETY: the table's contract.
    unsafe { of(context) }.with(READ_NS, |model, date| {
        model.read(date, block(window), offset)
    })
}

unsafe extern "C" fn write(context: *const c_void, window: u32, offset: u32, value: u32) {
    // SAFETY: the table's contract.
    unsafe { of(context) }.with(0, |model, date| {
        model.write(date, block(window), offset, value)
    });
}

unsafe extern "C" fn connect(
    context: *const c_void,
    line: u32,
    handler: unsafe extern "C" fn(*const c_void),
    argument: *const c_void,
) -> i32 {
    // SAFETY: the table's contract.
    let board = unsafe { of(context) };
    let connected = match board.state.lock().connections.get_mut(line as usize) {
        Some(place @ None) => {
            *place = Some(Connection { handler, argument });
            Ok(0)
        }
        Some(_) => Err(code::EBUSY),
        None => Err(code::EINVAL),
    };
    from_result(connected)
}

unsafe extern "C" fn disconnect(context: *const c_void, line: u32) {
    // SAFETY: the table's contract.
    let board = unsafe { of(context) };
    if let Some(place) = board.state.lock().connections.get_mut(line as usize) {
        *place = None;
    }
    // SAFETY: the table's contract: a driver goes in-band.
    let inband = unsafe { Inband::assume() };
    // Waits for a handler that runs; the next access arms the timer again.
    board.timer.cancel(&inband);
    board.state.lock().armed = None;
}

unsafe extern "C" fn map(context: *const c_void, bus: u64, cpu: *mut u8, len: usize) -> i32 {
    // SAFETY: the table's contract.
    let board = unsafe { of(context) };
    // SAFETY: the caller's memory is there until it calls `unmap`.
    let added = board.with(0, |model, _| unsafe { model.memory().add(bus, cpu, len) });
    from_result(added.map(|()| 0).ok_or(code::ENOSPC))
}

unsafe extern "C" fn unmap(context: *const c_void, bus: u64) {
    // SAFETY: the table's contract.
    unsafe { of(context) }.with(0, |model, _| model.memory().remove(bus));
}

#[repr(transparent)]
struct Children([Child; 3]);
// SAFETY: names are static and never written to.
unsafe impl Sync for Children {}

/// mainline's spidev knows `dh2228fv`, one of the few names it takes without a device tree; its spi-nor, `spi-nor`.
static CHILDREN: Children = Children([
    Child {
        modalias: c"dh2228fv".as_ptr(),
        chip_select: 0,
        max_speed_hz: 125_000_000,
    },
    Child {
        modalias: c"spi-nor".as_ptr(),
        chip_select: 1,
        max_speed_hz: 31_250_000,
    },
    Child {
        modalias: core::ptr::null(),
        chip_select: 0,
        max_speed_hz: 0,
    },
]);

fn init(inband: &Inband<'_>) -> Result {
    let board = KBox::into_raw(Vboard::new(inband)?);
    BOARD.store(board, Ordering::Release);
    let module = new_module(inband, board)
        .and_then(|module| KBox::new(inband, module))
        .inspect_err(|_| free_board(inband))?;
    MODULE.store(KBox::into_raw(module), Ordering::Relaxed);
    Ok(())
}

fn new_module(inband: &Inband<'_>, board: *const Vboard) -> Result<Module> {
    // SAFETY: the board outlives the module's parts.
    let numbers = unsafe { Dir::new(inband, c"vboard", board) }?;
    let table = Table {
        context: board.cast(),
        now,
        read,
        write,
        connect,
        disconnect,
        map,
        unmap,
        core_hz: CORE_MHZ.saturating_mul(1_000_000),
        dma_channels: DMA_CHANNELS,
        children: CHILDREN.0.as_ptr(),
    };
    let device = OwnDevice::new(inband, c"oobkit-bcm2835-spi", -1, &table, 32)?;
    Ok(Module {
        _device: device,
        _numbers: numbers,
    })
}

/// Nothing calls the board any more, but its own timer.
fn free_board(inband: &Inband<'_>) {
    if let Some(board) = board() {
        board.timer.cancel(inband);
    }
    let board = BOARD.swap(core::ptr::null_mut(), Ordering::Relaxed);
    // SAFETY: `init` put a box's pointer there; its device, its numbers and its timer are done with it.
    drop(unsafe { KBox::from_raw(board) });
}

#[unsafe(no_mangle)]
extern "C" fn oobkit_vboard_init() -> c_int {
    // SAFETY: the kernel initialises modules in task context, with nothing held.
    let inband = unsafe { Inband::assume() };
    from_result(init(&inband).map(|()| 0))
}

#[unsafe(no_mangle)]
extern "C" fn oobkit_vboard_exit() {
    let module = MODULE.swap(core::ptr::null_mut(), Ordering::Relaxed);
    // SAFETY: `init` put a box's pointer there; this runs once, after a successful `init`.
    drop(unsafe { KBox::from_raw(module) });
    // SAFETY: as in `init`.
    free_board(&unsafe { Inband::assume() });
}
