//! The shared segment: two single-producer single-consumer byte rings.
//!
//! All memory that a worker can write is touched in this file alone, through atomics (the header words) and raw copies
//! (the data); no Rust reference to such memory ever exists, since the worker may change it at any moment.
//!
//! The pairs that order memory are named: SYNC POINT frame-published (writer's release of `tail`, reader's acquire) and
//! SYNC POINT space-freed (reader's release of `head`, writer's acquire). Wake-ups go through pipes, whose locks order
//! too.

use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use crate::Lie;

/// Bytes of header in front of each ring's data.
pub const HEADER: usize = 64;
/// Bytes of the length prefix of a frame.
const PREFIX: u32 = 4;

const HEAD: usize = 0;
const TAIL: usize = 4;
const CAPACITY: usize = 8;
const WRITER_WAITING: usize = 12;
const PIPE_SEQ: usize = 16;
const STDOUT_READ: usize = 20;
const STDERR_READ: usize = 24;
const INTERRUPTING: usize = 28;
const WATCHED: usize = 32;

/// The mapped segment. Its file is a memfd sealed against shrinking and growing, so no worker can make the host fault
/// by truncating it; a hole punched in it reads as zeros.
pub struct Segment {
    file: OwnedFd,
    base: NonNull<u8>,
    half: usize,
}

// SAFETY: `base` points to a mapping that lives as long as the value; all access to it is atomic or by raw copy.
unsafe impl Send for Segment {}
// SAFETY: as above; the two ends are kept apart by `Consumer` and `Producer`, which need `&mut self`.
unsafe impl Sync for Segment {}

impl Segment {
    /// Creates, seals and maps a segment of `size` bytes, rounded up to a multiple of 128, and writes both capacities.
    pub fn create(size: usize) -> io::Result<Self> {
        let half = size.next_multiple_of(128) / 2;
        let capacity = half
            .checked_sub(HEADER)
            .and_then(|c| u32::try_from(c).ok())
            .filter(|c| *c > PREFIX)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("no segment of {size} bytes")))?;
        let file = sealed_file(half * 2)?;
        // SAFETY: a fresh shared mapping of a file that is `2 * half` bytes long and can never be shorter.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                half * 2,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or_else(io::Error::last_os_error)?;
        let segment = Self { file, base, half };
        for ring in [0, half] {
            segment.word(ring + CAPACITY).store(capacity, Ordering::Release);
        }
        Ok(segment)
    }

    /// Bytes of the whole segment, the `<shm_size>` that a worker is told.
    pub fn size(&self) -> usize {
        self.half * 2
    }

    /// The two ends that the host holds: it reads the first ring and writes the second. To be called once per segment.
    pub fn host_ends(self) -> (Consumer, Producer, PipeMarks) {
        let capacity = (self.half - HEADER) as u32;
        let half = self.half;
        let segment = Arc::new(self);
        (
            Consumer { segment: segment.clone(), ring: 0, capacity, head: 0, total: 0, frame: Vec::new() },
            Producer { segment: segment.clone(), ring: half, capacity, tail: 0, total: 0 },
            PipeMarks { segment, stdout: 0, stderr: 0 },
        )
    }

    fn word(&self, offset: usize) -> &AtomicU32 {
        debug_assert!(offset.is_multiple_of(4) && offset + 4 <= self.half * 2);
        // SAFETY: inside the mapping, aligned (the mapping is page-aligned, halves are multiples of 64), and only ever
        // accessed atomically by this process. The worker's plain stores are to be seen as racing atomic stores.
        unsafe { AtomicU32::from_ptr(self.base.as_ptr().add(offset).cast()) }
    }

    /// Copies `into.len()` bytes out of a ring's data, from `position`, around its end.
    fn copy_out(&self, ring: usize, capacity: u32, position: u32, into: &mut [u8]) {
        let (capacity, position) = (capacity as usize, position as usize);
        assert!(position < capacity && into.len() <= capacity && ring + HEADER + capacity <= self.half * 2);
        let first = into.len().min(capacity - position);
        // SAFETY: both pieces lie inside the ring's data (asserted above); source and target do not overlap, since the
        // target is memory of this process alone. The worker may write the source meanwhile: what is copied is then
        // anything, and is judged after the copy only.
        unsafe {
            let data = self.base.as_ptr().add(ring + HEADER);
            std::ptr::copy_nonoverlapping(data.add(position), into.as_mut_ptr(), first);
            std::ptr::copy_nonoverlapping(data, into.as_mut_ptr().add(first), into.len() - first);
        }
    }

    /// Copies `from` into a ring's data at `position`, around its end.
    fn copy_in(&self, ring: usize, capacity: u32, position: u32, from: &[u8]) {
        let (capacity, position) = (capacity as usize, position as usize);
        assert!(position < capacity && from.len() <= capacity && ring + HEADER + capacity <= self.half * 2);
        let first = from.len().min(capacity - position);
        // SAFETY: both pieces lie inside the ring's data (asserted above), and the source is memory of this process
        // alone.
        unsafe {
            let data = self.base.as_ptr().add(ring + HEADER);
            std::ptr::copy_nonoverlapping(from.as_ptr(), data.add(position), first);
            std::ptr::copy_nonoverlapping(from.as_ptr().add(first), data, from.len() - first);
        }
    }
}

