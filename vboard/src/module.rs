// SPDX-License-Identifier: GPL-2.0-only

//! `vboard.ko`: gives any machine a board with an SPI bus, and on it a motor (chip select 0) and a
//! NOR flash (1).
//!
//! ```text
//!   driver --Table--> access: lock, stamp, model, stamp --> arm --> hrtimer --> deliver: handlers
//!                                   |
//!                                 cost of the model: board's date = machine's date - cost
//! ```
//!
//! - The model computes on the processor whose driver accesses the board. The module takes the time
//!   at the model's entry and exit and subtracts the difference from the board's time. So a frame
//!   takes the time on the wire that the registers imply, whatever the model costs. `cost_ns` in
//!   debugfs is the sum of these costs.
//! - Interrupts are delivered only from the timer's hard interrupt, one handler at a time.

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

/// The core clock of BCM2835 to 2837 (250 MHz nominal).
const CORE_MHZ: u32 = 250;
/// The SPI driver's DMA channels, TX and RX: two full channels that the family's firmware leaves to
/// the system.
const DMA_CHANNELS: [u32; 2] = [4, 5];
const LINES: usize = 15;
/// How long a register read takes in the board's time; a real processor waits for its bus so. No
/// document gives the figure. It is high enough that a polling loop does not call the model so
/// often that the model costs more time than the frame takes. `docs/benchmarks.md` has measurements
/// from silicon and the figures that depend on this value.
const READ_NS: u64 = 160;
/// The most time that one entry into the model may subtract from the board's time. An entry that
/// takes longer means that the emulated processor was held up. The board's time continues then;
/// otherwise the frame would end after the driver's time limit.
const COST_MAX_NS: u64 = 5_000_000;
/// After so many handler calls in a row that leave a line high, delivery stops until the next
/// access.
const STORM: u32 = 64;

type Model = Board<Sockets<Motor, Flash<VBytes>, Unconnected>, Regions>;

#[derive(Clone, Copy)]
struct Connection {
    handler: unsafe extern "C" fn(*const c_void),
    argument: *const c_void,
}

/// The state behind the lock.
struct State {
    model: Model,
    connections: [Option<Connection>; LINES],
    /// The date that the timer is armed for, in the board's time.
    armed: Option<Instant>,
    /// The timer's handler is delivering an interrupt and will look for the next one itself.
    delivering: bool,
    cost_ns: u64,
    accesses: u64,
    /// How long a reading of the clock takes. An entry takes two readings, and their difference
    /// covers only one of them.
    stamp_ns: u64,
}

// SAFETY: the only pointers in the state are those of connections and memory regions. The driver
// has promised that any thread may use them (see `Table::connect` and `Table::map`).
unsafe impl Send for State {}

impl State {
    /// The board's date at the machine's date `now`.
    const fn date(&self, now: u64) -> Instant {
        Instant(now.saturating_sub(self.cost_ns))
    }

    /// Subtracts the time since the machine's date `entry` from the board's time, except for `bus`.
    fn charge(&mut self, entry: u64, bus: u64) {
        let took = monotonic_ns().saturating_sub(entry);
        let took = took.saturating_add(self.stamp_ns).min(COST_MAX_NS);
        self.cost_ns = self.cost_ns.wrapping_add(took.saturating_sub(bus));
    }

    /// The connection of the first line that is high and connected.
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

/// The timer's handler. It finds the board through [`BOARD`].
struct Tick;

impl TimerHandler for Tick {
    fn expired(&self, _missed: u64) {
        if let Some(board) = board() {
            board.deliver();
        }
    }
}

/// What the module owns while it is loaded. Fields are dropped in this order.
struct Module {
    _device: OwnDevice,
    _numbers: Dir<Vboard>,
}

static BOARD: AtomicPtr<Vboard> = AtomicPtr::new(core::ptr::null_mut());
static MODULE: AtomicPtr<Module> = AtomicPtr::new(core::ptr::null_mut());

fn board() -> Option<&'static Vboard> {
    // SAFETY: `init` stores a pointer to a live board before it creates the device and arms no
    // timer before that. `free_board` stores null after it has cancelled the timer, and frees the
    // board then.
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
    /// Not inlined: the state is built on the stack, which is small in a kernel, and this frees it
    /// before `init` continues.
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

    /// Runs `f` on the model at the board's present date, then arms the timer for the next
    /// interrupt. `bus` is the part of the cost that a real access would take, too; the board's
    /// time includes it.
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

    /// Arms the timer for the next change of a line, or for now if a connected line is high.
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

