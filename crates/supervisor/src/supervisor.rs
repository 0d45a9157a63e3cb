//! The supervisor: one sandbox, its worker, and the executions in it. Its owner's side; [`crate::worker`] is the other.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use buntime_ipc::Lie;
use buntime_policy::{NormalizedPolicy, PolicyMeta};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::change::{Change, Order};
use crate::config::SandboxConfig;
use crate::error::Error;
use crate::event::{Enforcement, Event, EventSink, Phase, WorkerState};
use crate::inbound::Inlet;
use crate::options::{Options, Run, SHM_SIZE_RANGE};
use crate::policies::PolicySet;
use crate::queue::{Queue, Wire};
use crate::watch::Watch;
use crate::{threads, worker};

/// What `interrupt` did.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Interrupted {
    /// Whether the worker's globals are gone.
    pub state_lost: bool,
}

/// How the worker process ended, from the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With this code.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
    /// It never started.
    Never,
}

/// `getSnapshot()`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// In force; none before the start.
    pub policy: Option<NormalizedPolicy>,
    /// Of that policy.
    pub policy_meta: Option<PolicyMeta>,
    /// Defaults included; none before the start.
    pub config: Option<SandboxConfig>,
    /// None until the worker is ready.
    pub enforcement: Option<Enforcement>,
    /// The last that was told.
    pub state: WorkerState,
}

/// What the owner asks of the worker's task.
pub(crate) enum Command {
    Interrupt(oneshot::Sender<Interrupted>),
    Stop {
        grace: Option<Duration>,
        reply: oneshot::Sender<Ended>,
    },
    Change(Order),
    Kill,
    Resume,
    /// Something may lie in the ring of which no wake-up told.
    Look,
}

/// Where a supervisor is in its one life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    New,
    /// From `start` on: code is accepted.
    Open,
    /// From `stop` on: what was accepted is finished.
    Closing,
    Over(Ended),
}

/// Shared by the owner and the worker's task.
pub(crate) struct Core {
    pub options: Options,
    pub sink: Arc<dyn EventSink>,
    shared: Mutex<Shared>,
}

pub(crate) struct Shared {
    pub life: Life,
    pub queue: Queue,
    /// The way to the worker, once there is one.
    pub wire: Option<Wire>,
    /// The way from it.
    pub inlet: Option<Inlet>,
    /// Found while code was moved into the ring, maybe on the caller's thread; for the worker's task to act on.
    pub lie: Option<Lie>,
    /// Executions that `run` took.
    pub accepted: u32,
    pub stdin: Option<OwnedFd>,
    pub commands: Option<mpsc::UnboundedSender<Command>>,
    pub snapshot: Snapshot,
}

impl Core {
    pub fn shared(&self) -> MutexGuard<'_, Shared> {
        // A panic while it was held can only have left a half-filled snapshot.
        self.shared.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Keeps the last state of a batch, for snapshots.
    pub fn note_state(&self, batch: &[Event]) {
        let last =
            batch.iter().rev().find_map(|event| if let Event::State(state) = event { Some(state) } else { None });
        if let Some(state) = last {
            self.shared().snapshot.state = state.clone();
        }
    }

    /// The end of every life: the last events, then the state that `stop` answers with.
    pub fn finish(&self, batch: Vec<Event>, ended: Ended) {
        self.note_state(&batch);
        self.sink.emit(batch);
        let mut shared = self.shared();
        shared.life = Life::Over(ended);
        shared.wire = None;
        shared.inlet = None;
        shared.stdin = None;
        shared.commands = None;
    }

    pub fn command(&self, command: Command) -> Result<(), Command> {
        match &self.shared().commands {
            Some(commands) => commands.send(command).map_err(|unsent| unsent.0),
            None => Err(command),
        }
    }
}

/// One sandbox. All methods may be called from any thread, at any time; futures need no runtime of the caller's.
/// Dropping it kills what runs.
pub struct Supervisor {
    core: Arc<Core>,
}

