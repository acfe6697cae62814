// SPDX-License-Identifier: GPL-2.0-only

//! Uncontended lock-unlock pairs of the stage lock or of Rust's mutex, for counting instructions:
//! `cargo xtask bench stax` runs it under callgrind with two numbers of pairs and divides the
//! difference.
//!
//! ```text
//! cargo build -p stax --release --example pair
//! valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/examples/pair stax 10000
//! ```

use oob::stage::Oob;
use oob::time::Instant;
use stax::queue::Queue;
use stax::{Backend, End, Side, Sleep, Stax};
use std::hint::black_box;
use std::sync::Mutex;

struct Uncontended(Mutex<Queue>);

impl Backend for Uncontended {
    fn with_queue<R>(&self, f: impl FnOnce(&mut Queue) -> R) -> R {
        f(&mut self.0.lock().unwrap())
    }

    fn wake_all(&self, _: Side) {}
}

impl Sleep<Oob<'_>> for Uncontended {
    fn sleep(&self, _: &Oob<'_>, _: Instant, ready: impl Fn() -> bool) -> End {
        while !ready() {
            std::thread::yield_now();
        }
        End::Woken
    }
}

#[inline(never)]
fn pairs(stax: &Stax<u32, Uncontended>, stage: &Oob<'_>, n: u64) {
    for _ in 0..n {
        let guard = stax.lock(stage).unwrap();
        black_box(&*guard);
    }
}

#[inline(never)]
fn mutex_pairs(mutex: &Mutex<u32>, n: u64) {
    for _ in 0..n {
        let guard = mutex.lock().unwrap();
        black_box(&*guard);
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let lock = arguments.next();
    let n = arguments.next().and_then(|n| n.parse().ok());
    // SAFETY: the process has one thread, which may wait anywhere.
    let stage = unsafe { Oob::assume() };
    match (lock.as_deref(), n) {
        (Some("stax"), Some(n)) => {
            let stax = black_box(Stax::new(1, Uncontended(Mutex::new(Queue::new()))));
            pairs(&stax, &stage, n);
        }
        (Some("mutex"), Some(n)) => mutex_pairs(&black_box(Mutex::new(1)), n),
        _ => panic!("pair stax|mutex NUMBER"),
    }
}
