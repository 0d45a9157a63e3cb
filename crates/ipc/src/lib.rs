//! The shared-memory rings between supervisor and worker, the frames on them, and the control lines.
//!
//! `docs/PROTOCOL.md` is the contract. Everything that comes from the worker is hostile: positions, lengths and types
//! are read once, checked against the host's own copies, copied out, and only then parsed. A value that cannot be is a
//! [`Lie`].

#![deny(unsafe_code)]

mod control;
mod frame;
mod lie;
#[allow(unsafe_code, reason = "the one file that touches memory shared with a worker")]
mod ring;
mod setup;

pub use control::{ControlLine, ControlLines, MAX_LINE};
pub use frame::*;
pub use lie::Lie;
pub use ring::{Consumer, Full, HEADER, Peek, PipeMarks, Producer, RingState, Segment};
pub use setup::{Layers, SetUp};

/// The golden vectors hold bytes as hexadecimal digits.
#[cfg(test)]
fn unhex(text: &str) -> Vec<u8> {
    let digits = |two: &[u8]| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap();
    text.as_bytes().chunks(2).map(digits).collect()
}
