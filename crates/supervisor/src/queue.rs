//! What waits to be executed: text on its way into the ring, in parts where it is longer than the ring.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};

use buntime_ipc::{Full, Lie, Producer, RunWhat, ToWorker};
use buntime_sandbox::sys;

use crate::error::Error;
use crate::options::{MAX_CODE, Run};
use crate::overlays::Overlays;

/// Most bytes of source that wait, over all queued executions.
const MAX_QUEUED: usize = 4 * MAX_CODE;

/// The way to a running worker. Neither end of it ever blocks.
pub struct Wire {
    pub producer: Producer,
    pub to_worker: OwnedFd,
    /// What of the worker's file tree is to look at the host again before each execution.
    pub overlays: Overlays,
}

impl Wire {
    /// Tells the worker to end when it has executed what it was handed. False when there is no room for that yet.
    pub fn shut_down(&mut self) -> Result<bool, Lie> {
        let (head, length) = ToWorker::Shutdown.head();
        let told = self.producer.push(&[&head[..length]])? == Ok(());
        if told {
            wake(&self.to_worker);
        }
        Ok(told)
    }
}

struct Item {
    kind: ToWorker,
    text: Vec<u8>,
    sent: usize,
}

/// First in, first out. Before there is a worker everything waits here; what a worker was handed stays until it has
/// begun with it, for another worker may have to take it over.
#[derive(Default)]
pub struct Queue {
    items: VecDeque<Item>,
    /// The first so many are in the ring.
    handed: usize,
    /// Not yet in the ring.
    bytes: usize,
}

impl Queue {
    /// Takes an execution, or says why its text cannot be.
    pub fn push(&mut self, run: Run, entry: &[u8]) -> Result<(), Error> {
        let (kind, text) = match run {
            Run::Code(text) => (ToWorker::Code, text.into_bytes()),
            Run::File => (ToWorker::Run(RunWhat::File), entry.to_vec()),
            Run::Command(text) => (ToWorker::Run(RunWhat::Command), text.into_bytes()),
            Run::Stdin(text) => (ToWorker::Run(RunWhat::Stdin), text.into_bytes()),
        };
        if text.len() > MAX_CODE {
            let length = text.len();
            return Err(Error::other(
                "ERR_BUNTIME_CODE_TOO_LONG",
                format!("code of {length} bytes, expected at most {MAX_CODE}"),
            ));
        }
        if self.bytes + text.len() > MAX_QUEUED {
            return Err(Error::other(
                "ERR_BUNTIME_QUEUE_FULL",
                format!("{} bytes of code wait already, expected at most {MAX_QUEUED}", self.bytes),
            ));
        }
        self.bytes += text.len();
        self.items.push_back(Item { kind, text, sent: 0 });
        Ok(())
    }

    /// The last thing that a worker is told.
    pub fn push_shutdown(&mut self) {
        self.items.push_back(Item { kind: ToWorker::Shutdown, text: Vec::new(), sent: 0 });
    }

    /// The worker has begun with the next execution. False when it was handed none.
    pub fn begun(&mut self) -> bool {
        let handed = self.handed > 0 && self.items.front().is_some_and(|item| item.kind != ToWorker::Shutdown);
        if handed {
            self.handed -= 1;
            self.items.pop_front();
        }
        handed
    }

    /// The worker is gone: what it had not begun with is for the next one.
    pub fn take_back(&mut self) {
        self.handed = 0;
        for item in &mut self.items {
            self.bytes += item.sent;
            item.sent = 0;
        }
    }

    /// Moves as much into the ring as fits, and wakes the worker when something did.
    pub fn flush(&mut self, wire: &mut Wire) -> Result<(), Lie> {
        // A quarter of the ring: the worker reads one part while the next is written.
        let most = (wire.producer.max_payload() / 4).max(1);
        let mut pushed = false;
        while let Some(item) = self.items.get_mut(self.handed) {
            let rest = &item.text[item.sent..];
            let (kind, part) = if rest.len() > most { (ToWorker::CodePart, &rest[..most]) } else { (item.kind, rest) };
            let (head, length) = kind.head();
            match wire.producer.push(&[&head[..length], part])? {
                Ok(()) => {}
                Err(Full) => break,
            }
            pushed = true;
            item.sent += part.len();
            self.bytes -= part.len();
            if kind == item.kind && item.sent == item.text.len() {
                self.handed += 1;
            }
        }
        if pushed {
            wake(&wire.to_worker);
        }
        Ok(())
    }
}

/// Wakes the worker by a byte in a pipe. A full pipe is woken already, a broken one is nobody's; neither blocks.
pub fn wake(pipe: &OwnedFd) {
    let _ = sys::write_all(pipe.as_fd(), b"1", "wake-up");
}

#[cfg(test)]
mod tests {
    use buntime_ipc::Segment;

    use super::*;

    #[test]
    fn text_longer_than_the_ring_goes_in_parts_and_none_is_lost() {
        let (_, producer, _) = Segment::create(4096).unwrap().host_ends();
        let (_read, to_worker) = sys::pipe().unwrap();
        let mut wire = Wire { producer, to_worker, overlays: Overlays::default() };
        let mut queue = Queue::default();
        queue.push(Run::Code("x".repeat(10_000)), b"").unwrap();
        queue.flush(&mut wire).unwrap();
        assert!(queue.bytes > 8_000, "the ring holds what fits: {}", queue.bytes);
        assert_eq!(queue.items.len(), 1);
        assert!(!queue.begun(), "it is not in the ring as a whole");
    }

    #[test]
    fn what_a_worker_has_not_begun_with_is_handed_to_the_next_one() {
        let wire = || {
            let (_, producer, _) = Segment::create(4096).unwrap().host_ends();
            let (read, to_worker) = sys::pipe().unwrap();
            (Wire { producer, to_worker, overlays: Overlays::default() }, read)
        };
        let mut queue = Queue::default();
        for text in ["first", "second", &"x".repeat(3000)] {
            queue.push(Run::Code(text.into()), b"").unwrap();
        }
        queue.flush(&mut wire().0).unwrap();
        assert_eq!(queue.handed, 2);
        assert!(queue.begun());
        queue.take_back();
        assert_eq!((queue.handed, queue.bytes), (0, "second".len() + 3000));
        let (mut next, _read) = wire();
        queue.flush(&mut next).unwrap();
        assert!(queue.begun());
        assert!(!queue.begun(), "the long text is on its way");
        // Nobody has begun with the order to end.
        let mut queue = Queue::default();
        queue.push_shutdown();
        queue.flush(&mut wire().0).unwrap();
        assert!(!queue.begun());
    }

    #[test]
    fn too_much_is_an_error_that_says_how_much_is_not() {
        let mut queue = Queue::default();
        let long = queue.push(Run::Code("x".repeat(MAX_CODE + 1)), b"").unwrap_err();
        assert!(long.message.contains(&MAX_CODE.to_string()), "{long}");
        for _ in 0..4 {
            queue.push(Run::Code("x".repeat(MAX_CODE)), b"").unwrap();
        }
        assert_eq!(queue.push(Run::Code("x".into()), b"").unwrap_err().code, "ERR_BUNTIME_QUEUE_FULL");
    }
}
