//! From one sandbox of a supervisor to the next: a restart, or other policies.
//!
//! The next one is settled, launched and ready, and what is in force in it checked, before the serving one learns of
//! it; when any of that fails, nothing has changed. Then the serving one retires and ends, and the next takes over what
//! is left to execute.

use std::pin::Pin;
use std::sync::Arc;

use buntime_policy::PolicyMeta;
use buntime_sandbox::view::Region;
use tokio::sync::oneshot;

use crate::error::Error;
use crate::event::{Event, Phase, WorkerState};
use crate::generation::Generation;
use crate::interpreter::{Found, Python, Unasked};
use crate::launch::{self, Launched, Settled};
use crate::policies::PolicySet;
use crate::supervisor::Core;
use crate::threads::on_launcher;

/// What is to be different.
pub(crate) enum Change {
    /// Nothing but the worker.
    Restart,
    /// The policies in the place of the policy file.
    Apply(PolicySet),
}

/// A change, and whoever waits for it.
pub(crate) struct Order {
    pub what: Change,
    pub reply: oneshot::Sender<Result<PolicyMeta, Error>>,
}

impl Order {
    pub fn refuse(self, error: Error) {
        // The caller may have dropped its promise.
        let _ = self.reply.send(Err(error));
    }
}

type Work<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

/// A change that has begun.
pub(crate) struct Underway {
    core: Arc<Core>,
    done: Done,
    /// What the serving sandbox shows of the host, and may change meanwhile.
    beside: Vec<Region>,
    next: Option<Generation>,
    stage: Stage,
}

enum Stage {
    /// Settled and launched, on the launcher thread.
    Launching(Work<(Arc<Settled>, Launched)>),
    /// Until the worker is ready.
    Starting,
    /// The files that tell of the policy in force are written.
    Recording(Work<()>),
    /// Until the serving sandbox is gone.
    Waiting,
}

/// What is left to say when the change has happened.
pub(crate) struct Done {
    applies: bool,
    settled: Arc<Settled>,
    reply: oneshot::Sender<Result<PolicyMeta, Error>>,
}

impl Underway {
    pub fn begin(core: Arc<Core>, order: Order, current: &Generation) -> Self {
        let Order { what, reply } = order;
        let (before, applies) = (current.settled.clone(), matches!(what, Change::Apply(_)));
        let done = Done { applies, settled: before.clone(), reply };
        let settle = move |core: &Core| match what {
            Change::Restart => Ok(before),
            Change::Apply(set) => launch::settle_set(&core.options, &before, set).map(Arc::new),
        };
        let launching = launch(core.clone(), settle, Unasked::ask);
        let (beside, stage) = (current.regions.clone(), Stage::Launching(Box::pin(launching)));
        Self { core, done, beside, next: None, stage }
    }

    /// Waits for the next thing to happen to it and does what follows. True when it is the serving sandbox's turn to
    /// retire. May be dropped while it waits.
    pub async fn turn(&mut self) -> Result<bool, Error> {
        match (&mut self.stage, &mut self.next) {
            (Stage::Launching(launching), _) => {
                let (settled, launched) = launching.await?;
                self.done.settled = settled.clone();
                self.next = Some(Generation::new(self.core.clone(), settled, launched)?);
                self.stage = Stage::Starting;
            }
            (Stage::Recording(recording), _) => {
                recording.await?;
                self.stage = Stage::Waiting;
                return Ok(true);
            }
            (Stage::Starting, Some(next)) if next.over() => return Err(next.failure()),
            (Stage::Starting, Some(next)) => {
                let wake = next.wait().await;
                next.handle(wake);
                if next.ready {
                    let regions = [&next.regions[..], &self.beside].concat();
                    let recording = record(self.core.clone(), self.done.settled.clone(), regions);
                    self.stage = Stage::Recording(Box::pin(recording));
                }
            }
            (Stage::Waiting, Some(next)) if !next.over() => {
                let wake = next.wait().await;
                next.handle(wake);
            }
            (Stage::Starting | Stage::Waiting, _) => std::future::pending().await,
        }
        Ok(false)
    }

    /// It happens, whatever else does.
    pub fn is_settled(&self) -> bool {
        matches!(self.stage, Stage::Recording(_) | Stage::Waiting)
    }

    /// It happens as soon as the serving sandbox is gone.
    pub fn is_due(&self) -> bool {
        matches!(self.stage, Stage::Waiting)
    }

    pub async fn give_up(self, error: Error) {
        if let Some(next) = self.next {
            next.abandon().await;
        }
        let _ = self.done.reply.send(Err(error));
    }

    /// The sandbox that takes over; none before one was launched.
    pub fn complete(self) -> Option<(Generation, Done)> {
        self.next.map(|next| (next, self.done))
    }
}

impl Done {
    /// The events that come before those of the next sandbox; snapshots show the same.
    pub fn news(&self, core: &Core) -> Vec<Event> {
        let mut news = vec![Event::State(WorkerState::new(Phase::Restarting))];
        if self.settled.records_calls() {
            news.push(Event::AuditReset);
        }
        if self.applies {
            let policy = self.settled.stack.normalized();
            let snapshot = &mut core.shared().snapshot;
            snapshot.policy = Some(policy.clone());
            snapshot.policy_meta = Some(self.settled.meta.clone());
            news.push(Event::PolicyLoaded(Box::new(policy)));
            news.push(Event::PolicySetLoaded(Box::new(self.settled.meta.clone())));
            news.extend(self.settled.warnings.iter().cloned().map(Event::Warn));
        }
        news
    }

    pub fn answer(self) {
        let _ = self.reply.send(Ok(self.settled.meta.clone()));
    }
}

/// Settles, plans and launches, on the launcher thread and in one go: each change of threads costs as much as a mount.
/// Only an interpreter that was never asked is asked in between, off that thread, which it could hold up.
pub(crate) async fn launch<A>(
    core: Arc<Core>,
    settle: impl FnOnce(&Core) -> Result<Arc<Settled>, Error> + Send + 'static,
    ask: impl FnOnce(Unasked) -> A,
) -> Result<(Arc<Settled>, Launched), Error>
where
    A: Future<Output = Result<Python, Error>>,
{
    let launching = core.clone();
    let (settled, begun) = on_launcher(move || {
        let settled = settle(&launching)?;
        let begun = match launch::find_python(&launching.options, &settled)? {
            Found::Known(python) => Ok(launch::launch(&launching.options, &settled, &python)?),
            Found::Unasked(unasked) => Err(unasked),
        };
        Ok::<_, Error>((settled, begun))
    })
    .await??;
    match begun {
        Ok(launched) => Ok((settled, launched)),
        Err(unasked) => {
            let python = ask(unasked).await?;
            on_launcher(move || {
                let launched = launch::launch(&core.options, &settled, &python)?;
                Ok((settled, launched))
            })
            .await?
        }
    }
}

/// Writes the files that tell of the policy in force, where they are wanted.
pub(crate) async fn record(core: Arc<Core>, settled: Arc<Settled>, regions: Vec<Region>) -> Result<(), Error> {
    if core.options.active_policy_path.is_none() && core.options.active_policy_meta_path.is_none() {
        return Ok(());
    }
    on_launcher(move || launch::write_active(&core.options, &settled, &regions)).await?
}
