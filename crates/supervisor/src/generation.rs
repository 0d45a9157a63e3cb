//! One sandbox of a supervisor: drains what its worker writes, and ends it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use buntime_ipc::{ControlLine, ControlLines, Lie, RingState};
use buntime_network::{Listeners, Network};
use buntime_sandbox::message::{Built, FromHelper, SupervisorEnd, WorkerEnd};
use buntime_sandbox::mutation::MUTANT;
use buntime_sandbox::sys::{self, Reply};
use buntime_sandbox::view::Region;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use crate::error::Error;
use crate::event::{Enforcement, Event, MemoryStats, Phase, RingStats, WorkerState};
use crate::executions::{Executions, signal_name};
use crate::inbound::{Duty, Inbound, Inlet};
use crate::launch::{Launched, Settled};
use crate::network::{self, News};
use crate::notify::{Hiding, Job, Watcher};
use crate::output::Outputs;
use crate::overlays::Overlays;
use crate::process::{self, Sampler};
use crate::queue::Wire;
use crate::readable::Readable;
use crate::setup_error;
use crate::supervisor::{Core, Ended, Interrupted, Life};
use crate::threads::on_launcher;

/// From the helper's start to `READY`.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long `interrupt` waits for the execution to end.
const INTERRUPT_WAIT: Duration = Duration::from_secs(2);
/// From asking PID 1 to kill the worker to killing the helper.
const KILL_WAIT: Duration = Duration::from_millis(500);
/// From the sandbox's end to giving up on pipes that somebody still holds.
const DRAIN_WAIT: Duration = Duration::from_secs(1);
/// Between two `memory` events while code runs.
const MEMORY_PERIOD: Duration = Duration::from_millis(100);
/// From the exec gate's answer to reading back what is in force: the interpreter is executed by then, and still
/// starting.
const EXEC_SETTLES: Duration = Duration::from_millis(2);

/// A running sandbox.
pub struct Generation {
    core: Arc<Core>,
    pub settled: Arc<Settled>,
    /// What the policy says of the host's files.
    pub regions: Vec<Region>,
    /// The way to the worker while nobody else may use it: before it serves, and when it has retired.
    wire: Option<Wire>,
    /// It has retired, and there was no room yet to tell the worker.
    untold: bool,
    child: Option<Child>,
    helper: Readable<SupervisorEnd>,
    /// The exec gate, until the worker's one `execve` has passed.
    listener: Option<Readable<OwnedFd>>,
    /// Where calls are watched: until the listener comes, then for as long as the sandbox lasts.
    watch: Option<Job>,
    /// Where the host is hidden: until the listener is there for that alone.
    hiding: Option<Hiding>,
    watcher: Option<Watcher>,
    /// What the network's threads tell.
    news: Arc<News>,
    network: Option<Arc<Network>>,
    control: Readable<OwnedFd>,
    control_open: bool,
    to_host: Readable<OwnedFd>,
    to_host_open: bool,
    stdout: Arc<Readable<File>>,
    stderr: Arc<Readable<File>>,
    inlet: Inlet,
    lines: ControlLines,
    sampler: Sampler,
    built: Built,
    /// Notes on what is in force, besides the helper's.
    standing: Vec<String>,
    worker_pid: Option<i32>,
    /// The worker's process itself, whatever becomes of its number.
    process: Option<OwnedFd>,
    /// Read while the interpreter starts; read again when it does not show everything.
    enforcement: Option<Enforcement>,
    pub ready: bool,
    /// Set with the first failure of the start, for whoever waits for it.
    failed: Option<Error>,
    /// From the helper's report; the kernel's word.
    end: Option<WorkerEnd>,
    helper_gone: bool,
    /// The worker broke the protocol, and is being killed for it.
    lie: Option<Lie>,
    /// Its end was asked for.
    wanted: bool,
    /// Something was left unread, on purpose: look again without waiting.
    unread: bool,
    /// The execution that is to be interrupted, by its number.
    interrupt_target: Option<u32>,
    /// Its signal is sent when the ring has been read up to here and it is still running.
    interrupt_after: Option<u64>,
    /// Whoever waits for an interrupt to take effect waits for the end of this execution.
    interrupt_until: u32,
    interrupts: Vec<oneshot::Sender<Interrupted>>,
    deadlines: Deadlines,
}

