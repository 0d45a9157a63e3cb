//! The task of one supervisor on the reader thread: starts the first sandbox, serves its owner, and exchanges
//! sandboxes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::change::{self, Order, Underway};
use crate::error::Error;
use crate::event::{Event, Phase, WorkerState};
use crate::executions::Executions;
use crate::generation::{Generation, Wake};
use crate::launch::{self, Settled};
use crate::supervisor::{Command, Core, Ended, Life};

/// How long a sandbox that is replaced may go on with what it was handed.
const RETIRE_GRACE: Duration = Duration::from_secs(2);

/// From the start to the end. `started` is answered once.
pub(crate) async fn run(
    core: Arc<Core>,
    config_override: Option<Value>,
    mut commands: mpsc::UnboundedReceiver<Command>,
    started: oneshot::Sender<Result<(), Error>>,
) {
    match start(&core, config_override, &mut commands).await {
        Ok(first) => Task::new(core, commands, first).serve(started).await,
        Err(error) => {
            let mut batch = Vec::new();
            // No code is accepted from here on, so that none is left without its end.
            let accepted = {
                let mut shared = core.shared();
                shared.life = Life::Closing;
                shared.accepted
            };
            Executions::default().worker_gone(accepted, Ended::Never, None, true, &mut batch);
            batch.push(Event::State(WorkerState::new(Phase::Stopped)));
            core.finish(batch, Ended::Never);
            // The caller may have dropped its promise.
            let _ = started.send(Err(error));
        }
    }
}

async fn start(
    core: &Arc<Core>,
    config_override: Option<Value>,
    commands: &mut mpsc::UnboundedReceiver<Command>,
) -> Result<Generation, Error> {
    let settle = move |core: &Core| {
        let settled = launch::settle(&core.options, config_override.as_ref())?;
        tell_settled(core, &settled);
        Ok(Arc::new(settled))
    };
    let (settled, mut launched) =
        change::launch(core.clone(), settle, |unasked| unless_stopped(core, commands, unasked.ask())).await?;
    change::record(core.clone(), settled.clone(), launched.regions.clone()).await?;
    core.shared().stdin = launched.stdin.take();
    let mut first = Generation::new(core.clone(), settled, launched)?;
    first.serve(0, Vec::new());
    Ok(first)
}

/// Gives `work` up when the owner wants the end: at once when no code waits, else when the grace is over.
async fn unless_stopped<T>(
    core: &Core,
    commands: &mut mpsc::UnboundedReceiver<Command>,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let mut work = std::pin::pin!(work);
    let mut held = Vec::new();
    let mut until: Option<Instant> = None;
    let result = loop {
        tokio::select! {
            biased;
            command = commands.recv() => {
                let now = Instant::now();
                match &command {
                    Some(Command::Stop { grace, .. }) if core.shared().accepted > 0 => {
                        until = until.into_iter().chain(grace.map(|grace| now + grace)).min();
                    }
                    None | Some(Command::Stop { .. } | Command::Kill) => until = Some(now),
                    Some(Command::Interrupt(_) | Command::Change(_) | Command::Resume | Command::Look) => {}
                }
                held.extend(command);
            }
            () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => break Err(stopped()),
            result = &mut work => break result,
        }
    };
    // Back into the channel, for the worker's task; without one, a stop is answered when that is dropped, at the very
    // end.
    for mut command in held {
        if let Command::Stop { grace, .. } = &mut command {
            *grace = until.map(|at| at.saturating_duration_since(Instant::now()));
        }
        // Its sender is in `core`, its receiver our caller's.
        let _ = core.command(command);
    }
    result
}

fn stopped() -> Error {
    Error::setup("ERR_BUNTIME_WORKER", "the supervisor was stopped before the interpreter had answered")
}

fn tell_settled(core: &Core, settled: &Settled) {
    let policy = settled.stack.normalized();
    {
        let mut shared = core.shared();
        shared.snapshot.policy = Some(policy.clone());
        shared.snapshot.policy_meta = Some(settled.meta.clone());
        shared.snapshot.config = Some(settled.config.clone());
    }
    let mut batch = vec![
        Event::State(WorkerState::new(Phase::Starting)),
        Event::PolicyLoaded(Box::new(policy)),
        Event::PolicySetLoaded(Box::new(settled.meta.clone())),
        Event::ConfigLoaded(Box::new(settled.config.clone())),
    ];
    batch.extend(settled.warnings.iter().cloned().map(Event::Warn));
    core.note_state(&batch);
    core.sink.emit(batch);
}

/// A supervisor with a running sandbox, and maybe the one that is to come next.
struct Task {
    core: Arc<Core>,
    commands: mpsc::UnboundedReceiver<Command>,
    current: Generation,
    change: Option<Underway>,
    /// What was ordered meanwhile: there is one change at a time.
    orders: VecDeque<Order>,
    /// The owner asked for the end.
    wanted: bool,
    /// What is left then is killed, whichever sandbox serves.
    stop_at: Option<Instant>,
    stops: Vec<oneshot::Sender<Ended>>,
}

