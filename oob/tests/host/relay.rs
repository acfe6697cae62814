// SPDX-License-Identifier: GPL-2.0-only

//! Out-of-band threads write to a relay. Neither in-band code nor other writers make them wait.

use crate::order::NOISY;
use crate::{END, log, oob};
use oob::host::{Host, Relay, Task, explore};
use oob::pool::{BadSize, Exhausted};
use oob::relay::RelayError;
use oob::time::{Clock, Instant, Ns};
use oob::wait::WaitError;
use std::cell::Cell;
use std::rc::Rc;

const MESSAGES: u8 = 12;

#[test]
fn each_writers_messages_arrive_whole_and_in_order_and_lost_ones_are_counted() {
    let losses = log();
    explore(0..300, |host| {
        host.disturb(NOISY);
        let (file, host_) = (log(), host.clone());
        let of_file = file.clone();
        let relay = Relay::new(host, &host.inband(), 4, 8, move |_, message| {
            host_.compute(Ns(1_500));
            of_file.borrow_mut().push(message.to_vec());
            true
        });
        let relay = Rc::new(relay.unwrap());
        let refused = Rc::new(Cell::new(0));
        for writer in [1, 2] {
            let (relay, refused, host_) = (relay.clone(), refused.clone(), host.clone());
            oob(host, 10 * i32::from(writer), move |oob, me| {
                for n in 0..MESSAGES {
                    let date = Instant(2_000 + 1_000 * u64::from(n));
                    me.sleep_until(oob, date).unwrap();
                    let message = [writer, n, writer ^ n];
                    match relay.write(oob, &message) {
                        Ok(()) => (),
                        Err(RelayError::Full) => refused.set(refused.get() + 1),
                        Err(error) => panic!("{error:?}"),
                    }
                    assert_eq!(host_.now(), date);
                }
            });
        }
        let (of_task, of_refused) = (relay.clone(), refused.clone());
        let of_log = file.clone();
        Task::run(host, &host.inband(), c"owner", move |inband, me| {
            me.sleep_until(inband, Instant(20_000)).unwrap();
            of_task.flush(inband).unwrap();
            let written = of_log.borrow().len() as u64;
            assert_eq!(written + of_refused.get(), 2 * u64::from(MESSAGES));
        });
        host.finish(END).unwrap();
        assert_eq!(relay.lost(), refused.get());
        for writer in [1, 2] {
            let file = file.borrow();
            let own: Vec<_> = file.iter().filter(|message| message[0] == writer).collect();
            assert!(own.iter().all(|m| m.len() == 3 && m[2] == m[0] ^ m[1]));
            assert!(own.is_sorted_by(|a, b| a[1] < b[1]));
        }
        losses.borrow_mut().push(refused.get());
        drop(relay);
    });
    // In-band code is too slow for some of the messages, but not for all.
    let most = 2 * u64::from(MESSAGES);
    assert!(losses.borrow().iter().any(|lost| *lost > 0));
    assert!(losses.borrow().iter().all(|lost| *lost < most));
}

#[test]
fn a_message_that_is_too_long_or_refused_is_lost_and_counted() {
    let host = Host::new();
    let file = log();
    let of_file = file.clone();
    let relay = Relay::new(&host, &host.inband(), 2, 4, move |_, message| {
        of_file.borrow_mut().push(message.len());
        message.len() != 3
    });
    let relay = relay.unwrap();
    assert_eq!(relay.write(&host.oob(), &[0; 5]), Err(RelayError::TooLong));
    assert_eq!(relay.lost(), 1);
    relay.write(&host.oob(), &[0; 3]).unwrap();
    relay.write(&host.oob(), &[0; 4]).unwrap();
    relay.flush(&host.inband()).unwrap();
    assert_eq!((&*file.borrow(), relay.lost()), (&vec![3, 4], 2));
}

#[test]
fn a_signal_ends_a_flush_and_dropping_the_relay_writes_the_queued_messages() {
    let host = Host::new();
    let (file, host_) = (log(), host.clone());
    let of_file = file.clone();
    let relay = Relay::new(&host, &host.inband(), 3, 1, move |inband, message| {
        host_
            .sleep_until_date(inband, host_.now().after(Ns(5_000)))
            .ok();
        of_file.borrow_mut().push(message.to_vec());
        true
    });
    let relay = Rc::new(relay.unwrap());
    (0..3).for_each(|n| relay.write(&host.oob(), &[n]).unwrap());
    let (of_task, ends) = (relay.clone(), log());
    let of_ends = ends.clone();
    let flusher = Task::run(&host, &host.inband(), c"flusher", move |inband, _| {
        of_ends.borrow_mut().push(of_task.flush(inband));
    });
    host.at(Instant(8_000), move || flusher.signal());
    host.run_until(Instant(9_000));
    assert_eq!(*ends.borrow(), [Err(WaitError::Interrupted)]);
    assert_eq!(*file.borrow(), [[0]]);
    drop(Rc::into_inner(relay).unwrap());
    assert_eq!(*file.borrow(), [[0], [1], [2]]);
}

#[test]
fn a_pool_gives_out_all_its_blocks_also_to_a_handler() {
    let host = Host::new();
    assert_eq!(host.pool(&host.inband(), 0, 8).err(), Some(BadSize));
    assert_eq!(host.pool(&host.inband(), 8, 0).err(), Some(BadSize));
    let pool = Rc::new(host.pool(&host.inband(), 2, 8).unwrap());
    let (of_handler, seen) = (pool.clone(), log());
    let of_seen = seen.clone();
    let held = pool.take().unwrap();
    host.at(Instant(2_000), move || {
        let mut block = of_handler.take().unwrap();
        of_seen.borrow_mut().push(of_handler.take().err());
        block.fill(7);
        block.send(5);
    });
    host.run_until(Instant(3_000));
    assert_eq!(*seen.borrow(), [Some(Exhausted)]);
    drop(held);
    let (block, len) = pool.receive().unwrap();
    assert_eq!((&*block, len), (&[7; 8][..], 5));
}