#[derive(Default)]
struct Deadlines {
    start: Option<Instant>,
    stop: Option<Instant>,
    kill: Option<Instant>,
    drain: Option<Instant>,
    interrupt: Option<Instant>,
    memory: Option<Instant>,
    enforcement: Option<Instant>,
}

impl Deadlines {
    fn next(&self) -> Option<Instant> {
        [self.start, self.stop, self.kill, self.drain, self.interrupt, self.memory, self.enforcement]
            .into_iter()
            .flatten()
            .min()
    }
}

/// Takes a deadline that has passed.
fn passed(deadline: &mut Option<Instant>) -> bool {
    deadline.take_if(|at| *at <= Instant::now()).is_some()
}

/// What a sandbox is to be looked at for.
pub enum Wake {
    Data,
    Control,
    Helper,
    Listener,
    Watcher,
    Network,
    Time,
}

impl Generation {
    /// Of a helper that was told what to do. Serves nobody yet.
    pub fn new(core: Arc<Core>, settled: Arc<Settled>, launched: Launched) -> Result<Self, Error> {
        Self::register(core, settled, launched)
            .map_err(|error| Error::setup("ERR_BUNTIME_RESOURCES", format!("epoll: {error}")))
    }

    fn register(core: Arc<Core>, settled: Arc<Settled>, launched: Launched) -> io::Result<Self> {
        let (consumer, producer, marks) = launched.segment.host_ends();
        let readable = |fd: OwnedFd| Readable::new(File::from(fd)).map(Arc::new);
        let (stdout, stderr) = (readable(launched.stdout)?, readable(launched.stderr)?);
        let outputs = Outputs::new(stdout.clone(), stderr.clone());
        let ring = (consumer, marks, launched.space);
        let notes = launched.notes.into_iter().map(Event::Warn).collect();
        let mut inbound = Inbound::new(core.clone(), settled.clone(), ring, outputs, notes);
        inbound.kept_away = launched.kept_away;
        let inlet = Inlet::new(inbound);
        let deadlines = Deadlines { start: Some(Instant::now() + START_LIMIT), ..Deadlines::default() };
        Ok(Self {
            settled,
            regions: launched.regions,
            wire: Some(Wire { producer, to_worker: launched.to_worker, overlays: Overlays::default() }),
            untold: false,
            helper: Readable::new(launched.helper)?,
            listener: None,
            watch: launched.watch,
            hiding: launched.hiding,
            watcher: None,
            news: Arc::default(),
            network: None,
            control: Readable::new(launched.control)?,
            control_open: true,
            to_host: Readable::new(launched.to_host)?,
            to_host_open: true,
            child: Some(launched.child.into_child()),
            stdout,
            stderr,
            inlet,
            lines: ControlLines::default(),
            sampler: Sampler::default(),
            built: Built::default(),
            standing: launched.standing,
            worker_pid: None,
            process: None,
            enforcement: None,
            ready: false,
            failed: None,
            end: None,
            helper_gone: false,
            lie: None,
            wanted: false,
            unread: false,
            interrupt_target: None,
            interrupt_after: None,
            interrupt_until: 0,
            interrupts: Vec::new(),
            deadlines,
            core,
        })
    }

    /// From here on code goes to this one, after `executed` that earlier ones have seen the end of. `news` comes before
    /// its own events.
    pub fn serve(&mut self, executed: u32, mut news: Vec<Event>) {
        let mut inbound = self.inlet.lock();
        inbound.executions = Executions::after(executed);
        inbound.duty = Duty::Serving;
        news.append(&mut inbound.batch);
        inbound.batch = news;
        {
            let mut shared = self.core.shared();
            shared.wire = self.wire.take();
            shared.inlet = Some(self.inlet.clone());
            shared.snapshot.enforcement.clone_from(&self.enforcement);
            shared.flush();
        }
        inbound.emit();
    }