/// What the task is woken by.
enum Occasion {
    Command(Option<Command>),
    Change(Result<bool, Error>),
    Current(Wake),
}

impl Task {
    fn new(core: Arc<Core>, commands: mpsc::UnboundedReceiver<Command>, current: Generation) -> Self {
        Self {
            core,
            commands,
            current,
            change: None,
            orders: VecDeque::new(),
            wanted: false,
            stop_at: None,
            stops: Vec::new(),
        }
    }

    /// Until the last sandbox is gone and everything it wrote is told.
    async fn serve(mut self, started: oneshot::Sender<Result<(), Error>>) {
        let mut started = Some(started);
        loop {
            if self.current.ready {
                // The caller may have dropped its promise.
                let _ = started.take().map(|started| started.send(Ok(())));
                self.begin_change();
            }
            if self.current.over() {
                match self.change.take_if(|change| change.is_due()) {
                    Some(change) => self.exchange(change).await,
                    None => break,
                }
                continue;
            }
            match self.wait().await {
                Occasion::Command(command) => self.command(command).await,
                Occasion::Change(Ok(due)) if due => self.current.retire(RETIRE_GRACE),
                Occasion::Change(Ok(_)) => {}
                Occasion::Change(Err(error)) => self.give_change_up(error).await,
                Occasion::Current(wake) => self.current.handle(wake),
            }
        }
        self.close(started).await;
    }

    async fn wait(&mut self) -> Occasion {
        let Self { commands, change, current, wanted, .. } = self;
        // In this order: whatever floods the data, orders and the next sandbox are seen in each turn.
        tokio::select! {
            biased;
            command = commands.recv(), if !*wanted || !commands.is_closed() => Occasion::Command(command),
            turn = async {
                match change {
                    Some(change) => change.turn().await,
                    None => std::future::pending().await,
                }
            } => Occasion::Change(turn),
            wake = current.wait() => Occasion::Current(wake),
        }
    }

    async fn command(&mut self, command: Option<Command>) {
        match command {
            Some(Command::Interrupt(reply)) => self.current.interrupt(reply),
            Some(Command::Change(order)) => self.orders.push_back(order),
            Some(Command::Stop { grace, reply }) => {
                self.stops.push(reply);
                self.end(grace.map(|grace| Instant::now() + grace)).await;
            }
            // The owner is gone.
            None | Some(Command::Kill) => {
                self.end(Some(Instant::now())).await;
                self.current.kill();
            }
            Some(Command::Resume) => self.current.resume(),
            Some(Command::Look) => self.current.look(),
        }
    }

    /// The owner wants the end, at `until` at the latest. A change that is about to happen happens: what it takes over
    /// is executed by the next sandbox.
    async fn end(&mut self, until: Option<Instant>) {
        self.wanted = true;
        self.stop_at = self.stop_at.into_iter().chain(until).min();
        self.current.stop(self.stop_at);
        for order in self.orders.drain(..) {
            order.refuse(ended());
        }
        if self.change.as_ref().is_some_and(|change| !change.is_settled()) {
            self.give_change_up(ended()).await;
        }
    }

    fn begin_change(&mut self) {
        if self.change.is_none()
            && !self.wanted
            && let Some(order) = self.orders.pop_front()
        {
            self.change = Some(Underway::begin(self.core.clone(), order, &self.current));
        }
    }

    /// The sandbox that serves goes on as before.
    async fn give_change_up(&mut self, error: Error) {
        if let Some(change) = self.change.take() {
            change.give_up(error).await;
        }
    }

    /// The next sandbox takes over from one that is gone.
    async fn exchange(&mut self, change: Underway) {
        let Some((next, done)) = change.complete() else { return };
        let old = std::mem::replace(&mut self.current, next);
        let executed = old.hand_over().await;
        self.current.serve(executed, done.news(&self.core));
        if self.wanted {
            self.current.stop(self.stop_at);
        }
        done.answer();
    }

    /// The sandbox is gone, and none comes after it: answers everybody.
    async fn close(mut self, started: Option<oneshot::Sender<Result<(), Error>>>) {
        self.give_change_up(ended()).await;
        let (end, error) = self.current.close().await;
        if let Some(started) = started {
            let _ = started.send(Err(error));
        }
        // Those that were sent while the task was ending.
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Stop { reply, .. } => self.stops.push(reply),
                Command::Interrupt(reply) => drop(reply),
                Command::Change(order) => order.refuse(ended()),
                Command::Kill | Command::Resume | Command::Look => {}
            }
        }
        for order in self.orders {
            order.refuse(ended());
        }
        for reply in self.stops {
            let _ = reply.send(end);
        }
    }
}

fn ended() -> Error {
    Error::other("ERR_BUNTIME_STATE", "the worker was not replaced: the supervisor has ended")
}