    /// Calls the handlers of the lines that are high, until none is.
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
                // SAFETY: the driver passed handler and argument together to `connect`, and keeps
                // the argument alive until `disconnect` has returned, which waits for this timer
                // handler.
                Some(connection) => unsafe { (connection.handler)(connection.argument) },
                None => return,
            }
        }
        self.state.lock().delivering = false;
        kernel::pr_err!("vboard: a driver does not acknowledge its interrupt; delivery stops");
    }
}

/// The board behind a table's context.
///
/// # Safety
///
/// `context` is that of the table which [`new_module`] made, and the board's platform device exists
/// while the result is used.
unsafe fn of<'a>(context: *const c_void) -> &'a Vboard {
    // SAFETY: `new_module` put the board's address into the table. The module frees the board after
    // its device.
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
    // SAFETY: a driver calls this with the table's own context while its platform device exists.
    let mut state = unsafe { of(context) }.state.lock();
    let date = state.date(entry).0;
    state.charge(entry, 0);
    date
}

unsafe extern "C" fn read(context: *const c_void, window: u32, offset: u32) -> u32 {
    // SAFETY: a driver calls this with the table's own context while its platform device exists.
    unsafe { of(context) }.with(READ_NS, |model, date| {
        model.read(date, block(window), offset)
    })
}

unsafe extern "C" fn write(context: *const c_void, window: u32, offset: u32, value: u32) {
    // SAFETY: a driver calls this with the table's own context while its platform device exists.
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
    // SAFETY: a driver calls this with the table's own context while its platform device exists.
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
    // SAFETY: a driver calls this with the table's own context while its platform device exists.
    let board = unsafe { of(context) };
    if let Some(place) = board.state.lock().connections.get_mut(line as usize) {
        *place = None;
    }
    // SAFETY: drivers call `disconnect` in-band only, as the invariants of `Table` say.
    let inband = unsafe { Inband::assume() };
    // This waits for a handler that runs. The next access arms the timer again.
    board.timer.cancel(&inband);
    board.state.lock().armed = None;
}

unsafe extern "C" fn map(context: *const c_void, bus: u64, cpu: *mut u8, len: usize) -> i32 {
    // SAFETY: a driver calls this with the table's own context while its platform device exists.
    let board = unsafe { of(context) };
    // SAFETY: the driver has promised that the `len` bytes at `cpu` may be read and written until
    // it calls `unmap`, which removes the region.
    let added = board.with(0, |model, _| unsafe { model.memory().add(bus, cpu, len) });
    from_result(added.map(|()| 0).ok_or(code::ENOSPC))
}

unsafe extern "C" fn unmap(context: *const c_void, bus: u64) {
    // SAFETY: a driver calls this with the table's own context while its platform device exists.
    unsafe { of(context) }.with(0, |model, _| model.memory().remove(bus));
}

#[repr(transparent)]
struct Children([Child; 3]);
// SAFETY: the pointers lead to string literals, which are static and never written to.
unsafe impl Sync for Children {}

/// The names are those that mainline's drivers match: spidev accepts `dh2228fv`, one of the few
/// names that it takes without a device tree; spi-nor accepts `spi-nor`.
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
    // SAFETY: the board outlives the debugfs folder: `oobkit_vboard_exit` drops the `Module`, then
    // frees the board.
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

/// Frees the board. Its device and its debugfs folder are gone, so only its own timer can still
/// call it.
fn free_board(inband: &Inband<'_>) {
    if let Some(board) = board() {
        board.timer.cancel(inband);
    }
    let board = BOARD.swap(core::ptr::null_mut(), Ordering::Relaxed);
    // SAFETY: `init` stored the pointer of a box. The device and the debugfs folder are gone and
    // the timer is cancelled, so nothing else uses it.
    drop(unsafe { KBox::from_raw(board) });
}

#[unsafe(no_mangle)]
extern "C" fn oobkit_vboard_init() -> c_int {
    // SAFETY: the kernel calls a module's init function in task context, with no lock held.
    let inband = unsafe { Inband::assume() };
    from_result(init(&inband).map(|()| 0))
}

#[unsafe(no_mangle)]
extern "C" fn oobkit_vboard_exit() {
    let module = MODULE.swap(core::ptr::null_mut(), Ordering::Relaxed);
    // SAFETY: `init` stored the pointer of a box. The kernel calls exit once, after a successful
    // init.
    drop(unsafe { KBox::from_raw(module) });
    // SAFETY: the kernel calls a module's exit function in task context, with no lock held.
    free_board(&unsafe { Inband::assume() });
}