    /// Code goes to it no more; what it was handed it executes, for `grace` at most, and ends.
    pub fn retire(&mut self, grace: Duration) {
        self.stop(Some(Instant::now() + grace));
        self.wire = self.core.shared().wire.take();
        self.untold = true;
        self.tell_end();
    }

    fn tell_end(&mut self) {
        let Some(wire) = self.wire.as_mut().filter(|_| self.untold) else { return };
        match wire.shut_down() {
            Ok(told) => self.untold = !told,
            Err(lie) => self.lied(lie),
        }
    }

    /// Until the sandbox is gone and everything that it wrote is read.
    pub fn over(&self) -> bool {
        let drained = self.inlet.lock().outputs.open() == (false, false) && !self.unread;
        self.helper_gone && (drained || self.lie.is_some() || self.deadlines.drain.is_none())
    }

    pub async fn wait(&self) -> Wake {
        let (paused, (stdout_open, stderr_open)) = {
            let inbound = self.inlet.lock();
            (inbound.paused, inbound.outputs.open())
        };
        let listens = !paused && self.lie.is_none();
        let deadline = self.deadlines.next();
        // In this order: whatever floods the data, the helper's reports and deadlines are seen in each turn.
        tokio::select! {
            biased;
            () = self.helper.wait(), if !self.helper_gone => Wake::Helper,
            () = async {
                match &self.listener {
                    Some(listener) => listener.wait().await,
                    None => std::future::pending().await,
                }
            } => Wake::Listener,
            () = async {
                match &self.watcher {
                    Some(watcher) => watcher.news().await,
                    None => std::future::pending().await,
                }
            } => Wake::Watcher,
            () = self.news.wait(), if !paused && self.network.is_some() => Wake::Network,
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => Wake::Time,
            () = self.control.wait(), if listens && self.control_open => Wake::Control,
            // Other sandboxes' turn first, then what was left unread.
            () = tokio::task::yield_now(), if self.unread && listens => Wake::Data,
            () = self.to_host.wait(), if listens && self.to_host_open => Wake::Data,
            () = self.stdout.wait(), if listens && stdout_open => Wake::Data,
            () = self.stderr.wait(), if listens && stderr_open => Wake::Data,
        }
    }

    pub fn handle(&mut self, wake: Wake) {
        match wake {
            Wake::Data => self.drain(),
            Wake::Control => self.read_control(),
            Wake::Helper => self.read_helper(),
            Wake::Listener => self.pass_exec(),
            Wake::Watcher => self.hear_watcher(false),
            Wake::Network => self.hear_network(),
            Wake::Time => self.time(),
        }
        self.inlet.lock().emit();
    }

    /// The sink has room again.
    pub fn resume(&mut self) {
        self.inlet.lock().paused = false;
        self.unread = true;
    }

    /// Something may lie in the ring of which no wake-up told.
    pub fn look(&mut self) {
        self.unread = true;
    }

    /// Its end is wanted; what is left of it at `until` is killed.
    pub fn stop(&mut self, until: Option<Instant>) {
        self.wanted = true;
        self.deadlines.stop = self.deadlines.stop.into_iter().chain(until).min();
    }

    pub fn interrupt(&mut self, reply: oneshot::Sender<Interrupted>) {
        // An execution that has just begun may not have been noticed yet.
        self.drain();
        let ended = self.inlet.lock().executions.ended();
        if self.core.shared().accepted <= ended {
            if self.wanted {
                // What still runs are threads and exit handlers.
                self.signal_worker(libc::SIGINT);
            }
            let _ = reply.send(Interrupted { state_lost: false });
            return;
        }
        let target = ended + 1;
        self.interrupt_target = Some(target);
        self.interrupt_until = target;
        self.interrupts.push(reply);
        self.deadlines.interrupt = Some(Instant::now() + INTERRUPT_WAIT);
        self.unread |= self.interrupt_target_now();
    }

