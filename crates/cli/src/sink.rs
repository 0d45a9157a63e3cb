//! What becomes of a supervisor's events.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use buntime_policy::{Action, Proto};
use buntime_supervisor::{
    Denial, Enforcement, Event, EventSink, Flow, Learned, NetFlow, Outcome, Output, Phase, Stream, WorkerState,
};
use tokio::sync::mpsc::UnboundedSender;

use crate::args::ShowDenials;
use crate::audit_file::AuditFile;
use crate::command_line::CommandLine;
use crate::denials::{self, Denials};
use crate::failure::of_process;
use crate::session::Notice;
use crate::{escape, fd, say};

/// Writes the output as it comes, keeps the denials for the end, and tells the session what it has to know.
///
/// A write may block for as long as nobody reads: the reader thread then stands still, and with it, by and by, the
/// worker. So a slow reader slows the script, as it would without a sandbox.
pub struct Sink {
    notices: UnboundedSender<Notice>,
    verbose: bool,
    show: ShowDenials,
    audit: Option<AuditFile>,
    broken: [AtomicBool; 2],
    /// Whether what the script wrote last to where our own lines go has no line break at its end.
    is_mid_line: AtomicBool,
    /// Whether stdout is shown in the same place as stderr.
    is_one_terminal: bool,
    end: Mutex<End>,
}

/// What is told at the end.
#[derive(Default)]
struct End {
    denials: Denials,
    trouble: Option<String>,
    learned: Option<Learned>,
}

/// Whether there is nothing at this path. One that we may not look at counts as there.
fn is_missing(path: &str) -> bool {
    Path::new(path).try_exists().is_ok_and(|exists| !exists)
}

impl Sink {
    /// A sink that sends its notices there.
    pub fn new(notices: UnboundedSender<Notice>, verbose: bool, show: ShowDenials, audit: Option<AuditFile>) -> Self {
        Self {
            notices,
            verbose,
            show,
            audit,
            broken: Default::default(),
            is_mid_line: AtomicBool::new(false),
            is_one_terminal: io::stdout().is_terminal() && io::stderr().is_terminal(),
            end: Mutex::default(),
        }
    }

    /// Says what there is to say after the script's own output.
    pub fn finish(&self) {
        let end = self.end();
        if let Some(trouble) = &end.trouble {
            self.break_line();
            say::error(trouble, None);
        }
        if let Some(block) = end.denials.block(is_missing, CommandLine::own().as_ref()) {
            self.break_line();
            say::styled(&block);
        }
    }

    /// The policy that was learned of the run, once.
    pub fn take_learned(&self) -> Option<Learned> {
        self.end().learned.take()
    }

    /// Begins a new line on stderr where the script did not.
    pub fn break_line(&self) {
        if self.is_mid_line.swap(false, Relaxed) {
            let _ = fd::write_all(io::stderr(), b"\n");
        }
    }

    fn write(&self, output: &Output) {
        let broken = &self.broken[output.stream as usize];
        if broken.load(Relaxed) {
            return;
        }
        let written = match output.stream {
            Stream::Stdout => fd::write_all(io::stdout(), &output.bytes),
            Stream::Stderr => fd::write_all(io::stderr(), &output.bytes),
        };
        if let Err(errno) = written {
            broken.store(true, Relaxed);
            self.notify(Notice::Broken(output.stream, errno));
        }
        if let Some(last) = output.bytes.last()
            && (output.stream == Stream::Stderr || self.is_one_terminal)
        {
            self.is_mid_line.store(*last != b'\n', Relaxed);
        }
    }

    fn state(&self, state: WorkerState) {
        match state.worker {
            Phase::ExecEnd => {
                // Python has told of its exceptions and of an interrupt itself; nobody else tells of these.
                let is_untold = match state.outcome {
                    Some(Outcome::Protocol) => true,
                    Some(Outcome::Signal) => state.signal.as_deref() != Some("SIGINT"),
                    _ => false,
                };
                if is_untold {
                    self.end().trouble = state.error;
                }
                self.notify(Notice::ScriptEnded(state.exit_code.map(of_process)));
            }
            Phase::Killed | Phase::Stopped => self.notify(Notice::ScriptEnded(None)),
            _ => {}
        }
    }

    fn denied(&self, denial: Denial) {
        match self.show {
            ShowDenials::End => self.end().denials.add(denial),
            ShowDenials::Live if denial.count <= 1 => {
                self.break_line();
                say::styled(&denials::line(&denial, is_missing));
            }
            ShowDenials::Json => {
                self.break_line();
                // A denial is plain data with text for its keys; and that nobody can read it is no reason to fail.
                let line = escape::json_line(&denial).unwrap_or_default();
                let _ = fd::write_all(io::stderr(), line.as_bytes());
            }
            ShowDenials::Live | ShowDenials::Off => {}
        }
    }

    fn notify(&self, notice: Notice) {
        // The session no longer listens when it is over, and then needs to know nothing.
        let _ = self.notices.send(notice);
    }

