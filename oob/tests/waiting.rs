// SPDX-License-Identifier: GPL-2.0-only

//! Monitors and semaphores between real threads.

use oob::latch::Latch;
use oob::lock::HardLock;
use oob::monitor::{Monitor, MonitorState};
use oob::semaphore::{Overflow, Semaphore};
use oob::stage::Oob;
use oob::threads::{Park, Threads};
use oob::time::Instant;
use oob::wait::WaitError;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, RwLock};
use std::thread::{self, Thread};
use std::time::Duration;

struct Lock<T>(Mutex<T>);

// SAFETY: the value lies in the mutex, and only `with` reaches it, with the mutex held.
unsafe impl<T> HardLock<T> for Lock<T> {
    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.0.lock().unwrap())
    }
}

const fn monitor_lock<T>(value: T) -> Lock<MonitorState<T>> {
    Lock(Mutex::new(MonitorState::new(value)))
}

/// The threads of this process. A thread's number is its index in the list plus 2.
struct Process;

struct Entry {
    thread: Thread,
    is_interrupted: AtomicBool,
}

static ALL: RwLock<Vec<&'static Entry>> = RwLock::new(Vec::new());
static BEGIN: OnceLock<std::time::Instant> = OnceLock::new();
/// How often a thread went to sleep.
static SLEEPS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static ME: Cell<usize> = const { Cell::new(0) };
    static PRIORITY: Cell<i32> = const { Cell::new(0) };
}

fn entry(thread: usize) -> &'static Entry {
    ALL.read().unwrap()[thread - 2]
}

// SAFETY: `current` returns a thread's number, and `wake` looks it up in a list; no implementation
// here takes it for an address.
unsafe impl Park for Process {
    fn current(&self) -> usize {
        ME.with(|me| {
            if me.get() == 0 {
                let mut all = ALL.write().unwrap();
                all.push(Box::leak(Box::new(Entry {
                    thread: thread::current(),
                    is_interrupted: AtomicBool::new(false),
                })));
                me.set(all.len() + 1);
            }
            me.get()
        })
    }

    // An `unpark` since then makes the next `park` return at once, as `prepare` promises.
    fn prepare(&self) {}

    fn cancel(&self) {}

    fn sleep_until(&self, date: Instant) -> bool {
        SLEEPS.fetch_add(1, Ordering::Relaxed);
        thread::park_timeout(Duration::from_nanos(date.since(self.now()).0));
        self.now() >= date
    }

    fn now(&self) -> Instant {
        let begin = BEGIN.get_or_init(std::time::Instant::now);
        Instant(u64::try_from(begin.elapsed().as_nanos()).unwrap())
    }

    unsafe fn wake(&self, f: impl FnOnce() -> Option<usize>) {
        if let Some(thread) = f() {
            entry(thread).thread.unpark();
        }
    }
}

// SAFETY: `wake_waiter` is the trait's own; `wake` looks the number up in a list.
unsafe impl Threads for Process {
    fn priority(&self) -> i32 {
        PRIORITY.get()
    }

    fn prepare_interruptible(&self) {}

    fn is_interrupted(&self) -> bool {
        entry(self.current()).is_interrupted.load(Ordering::SeqCst)
    }
}

fn oob() -> Oob<'static> {
    // SAFETY: a thread of the test may wait anywhere.
    unsafe { Oob::assume() }
}

fn after(ms: u64) -> Instant {
    Instant(Process.now().0 + ms * 1_000_000)
}

/// Waits until `count` more sleeps have begun than at `before`.
fn asleep(before: usize, count: usize) {
    while SLEEPS.load(Ordering::Relaxed) < before + count {
        thread::yield_now();
    }
    thread::sleep(Duration::from_millis(5));
}

/// The tests share one counter of sleeps, so they run one at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn the_highest_priority_goes_first_and_equals_in_order_of_arrival() {
    let _alone = ONE_AT_A_TIME.lock();
    let semaphore = Semaphore::new(monitor_lock(0));
    let order = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for (name, priority) in [('a', 1), ('b', 5), ('c', 5), ('d', 9), ('e', 1)] {
            let before = SLEEPS.load(Ordering::Relaxed);
            let (semaphore, order) = (&semaphore, &order);
            scope.spawn(move || {
                PRIORITY.set(priority);
                semaphore
                    .down_until(&oob(), &Process, Instant::NEVER)
                    .unwrap();
                order.lock().unwrap().push(name);
            });
            asleep(before, 1);
        }
        for count in 1..=5 {
            semaphore.up(&Process).unwrap();
            while order.lock().unwrap().len() < count {
                thread::yield_now();
            }
        }
    });
    assert_eq!(*order.lock().unwrap(), ['d', 'b', 'c', 'a', 'e']);
}

