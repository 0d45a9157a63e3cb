//! One order out of three sources: the ring's frames, and the pipes behind the worker's descriptors 1 and 2.
//!
//! A frame says how many bytes had gone into each pipe when its text was made; those bytes go out first. What is in a
//! pipe beyond the marks of every frame seen was written after them, since pipes are read before the ring is.
//! `docs/PROTOCOL.md`, order of output.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use crate::event::{Event, Output, Stream};
use crate::readable::Readable;
use buntime_ipc::{Marks, PipeMarks};

/// Bytes read by one call, and at most from one pipe in one go.
const READ: usize = 64 * 1024;
const CHUNK: usize = 4 * READ;
/// Bytes of the pipes that wait for the frames that they belong before or after; above it the pipes are not read.
const MAX_PENDING: usize = 16 * CHUNK;
/// Longest text of one `print` that is kept together over several frames.
const MAX_TOGETHER: usize = 16 * 1024 * 1024;

/// The pipes, what was read of them and not yet emitted, and text that waits for its continuation.
pub struct Outputs {
    stdout: Pipe,
    stderr: Pipe,
    /// In the order of reading, which for a process that writes to both in turn is the order of writing.
    pending: VecDeque<Chunk>,
    /// Text of frames that said that more of it follows. Nothing that came after it goes out before it.
    open: Option<(Stream, Vec<u8>)>,
    left: bool,
    /// Where reads land: most find nothing, and must cost nothing.
    scratch: Box<[u8]>,
}

impl Outputs {
    pub fn new(stdout: Arc<Readable<File>>, stderr: Arc<Readable<File>>) -> Self {
        Self {
            stdout: Pipe::new(Stream::Stdout, stdout),
            stderr: Pipe::new(Stream::Stderr, stderr),
            pending: VecDeque::new(),
            open: None,
            left: false,
            scratch: vec![0; READ].into(),
        }
    }

    /// Which of stdout and stderr may still bring something.
    pub fn open(&self) -> (bool, bool) {
        (!self.stdout.ended, !self.stderr.ended)
    }

    /// Reads what is in the pipes now, as far as there is room; returns how many bytes.
    pub fn fill(&mut self, marks: &mut PipeMarks) -> usize {
        if self.stdout.held + self.stderr.held > MAX_PENDING {
            self.left = true;
            return 0;
        }
        let mut total = 0;
        marks.reading(|| {
            let mut read = |pipe: &mut Pipe| {
                let bytes = pipe.read(&mut self.scratch);
                let count = bytes.len();
                pipe.held += count;
                total += count;
                match self.pending.back_mut() {
                    _ if count == 0 => {}
                    Some(last) if last.stream == pipe.stream => last.extend(&bytes),
                    _ => self.pending.push_back(Chunk { stream: pipe.stream, bytes, emitted: 0 }),
                }
                count
            };
            (read(&mut self.stdout), read(&mut self.stderr))
        });
        self.left |= total >= CHUNK;
        total
    }

    /// Whether a [`Self::fill`] since the last question may have left something in the pipes.
    pub fn take_left(&mut self) -> bool {
        std::mem::take(&mut self.left)
    }

    /// Emits the pipes' bytes that a frame with these marks comes after. Returns how many had to be read for it.
    pub fn up_to(&mut self, at: Marks, marks: &mut PipeMarks, batch: &mut Vec<Event>) -> usize {
        let (stdout, stderr) = (self.stdout.owes(at.stdout), self.stderr.owes(at.stderr));
        let mut read = 0;
        if stdout > self.stdout.held || stderr > self.stderr.held {
            // Written since the pipes were read, and before the frame: they are there. A frame that claims more than
            // was written gets what there is, and no waiting.
            read = self.fill(marks);
        }
        self.emit(stdout, stderr, batch);
        read
    }

    /// Emits all that is left, save the first bytes of a character whose rest is still to come.
    pub fn rest(&mut self, batch: &mut Vec<Event>) {
        let whole = |pipe: &Pipe| {
            let last = self.pending.iter().rev().find(|chunk| chunk.stream == pipe.stream);
            let cut = last.filter(|_| !pipe.ended).map_or(0, |chunk| incomplete_tail(chunk.rest()));
            pipe.held - cut
        };
        let (stdout, stderr) = (whole(&self.stdout), whole(&self.stderr));
        self.emit(stdout, stderr, batch);
    }