    fn end(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventSink for Sink {
    fn emit(&self, batch: Vec<Event>) -> Flow {
        for event in batch {
            match event {
                Event::Output(output) => self.write(&output),
                Event::State(state) => self.state(state),
                Event::Learned(learned) => self.end().learned = Some(*learned),
                Event::Denied(denial) => self.denied(*denial),
                Event::Warn(message) => {
                    self.break_line();
                    say::warning(&message);
                }
                Event::AuditEvents { events, dropped } => {
                    if let Some(Err(error)) = self.audit.as_ref().map(|file| file.add(&events, dropped)) {
                        self.notify(Notice::Unrecorded(error.to_string()));
                    }
                }
                Event::Net(flow) if self.verbose => {
                    self.break_line();
                    say::note(&describe_flow(&flow));
                }
                Event::Enforcement(enforcement) if self.verbose => say::note(&describe(&enforcement)),
                _ => {}
            }
        }
        Flow::Continue
    }
}

/// What is in force, in one line.
fn describe(enforcement: &Enforcement) -> String {
    let namespaces = &enforcement.namespaces;
    let namespaces: Vec<&str> = [
        ("user", namespaces.user),
        ("mount", namespaces.mount),
        ("pid", namespaces.pid),
        ("net", namespaces.net),
        ("ipc", namespaces.ipc),
        ("uts", namespaces.uts),
        ("cgroup", namespaces.cgroup),
    ]
    .into_iter()
    .filter_map(|(name, is_in_force)| is_in_force.then_some(name))
    .collect();
    let or_none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
    let landlock = enforcement.landlock.map_or_else(|| "none".to_owned(), |landlock| format!("ABI {}", landlock.abi));
    let mut line = format!(
        "sandbox {}: namespaces {}; landlock {landlock}; seccomp {}; limits {}; network {}",
        enforcement.tier,
        or_none(namespaces.join(" ")),
        if enforcement.seccomp { "on" } else { "off" },
        enforcement.limits,
        enforcement.network,
    );
    for note in &enforcement.notes {
        line += &format!("; {note}");
    }
    line
}

/// A flow of the network's, in one line.
fn describe_flow(flow: &NetFlow) -> String {
    let NetFlow { address, port, bytes_in, bytes_out, ms, .. } = flow;
    let proto = if flow.proto == Proto::Tcp { "tcp" } else { "udp" };
    let peer = match &flow.host {
        Some(host) => format!("{host}:{port} ({address})"),
        None if address.contains(':') => format!("[{address}]:{port}"),
        None => format!("{address}:{port}"),
    };
    let verdict = match flow.verdict {
        Action::Allow => "allowed",
        Action::Warn => "allowed with a warning",
        Action::Deny => "denied",
    };
    let mut line = format!("{proto} {peer}: {verdict}, {bytes_in} bytes in, {bytes_out} bytes out, {ms} ms");
    if let Some(error) = &flow.error {
        line += &format!("; {}", escape::escape(error));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use buntime_supervisor::{LandlockInForce, Namespaces};

    #[test]
    fn flow_in_one_line() {
        let mut flow = NetFlow {
            host: Some("example.com".to_owned()),
            address: "93.184.216.34".to_owned(),
            port: 443,
            proto: Proto::Tcp,
            verdict: Action::Allow,
            rule: None,
            bytes_in: 10,
            bytes_out: 20,
            ms: 3,
            error: None,
        };
        assert_eq!(
            describe_flow(&flow),
            "tcp example.com:443 (93.184.216.34): allowed, 10 bytes in, 20 bytes out, 3 ms"
        );
        flow = NetFlow {
            host: None,
            address: "2001:db8::1".to_owned(),
            proto: Proto::Udp,
            verdict: Action::Deny,
            error: Some("x\n".to_owned()),
            ..flow
        };
        assert_eq!(describe_flow(&flow), "udp [2001:db8::1]:443: denied, 10 bytes in, 20 bytes out, 3 ms; x\\n");
    }

    #[test]
    fn enforcement_in_one_line() {
        let mut enforcement = Enforcement {
            tier: "full",
            as_asked: true,
            namespaces: Namespaces { user: true, net: true, ..Namespaces::default() },
            landlock: Some(LandlockInForce { abi: 7 }),
            seccomp: true,
            limits: "rlimit",
            network: "none",
            notes: vec!["a note".to_owned()],
        };
        assert_eq!(
            describe(&enforcement),
            "sandbox full: namespaces user net; landlock ABI 7; seccomp on; limits rlimit; network none; a note"
        );
        enforcement = Enforcement {
            tier: "none",
            as_asked: true,
            namespaces: Namespaces::default(),
            landlock: None,
            seccomp: false,
            ..enforcement
        };
        assert!(describe(&enforcement).starts_with("sandbox none: namespaces none; landlock none; seccomp off; "));
    }
}