#[test]
fn a_spurious_wake_up_changes_neither_the_place_nor_the_deadline() {
    let _alone = ONE_AT_A_TIME.lock();
    let semaphore = Semaphore::new(monitor_lock(0));
    let order = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let mut first = 0;
        for name in ['a', 'b'] {
            let before = SLEEPS.load(Ordering::Relaxed);
            let (semaphore, order) = (&semaphore, &order);
            let handle = scope.spawn(move || {
                semaphore
                    .down_until(&oob(), &Process, Instant::NEVER)
                    .unwrap();
                order.lock().unwrap().push(name);
            });
            asleep(before, 1);
            if name == 'a' {
                let id = handle.thread().id();
                let all = ALL.read().unwrap();
                first = 2 + all.iter().position(|e| e.thread.id() == id).unwrap();
            }
        }
        for _ in 0..3 {
            let before = SLEEPS.load(Ordering::Relaxed);
            entry(first).thread.unpark();
            asleep(before, 1);
        }
        for count in 1..=2 {
            semaphore.up(&Process).unwrap();
            while order.lock().unwrap().len() < count {
                thread::yield_now();
            }
        }
    });
    assert_eq!(*order.lock().unwrap(), ['a', 'b']);

    let begin = Process.now();
    let me = entry(Process.current());
    let done = &AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                me.thread.unpark();
                thread::sleep(Duration::from_millis(1));
            }
        });
        let result = semaphore.down_until(&oob(), &Process, after(50));
        done.store(true, Ordering::Relaxed);
        assert_eq!(result, Err(WaitError::TimedOut));
    });
    let took = Process.now().since(begin).0;
    assert!(took >= 50_000_000, "{took}");
}

#[test]
fn a_signal_ends_a_wait_unless_its_condition_holds() {
    let _alone = ONE_AT_A_TIME.lock();
    let semaphore = Semaphore::new(monitor_lock(1));
    let me = entry(Process.current());
    me.is_interrupted.store(true, Ordering::SeqCst);
    assert_eq!(
        semaphore.down_until(&oob(), &Process, Instant::NEVER),
        Ok(())
    );
    assert_eq!(
        semaphore.down_until(&oob(), &Process, Instant::NEVER),
        Err(WaitError::Interrupted)
    );
    me.is_interrupted.store(false, Ordering::SeqCst);
    assert_eq!(
        semaphore.down_until(&oob(), &Process, Instant(0)),
        Err(WaitError::TimedOut)
    );
}

/// A thread that calls the test's function instead of sleeping.
struct Scripted<'a> {
    now: Cell<Instant>,
    is_interrupted: Cell<bool>,
    is_stopped: Cell<bool>,
    sleep: &'a dyn Fn(&Self),
}

impl Default for Scripted<'_> {
    fn default() -> Self {
        Self {
            now: Cell::new(Instant(0)),
            is_interrupted: Cell::new(false),
            is_stopped: Cell::new(false),
            sleep: &|_| {},
        }
    }
}

// SAFETY: `current` returns a number, and `wake` uses no thread number.
unsafe impl Park for Scripted<'_> {
    fn current(&self) -> usize {
        2
    }

    fn prepare(&self) {}

    fn cancel(&self) {}

    fn sleep_until(&self, date: Instant) -> bool {
        (self.sleep)(self);
        self.now() >= date
    }

    fn now(&self) -> Instant {
        self.now.get()
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.get()
    }

    unsafe fn wake(&self, f: impl FnOnce() -> Option<usize>) {
        f();
    }
}

// SAFETY: `wake_waiter` is the trait's own, and `wake` uses no thread number.
unsafe impl Threads for Scripted<'_> {
    fn priority(&self) -> i32 {
        0
    }

    fn prepare_interruptible(&self) {}

    fn is_interrupted(&self) -> bool {
        self.is_interrupted.get()
    }
}

