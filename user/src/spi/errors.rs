// SPDX-License-Identifier: MIT OR Apache-2.0

//! Why each operation on an SPI device fails; the errnos are those of [`oobkit_abi::spi`].

use crate::error::operation_error;

operation_error! {
    /// Why [`super::Device::open`] failed.
    OpenError, "open the SPI device", {
        Missing = ENOENT: "no such device; load the controller's module, and look into /dev/oob for its number",
        NoAccess = EACCES: "no access; run as root or change the node's owner",
        Gone = ENODEV: "the device has been unbound",
    }
}

operation_error! {
    /// Why a setting was refused; the one before stays.
    ConfigureError, "configure the SPI device", {
        Mode = EPROTOTYPE: "the controller cannot do this mode",
        Bits = EPROTONOSUPPORT: "the controller cannot do words of so many bits",
        Speed = ERANGE: "the clock is below the controller's lowest; ask for a faster one",
        Delay = EDOM: "a delay is above 1 ms",
        Reserved = EINVAL: "a reserved field is not zero; the library and the module differ in version",
        On = EBUSY: "oob mode is on; leave it first",
        NotOwner = EACCES: "oob mode belongs to another process; end its session first",
        NoSuch = ECHRNG: "the controller has no such chip select",
        Gone = ENODEV: "the controller has been unbound",
    }
}

operation_error! {
    /// Why [`super::Device::enable`] failed; oob mode is as it was.
    EnableError, "enable oob mode", {
        Empty = ENODATA: "the frame length is 0; give at least one word",
        TooLong = EMSGSIZE: "the frame is longer than the controller can do; split it",
        NotWords = EBADMSG: "the frame length must be a multiple of the word",
        Mode = EPROTOTYPE: "the controller cannot do this mode",
        Bits = EPROTONOSUPPORT: "the controller cannot do words of so many bits",
        Speed = ERANGE: "the clock is below the controller's lowest; ask for a faster one",
        TooSlow = EOVERFLOW: "a frame takes more than 2 s on the wire; ask for a faster clock or a shorter frame",
        On = EBUSY: "oob mode is on already; end the other session first",
        NotOwner = EACCES: "oob mode belongs to another process; end its session first",
        BusHeld = ETIME: "an in-band message held the bus too long; try again",
        NoMemory = ENOMEM: "no memory for the frame buffer",
        AllMapped = EUSERS: "the buffers of earlier sessions are still mapped, as many as the driver keeps; unmap one",
        NoDma = EIO: "so long a frame needs DMA, and there is no channel; free one or shorten the frame",
        ActiveHigh = EOPNOTSUPP: "frames that go by DMA cannot be on a bus with a chip select that is active high; shorten the frame or invert the line",
        Layout = EPROTO: "the driver's buffer layout makes no sense; the library and the module differ in version",
        NoSuch = ECHRNG: "the controller has no such chip select",
        Gone = ENODEV: "the controller has been unbound",
    }
}

operation_error! {
    /// Why an exchange failed.
    RunError, "exchange a frame", {
        Off = ENXIO: "oob mode is off; enable it first",
        NotAttached = EPERM: "this thread is not attached; call thread::attach first",
        NotOwner = EACCES: "oob mode belongs to another process; end its session first",
        Busy = EALREADY: "the bus is busy with another thread's or a timer's frame; use one thread per bus",
        SettingUp = EAGAIN: "an in-band call is setting the bus up; try again",
        Stopped = EOWNERDEAD: "the fail-safe has sent the stop frame; open a new session to go on",
        TooLate = ESTALE: "the deadline had passed before the frame, which was not sent",
        Late = ETIME: "the frame was exchanged, but after its deadline",
        TimedOut = ETIMEDOUT: "the hardware did not finish the frame; the next exchange may go on",
        Bus = EREMOTEIO: "the controller reported a bus error; the next exchange may go on",
        Interrupted = EINTR: "a signal came during the wait for a timer's frame; the next exchange may go on",
        Cancelled = ECANCELED: "an earlier entry of the list failed",
        Timed = EOPNOTSUPP: "an entry's frames are started by a timer; take it from the list",
        Reserved = EINVAL: "a reserved field is not zero; the library and the module differ in version",
        NoSuch = ECHRNG: "the controller has no such chip select",
        Closing = ESHUTDOWN: "oob mode is being left",
        Gone = ENODEV: "the controller has been unbound",
    }
}

impl RunError {
    /// Whether the next exchange may succeed without any repair.
    pub const fn is_transient(self) -> bool {
        matches!(
            self,
            Self::SettingUp
                | Self::TooLate
                | Self::Late
                | Self::TimedOut
                | Self::Bus
                | Self::Interrupted
                | Self::Cancelled
        )
    }
}

operation_error! {
    /// Why [`super::Session::set_trigger`] failed; the trigger before stays.
    TriggerError, "set the trigger", {
        Unknown = EOPNOTSUPP: "the driver does not know this trigger",
        Period = ERANGE: "the period must be at least two frames and 20 us, and at most an hour",
        First = EOVERFLOW: "the first date is too far away",
        Spins = E2BIG: "the timer's handler would spin for more than 200 us; shorten the frame or the chip-select delays",
        Reserved = EINVAL: "a reserved field is not zero; the library and the module differ in version",
        Off = ENXIO: "oob mode is off; enable it first",
        Closing = ESHUTDOWN: "oob mode is being left",
        Stopped = EOWNERDEAD: "the fail-safe has sent the stop frame; open a new session to go on",
        NotOwner = EACCES: "oob mode belongs to another process; end its session first",
        Gone = ENODEV: "the controller has been unbound",
    }
}

operation_error! {
    /// Why [`super::Session::set_stop`] failed; the stop frame before stays.
    StopError, "set the stop frame", {
        Length = EMSGSIZE: "the stop frame must be exactly as long as the session's frames",
        Watch = ERANGE: "the time watched must be at least two frames and 20 us, and at most an hour",
        NoLimit = EDOM: "watching the time needs a miss limit",
        Spins = E2BIG: "the handler that sends the stop frame would spin for more than 200 us; shorten the frame or the chip-select delays",
        Reserved = EINVAL: "a reserved field is not zero; the library and the module differ in version",
        Off = ENXIO: "oob mode is off; enable it first",
        Closing = ESHUTDOWN: "oob mode is being left",
        Stopped = EOWNERDEAD: "the fail-safe has sent the stop frame; open a new session to go on",
        NotOwner = EACCES: "oob mode belongs to another process; end its session first",
        Gone = ENODEV: "the controller has been unbound",
    }
}

operation_error! {
    /// Why [`super::Session::stats`] or [`super::Session::info`] failed.
    QueryError, "read the device's state", {
        Off = ENXIO: "oob mode is off; enable it first",
        Closing = ESHUTDOWN: "oob mode is being left",
        Gone = ENODEV: "the controller has been unbound",
    }
}

operation_error! {
    /// Why [`super::Session::disable`] failed.
    DisableError, "leave oob mode", {
        Off = ENXIO: "it is off already",
        Closing = ESHUTDOWN: "oob mode is being left",
        NotOwner = EACCES: "oob mode belongs to another process; end its session first",
        Gone = ENODEV: "the controller has been unbound",
    }
}

operation_error! {
    /// Why a copy to or from the frame was refused; nothing was copied.
    FrameError, "copy the frame", {
        Length = EMSGSIZE: "the bytes given must be exactly as many as the session's frames have",
    }
}

operation_error! {
    /// Why [`super::List::new`] failed.
    ListError, "make the list", {
        Count = ERANGE: "it takes 1 to 16 chip selects",
    }
}