    /// Interrupts the execution that is meant, once it runs, and no other: the worker begins none while we make sure
    /// that the one that runs has not ended. True when that takes another look into the ring.
    fn interrupt_target_now(&mut self) -> bool {
        let Some(target) = self.interrupt_target else { return false };
        let mut inbound = self.inlet.lock();
        if inbound.executions.ended() < target {
            if !inbound.executions.running() {
                return false;
            }
            let after = *self.interrupt_after.get_or_insert_with(|| inbound.begin_interrupt());
            if inbound.read_so_far() < after {
                return true;
            }
            self.signal_worker(libc::SIGINT);
        }
        self.interrupt_target = None;
        if self.interrupt_after.take().is_some() {
            inbound.end_interrupt();
        }
        false
    }

    /// The signal is pending when this returns. Where the kernel lets only the helper send it, a little later.
    fn signal_worker(&self, signal: i32) {
        let sent = self.process.as_ref().map(|process| sys::signal_process(process.as_fd(), signal));
        if !matches!(sent, Some(Ok(()))) {
            self.signal(signal);
        }
    }

    fn answer_interrupts(&mut self, state_lost: bool) {
        self.deadlines.interrupt = None;
        for reply in self.interrupts.drain(..) {
            let _ = reply.send(Interrupted { state_lost });
        }
    }

    fn signal(&self, signal: i32) {
        // A helper that is gone took its worker with it.
        let _ = self.helper.get().signal(signal);
    }

    /// PID 1 kills the worker and reports; when it does not, the helper's death ends the whole sandbox.
    pub fn kill(&mut self) {
        self.signal(libc::SIGKILL);
        self.deadlines.kill.get_or_insert_with(|| Instant::now() + KILL_WAIT);
    }