    /// Text of a frame. `more`: it goes on in the stream's next frame.
    pub fn text(&mut self, stream: Stream, text: &[u8], more: bool, batch: &mut Vec<Event>) {
        if self.open.as_ref().is_some_and(|(open, _)| *open != stream) {
            self.close(batch);
        }
        match &mut self.open {
            None if !more => return push_slice(batch, stream, text),
            None => self.open = Some((stream, text.to_vec())),
            Some((_, open)) => open.extend_from_slice(text),
        }
        if !more || self.open.as_ref().is_some_and(|(_, open)| open.len() > MAX_TOGETHER) {
            self.close(batch);
        }
    }

    /// The end: text that waited for a continuation, then whatever the pipes still hold.
    pub fn finish(&mut self, batch: &mut Vec<Event>) {
        self.close(batch);
        self.stdout.ended = true;
        self.stderr.ended = true;
        self.rest(batch);
    }

    fn close(&mut self, batch: &mut Vec<Event>) {
        if let Some((stream, text)) = self.open.take() {
            push(batch, stream, text);
        }
    }

    /// Emits from the front, of each pipe at most so many bytes.
    fn emit(&mut self, stdout: usize, stderr: usize, batch: &mut Vec<Event>) {
        let (mut stdout, mut stderr) = (stdout.min(self.stdout.held), stderr.min(self.stderr.held));
        let mut at = 0;
        while stdout + stderr > 0
            && let Some(chunk) = self.pending.get_mut(at)
        {
            let (pipe, owed) = match chunk.stream {
                Stream::Stdout => (&mut self.stdout, &mut stdout),
                Stream::Stderr => (&mut self.stderr, &mut stderr),
            };
            let now = chunk.rest().len().min(*owed);
            if now > 0 {
                // Open text was written before these bytes were read.
                if let Some((stream, text)) = self.open.take() {
                    push(batch, stream, text);
                }
                push_slice(batch, chunk.stream, &chunk.rest()[..now]);
                chunk.emitted += now;
                pipe.held -= now;
                pipe.emitted = pipe.emitted.wrapping_add(now as u32);
                *owed -= now;
            }
            // What is owed of the one stream may lie behind bytes of the other that are not.
            if at == 0 && chunk.rest().is_empty() {
                self.pending.pop_front();
            } else {
                at += 1;
            }
        }
        self.pending.retain(|chunk| !chunk.rest().is_empty());
    }
}

/// Bytes of one pipe, of which the first were emitted already.
struct Chunk {
    stream: Stream,
    bytes: Vec<u8>,
    emitted: usize,
}

impl Chunk {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.emitted..]
    }

    fn extend(&mut self, bytes: &[u8]) {
        // Now and then, so that neither the copying nor the emitted bytes add up.
        if self.emitted > self.bytes.len() / 2 {
            self.bytes.drain(..std::mem::take(&mut self.emitted));
        }
        self.bytes.extend_from_slice(bytes);
    }
}

/// The reading end of one of the worker's descriptors.
struct Pipe {
    stream: Stream,
    file: Arc<Readable<File>>,
    /// Bytes emitted so far, modulo 2^32.
    emitted: u32,
    /// Bytes that were read and not yet emitted.
    held: usize,
    ended: bool,
}

impl Pipe {
    fn new(stream: Stream, file: Arc<Readable<File>>) -> Self {
        Self { stream, file, emitted: 0, held: 0, ended: false }
    }