impl AsFd for Segment {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `create`, unmapped once; nothing refers to it after the last end is gone.
        unsafe { libc::munmap(self.base.as_ptr().cast::<c_void>(), self.half * 2) };
    }
}

/// A memfd of `size` zero bytes whose size is fixed for good (memfd_create(2), fcntl(2) F_ADD_SEALS).
fn sealed_file(size: usize) -> io::Result<OwnedFd> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // MFD_NOEXEC_SEAL exists since Linux 6.3; before, memfd_create answers EINVAL to it.
    let fd = [flags | libc::MFD_NOEXEC_SEAL, flags]
        .into_iter()
        // SAFETY: a valid C string; the call makes a descriptor and touches no memory of ours.
        .map(|flags| unsafe { libc::memfd_create(c"buntime-rings".as_ptr(), flags) })
        .find(|fd| *fd >= 0)
        .ok_or_else(io::Error::last_os_error)?;
    // SAFETY: a descriptor that was just made and that nobody else owns.
    let file = unsafe { OwnedFd::from_raw_fd(fd) };
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // SAFETY: calls on our own descriptor, without pointers.
    let done =
        unsafe { libc::ftruncate(fd, size as libc::off_t) == 0 && libc::fcntl(fd, libc::F_ADD_SEALS, seals) == 0 };
    if done { Ok(file) } else { Err(io::Error::last_os_error()) }
}

/// A look at a ring, for telemetry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingState {
    pub head: u32,
    pub tail: u32,
    pub capacity: u32,
    pub used: u32,
    /// Bytes that went through so far, prefixes included.
    pub total: u64,
}

/// The reading end of the worker's ring. Head and capacity are the host's own; the worker's copies are never believed.
pub struct Consumer {
    segment: Arc<Segment>,
    ring: usize,
    capacity: u32,
    head: u32,
    total: u64,
    frame: Vec<u8>,
}

impl Consumer {
    /// Takes the next frame's payload, or `None` when there is none now. The space is the worker's again at once.
    pub fn pop(&mut self) -> Result<Option<&[u8]>, Lie> {
        // SYNC POINT frame-published.
        let tail = self.segment.word(self.ring + TAIL).load(Ordering::Acquire);
        let used = distance(self.head, tail, self.capacity)?;
        if used == 0 {
            return Ok(None);
        }
        if used < PREFIX {
            return Err(Lie::Length { length: PREFIX, used });
        }
        let mut prefix = [0; PREFIX as usize];
        self.segment.copy_out(self.ring, self.capacity, self.head, &mut prefix);
        let length = u32::from_le_bytes(prefix);
        if length > used - PREFIX {
            return Err(Lie::Length { length, used });
        }
        self.frame.resize(length as usize, 0);
        let start = advance(self.head, PREFIX, self.capacity);
        self.segment.copy_out(self.ring, self.capacity, start, &mut self.frame);
        self.head = advance(start, length, self.capacity);
        self.total += u64::from(PREFIX + length);
        // SYNC POINT space-freed.
        self.segment.word(self.ring + HEAD).store(self.head, Ordering::Release);
        Ok(Some(&self.frame))
    }

