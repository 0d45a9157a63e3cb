//! What a worker says, and the events that it becomes: its ring, and the pipes behind its descriptors 1 and 2.
//!
//! Behind a lock, since two take turns at it: the reader thread, and for a moment the thread of a caller that waits on
//! the spot for what an execution says first ([`crate::Watch`]). Events go out under that lock, so that they keep their
//! order.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex, MutexGuard};

use buntime_ipc::{Consumer, DeniedKind, FrameStream, FromWorker, Lie, Peek, PipeMarks, RingState};

use crate::denials::{Denials, permission};
use crate::event::{Event, Flow, Stream};
use crate::executions::Executions;
use crate::launch::Settled;
use crate::learn::{Need, Needs};
use crate::output::Outputs;
use crate::queue::wake;
use crate::supervisor::Core;

/// Payload bytes taken from the ring before events go out.
const BATCH_BYTES: usize = 1024 * 1024;

/// The worker's way to us.
pub struct Inbound {
    core: Arc<Core>,
    consumer: Consumer,
    marks: PipeMarks,
    /// Wakes a worker that waits for space in its ring.
    space: OwnedFd,
    pub settled: Arc<Settled>,
    pub outputs: Outputs,
    pub executions: Executions,
    pub denials: Denials,
    /// Where a policy is learned: what the hooks tell of.
    pub told: Needs,
    learns: bool,
    /// Our own variables that the policy keeps from the worker: that others are not there is no denial.
    pub kept_away: HashSet<OsString>,
    pub batch: Vec<Event>,
    /// For the denials that it reports.
    pub worker_pid: Option<i32>,
    /// The worker broke the protocol: nothing of it is read any more.
    pub lie: Option<Lie>,
    /// The sink has enough for now.
    pub paused: bool,
    pub duty: Duty,
}

/// Whether a worker is the one that code goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Not yet: its events wait.
    Waiting,
    Serving,
    /// Its sandbox is gone and told of.
    Over,
}

/// An [`Inbound`], and a look at its ring that needs no lock.
#[derive(Clone)]
pub struct Inlet {
    pub peek: Peek,
    inbound: Arc<Mutex<Inbound>>,
}

impl Inlet {
    pub fn new(inbound: Inbound) -> Self {
        Self { peek: inbound.consumer.peek(), inbound: Arc::new(Mutex::new(inbound)) }
    }

    pub fn lock(&self) -> MutexGuard<'_, Inbound> {
        // A panic while it was held came from a sink, which has its events already.
        self.inbound.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// `None` while somebody else is at it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, Inbound>> {
        self.inbound.try_lock().ok()
    }
}

impl Inbound {
    pub fn new(
        core: Arc<Core>,
        settled: Arc<Settled>,
        (consumer, marks, space): (Consumer, PipeMarks, OwnedFd),
        outputs: Outputs,
        batch: Vec<Event>,
    ) -> Self {
        let learns = core.options.learn;
        Self {
            core,
            consumer,
            marks,
            space,
            settled,
            outputs,
            executions: Executions::default(),
            denials: Denials::default(),
            told: Needs::default(),
            learns,
            kept_away: HashSet::new(),
            batch,
            worker_pid: None,
            lie: None,
            paused: false,
            duty: Duty::Waiting,
        }
    }

    /// Reads, tells, and lets whoever waits for room go on. True when something was left unread.
    pub fn drain(&mut self) -> bool {
        if self.lie.is_some() || self.duty == Duty::Over {
            return false;
        }
        let left = self.read().unwrap_or_else(|lie| {
            self.lie = Some(lie);
            false
        });
        self.emit();
        if self.consumer.take_writer_waiting() {
            wake(&self.space);
        }
        if self.duty == Duty::Serving {
            let mut shared = self.core.shared();
            shared.flush();
            self.lie = self.lie.take().or(shared.lie.take());
        }
        left
    }

    /// Pipes first, then the ring, then what of the pipes is left: see [`Outputs`]. True when something was left
    /// unread.
    pub fn read(&mut self) -> Result<bool, Lie> {
        self.outputs.fill(&mut self.marks);
        let mut left = false;
        let mut bytes = 0;
        loop {
            if bytes > BATCH_BYTES {
                left = true;
                break;
            }
            let Some(payload) = self.consumer.pop()? else {
                self.outputs.rest(&mut self.batch);
                break;
            };
            let frame = FromWorker::parse(payload)?;
            bytes += payload.len();
            let (outputs, batch, marks) = (&mut self.outputs, &mut self.batch, &mut self.marks);
            match frame {
                FromWorker::Output { stream, more, marks: at, text } => {
                    bytes += outputs.up_to(at, marks, batch);
                    let stream = match stream {
                        FrameStream::Stdout => Stream::Stdout,
                        FrameStream::Stderr => Stream::Stderr,
                    };
                    outputs.text(stream, text, more, batch);
                }
                FromWorker::ExecStart { number, marks: at } => {
                    bytes += outputs.up_to(at, marks, batch);
                    let handed = || self.duty == Duty::Serving && self.core.shared().queue.begun();
                    self.executions.start(number, handed, batch)?;
                }
                FromWorker::ExecEnd { number, marks: at, exit_code, how, error } => {
                    bytes += outputs.up_to(at, marks, batch);
                    self.executions.end(number, exit_code, how, error, batch)?;
                }
                // Nothing is denied then: what is reported is what was asked for.
                FromWorker::Denied { kind, target, .. } if self.learns => {
                    let need = if kind == DeniedKind::Env { Need::Variable } else { Need::Listing };
                    self.told.add(need, OsStr::from_bytes(target).into());
                }
                FromWorker::Denied { kind: DeniedKind::Env, target, .. }
                    if !self.kept_away.contains(OsStr::from_bytes(target)) => {}
                FromWorker::Denied { kind, operation, target } => {
                    let pid = self.worker_pid.unwrap_or(0);
                    self.denials.report(&self.settled.stack, pid, (permission(kind), operation, target), batch);
                }
                // Other workers' part of the protocol; ours never sends them.
                FromWorker::Stdout { .. } => return Err(Lie::Type(0)),
                FromWorker::Check { check, .. } => return Err(Lie::Type(check as u8 + 1)),
            }
        }
        Ok(left | self.outputs.take_left())
    }

    /// What was reached, where a policy is learned.
    pub fn need(&mut self, need: Need, what: &str) {
        if self.learns {
            self.told.add(need, what.into());
        }
    }

    /// Sends the events on that were made.
    pub fn emit(&mut self) {
        if self.batch.is_empty() || self.duty == Duty::Waiting {
            return;
        }
        let batch = std::mem::take(&mut self.batch);
        self.core.note_state(&batch);
        if self.core.sink.emit(batch) == Flow::Pause {
            self.paused = true;
        }
    }

    /// See [`Consumer::begin_interrupt`].
    pub fn begin_interrupt(&mut self) -> u64 {
        self.consumer.begin_interrupt()
    }

    /// See [`Consumer::end_interrupt`].
    pub fn end_interrupt(&mut self) {
        self.consumer.end_interrupt();
    }

    /// Bytes that came through the ring.
    pub fn read_so_far(&self) -> u64 {
        self.consumer.read_so_far()
    }

    pub fn ring(&self) -> RingState {
        self.consumer.state()
    }
}