    /// Reads until the pipe is empty, or a [`CHUNK`] is there.
    fn read(&mut self, scratch: &mut [u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        while !self.ended && bytes.len() < CHUNK {
            match self.file.get().read(scratch) {
                Ok(0) => self.ended = true,
                Ok(count) => bytes.extend_from_slice(&scratch[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // WouldBlock: empty. Anything else cannot be told apart from its end.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => self.ended = true,
            }
        }
        bytes
    }

    /// Bytes still to be emitted before the mark; marks behind us owe nothing.
    fn owes(&self, mark: u32) -> usize {
        let distance = mark.wrapping_sub(self.emitted);
        if distance > u32::MAX / 2 { 0 } else { distance as usize }
    }
}

/// Longest event of output; neighbours of one stream are one event up to here.
const MAX_EVENT: usize = 1024 * 1024;

fn push(batch: &mut Vec<Event>, stream: Stream, bytes: Vec<u8>) {
    match batch.last_mut() {
        _ if bytes.is_empty() => {}
        Some(Event::Output(last)) if last.stream == stream && last.bytes.len() + bytes.len() <= MAX_EVENT => {
            last.bytes.extend_from_slice(&bytes);
        }
        _ => batch.push(Event::Output(Output { stream, bytes })),
    }
}

fn push_slice(batch: &mut Vec<Event>, stream: Stream, text: &[u8]) {
    match batch.last_mut() {
        Some(Event::Output(last)) if last.stream == stream && last.bytes.len() + text.len() <= MAX_EVENT => {
            last.bytes.extend_from_slice(text);
        }
        _ => push(batch, stream, text.to_vec()),
    }
}

/// Length of a UTF-8 character's beginning at the end of `bytes`, when its rest is missing.
fn incomplete_tail(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let byte = bytes[bytes.len() - back];
        let length = match byte {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return if length > back { back } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use buntime_ipc::Segment;

    use super::*;

    fn texts(batch: &[Event]) -> Vec<(Stream, String)> {
        batch
            .iter()
            .map(|event| match event {
                Event::Output(output) => (output.stream, String::from_utf8(output.bytes.clone()).unwrap()),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn pipes() -> (Outputs, PipeMarks, File, File) {
        let nonblocking = || {
            let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
            nix::fcntl::fcntl(&read, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK)).unwrap();
            (read, File::from(write))
        };
        let ((stdout, to_stdout), (stderr, to_stderr)) = (nonblocking(), nonblocking());
        let (_, _, marks) = Segment::create(4096).unwrap().host_ends();
        let readable = |fd| Arc::new(Readable::new(File::from(fd)).unwrap());
        (Outputs::new(readable(stdout), readable(stderr)), marks, to_stdout, to_stderr)
    }

    #[tokio::test]
    async fn frames_go_where_their_marks_say() {
        let (mut outputs, mut marks, mut stdout, mut stderr) = pipes();
        let mut batch = Vec::new();
        stdout.write_all(b"raw1 raw2 ").unwrap();
        stderr.write_all(b"err ").unwrap();
        outputs.fill(&mut marks);
        for (text, at) in [("ring0 ", (0, 0)), ("ring1 ", (5, 0)), ("ring2 ", (10, 4))] {
            outputs.up_to(Marks { stdout: at.0, stderr: at.1 }, &mut marks, &mut batch);
            outputs.text(Stream::Stdout, text.as_bytes(), false, &mut batch);
        }
        outputs.rest(&mut batch);
        let all: String = texts(&batch).into_iter().map(|(_, text)| text).collect();
        assert_eq!(all, "ring0 raw1 ring1 raw2 err ring2 ");
    }

    #[tokio::test]
    async fn bytes_written_after_the_read_are_fetched_for_a_frame_that_comes_after_them() {
        let (mut outputs, mut marks, mut stdout, _stderr) = pipes();
        let mut batch = Vec::new();
        outputs.fill(&mut marks);
        stdout.write_all(b"late ").unwrap();
        outputs.up_to(Marks { stdout: 5, stderr: 0 }, &mut marks, &mut batch);
        assert_eq!(texts(&batch), [(Stream::Stdout, "late ".to_owned())]);
    }

    #[tokio::test]
    async fn lying_marks_never_wait_and_never_lose_bytes() {
        let (mut outputs, mut marks, mut stdout, _stderr) = pipes();
        let mut batch = Vec::new();
        stdout.write_all(b"abc").unwrap();
        for mark in [u32::MAX, 1 << 30, 0, 2] {
            outputs.up_to(Marks { stdout: mark, stderr: mark }, &mut marks, &mut batch);
        }
        outputs.rest(&mut batch);
        let all: String = texts(&batch).into_iter().map(|(_, text)| text).collect();
        assert_eq!(all, "abc");
    }

    #[tokio::test]
    async fn characters_stay_whole_and_prints_stay_together() {
        let (mut outputs, mut marks, mut stdout, _stderr) = pipes();
        let mut batch = Vec::new();
        let text = "é€😀".as_bytes();
        for byte in text {
            stdout.write_all(&[*byte]).unwrap();
            outputs.fill(&mut marks);
            outputs.rest(&mut batch);
            batch.iter().for_each(|event| match event {
                Event::Output(output) => assert!(str::from_utf8(&output.bytes).is_ok(), "{output:?}"),
                other => panic!("{other:?}"),
            });
        }
        outputs.text(Stream::Stderr, b"one ", true, &mut batch);
        assert_eq!(texts(&batch).len(), 1);
        outputs.text(Stream::Stderr, b"line\n", false, &mut batch);
        assert_eq!(texts(&batch)[1], (Stream::Stderr, "one line\n".to_owned()));
    }

    #[tokio::test]
    async fn open_text_goes_before_whatever_came_after_it() {
        let (mut outputs, mut marks, mut stdout, mut stderr) = pipes();
        let mut batch = Vec::new();
        outputs.text(Stream::Stdout, b"x", true, &mut batch);
        stdout.write_all(b"y").unwrap();
        outputs.fill(&mut marks);
        outputs.rest(&mut batch);
        outputs.text(Stream::Stdout, b"z", true, &mut batch);
        outputs.text(Stream::Stderr, b"e", false, &mut batch);
        outputs.text(Stream::Stdout, b"q", true, &mut batch);
        outputs.text(Stream::Stdout, b"", false, &mut batch);
        // A child that writes to both in turn, and waits in between until its bytes are read.
        for (to_stderr, text) in [(true, "1"), (false, "2"), (true, "3")] {
            if to_stderr { &mut stderr } else { &mut stdout }.write_all(text.as_bytes()).unwrap();
            outputs.fill(&mut marks);
        }
        outputs.rest(&mut batch);
        let all: String = texts(&batch).into_iter().map(|(_, text)| text).collect();
        assert_eq!(all, "xyzeq123");
    }

    #[tokio::test]
    async fn one_stream_is_emitted_past_bytes_of_the_other_that_wait() {
        let (mut outputs, mut marks, mut stdout, mut stderr) = pipes();
        let mut batch = Vec::new();
        for number in 0..5 {
            stdout.write_all(format!("o{number}").as_bytes()).unwrap();
            outputs.fill(&mut marks);
            stderr.write_all(format!("e{number}").as_bytes()).unwrap();
            outputs.fill(&mut marks);
        }
        outputs.up_to(Marks { stdout: 3, stderr: 8 }, &mut marks, &mut batch);
        let all: String = texts(&batch).into_iter().map(|(_, text)| text).collect();
        assert_eq!(all, "o0e0oe1e2e3", "three bytes of the one, eight of the other, each in its order");
        outputs.rest(&mut batch);
        let all: String = texts(&batch).into_iter().map(|(_, text)| text).collect();
        assert_eq!(all, "o0e0oe1e2e31o2o3o4e4");
        assert_eq!((outputs.stdout.held, outputs.stderr.held, outputs.pending.len()), (0, 0, 0));
    }

    #[tokio::test]
    async fn what_there_was_no_room_for_counts_as_left() {
        let (mut outputs, mut marks, mut stdout, _stderr) = pipes();
        stdout.write_all(b"some").unwrap();
        assert_eq!((outputs.fill(&mut marks), outputs.take_left()), (4, false));
        outputs.stderr.held = MAX_PENDING;
        stdout.write_all(b"more").unwrap();
        assert_eq!((outputs.fill(&mut marks), outputs.take_left()), (0, true));
        outputs.stderr.held = 0;
        assert_eq!((outputs.fill(&mut marks), outputs.take_left()), (4, false));
    }

    #[test]
    fn tails() {
        let held = [
            &b"abc"[..],
            b"",
            b"\xc3",
            b"\xe2\x82",
            b"\xf0\x9f\x98",
            b"\xf0",
            b"\xff",
            b"\x80\x80\x80",
            "é".as_bytes(),
        ];
        assert_eq!(held.map(incomplete_tail), [0, 0, 1, 2, 3, 1, 0, 0, 0]);
    }
}
