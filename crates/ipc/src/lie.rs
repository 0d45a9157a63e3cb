//! What a worker claimed that cannot be true.

/// A claim of the worker's that the protocol does not allow. It ends that worker, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lie {
    #[error("ring position {found} is outside the ring of {capacity} bytes")]
    Position { found: u32, capacity: u32 },
    #[error("a frame of {length} bytes where the ring holds {used}")]
    Length { length: u32, used: u32 },
    #[error("a payload of {length} bytes is too short for type {kind:#04x}")]
    Short { kind: u8, length: usize },
    #[error("unknown payload type {0:#04x}")]
    Type(u8),
    #[error("{field} is {found}, expected {expected}")]
    Value { field: &'static str, found: u32, expected: &'static str },
    #[error("a control line longer than {0} bytes")]
    LongLine(usize),
    #[error("unknown control line {0:?}")]
    Line(String),
}