    fn kill_helper(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended meanwhile; it has not been waited for, so that the pid is still its own.
            let _ = child.kill();
        }
    }

    /// The worker broke the protocol: nothing of it is believed any more.
    fn lied(&mut self, lie: Lie) {
        if self.lie.is_none() {
            self.inlet.lock().lie = Some(lie.clone());
            self.lie = Some(lie);
            self.unread = false;
            self.kill();
        }
    }

    fn drain(&mut self) {
        self.unread = false;
        // The wake-ups. Whatever they were for is found in the ring; what is left of them finds nothing, once.
        let mut wakes = [0; 4096];
        let woken = nix::unistd::read(self.to_host.get(), &mut wakes);
        // Every process that could wake us is gone. At its end a pipe is readable for ever: it is waited for no more.
        self.to_host_open &= woken != Ok(0);
        let all = woken != Ok(wakes.len());
        let (left, lie) = {
            let mut inbound = self.inlet.lock();
            (inbound.drain(), inbound.lie.clone())
        };
        self.unread = left || !all;
        self.tell_end();
        self.follow();
        if let Some(lie) = lie {
            self.lied(lie);
        }
    }

    /// What follows from what was read.
    fn follow(&mut self) {
        let (running, ended) = {
            let inbound = self.inlet.lock();
            (inbound.executions.running(), inbound.executions.ended())
        };
        if running {
            self.deadlines.memory.get_or_insert_with(|| Instant::now() + MEMORY_PERIOD);
        }
        if ended >= self.interrupt_until && !self.interrupts.is_empty() {
            self.answer_interrupts(false);
        }
        self.unread |= self.interrupt_target_now();
    }

    fn read_control(&mut self) {
        // A pipe's worth: what it holds at most.
        let mut buffer = [0; 64 * 1024];
        match nix::unistd::read(self.control.get(), &mut buffer) {
            Ok(0) => self.control_open = false,
            Ok(length) => match self.lines.feed(&buffer[..length]) {
                Ok(lines) => lines.into_iter().for_each(|line| self.line(line)),
                Err(lie) => self.lied(lie),
            },
            // Nobody else of ours reads it, and it is a pipe: there is nothing to tell but "later".
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => {}
            Err(_) => self.control_open = false,
        }
    }

    fn line(&mut self, line: ControlLine) {
        match line {
            ControlLine::Ready if !self.ready => self.is_ready(),
            ControlLine::Ready => self.lied(Lie::Line("READY".into())),
            ControlLine::Data | ControlLine::Check => self.unread = true,
        }
    }

    fn is_ready(&mut self) {
        let enforced = self.core.options.sandbox_enabled;
        if self.worker_pid.is_none() {
            let below = || self.child.as_ref().and_then(|helper| process::worker_below(helper.id(), enforced));
            self.worker_pid = below();
            self.inlet.lock().worker_pid = self.worker_pid;
            self.process = self.worker_pid.and_then(|pid| sys::open_process(pid).ok());
            // Looked at again: a process that died in between left its number to another.
            self.process.take_if(|_| below() != self.worker_pid);
        }
        let early = self.enforcement.take().filter(|early| early.as_asked);
        let mut enforcement = early.unwrap_or_else(|| self.read_enforcement());
        if !enforcement.as_asked && !MUTANT {
            // Asked for and not there: an error, not a warning.
            let shortfall = enforcement.shortfall();
            let message = format!("the kernel does not report every layer to be in force: {shortfall}");
            self.failed = Some(Error::setup("ERR_BUNTIME_NOT_ENFORCED", message));
            self.wanted = true;
            self.kill();
            return;
        }
        if let Err(error) = self.try_hiding(&mut enforcement) {
            self.failed = Some(error);
            self.wanted = true;
            self.kill();
            return;
        }
        self.enforcement = Some(enforcement.clone());
        self.ready = true;
        self.deadlines.start = None;
        let mut inbound = self.inlet.lock();
        if inbound.duty == Duty::Serving {
            self.core.shared().snapshot.enforcement = Some(enforcement.clone());
        }
        inbound.batch.extend([
            Event::Enforcement(Box::new(enforcement)),
            Event::Ready,
            Event::State(WorkerState::new(Phase::Ready)),
        ]);
    }

    fn read_enforcement(&self) -> Enforcement {
        let wanted = self.core.options.sandbox_enabled.then(|| self.settled.in_force.plugins());
        process::enforcement(self.worker_pid, &self.built, wanted.as_ref())
    }

    fn read_helper(&mut self) {
        loop {
            match self.helper.get().receive() {
                Ok(Some((message, fds))) => self.helper_says(message, fds),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                end => {
                    // At its end the helper is exiting. After an error nobody knows, so that it is made to.
                    if end.is_err() {
                        self.kill_helper();
                    }
                    self.helper_gone = true;
                    self.listener = None;
                    self.deadlines.kill = None;
                    self.deadlines.drain = Some(Instant::now() + DRAIN_WAIT);
                    self.unread = true;
                    return;
                }
            }
        }
    }

    fn helper_says(&mut self, message: FromHelper, fds: Vec<OwnedFd>) {
        match message {
            FromHelper::Failed(failure) => self.failed = Some(setup_error::from_failure(&failure)),
            FromHelper::Listener => match (self.watch.take(), fds.into_iter().next()) {
                (Some(job), Some(fd)) => self.start_watching(fd, &job),
                (Some(_), None) => self.watching_failed("its listener did not come".into()),
                (None, Some(fd)) if self.hiding.as_ref().is_some_and(|hiding| !hiding.is_gate()) => {
                    self.start_hiding(fd);
                }
                (None, fd) => self.listener = fd.and_then(|fd| Readable::new(fd).ok()),
            },
            FromHelper::Overlays => {
                let mut shared = self.core.shared();
                if let Some(wire) = self.wire.as_mut().or(shared.wire.as_mut()) {
                    wire.overlays = Overlays::new(fds);
                }
            }
            FromHelper::Network { interception, raw } => match network::listeners(interception, raw, fds) {
                Some(listeners) => self.start_network(listeners),
                None => {
                    let message = "the helper did not send the network's listeners";
                    self.failed = Some(Error::setup("ERR_BUNTIME_NETWORK", message));
                    self.kill();
                }
            },
            FromHelper::Built(mut built) => {
                built.notes.append(&mut self.standing);
                self.built = built;
            }
            FromHelper::Ended(end) => {
                self.end.get_or_insert(end);
            }
        }
    }

    /// The worker's own `execve` is the first that is asked about: nothing of the worker's has run before it. It
    /// passes; then the listener is closed, and every later `execve` fails in the kernel, with nobody to ask and no
    /// work for the host. Where the host is hidden it goes to a thread of its own, which fails them.
    fn pass_exec(&mut self) {
        let Some(listener) = self.listener.take() else { return };
        match sys::receive_notification(listener.get().as_fd()) {
            Ok(Some(notification)) if i64::from(notification.number) != libc::SYS_execve => {
                // What leads up to that is the helper's doing.
                let _ = sys::answer_notification(listener.get().as_fd(), notification.id, Reply::Continue);
                self.listener = Some(listener);
            }
            Ok(Some(notification)) => {
                let is_worker = process::is_worker(notification.pid);
                let reply = if is_worker { Reply::Continue } else { Reply::Errno(libc::EPERM) };
                self.worker_is(i32::try_from(notification.pid).ok().filter(|_| is_worker));
                // The process may have died meanwhile, which its end will tell.
                let _ = sys::answer_notification(listener.get().as_fd(), notification.id, reply);
                if is_worker && self.hiding.is_some() {
                    match listener.get().try_clone() {
                        Ok(listener) => self.start_hiding(listener),
                        Err(error) => self.watching_failed(format!("its listener: {error}")),
                    }
                }
            }
            // Its process died before the answer, or the listener is at its end. Closed as well: every exec fails from
            // now on.
            Ok(None) => {}
            Err(error) => {
                self.failed = Some(Error::setup("ERR_BUNTIME_EXEC", format!("the exec gate: {error}")));
                self.kill();
            }
        }
    }

    /// The worker's process is known, and about to execute the interpreter.
    fn worker_is(&mut self, pid: Option<i32>) {
        self.worker_pid = pid;
        self.inlet.lock().worker_pid = pid;
        self.process = pid.and_then(|pid| sys::open_process(pid).ok());
        self.deadlines.enforcement = Some(Instant::now() + EXEC_SETTLES);
    }

    /// The sandbox's network is served from here on.
    fn start_network(&mut self, listeners: Listeners) {
        let bounds = network::bounds(self.settled.config.network.rate_limit);
        match Network::serve(listeners, self.settled.egress.clone(), bounds, self.news.clone()) {
            Ok(network) => self.network = Some(Arc::new(network)),
            Err(error) => {
                self.failed = Some(Error::setup("ERR_BUNTIME_NETWORK", format!("the network: {error}")));
                self.kill();
            }
        }
    }

    fn hear_network(&mut self) {
        self.news.tell(&mut self.inlet.lock());
    }

    fn start_watching(&mut self, listener: OwnedFd, job: &Job) {
        match Watcher::start(listener, job, self.network.clone()) {
            Ok(watcher) => {
                self.watcher = Some(watcher);
                if !job.audit().is_empty() {
                    self.inlet.lock().batch.push(Event::AuditEnabled(job.audit().to_vec()));
                }
            }
            Err(message) => self.watching_failed(message),
        }
    }

    fn start_hiding(&mut self, listener: OwnedFd) {
        let Some(hiding) = self.hiding.take() else { return };
        let hiding = Hiding { network: self.network.clone(), ..hiding };
        match Watcher::hide(listener, hiding) {
            Ok(watcher) => self.watcher = Some(watcher),
            Err(message) => self.watching_failed(message),
        }
    }

    /// Whether what is hidden of the host can be: the answers are written into the sandbox's memory. A note says what
    /// is shown otherwise; it is an error where a rule denies it.
    fn try_hiding(&mut self, enforcement: &mut Enforcement) -> Result<(), Error> {
        let calls = self.settled.hidden_calls().join(", ");
        let Some(watcher) = self.watcher.as_ref().filter(|_| !calls.is_empty()) else { return Ok(()) };
        let shown = match watcher.try_memory(self.worker_pid) {
            Ok(true) => return Ok(()),
            Ok(false) => "nobody may write into the worker's memory (kernel.yama.ptrace_scope is 3, or a security \
                          module forbids it)"
                .to_owned(),
            Err(error) => return Err(Error::setup("ERR_BUNTIME_RESOURCES", format!("the worker's memory: {error}"))),
        };
        if self.settled.must_hide() {
            let message = format!("a rule denies what cannot be hidden: {shown}");
            return Err(Error::setup("ERR_BUNTIME_NOT_ENFORCED", message)
                .with_hint("remove the sys rules that deny, or set kernel.yama.ptrace_scope lower and start again"));
        }
        enforcement.notes.push(format!("not hidden from the worker is what {calls} tell of the host: {shown}"));
        Ok(())
    }

    /// Without a listener the kernel fails every watched call: the sandbox is closed, and of no use.
    fn watching_failed(&mut self, message: String) {
        let text = format!("system calls can no longer be watched: {message}");
        self.inlet.lock().batch.push(Event::Error(text.clone()));
        self.failed.get_or_insert_with(|| Error::setup("ERR_BUNTIME_AUDIT", text));
        self.kill();
    }

    /// Takes what the watching thread has; `last` when the sandbox is gone.
    fn hear_watcher(&mut self, last: bool) {
        let Some(watcher) = self.watcher.take() else { return };
        if let Some(pid) = watcher.take_worker() {
            self.worker_is(Some(pid));
        }
        if let Some(message) = watcher.take_failure() {
            self.watching_failed(message);
        }
        {
            let inbound = &mut *self.inlet.lock();
            // What waits is bounded. A sink that has paused gets what is left at the end.
            if last || !inbound.paused {
                watcher.tell(last, inbound);
            }
        }
        self.watcher = Some(watcher);
    }

    fn time(&mut self) {
        if passed(&mut self.deadlines.start) {
            let limit = START_LIMIT.as_secs();
            let message = format!("the worker was not ready after {limit} s");
            self.failed = Some(Error::setup("ERR_BUNTIME_START_TIMEOUT", message));
            self.wanted = true;
            self.kill();
        }
        if passed(&mut self.deadlines.stop) {
            self.kill();
        }
        if passed(&mut self.deadlines.kill) {
            self.kill_helper();
        }
        if passed(&mut self.deadlines.interrupt) {
            self.answer_interrupts(false);
        }
        // `over` reads the absence of this one.
        passed(&mut self.deadlines.drain);
        if passed(&mut self.deadlines.enforcement) && !self.ready {
            self.enforcement = Some(self.read_enforcement());
        }
        if passed(&mut self.deadlines.memory) && self.inlet.lock().executions.running() {
            self.deadlines.memory = Some(Instant::now() + MEMORY_PERIOD);
            self.memory();
        }
    }

    fn memory(&mut self) {
        let to_worker = self.core.shared().wire.as_ref().map(|wire| wire.producer.state()).unwrap_or_default();
        let worker = self.worker_pid.map(|pid| self.sampler.sample(pid)).unwrap_or_default();
        let mut inbound = self.inlet.lock();
        if !inbound.paused {
            let stats = MemoryStats { to_worker: ring(to_worker), to_supervisor: ring(inbound.ring()), worker };
            inbound.batch.push(Event::Memory(Box::new(stats)));
        }
    }

    /// The sandbox is gone: reads what it left, and leaves nothing behind.
    async fn bury(&mut self) -> Ended {
        if let Some(network) = self.network.take() {
            // Flows that are cut short tell of their ends. Other sandboxes do not wait for that.
            let theirs = network.clone();
            if on_launcher(move || theirs.stop()).await.is_err() {
                network.stop();
            }
        }
        self.hear_network();
        self.hear_watcher(true);
        {
            let inbound = &mut *self.inlet.lock();
            if self.lie.is_none() {
                // Whatever was still in the ring; a sink that paused gets this last batch all the same.
                while !matches!(inbound.read(), Ok(false) | Err(_)) {}
            }
            inbound.outputs.finish(&mut inbound.batch);
            inbound.denials.finish(&mut inbound.batch);
        }
        if let Some(mut child) = self.child.take() {
            // Its socket is at its end: it is exiting. Waited for, so that no zombie is left.
            let _ = on_launcher(move || child.wait()).await;
        }
        match self.end {
            Some(WorkerEnd::Exited(code)) if self.ready => Ended::Exited(code),
            Some(WorkerEnd::Signalled(signal)) if self.ready => Ended::Signalled(signal),
            None if self.ready => Ended::Signalled(libc::SIGKILL),
            _ => Ended::Never,
        }
    }

    /// The end of the last sandbox: ends what is unfinished and tells so. What comes back is for whoever waits.
    pub async fn close(mut self) -> (Ended, Error) {
        let ended = self.bury().await;
        // No code is accepted from here on, so that none is left without its end.
        let accepted = {
            let mut shared = self.core.shared();
            shared.life = Life::Closing;
            shared.accepted
        };
        {
            let mut inbound = self.inlet.lock();
            // Nobody watches any more: no code is accepted, and what was has an end.
            inbound.duty = Duty::Over;
            let mut batch = std::mem::take(&mut inbound.batch);
            let lie = self.lie.as_ref().map(ToString::to_string);
            if let Some(lie) = &lie
                && inbound.executions.ended() == accepted
            {
                // No execution's end tells of it.
                batch.push(Event::Error(format!("protocol: {lie}")));
            }
            inbound.executions.worker_gone(accepted, ended, lie.as_deref(), self.wanted, &mut batch);
            batch.push(Event::State(match ended {
                Ended::Exited(code) => WorkerState { exit_code: Some(code), ..WorkerState::new(Phase::Stopped) },
                Ended::Signalled(signal) => WorkerState {
                    exit_code: Some(128 + signal),
                    signal: Some(signal_name(signal)),
                    ..WorkerState::new(if self.wanted { Phase::Stopped } else { Phase::Killed })
                },
                Ended::Never => WorkerState::new(Phase::Stopped),
            }));
            self.core.finish(batch, ended);
        }
        self.answer_interrupts(true);
        (ended, self.failure())
    }

    /// The end of a sandbox that another takes over from: ends what it executed, and takes back what it had not begun
    /// with. Returns how many executions have ended so far.
    pub async fn hand_over(mut self) -> u32 {
        let ended = self.bury().await;
        let executed = {
            let inbound = &mut *self.inlet.lock();
            let lie;
            {
                let shared = &mut *self.core.shared();
                lie = self.lie.take().or(shared.lie.take()).map(|lie| lie.to_string());
                let queue = &mut shared.queue;
                if lie.is_some() && !inbound.executions.running() {
                    if queue.begun() {
                        inbound.executions.lied_in_next();
                    } else {
                        inbound.batch.extend(lie.iter().map(|lie| Event::Error(format!("protocol: {lie}"))));
                    }
                }
                queue.take_back();
            }
            inbound.executions.end_running(ended, lie.as_deref(), self.wanted, &mut inbound.batch);
            inbound.emit();
            inbound.duty = Duty::Over;
            inbound.executions.ended()
        };
        self.answer_interrupts(true);
        executed
    }

    /// The end of a sandbox that never served, and is not wanted any more.
    pub async fn abandon(mut self) {
        if let Some(mut child) = self.child.take() {
            let end = move || {
                // It may have ended by itself; either way nothing is left of it after the wait.
                let _ = child.kill();
                child.wait()
            };
            let _ = on_launcher(end).await;
        }
    }

    /// Why it did not become ready.
    pub fn failure(&mut self) -> Error {
        self.failed.take().unwrap_or_else(|| self.never_ready())
    }

    fn never_ready(&self) -> Error {
        if let Some(lie) = &self.lie {
            return Error::setup(
                "ERR_BUNTIME_WORKER",
                format!("the worker broke the protocol before it was ready: {lie}"),
            );
        }
        let how = match self.end {
            Some(WorkerEnd::Exited(code)) => format!("exited with code {code}"),
            Some(WorkerEnd::Signalled(signal)) => format!("was killed by {}", signal_name(signal)),
            None => "ended".into(),
        };
        let wanted = if self.wanted { " (the supervisor was stopped)" } else { "" };
        Error::setup("ERR_BUNTIME_WORKER", format!("the worker {how} before it was ready{wanted}"))
    }
}

fn ring(state: RingState) -> RingStats {
    RingStats {
        head: state.head,
        tail: state.tail,
        capacity: state.capacity,
        used: state.used,
        free: state.capacity.saturating_sub(1 + state.used),
        usage_percent: 100.0 * f64::from(state.used) / f64::from(state.capacity.max(1)),
        bytes_total: state.total,
    }
}
