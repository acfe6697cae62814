// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;

fn answer(frame_len: u32, iobuf_len: u32, tx_offset: u32, rx_offset: u32) -> abi::Enable {
    abi::Enable {
        frame_len,
        iobuf_len,
        tx_offset,
        rx_offset,
        ..abi::Enable::default()
    }
}

#[test]
fn a_layout_must_hold_both_frames_without_overlap() {
    assert!(Layout::new(&answer(16, 128, 64, 0)).is_some());
    assert!(Layout::new(&answer(64, 128, 64, 0)).is_some());
    assert!(Layout::new(&answer(65, 130, 64, 0)).is_none());
    assert!(Layout::new(&answer(64, 127, 64, 0)).is_none());
    assert!(Layout::new(&answer(16, 128, 8, 0)).is_none());
    assert!(Layout::new(&answer(u32::MAX, u32::MAX, u32::MAX, 0)).is_none());
}

#[test]
fn a_list_takes_one_to_sixteen_chip_selects() {
    assert!(matches!(List::new(&[]), Err(ListError::Count)));
    assert!(matches!(List::new(&[0; 17]), Err(ListError::Count)));
    let list = List::new(&[2, 0]).unwrap();
    assert_eq!(list.0.count, 2);
    let results: Vec<_> = list.results().collect();
    assert_eq!(results, [(2, Ok(())), (0, Ok(()))]);
}

#[test]
fn a_list_has_a_result_for_each_entry() {
    let mut list = List::new(&[0, 1, 2]).unwrap();
    list.0.entries[1].status = -libc::EREMOTEIO;
    list.0.entries[2].status = -libc::ECANCELED;
    let results: Vec<_> = list.results().collect();
    assert_eq!(
        results,
        [
            (0, Ok(())),
            (1, Err(RunError::Bus)),
            (2, Err(RunError::Cancelled))
        ]
    );
}

#[test]
fn the_errors_carry_the_documented_errnos() {
    assert_eq!(EnableError::Empty.errno(), libc::ENODATA);
    assert_eq!(EnableError::TooLong.errno(), libc::EMSGSIZE);
    assert_eq!(EnableError::NotWords.errno(), libc::EBADMSG);
    assert_eq!(EnableError::Bits.errno(), libc::EPROTONOSUPPORT);
    assert_eq!(EnableError::Mode.errno(), libc::EPROTOTYPE);
    assert_eq!(EnableError::Speed.errno(), libc::ERANGE);
    assert_eq!(EnableError::TooSlow.errno(), libc::EOVERFLOW);
    assert_eq!(EnableError::AllMapped.errno(), libc::EUSERS);
    assert_eq!(EnableError::On.errno(), libc::EBUSY);
    assert_eq!(RunError::Off.errno(), libc::ENXIO);
    assert_eq!(RunError::NotAttached.errno(), libc::EPERM);
    assert_eq!(RunError::Busy.errno(), libc::EALREADY);
    assert_eq!(RunError::Stopped.errno(), libc::EOWNERDEAD);
    assert_eq!(RunError::TimedOut.errno(), libc::ETIMEDOUT);
    assert_eq!(RunError::Bus.errno(), libc::EREMOTEIO);
    assert_eq!(RunError::Interrupted.errno(), libc::EINTR);
    assert_eq!(RunError::Closing.errno(), libc::ESHUTDOWN);
    assert_eq!(RunError::Gone.errno(), libc::ENODEV);
}

#[test]
fn error_texts_name_the_remedy() {
    assert!(
        RunError::NotAttached
            .to_string()
            .contains("call thread::attach first")
    );
    assert!(RunError::Off.to_string().contains("enable it first"));
}

#[test]
fn a_missing_device_is_reported_as_missing() {
    assert!(matches!(
        Device::open_path("/dev/oob/no-such-device"),
        Err(OpenError::Missing)
    ));
}

#[test]
fn a_device_of_another_kind_keeps_its_errno() {
    let device = Device::open_path("/dev/null").unwrap();
    assert_eq!(
        device.enable(16, 0).unwrap_err(),
        EnableError::Other(libc::ENOTTY)
    );
}
