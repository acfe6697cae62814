// SPDX-License-Identifier: GPL-2.0-only
//! The output of the guest's data line.
//!
//! ```text
//!   output of the command ...  RS nonce " exit 0" NL   base64 of /out ...   RS nonce " end" NL
//! ```
//!
//! RS is the byte 0x1e. The nonce depends on the machine, the kernel and the command, so the
//! command does not print the end mark by chance. Output is passed on at once, except for a tail
//! that may be the beginning of a mark.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The data line's reader.
pub(crate) struct Stream {
    mark: Vec<u8>,
    held: Vec<u8>,
    /// The command's exit status, once it is known.
    pub(crate) status: Option<i32>,
    archive: Vec<u8>,
    /// Whether the guest has sent everything.
    pub(crate) ended: bool,
}

impl Stream {
    /// For a boot with this nonce.
    pub(crate) fn new(nonce: &str) -> Self {
        let mark = format!("\x1e{nonce} ").into_bytes();
        Self {
            mark,
            held: Vec::new(),
            status: None,
            archive: Vec::new(),
            ended: false,
        }
    }

    /// Takes new input and returns the part of it that is the command's output.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend(bytes);
        let mut output = Vec::new();
        while let Some(at) = find(&self.held, &self.mark) {
            let Some(length) = self.held.iter().skip(at).position(|byte| *byte == b'\n') else {
                self.pass(at, &mut output);
                return output;
            };
            self.pass(at, &mut output);
            let line: Vec<u8> = self.held.drain(..=length).collect();
            let words = String::from_utf8_lossy(line.get(self.mark.len()..).unwrap_or_default())
                .trim()
                .to_owned();
            if let Some(status) = words.strip_prefix("exit ") {
                self.status = status.parse().ok();
            } else if words == "end" {
                self.ended = true;
            }
        }
        let keep = partial(&self.held, &self.mark);
        self.pass(self.held.len().saturating_sub(keep), &mut output);
        output
    }

    /// The archive of /out, if the guest has sent one.
    pub(crate) fn archive(&self) -> Result<Option<Vec<u8>>> {
        let text: Vec<u8> = self
            .archive
            .iter()
            .copied()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect();
        if text.is_empty() {
            return Ok(None);
        }
        STANDARD
            .decode(text)
            .map(Some)
            .context("the guest's /out arrived damaged")
    }

    fn pass(&mut self, count: usize, output: &mut Vec<u8>) {
        let bytes = self.held.drain(..count);
        if self.status.is_none() {
            output.extend(bytes);
        } else {
            self.archive.extend(bytes);
        }
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// How many bytes at the end of `text` may be the beginning of `what`.
fn partial(text: &[u8], what: &[u8]) -> usize {
    (1..what.len())
        .rev()
        .find(|length| {
            what.get(..*length)
                .is_some_and(|begin| text.ends_with(begin))
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &[u8] = b"one\n\x1etwo\x1eN1 exit 7\nYWJj\nZGVm\n\x1eN1 end\n";

    #[test]
    fn output_status_and_archive_are_told_apart_however_they_arrive() {
        for size in 1..SENT.len() {
            let mut stream = Stream::new("N1");
            let output: Vec<u8> = SENT
                .chunks(size)
                .flat_map(|bytes| stream.feed(bytes))
                .collect();
            assert_eq!(output, b"one\n\x1etwo", "in pieces of {size}");
            assert_eq!(stream.status, Some(7));
            assert!(stream.ended);
            assert_eq!(stream.archive().unwrap().unwrap(), b"abcdef");
        }
    }

    #[test]
    fn output_is_passed_on_at_once() {
        let mut stream = Stream::new("N1");
        assert_eq!(stream.feed(b"50 %"), b"50 %");
        assert_eq!(stream.feed(b"a\x1eN"), b"a");
        assert_eq!(stream.feed(b"2"), b"\x1eN2");
    }

    #[test]
    fn another_boots_mark_is_output() {
        let mut stream = Stream::new("N1");
        assert_eq!(stream.feed(b"\x1eN2 exit 0\n"), b"\x1eN2 exit 0\n");
        assert_eq!(stream.status, None);
    }
}
