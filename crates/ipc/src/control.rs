//! The lines that a worker writes into the control pipe.

use crate::Lie;

/// Longest line accepted, without its newline.
pub const MAX_LINE: usize = 64 * 1024;

/// One line, without its newline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlLine {
    /// The worker can take code.
    Ready,
    /// Look at the ring.
    Data,
    /// A policy check waits in the ring.
    Check,
}

/// Cuts what comes through the pipe into lines, in bounded memory.
#[derive(Default)]
pub struct ControlLines {
    partial: Vec<u8>,
}

impl ControlLines {
    /// Takes what one read gave; returns the lines that it completed.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<Vec<ControlLine>, Lie> {
        let mut lines = Vec::new();
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            if self.partial.len() > MAX_LINE {
                return Err(Lie::LongLine(MAX_LINE));
            }
            lines.push(parse(&self.partial)?);
            self.partial.clear();
        }
        self.partial.extend_from_slice(bytes);
        if self.partial.len() > MAX_LINE {
            return Err(Lie::LongLine(MAX_LINE));
        }
        Ok(lines)
    }
}

fn parse(line: &[u8]) -> Result<ControlLine, Lie> {
    match line {
        b"READY" => Ok(ControlLine::Ready),
        b"DATA" => Ok(ControlLine::Data),
        b"CHECK" => Ok(ControlLine::Check),
        other => Err(Lie::Line(String::from_utf8_lossy(&other[..other.len().min(80)]).into_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_they_were_cut() {
        let mut lines = ControlLines::default();
        assert_eq!(lines.feed(b"REA"), Ok(vec![]));
        assert_eq!(lines.feed(b"DY\nDATA\nCH"), Ok(vec![ControlLine::Ready, ControlLine::Data]));
        assert_eq!(lines.feed(b"ECK\n"), Ok(vec![ControlLine::Check]));
    }

    #[test]
    fn unknown_and_endless_lines_are_lies() {
        assert_eq!(ControlLines::default().feed(b"ready\n"), Err(Lie::Line("ready".into())));
        let mut lines = ControlLines::default();
        let flood = vec![b'x'; MAX_LINE];
        assert_eq!(lines.feed(&flood), Ok(vec![]));
        assert_eq!(lines.feed(b"x"), Err(Lie::LongLine(MAX_LINE)));
    }
}