#[test]
fn a_woken_waiter_takes_the_count_however_late_it_is() {
    type Meanwhile = fn(&Scripted<'_>);
    let cases: [Meanwhile; 2] = [
        |thread| thread.now.set(Instant(1_000)),
        |thread| thread.is_interrupted.set(true),
    ];
    for meanwhile in cases {
        let semaphore = Semaphore::new(monitor_lock(0));
        let thread = Scripted {
            sleep: &|thread| {
                semaphore.up(thread).unwrap();
                meanwhile(thread);
            },
            ..Scripted::default()
        };
        // Otherwise the woken waiter would be gone, and the count would be left although another
        // thread waits.
        let result = semaphore.down_until(&oob(), &thread, Instant(500));
        assert_eq!(result, Ok(()));
        assert!(!semaphore.try_down());
    }
}

#[test]
fn closing_ends_all_waits_and_keeps_the_count() {
    let _alone = ONE_AT_A_TIME.lock();
    let semaphore = Semaphore::new(monitor_lock(0));
    let before = SLEEPS.load(Ordering::Relaxed);
    thread::scope(|scope| {
        let waiters: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| semaphore.down_until(&oob(), &Process, Instant::NEVER)))
            .collect();
        asleep(before, 3);
        semaphore.close(&Process);
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), Err(WaitError::Closed));
        }
    });
    semaphore.up(&Process).unwrap();
    assert_eq!(
        semaphore.down_until(&oob(), &Process, Instant::NEVER),
        Ok(())
    );
    assert_eq!(
        semaphore.down_until(&oob(), &Process, Instant::NEVER),
        Err(WaitError::Closed)
    );
}

#[test]
fn the_count_does_not_wrap() {
    let semaphore = Semaphore::new(monitor_lock(u32::MAX));
    assert_eq!(semaphore.up(&Process), Err(Overflow));
    assert!(semaphore.try_down());
    assert_eq!(semaphore.up(&Process), Ok(()));
    let empty = Semaphore::new(monitor_lock(0));
    assert!(!empty.try_down());
}

#[test]
fn everything_counted_up_is_counted_down() {
    let _alone = ONE_AT_A_TIME.lock();
    const EACH: usize = 3_000;
    let semaphore = Semaphore::new(monitor_lock(0));
    let taken = AtomicUsize::new(0);
    thread::scope(|scope| {
        for n in 0..4_usize {
            let (semaphore, taken) = (&semaphore, &taken);
            scope.spawn(move || {
                PRIORITY.set((n % 2) as i32);
                let mut mine = 0;
                while mine < EACH {
                    // Waits with a short, a long and no deadline, in turn.
                    let deadline = match mine % 3 {
                        0 => Instant(Process.now().0 + 20_000),
                        1 => after(1),
                        _ => Instant::NEVER,
                    };
                    if semaphore.down_until(&oob(), &Process, deadline).is_ok() {
                        mine += 1;
                        taken.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        for n in 0..2 * EACH {
            semaphore.up(&Process).unwrap();
            semaphore.up(&Process).unwrap();
            if n % 64 == 0 {
                thread::yield_now();
            }
        }
    });
    assert_eq!(taken.into_inner(), 4 * EACH);
    assert!(!semaphore.try_down());
}

#[test]
fn waiters_of_one_monitor_may_have_different_conditions() {
    let _alone = ONE_AT_A_TIME.lock();
    let monitor = Monitor::new(monitor_lock(0_u32));
    let before = SLEEPS.load(Ordering::Relaxed);
    thread::scope(|scope| {
        let waiters: Vec<_> = (1..=3)
            .map(|goal| {
                let monitor = &monitor;
                scope.spawn(move || {
                    monitor.wait_until(&oob(), &Process, after(10_000), |value: &mut u32| {
                        (*value >= goal).then_some(*value)
                    })
                })
            })
            .collect();
        asleep(before, 3);
        for _ in 0..3 {
            monitor.update_and_wake_all(&Process, |value| *value += 1);
        }
        for (goal, waiter) in (1..=3).zip(waiters) {
            assert!(waiter.join().unwrap().is_ok_and(|value| value >= goal));
        }
    });
}

#[test]
fn a_thread_asked_to_stop_does_not_wait_but_takes_a_raised_event() {
    let latch = Latch::new();
    let sleeps = Cell::new(0);
    let thread = Scripted {
        is_stopped: Cell::new(false),
        sleep: &|thread| {
            sleeps.set(sleeps.get() + 1);
            thread.is_stopped.set(true);
        },
        ..Scripted::default()
    };
    let wait = || latch.wait_until(&thread, Instant::NEVER);
    assert_eq!(wait(), Err(WaitError::Interrupted));
    assert_eq!(wait(), Err(WaitError::Interrupted));
    assert_eq!(sleeps.get(), 1);
    latch.raise(&thread);
    assert_eq!(wait(), Ok(()));
}