    /// Whether the worker sleeps for space; says so once. Wake it by the space pipe then.
    pub fn take_writer_waiting(&mut self) -> bool {
        let word = self.segment.word(self.ring + WRITER_WAITING);
        word.load(Ordering::Acquire) != 0 && word.swap(0, Ordering::AcqRel) != 0
    }

    /// Keeps the worker from beginning another execution until [`Self::end_interrupt`]. Returns where
    /// [`Self::read_so_far`] has to come to: whatever the worker published before it could see this is read by then,
    /// and what it says to be running is running still, or waits.
    pub fn begin_interrupt(&mut self) -> u64 {
        self.segment.word(INTERRUPTING).store(1, Ordering::SeqCst);
        // The worker publishes its execution's end, and then looks; we say so, and then look. One of the two sees the
        // other.
        fence(Ordering::SeqCst);
        self.total + u64::from(self.state().used)
    }

    /// The signal has been sent, or is needed no more.
    pub fn end_interrupt(&mut self) {
        self.segment.word(INTERRUPTING).store(0, Ordering::Release);
    }

    /// For who must not wait for this.
    pub fn peek(&self) -> Peek {
        Peek { segment: self.segment.clone(), ring: self.ring }
    }

    /// Bytes that went through so far, prefixes included.
    pub fn read_so_far(&self) -> u64 {
        self.total
    }

    pub fn state(&self) -> RingState {
        let tail = self.segment.word(self.ring + TAIL).load(Ordering::Acquire);
        let used = distance(self.head, tail, self.capacity).unwrap_or(0);
        RingState { head: self.head, tail, capacity: self.capacity, used, total: self.total }
    }
}

/// Whether the worker has published anything, for somebody who must not wait for the [`Consumer`].
#[derive(Clone)]
pub struct Peek {
    segment: Arc<Segment>,
    ring: usize,
}

impl Peek {
    /// Where the worker says that its ring ends. Only ever to be compared: it is the worker's word.
    pub fn published(&self) -> u32 {
        // SYNC POINT frame-published.
        self.segment.word(self.ring + TAIL).load(Ordering::Acquire)
    }
}

/// A frame does not fit now; one longer than [`Producer::max_payload`] never does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The writing end of the ring to the worker.
pub struct Producer {
    segment: Arc<Segment>,
    ring: usize,
    capacity: u32,
    tail: u32,
    total: u64,
}

impl Producer {
    /// Longest payload that fits an empty ring.
    pub fn max_payload(&self) -> usize {
        (self.capacity - 1 - PREFIX) as usize
    }

    /// Whether somebody looks at the other ring without being woken: nothing but the end of an execution then wakes
    /// anybody.
    pub fn set_watched(&mut self, watched: bool) {
        self.segment.word(WATCHED).store(u32::from(watched), Ordering::SeqCst);
    }

    /// Pushes one frame whose payload is `parts` put together, or says that it does not fit.
    pub fn push(&mut self, parts: &[&[u8]]) -> Result<Result<(), Full>, Lie> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if length > self.max_payload() {
            return Ok(Err(Full));
        }
        // SYNC POINT space-freed.
        let head = self.segment.word(self.ring + HEAD).load(Ordering::Acquire);
        let used = distance(head, self.tail, self.capacity)?;
        if PREFIX as usize + length > (self.capacity - 1 - used) as usize {
            return Ok(Err(Full));
        }
        let mut position = self.tail;
        for part in std::iter::once(&(length as u32).to_le_bytes()[..]).chain(parts.iter().copied()) {
            self.segment.copy_in(self.ring, self.capacity, position, part);
            position = advance(position, part.len() as u32, self.capacity);
        }
        self.tail = position;
        self.total += u64::from(PREFIX) + length as u64;
        // SYNC POINT frame-published.
        self.segment.word(self.ring + TAIL).store(self.tail, Ordering::Release);
        Ok(Ok(()))
    }

    pub fn state(&self) -> RingState {
        let head = self.segment.word(self.ring + HEAD).load(Ordering::Acquire);
        let used = distance(head, self.tail, self.capacity).unwrap_or(0);
        RingState { head, tail: self.tail, capacity: self.capacity, used, total: self.total }
    }
}

/// Publishes how many bytes of the worker's stdout and stderr pipes the host has read, so that frames can say where
/// among them they belong (`docs/PROTOCOL.md`, order of output).
pub struct PipeMarks {
    segment: Arc<Segment>,
    stdout: u32,
    stderr: u32,
}