impl Supervisor {
    /// Checks the options; touches nothing outside the process.
    pub fn new(options: Options, sink: Arc<dyn EventSink>) -> Result<Self, Error> {
        if !SHM_SIZE_RANGE.contains(&options.shm_size) {
            return Err(Error::policy(
                "ERR_BUNTIME_OPTION",
                format!(
                    "shmSize is {}, expected {} to {} bytes",
                    options.shm_size,
                    SHM_SIZE_RANGE.start(),
                    SHM_SIZE_RANGE.end()
                ),
            ));
        }
        let shared = Shared {
            life: Life::New,
            queue: Queue::default(),
            wire: None,
            inlet: None,
            lie: None,
            accepted: 0,
            stdin: None,
            commands: None,
            snapshot: Snapshot {
                policy: None,
                policy_meta: None,
                config: None,
                enforcement: None,
                state: WorkerState::new(Phase::Stopped),
            },
        };
        Ok(Self { core: Arc::new(Core { options, sink, shared: Mutex::new(shared) }) })
    }

    /// Resolves when the worker is ready. `config_override` is merged deeply over the configuration file.
    pub fn start(&self, config_override: Option<Value>) -> impl Future<Output = Result<(), Error>> + Send + 'static {
        let begun = self.begin(config_override);
        async move {
            let lost = || Error::other("ERR_BUNTIME_INTERNAL", "the supervisor's thread is gone; this is a bug");
            begun?.await.map_err(|_| lost())?
        }
    }

    fn begin(&self, config_override: Option<Value>) -> Result<oneshot::Receiver<Result<(), Error>>, Error> {
        let (commands, orders) = mpsc::unbounded_channel();
        {
            let mut shared = self.core.shared();
            if shared.life != Life::New {
                let what = if shared.life == Life::Open { "has started already" } else { "has been stopped" };
                return Err(Error::other("ERR_BUNTIME_STATE", format!("start(): the supervisor {what}")));
            }
            shared.life = Life::Open;
            shared.commands = Some(commands);
        }
        let (started, result) = oneshot::channel();
        threads::on_reader(worker::run(self.core.clone(), config_override, orders, started))?;
        Ok(result)
    }

    /// Queues an execution. `Ok(false)` before `start` and after the end; an error when the text is too long.
    pub fn run(&self, run: Run) -> Result<bool, Error> {
        Ok(self.queue(run, false)?.is_some())
    }

    /// As [`Self::run`], for a caller that waits on the spot, and briefly, for the execution's first output or its end.
    /// `None` where `run` says false; a `Watch` that is `None` where there is nothing to look at yet.
    pub fn run_watched(&self, run: Run) -> Result<Option<Option<Watch>>, Error> {
        self.queue(run, true)
    }

    fn queue(&self, run: Run, watched: bool) -> Result<Option<Option<Watch>>, Error> {
        let entry = self.core.options.entry.as_ref().map_or(&b""[..], |path| path.as_os_str().as_bytes());
        let mut shared = self.core.shared();
        if shared.life != Life::Open {
            return Ok(None);
        }
        shared.queue.push(run, entry)?;
        if let Some(wire) = &shared.wire {
            wire.overlays.refresh();
        }
        shared.accepted += 1;
        let inlet = shared.inlet.clone().filter(|_| watched);
        let watch = inlet.map(|inlet| Watch::new(self.core.clone(), inlet));
        if watch.is_some() {
            shared.set_watched(true);
        }
        shared.flush();
        Ok(Some(watch))
    }

    /// Interrupts the execution under way (KeyboardInterrupt), or the next when code waits. Resolves when it has ended,
    /// or after 2 s when it goes on all the same.
    pub fn interrupt(&self) -> impl Future<Output = Result<Interrupted, Error>> + Send + 'static {
        let (reply, answer) = oneshot::channel();
        let asked = self.core.command(Command::Interrupt(reply)).is_ok();
        async move {
            // Without a worker there is no state either.
            let gone = Interrupted { state_lost: true };
            Ok(if asked { answer.await.unwrap_or(gone) } else { gone })
        }
    }

    /// Idempotent. Lets queued code and exit handlers finish for `grace` (`None`: for ever), then kills.
    pub fn stop(&self, grace: Option<Duration>) -> impl Future<Output = Ended> + Send + 'static {
        let core = self.core.clone();
        let (reply, answer) = oneshot::channel();
        {
            let mut shared = core.shared();
            match shared.life {
                Life::New => shared.life = Life::Over(Ended::Never),
                Life::Open => {
                    shared.life = Life::Closing;
                    shared.queue.push_shutdown();
                    shared.flush();
                }
                Life::Closing | Life::Over(_) => {}
            }
        }
        // When the task is gone the answer stands in `life`.
        let _ = core.command(Command::Stop { grace, reply });
        async move {
            match answer.await {
                Ok(ended) => ended,
                Err(_) => match core.shared().life {
                    Life::Over(ended) => ended,
                    _ => Ended::Never,
                },
            }
        }
    }

    /// Puts policies in the place of the policy file, by a new sandbox. The old one, and its policy, hold until the new
    /// one is ready; when that fails, nothing has changed. What the worker was handed before ends under the old policy,
    /// within two seconds; all other code that waits is executed under the new one.
    pub fn apply_policy_set(&self, set: PolicySet) -> impl Future<Output = Result<PolicyMeta, Error>> + Send + 'static {
        self.change(Change::Apply(set))
    }

    /// Replaces the worker by a fresh one under the same policy, likewise.
    pub fn restart_worker(&self) -> impl Future<Output = Result<(), Error>> + Send + 'static {
        let changed = self.change(Change::Restart);
        async move { changed.await.map(drop) }
    }

    fn change(&self, what: Change) -> impl Future<Output = Result<PolicyMeta, Error>> + Send + 'static {
        let life = self.core.shared().life;
        let (reply, answer) = oneshot::channel();
        let ordered = match life {
            Life::New => Err("has not started yet"),
            Life::Open => self.core.command(Command::Change(Order { what, reply })).map_err(|_| "has ended"),
            Life::Closing => Err("is being stopped"),
            Life::Over(_) => Err("has ended"),
        };
        let refused = |why: &str| {
            Error::other("ERR_BUNTIME_STATE", format!("the worker cannot be replaced: the supervisor {why}"))
        };
        async move {
            ordered.map_err(refused)?;
            answer.await.unwrap_or_else(|_| Err(refused("has ended")))
        }
    }

    /// Kills the sandbox now; what runs ends with an `exec_end` like any other end.
    pub fn kill(&self) {
        // When the task is gone, so is the sandbox.
        let _ = self.core.command(Command::Kill);
    }

    /// The sink has room again after [`crate::Flow::Pause`].
    pub fn resume(&self) {
        let _ = self.core.command(Command::Resume);
    }

    /// The worker's stdin, once, when `Options::stdin` is set and the worker has started.
    pub fn take_stdin(&self) -> Option<OwnedFd> {
        self.core.shared().stdin.take()
    }

    /// What has been told so far.
    pub fn snapshot(&self) -> Snapshot {
        self.core.shared().snapshot.clone()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Shared {
    /// Whether somebody looks at what the worker writes without being woken.
    pub fn set_watched(&mut self, watched: bool) {
        if let Some(wire) = &mut self.wire {
            wire.producer.set_watched(watched);
        }
    }

    /// Moves queued code into the ring. A worker that lies about its place in it gets no more, and ends.
    pub fn flush(&mut self) {
        if let Some(wire) = &mut self.wire
            && let Err(lie) = self.queue.flush(wire)
        {
            self.wire = None;
            self.lie = Some(lie);
            if let Some(commands) = &self.commands {
                // The task looks for it when it is woken; when it is gone, so is the worker.
                let _ = commands.send(Command::Resume);
            }
        }
    }
}
