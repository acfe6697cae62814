// SPDX-License-Identifier: GPL-2.0-only

//! Pool and relay between real threads.

use oob::lock::HardLock;
use oob::pool::{BadSize, Exhausted, Lists, Pool, memory_for};
use oob::relay::{Relay, RelayError};
use oob::stage::Inband;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

struct Lock(Mutex<Lists>);

// SAFETY: the value lies in the mutex, and only `with` reaches it, with the mutex held.
unsafe impl HardLock<Lists> for Lock {
    fn with<R>(&self, f: impl FnOnce(&mut Lists) -> R) -> R {
        f(&mut self.0.lock().unwrap())
    }
}

fn lists() -> Lock {
    Lock(Mutex::new(Lists::new()))
}

fn pool(count: u32, size: usize) -> Pool<Lock, Vec<u8>> {
    let memory = vec![0; memory_for(count, size).unwrap()];
    let pool = Pool::new(lists(), memory, size).unwrap();
    assert_eq!((pool.count(), pool.size()), (count, size));
    pool
}

fn relay(count: u32, longest: usize) -> Relay<Lock, Vec<u8>> {
    Relay::new(pool(count, longest))
}

fn inband() -> Inband<'static> {
    // SAFETY: a thread of the test may wait anywhere.
    unsafe { Inband::assume() }
}

#[test]
fn a_pool_has_the_requested_blocks_and_no_two_overlap() {
    for (count, size) in [(1, 1), (3, 7), (5, 8), (17, 64), (4, 1000)] {
        let pool = pool(count, size);
        for _ in 0..2 {
            let mut blocks: Vec<_> = (0..count).map(|_| pool.take().unwrap()).collect();
            assert!(matches!(pool.take(), Err(Exhausted)));
            for (n, block) in (1..).zip(&mut blocks) {
                assert_eq!(block.len(), size);
                block.fill(n);
            }
            for (n, block) in (1..).zip(&blocks) {
                assert!(block.iter().all(|byte| *byte == n));
            }
        }
    }
}

#[test]
fn blocks_are_received_in_the_order_sent_and_are_not_free_meanwhile() {
    let pool = pool(3, 16);
    for round in 0..5_u8 {
        for n in 0..3 {
            let mut block = pool.take().unwrap();
            block.fill(round * 10 + n);
            block.send(usize::from(n) + 1);
        }
        assert!(pool.take().is_err() && !pool.is_queue_empty());
        for n in 0..3 {
            let (block, len) = pool.receive().unwrap();
            assert_eq!(len, usize::from(n) + 1);
            assert!(block.iter().all(|byte| *byte == round * 10 + n));
        }
        assert!(pool.receive().is_none() && pool.is_queue_empty());
    }
    // A length beyond the block's size is cut to the size.
    pool.take().unwrap().send(usize::MAX);
    assert_eq!(pool.receive().map(|(_, len)| len), Some(16));
}

#[test]
fn impossible_sizes_are_refused() {
    assert_eq!(Pool::new(lists(), vec![0; 100], 0).err(), Some(BadSize));
    assert_eq!(Pool::new(lists(), vec![0; 15], 1).err(), Some(BadSize));
    assert_eq!(Pool::new(lists(), Vec::new(), 8).err(), Some(BadSize));
    assert_eq!(
        Pool::new(lists(), vec![0; 16], usize::MAX).err(),
        Some(BadSize)
    );
    assert_eq!(memory_for(u32::MAX, usize::MAX), None);
}

#[test]
fn threads_that_take_and_free_blocks_never_share_one() {
    const BLOCKS: u32 = 3;
    let pool = pool(BLOCKS, 32);
    let refused = AtomicU64::new(0);
    thread::scope(|scope| {
        for thread in 1..=4 {
            let (pool, refused) = (&pool, &refused);
            scope.spawn(move || {
                for turn in 0..20_000 {
                    let Ok(mut block) = pool.take() else {
                        refused.fetch_add(1, Ordering::Relaxed);
                        continue;
                    };
                    block.fill(thread);
                    if turn % 64 == 0 {
                        thread::yield_now();
                    }
                    assert!(block.iter().all(|byte| *byte == thread));
                    if turn % 3 == 0 {
                        block.send(1);
                        // The block may be another thread's, but its content is of one thread.
                        if let Some((block, 1)) = pool.receive() {
                            assert!(block.iter().all(|byte| *byte == block[0]));
                        }
                    }
                }
            });
        }
    });
    assert!(pool.is_queue_empty());
    // No block is lost, and none is there twice.
    let all: Vec<_> = (0..BLOCKS).map(|_| pool.take().unwrap()).collect();
    assert!(pool.take().is_err());
    drop(all);
}

#[test]
fn a_message_is_relayed_whole_or_lost_whole_and_counted() {
    let relay = relay(2, 4);
    assert_eq!(relay.write(b"12345"), Err(RelayError::TooLong));
    assert_eq!(relay.write(b"1234"), Ok(()));
    assert_eq!(relay.write(b""), Ok(()));
    assert_eq!(relay.write(b"x"), Err(RelayError::Full));
    assert_eq!((relay.lost(), relay.written(), relay.drained()), (2, 2, 0));
    let mut seen = Vec::new();
    while relay.drain(&inband(), |_, message| {
        seen.push(message.to_vec());
        !message.is_empty()
    }) {}
    assert_eq!(seen, [b"1234".to_vec(), Vec::new()]);
    // A message that the file refused is lost, too.
    assert_eq!((relay.lost(), relay.written(), relay.drained()), (3, 2, 2));
    assert!(relay.is_empty());
}

#[test]
fn each_writers_messages_keep_their_order_and_all_are_accounted_for() {
    const WRITERS: u64 = 3;
    const EACH: u64 = 20_000;
    let relay = relay(8, 16);
    let over = AtomicBool::new(false);
    let (mut next, mut seen) = ([0; WRITERS as usize], 0);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let relay = &relay;
                scope.spawn(move || {
                    for n in 0..EACH {
                        let mut message = [0; 16];
                        message[..8].copy_from_slice(&writer.to_le_bytes());
                        message[8..].copy_from_slice(&n.to_le_bytes());
                        while relay.write(&message).is_err() {
                            thread::yield_now();
                            if n % 2 == 0 {
                                break;
                            }
                        }
                    }
                })
            })
            .collect();
        let over = &over;
        scope.spawn(move || {
            for writer in writers {
                writer.join().unwrap();
            }
            over.store(true, Ordering::SeqCst);
        });
        loop {
            let is_last = over.load(Ordering::SeqCst);
            while relay.drain(&inband(), |_, message| {
                let word = |at: usize| u64::from_le_bytes(message[at..at + 8].try_into().unwrap());
                let (writer, n) = (word(0) as usize, word(8));
                assert!(
                    n >= next[writer],
                    "writer {writer}: {n} after {}",
                    next[writer]
                );
                next[writer] = n + 1;
                seen += 1;
                true
            }) {}
            if is_last {
                break;
            }
            thread::yield_now();
        }
    });
    assert_eq!((relay.written(), relay.drained()), (seen, seen));
    assert!(seen + relay.lost() >= WRITERS * EACH);
    assert!(seen >= WRITERS * EACH / 2);
}