impl PipeMarks {
    /// Runs `read`, which reads the pipes and returns how many bytes it took from each, with `pipe_seq` odd meanwhile.
    pub fn reading(&mut self, read: impl FnOnce() -> (usize, usize)) {
        let seq = self.segment.word(PIPE_SEQ);
        seq.fetch_add(1, Ordering::AcqRel);
        let (stdout, stderr) = read();
        self.stdout = self.stdout.wrapping_add(stdout as u32);
        self.stderr = self.stderr.wrapping_add(stderr as u32);
        self.segment.word(STDOUT_READ).store(self.stdout, Ordering::Release);
        self.segment.word(STDERR_READ).store(self.stderr, Ordering::Release);
        seq.fetch_add(1, Ordering::AcqRel);
    }
}

/// Bytes from `head` up to `tail`, both of which must lie in the ring.
fn distance(head: u32, tail: u32, capacity: u32) -> Result<u32, Lie> {
    for found in [head, tail] {
        if found >= capacity {
            return Err(Lie::Position { found, capacity });
        }
    }
    Ok(if tail >= head { tail - head } else { capacity - head + tail })
}

/// `position + by`, around the end. `by` is at most the capacity.
fn advance(position: u32, by: u32, capacity: u32) -> u32 {
    let sum = u64::from(position) + u64::from(by);
    (sum % u64::from(capacity)) as u32
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    /// A worker's side of the segment, for tests: the rings the other way round.
    fn worker_ends(host: &Consumer, to_worker: &Producer) -> (Producer, Consumer) {
        let half = host.segment.half;
        (
            Producer { segment: host.segment.clone(), ring: 0, capacity: host.capacity, tail: 0, total: 0 },
            Consumer {
                segment: to_worker.segment.clone(),
                ring: half,
                capacity: host.capacity,
                head: 0,
                total: 0,
                frame: Vec::new(),
            },
        )
    }

    #[test]
    fn frames_come_out_as_they_went_in_also_around_the_end() {
        let (mut from, to, _marks) = Segment::create(4096).unwrap().host_ends();
        let (mut worker, _) = worker_ends(&from, &to);
        for round in 0..500_usize {
            let text = vec![round as u8; round * 7 % 1500];
            worker.push(&[&text[..text.len() / 3], &text[text.len() / 3..]]).unwrap().unwrap();
            assert_eq!(from.pop().unwrap(), Some(&text[..]));
            assert_eq!(from.pop().unwrap(), None);
        }
    }

    #[test]
    fn a_full_ring_says_so_and_takes_exactly_its_capacity_less_one() {
        let (_, mut to, _marks) = Segment::create(4096).unwrap().host_ends();
        let most = vec![7; to.max_payload()];
        assert_eq!(to.push(&[&most, b"x"]).unwrap(), Err(Full));
        to.push(&[&most]).unwrap().unwrap();
        assert_eq!(to.state().used, to.capacity - 1);
        assert_eq!(to.push(&[b""]).unwrap(), Err(Full));
    }

    #[test]
    fn lies_about_positions_and_lengths_are_found() {
        let (mut from, mut to, _marks) = Segment::create(4096).unwrap().host_ends();
        let capacity = from.capacity;
        let segment = from.segment.clone();
        for found in [capacity, capacity + 1, u32::MAX] {
            segment.word(TAIL).store(found, Ordering::SeqCst);
            assert_eq!(from.pop(), Err(Lie::Position { found, capacity }));
            segment.word(segment.half + HEAD).store(found, Ordering::SeqCst);
            assert_eq!(to.push(&[b"x"]), Err(Lie::Position { found, capacity }));
        }
        segment.word(TAIL).store(3, Ordering::SeqCst);
        assert_eq!(from.pop(), Err(Lie::Length { length: 4, used: 3 }));
        segment.word(HEADER).store(u32::MAX, Ordering::SeqCst);
        segment.word(TAIL).store(100, Ordering::SeqCst);
        assert_eq!(from.pop(), Err(Lie::Length { length: u32::MAX, used: 100 }));
        segment.word(HEADER).store(97, Ordering::SeqCst);
        assert_eq!(from.pop(), Err(Lie::Length { length: 97, used: 100 }));
        // Its own capacity word and head are nothing that the host reads back.
        segment.word(CAPACITY).store(u32::MAX, Ordering::SeqCst);
        segment.word(HEAD).store(50, Ordering::SeqCst);
        segment.word(HEADER).store(96, Ordering::SeqCst);
        assert_eq!(from.pop().unwrap().map(<[u8]>::len), Some(96));
    }

    #[test]
    fn the_worker_cannot_shorten_or_grow_the_file() {
        let segment = Segment::create(8192).unwrap();
        for size in [0, 4096, 1 << 20] {
            // SAFETY: a call on our own descriptor, without pointers.
            assert_eq!(unsafe { libc::ftruncate(segment.as_fd().as_raw_fd(), size) }, -1);
        }
    }

    #[test]
    fn sizes_that_hold_no_ring_are_errors() {
        for size in [0, 64, 128] {
            assert!(Segment::create(size).is_err(), "{size}");
        }
    }

    #[derive(serde::Deserialize)]
    struct Vector {
        name: String,
        capacity: u32,
        head: u32,
        tail: u32,
        payload_hex: String,
        fits: Option<bool>,
        expect_tail: Option<u32>,
        data_hex: Option<String>,
    }

    #[test]
    fn the_golden_vectors_hold() {
        let text = include_str!("../vectors/ring.json");
        let vectors: Vec<Vector> = serde_json::from_str(text).unwrap();
        assert!(!vectors.is_empty());
        for vector in vectors {
            let half = vector.capacity as usize + HEADER;
            assert!((half * 2).is_multiple_of(128), "{}: a segment is a multiple of 128 bytes", vector.name);
            let (_, mut to, _marks) = Segment::create(half * 2).unwrap().host_ends();
            to.segment.word(to.ring + HEAD).store(vector.head, Ordering::SeqCst);
            to.tail = vector.tail;
            let payload = crate::unhex(&vector.payload_hex);
            let fits = to.push(&[&payload]).unwrap().is_ok();
            assert_eq!(fits, vector.fits.unwrap_or(true), "{}", vector.name);
            if fits {
                assert_eq!(Some(to.tail), vector.expect_tail, "{}", vector.name);
                let mut data = vec![0; vector.capacity as usize];
                to.segment.copy_out(to.ring, vector.capacity, 0, &mut data);
                assert_eq!(Some(data), vector.data_hex.as_deref().map(crate::unhex), "{}", vector.name);
            }
        }
    }

    proptest! {
        /// Against a queue as the model: whatever is pushed comes out, in order, and `Full` is said only when it is
        /// true.
        #[test]
        fn behaves_like_a_queue(steps in proptest::collection::vec((any::<bool>(), 0_usize..1200), 1..400)) {
            let (mut from, to, _marks) = Segment::create(4096).unwrap().host_ends();
            let (mut worker, _) = worker_ends(&from, &to);
            let mut model: VecDeque<Vec<u8>> = VecDeque::new();
            for (number, (push, length)) in steps.into_iter().enumerate() {
                if push {
                    let payload = vec![number as u8; length];
                    let used: usize = model.iter().map(|frame| frame.len() + 4).sum();
                    let fits = used + 4 + length < from.capacity as usize;
                    prop_assert_eq!(worker.push(&[&payload]).unwrap().is_ok(), fits);
                    if fits {
                        model.push_back(payload);
                    }
                } else {
                    prop_assert_eq!(from.pop().unwrap().map(<[u8]>::to_vec), model.pop_front());
                }
            }
        }

        /// Whatever a worker writes into its ring, reading ends, in bounds, with frames or a lie.
        #[test]
        fn garbage_never_breaks_the_reader(data in proptest::collection::vec(any::<u8>(), 64), tail in any::<u32>()) {
            let (mut from, _to, _marks) = Segment::create(256).unwrap().host_ends();
            let segment = from.segment.clone();
            segment.copy_in(0, from.capacity, 0, &data);
            segment.word(TAIL).store(tail % (from.capacity * 2), Ordering::SeqCst);
            for _ in 0..64 {
                match from.pop() {
                    Ok(Some(frame)) => prop_assert!(frame.len() < 64),
                    Ok(None) | Err(_) => break,
                }
            }
        }
    }
}
