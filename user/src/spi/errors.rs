// SPDX-License-Identifier: MIT OR Apache-2.0

//! The errors of each operation on an SPI device. The errnos are those of [`oobkit_abi::spi`].

use crate::error::operation_error;

operation_error! {
    /// Why [`super::Device::open`] failed.
    OpenError, "open the SPI device", {
        Missing = ENOENT: "no such device; load the controller's module and look into /dev/oob for its number",
        NoAccess = EACCES: "no access; run as root or change the node's owner",
        Gone = ENODEV: "the device has been unbound",
    }
}

operation_error! {
    /// Why a setting was refused. The previous setting stays.
    ConfigureError, "configure the SPI device", {
        Mode = EPROTOTYPE: "the controller does not support this mode",
        Bits = EPROTONOSUPPORT: "the controller does not support words of so many bits",
        Speed = ERANGE: "the clock is below the controller's lowest; use a faster one",
        Delay = EDOM: "a delay is longer than 1 ms",
        Reserved = EINVAL: "a reserved field is not zero; the library and the module differ in version",
        On = EBUSY: "oob mode is on; leave it first",
        NotOwner = EACCES: "oob mode belongs to another process; end its session first",
        NoSuch = ECHRNG: "the controller has no such chip select",
        Gone = ENODEV: "the controller has been unbound",
    }
}

operation_error! {
    /// Why [`super::Device::enable`] failed. Oob mode is unchanged.
    EnableError, "enable oob mode", {
        Empty = ENODATA: "the frame length is 0; give at least one word",
        TooLong = EMSGSIZE: "the frame is longer than the controller supports; split it",
        NotWords = EBADMSG: "the frame length must be a multiple of the word length",
        Mode = EPROTOTYPE: "the controller does not support this mode",
        Bits = EPROTONOSUPPORT: "the controller does not support words of so many bits",
        Speed = ERANGE: "the clock is below the controller's lowest; use a faster one",
        TooSlow = EOVERFLOW: "a frame takes more than 2 s on the wire; use a faster clock or a shorter frame",
        On = EBUSY: "oob mode is already on; end the other session first",
        NotOwner = EACCES: "oob mode belongs to another process; end its session first",
        BusHeld = ETIME: "an in-band message held the bus too long; try again",
        NoMemory = ENOMEM: "no memory for the frame buffer",
        AllMapped = EUSERS: "the buffers of too many earlier sessions are still mapped; unmap one",
        NoDma = EIO: "a frame of this length needs a DMA channel, and there is none; free one or shorten the frame",
        ActiveHigh = EOPNOTSUPP: "a bus with an active-high chip select cannot transfer frames by DMA; shorten the frame or invert the line",
        Layout = EPROTO: "the driver's buffer layout is invalid; the library and the module differ in version",
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
        Busy = EALREADY: "the bus is busy with a frame of another thread or a timer; use one thread for each bus",
        SettingUp = EAGAIN: "an in-band call is setting the bus up; try again",
        Stopped = EOWNERDEAD: "the fail-safe has sent the stop frame; open a new session to continue",
        TooLate = ESTALE: "the deadline had passed before the frame started, so it was not sent",
        Late = ETIME: "the frame was exchanged, but after its deadline",
        TimedOut = ETIMEDOUT: "the hardware did not finish the frame; the next exchange may succeed",
        Bus = EREMOTEIO: "the controller reported a bus error; the next exchange may succeed",
        Interrupted = EINTR: "a signal came during the wait for a timer's frame; the next exchange may succeed",
        Cancelled = ECANCELED: "an earlier entry of the list failed",
        Timed = EOPNOTSUPP: "a timer starts the frames of one entry; remove it from the list",
        Reserved = EINVAL: "a reserved field is not zero; the library and the module differ in version",
        NoSuch = ECHRNG: "the controller has no such chip select",
        Closing = ESHUTDOWN: "oob mode is being switched off",
        Gone = ENODEV: "the controller has been unbound",
    }
}

impl RunError {
    /// Whether the next exchange may succeed although the caller changes nothing.
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
    /// Why [`super::Session::set_trigger`] failed. The previous trigger stays.
    TriggerError, "set the trigger", {
        Unknown = EOPNOTSUPP: "the driver does not know this trigger",
        Period = ERANGE: "the period must be at least two frames and 20 us, and at most an hour",
        First = EOVERFLOW: "the first date is too far away",
        Spins = E2BIG: "the timer's handler would spin for more than 200 us; shorten the frame or the chip-select delays",
        Reserved = EINVAL: "a reserved field is not zero; the library and the module differ in version",
        Off = ENXIO: "oob mode is off; enable it first",
        Closing = ESHUTDOWN: "oob mode is being switched off",
        Stopped = EOWNERDEAD: "the fail-safe has sent the stop frame; open a new session to continue",
        NotOwner = EACCES: "oob mode belongs to another process; end its session first",
        Gone = ENODEV: "the controller has been unbound",
    }
}

operation_error! {
    /// Why [`super::Session::set_stop`] failed. The previous stop frame stays.
    StopError, "set the stop frame", {
        Length = EMSGSIZE: "the stop frame must be exactly as long as the session's frames",
        Watch = ERANGE: "the watch period must be at least two frames and 20 us, and at most an hour",
        NoLimit = EDOM: "a watch period needs a miss limit",
        Spins = E2BIG: "the handler that sends the stop frame would spin for more than 200 us; shorten the frame or the chip-select delays",
        Reserved = EINVAL: "a reserved field is not zero; the library and the module differ in version",
        Off = ENXIO: "oob mode is off; enable it first",
        Closing = ESHUTDOWN: "oob mode is being switched off",
        Stopped = EOWNERDEAD: "the fail-safe has sent the stop frame; open a new session to continue",
        NotOwner = EACCES: "oob mode belongs to another process; end its session first",
        Gone = ENODEV: "the controller has been unbound",
    }
}

operation_error! {
    /// Why [`super::Session::stats`] or [`super::Session::info`] failed.
    QueryError, "read the device's state", {
        Off = ENXIO: "oob mode is off; enable it first",
        Closing = ESHUTDOWN: "oob mode is being switched off",
        Gone = ENODEV: "the controller has been unbound",
    }
}

operation_error! {
    /// Why [`super::Session::disable`] failed.
    DisableError, "leave oob mode", {
        Off = ENXIO: "it is already off",
        Closing = ESHUTDOWN: "oob mode is being switched off",
        NotOwner = EACCES: "oob mode belongs to another process; end its session first",
        Gone = ENODEV: "the controller has been unbound",
    }
}

operation_error! {
    /// Why a copy to or from the frame was refused. Nothing was copied.
    FrameError, "copy the frame", {
        Length = EMSGSIZE: "the slice must be exactly as long as the session's frames",
    }
}

operation_error! {
    /// Why [`super::List::new`] failed.
    ListError, "make the list", {
        Count = ERANGE: "it must have 1 to 16 chip selects",
    }
}
