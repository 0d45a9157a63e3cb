//! Whole runs in real sandboxes. They need the helper: `BUNTIME_INIT_PATH` names it (`npm test` sets it).

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use buntime_policy::MetaSource;
use buntime_supervisor::{
    Ended, Enforcement, Event, EventSink, Flow, Options, Outcome, Phase, PolicySet, Run, Supervisor, WorkerState,
};

const LIMIT: Duration = Duration::from_secs(20);

/// Keeps every event, and wakes who waits for one.
#[derive(Default)]
struct Seen {
    events: Mutex<Vec<Event>>,
    more: Condvar,
}

impl EventSink for Seen {
    fn emit(&self, batch: Vec<Event>) -> Flow {
        self.events.lock().expect("no test panics while it holds this").extend(batch);
        self.more.notify_all();
        Flow::Continue
    }
}

impl Seen {
    /// The `number`th end of an execution, counted from 1.
    fn end(&self, number: usize) -> WorkerState {
        let deadline = Instant::now() + LIMIT;
        let mut events = self.events.lock().expect("no test panics while it holds this");
        loop {
            let mut ends = events.iter().filter_map(|event| match event {
                Event::State(state) if state.worker == Phase::ExecEnd => Some(state.clone()),
                _ => None,
            });
            if let Some(end) = ends.nth(number - 1) {
                return end;
            }
            let left = deadline.checked_duration_since(Instant::now());
            let left = left.unwrap_or_else(|| panic!("no end of execution {number}: {:?}", events.last()));
            events = self.more.wait_timeout(events, left).expect("no test panics while it holds this").0;
        }
    }

    /// Waits for a state.
    fn phase(&self, phase: Phase) {
        let events = self.events.lock().expect("no test panics while it holds this");
        let there = |event: &Event| matches!(event, Event::State(state) if state.worker == phase);
        let waited = self
            .more
            .wait_timeout_while(events, LIMIT, |events| !events.iter().any(there))
            .expect("no test panics while it holds this")
            .1;
        assert!(!waited.timed_out(), "no {phase:?}");
    }

    /// How often it was told.
    fn phases(&self, phase: Phase) -> usize {
        let events = self.events.lock().expect("no test panics while it holds this");
        events.iter().filter(|event| matches!(event, Event::State(state) if state.worker == phase)).count()
    }

    fn output(&self) -> String {
        let events = self.events.lock().expect("no test panics while it holds this");
        events
            .iter()
            .filter_map(|event| if let Event::Output(output) = event { Some(output.text()) } else { None })
            .collect()
    }

    fn errors(&self) -> Vec<String> {
        let events = self.events.lock().expect("no test panics while it holds this");
        events
            .iter()
            .filter_map(|event| if let Event::Error(text) = event { Some(text.clone()) } else { None })
            .collect()
    }
}

fn enforcement(supervisor: &Supervisor) -> Enforcement {
    supervisor.snapshot().enforcement.expect("it has started")
}

#[tokio::test]
async fn what_is_in_force_is_told_with_and_without_a_sandbox() {
    let (supervisor, _) = started(Options::default()).await;
    let inside = enforcement(&supervisor);
    assert_eq!((inside.tier, inside.limits, inside.network), ("full", "rlimit", "none"), "{inside:?}");
    supervisor.stop(None).await;

    let (supervisor, _) = started(Options { sandbox_enabled: false, ..Options::default() }).await;
    let outside = enforcement(&supervisor);
    assert_eq!((outside.tier, outside.limits, outside.network), ("none", "none", "host"), "{outside:?}");
    let missing = outside.shortfall();
    assert!(missing.starts_with("no user namespace, ") && missing.contains("no resource limits"), "{missing}");
    supervisor.stop(None).await;
}

async fn started(options: Options) -> (Supervisor, Arc<Seen>) {
    assert!(std::env::var_os("BUNTIME_INIT_PATH").is_some(), "BUNTIME_INIT_PATH must name a built buntime-init");
    let seen = Arc::new(Seen::default());
    let supervisor = Supervisor::new(options, seen.clone()).expect("options");
    supervisor.start(None).await.expect("start");
    (supervisor, seen)
}

/// One piece of code in a sandbox of its own: how it ended, and what it printed.
async fn run(code: &str) -> (WorkerState, Arc<Seen>, Ended) {
    let (supervisor, seen) = started(Options::default()).await;
    assert!(supervisor.run(Run::Code(code.into())).expect("run"));
    let end = seen.end(1);
    let ended = supervisor.stop(Some(Duration::from_secs(2))).await;
    (end, seen, ended)
}

#[tokio::test]
async fn code_that_waits_when_stop_is_called_is_executed_in_its_order() {
    let (supervisor, seen) = started(Options::default()).await;
    for number in 0..50 {
        assert!(supervisor.run(Run::Code(format!("print({number})"))).expect("run"));
    }
    assert_eq!(supervisor.stop(Some(LIMIT)).await, Ended::Exited(0));
    assert_eq!(seen.output(), (0..50).map(|number| format!("{number}\n")).collect::<String>());
    assert!(!supervisor.run(Run::Code("1".into())).expect("run"), "nothing is accepted after the end");
    assert_eq!(supervisor.stop(None).await, Ended::Exited(0), "stop again");
}

#[tokio::test]
async fn crashes_are_ends_with_their_signal_or_code() {
    for (code, exit_code, outcome, signal) in [
        ("import os; os.abort()", 134, Outcome::Signal, Some("SIGABRT")),
        ("import os; os.kill(os.getpid(), 9)", 137, Outcome::Signal, Some("SIGKILL")),
        ("import os; os._exit(7)", 7, Outcome::Exit, None),
        ("import sys; sys.exit(3)", 3, Outcome::Exit, None),
        ("raise ValueError('x')", 1, Outcome::Exception, None),
        ("1 + 1", 0, Outcome::Ok, None),
    ] {
        let (end, _, _) = run(code).await;
        assert_eq!((end.exit_code, end.outcome), (Some(exit_code), Some(outcome)), "{code}: {end:?}");
        assert_eq!(end.signal.as_deref(), signal, "{code}");
    }
}

/// What a hostile worker can reach of the segment and the pipes, it can write; each lie ends it and nothing else.
#[tokio::test]
async fn lies_end_the_worker_with_a_protocol_error() {
    let prelude = "import mmap, os, time\n\
        ring = mmap.mmap(4, 0)\n\
        def frame(payload):\n    \
            tail = int.from_bytes(ring[4:8], 'little')\n    \
            ring[64 + tail:64 + tail + 4 + len(payload)] = len(payload).to_bytes(4, 'little') + payload\n    \
            ring[4:8] = (tail + 4 + len(payload)).to_bytes(4, 'little')\n\
        def wake():\n    \
            os.write(5, b'1')\n    \
            time.sleep(30)\n";
    for (name, lie) in [
        ("a tail outside the ring", "ring[4:8] = b'\\xff' * 4; wake()"),
        (
            "a length beyond the tail",
            "frame(b'x'); t = int.from_bytes(ring[4:8], 'little'); ring[64 + t - 5:64 + t - 1] = b'\\xff' * 4; wake()",
        ),
        ("an unknown type", "frame(b'\\x7f' + bytes(4)); wake()"),
        ("a forged second start", "frame(b'\\x41' + (2).to_bytes(4, 'little') + bytes(8)); wake()"),
        ("a forged end of another execution", "frame(b'\\x42' + (9).to_bytes(4, 'little') + bytes(13)); wake()"),
        ("a half payload", "frame(b'\\x40' + bytes(5)); wake()"),
        ("a second READY", "os.write(3, b'READY\\n'); time.sleep(30)"),
        ("an unknown line", "os.write(3, b'GRANT ALL\\n'); time.sleep(30)"),
        ("an endless line", "\nwhile True: os.write(3, b'x' * 4096)"),
    ] {
        let (end, seen, _) = run(&format!("{prelude}{lie}")).await;
        assert_eq!(end.outcome, Some(Outcome::Protocol), "{name}: {end:?}");
        assert!(seen.errors().iter().any(|error| error.starts_with("protocol: ")), "{name}: {:?}", seen.errors());
    }
}

/// There is no execution then whose end could tell.
#[tokio::test]
async fn a_lie_between_two_executions_is_told_as_well() {
    let (supervisor, seen) = started(Options::default()).await;
    let code = "import os, threading\nthreading.Timer(0.2, os.write, (3, b'GRANT ALL\\n')).start()";
    assert!(supervisor.run(Run::Code(code.into())).expect("run"));
    assert_eq!(seen.end(1).exit_code, Some(0));
    seen.phase(Phase::Killed);
    assert_eq!(seen.errors(), ["protocol: unknown control line \"GRANT ALL\""]);
    supervisor.stop(None).await;
}

/// Whatever a worker does to its channels and to itself, `stop` comes back, and the execution has its end.
#[tokio::test]
async fn stop_returns_whatever_the_worker_did() {
    for (name, code) in [
        ("fills the pipe to the host", "import os; os.set_blocking(5, False)\nwhile True: os.write(5, b'x' * 4096)"),
        ("eats its own wake-ups", "import os\nwhile True: os.read(6, 1)"),
        ("closes every descriptor", "import os, time; os.closerange(0, 9); time.sleep(60)"),
        ("stops itself", "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"),
        (
            "stops and ignores what it can",
            "import os, signal, time\nfor n in set(signal.Signals) - {9, 19}: signal.signal(n, signal.SIG_IGN)\ntime.sleep(60)",
        ),
        ("tries to stop its init", "import os, time; os.kill(1, 19); os.kill(1, 9); time.sleep(60)"),
        (
            "leaves children behind",
            "import os, time\nfor _ in range(20):\n  if os.fork() == 0:\n    os.setsid(); time.sleep(60)\ntime.sleep(60)",
        ),
        ("waits for input that does not come", "import os; os.read(3, 1)"),
    ] {
        let (supervisor, seen) = started(Options::default()).await;
        supervisor.run(Run::Code(code.into())).expect("run");
        let before = Instant::now();
        supervisor.stop(Some(Duration::from_millis(300))).await;
        assert!(before.elapsed() < Duration::from_secs(5), "{name}: {:?}", before.elapsed());
        seen.end(1);
    }
}

#[tokio::test]
async fn an_endless_loop_is_interrupted_and_the_state_survives() {
    let (supervisor, seen) = started(Options::default()).await;
    assert!(supervisor.run(Run::Code("kept = 41".into())).expect("run"));
    assert_eq!(seen.end(1).exit_code, Some(0));
    // Again and again: the interrupt may come at any moment of an execution's beginning.
    for round in 0..50 {
        assert!(supervisor.run(Run::Code("while True: pass".into())).expect("run"));
        let interrupted = supervisor.interrupt().await.expect("interrupt");
        assert!(!interrupted.state_lost);
        assert_eq!(seen.end(2 + round).exit_code, Some(130));
    }
    assert!(supervisor.run(Run::Code("print(kept + 1)".into())).expect("run"));
    assert_eq!(seen.end(52).exit_code, Some(0));
    assert!(seen.output().ends_with("42\n"), "{}", seen.output());
    supervisor.stop(None).await;
}

#[tokio::test]
async fn an_interrupt_that_comes_too_late_hits_no_other_execution() {
    let (supervisor, seen) = started(Options::default()).await;
    for round in 0..100 {
        // The next one waits already, or comes with the answer.
        let waits = round % 2 == 0;
        let next = "for _ in range(20_000): pass";
        assert!(supervisor.run(Run::Code("1".into())).expect("run"));
        if waits {
            assert!(supervisor.run(Run::Code(next.into())).expect("run"));
        }
        supervisor.interrupt().await.expect("interrupt");
        if !waits {
            assert!(supervisor.run(Run::Code(next.into())).expect("run"));
        }
        let (first, second) = (seen.end(2 * round + 1).exit_code, seen.end(2 * round + 2).exit_code);
        // The first may be over when the interrupt comes; then it is the one under way that is meant.
        assert!(second == Some(0) || waits && first == Some(0), "round {round}: {first:?} {second:?}");
    }
    supervisor.stop(None).await;
}

#[tokio::test]
async fn what_does_not_end_is_killed_after_the_grace() {
    let (supervisor, seen) = started(Options::default()).await;
    supervisor
        .run(Run::Code("while True:\n  try:\n    while True: pass\n  except KeyboardInterrupt: pass".into()))
        .expect("run");
    let ended = supervisor.stop(Some(Duration::from_millis(200))).await;
    assert_eq!(ended, Ended::Signalled(9));
    assert_eq!(seen.end(1).outcome, Some(Outcome::Cancelled));
}

#[tokio::test]
async fn source_much_longer_than_the_ring_arrives_whole() {
    let options = Options { shm_size: 4096, ..Options::default() };
    let (supervisor, seen) = started(options).await;
    let text = "x".repeat(1 << 20);
    supervisor.run(Run::Code(format!("print(len('{text}'))"))).expect("run");
    assert_eq!(seen.end(1).exit_code, Some(0));
    assert_eq!(seen.output(), format!("{}\n", 1 << 20));
    supervisor.stop(None).await;
}

/// A program that takes a minute to answer, and the folder that holds it.
fn hanging_interpreter() -> (tempfile::TempDir, Options) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("python3");
    std::fs::write(&path, "#!/bin/sh\nexec sleep 60\n").expect("write");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&path, mode).expect("chmod");
    (dir, Options { interpreter: Some(path), ..Options::default() })
}

#[tokio::test]
async fn an_interpreter_that_hangs_holds_up_nobody_else_and_can_be_stopped() {
    let (_dir, options) = hanging_interpreter();
    let seen = Arc::new(Seen::default());
    let hanging = Supervisor::new(options, seen.clone()).expect("options");
    let starting = tokio::spawn(hanging.start(None));

    let before = Instant::now();
    let (other, _) = started(Options::default()).await;
    assert!(before.elapsed() < Duration::from_secs(5), "another start took {:?}", before.elapsed());
    other.stop(None).await;

    // Nothing waits to be executed: nothing is worth the wait.
    let before = Instant::now();
    assert_eq!(hanging.stop(None).await, Ended::Never);
    assert!(before.elapsed() < Duration::from_secs(1), "stop took {:?}", before.elapsed());
    let events = seen.events.lock().expect("no test panics while it holds this").len();
    let error = starting.await.expect("no panic").expect_err("it was stopped");
    assert!(error.message.contains("stopped"), "{error}");
    assert_eq!(seen.events.lock().expect("no test panics while it holds this").len(), events, "stop came last");
}

#[tokio::test]
async fn code_that_waits_for_an_interpreter_that_hangs_has_the_grace_and_then_its_end() {
    let (_dir, options) = hanging_interpreter();
    let seen = Arc::new(Seen::default());
    let supervisor = Supervisor::new(options, seen.clone()).expect("options");
    let starting = tokio::spawn(supervisor.start(None));
    assert!(supervisor.run(Run::Code("1".into())).expect("run"));
    let before = Instant::now();
    let slow = supervisor.stop(Some(Duration::from_secs(30)));
    assert_eq!(supervisor.stop(Some(Duration::from_millis(300))).await, Ended::Never);
    assert_eq!(slow.await, Ended::Never);
    let took = before.elapsed();
    assert!((Duration::from_millis(300)..Duration::from_secs(2)).contains(&took), "{took:?}");
    assert_eq!(seen.end(1).outcome, Some(Outcome::Cancelled));
    assert!(starting.await.expect("no panic").is_err());
    supervisor.kill();
}

#[tokio::test]
async fn many_first_starts_at_once_share_one_probe() {
    // The same place each time, so that the user's cache keeps one entry of it; a file written anew is asked anew.
    let dir = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("one-probe");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir(&dir).expect("a folder");
    let path = dir.join("python3");
    std::fs::write(&path, "#!/bin/sh\necho asked >> \"${0%/*}/asked\"\nexec /usr/bin/python3 \"$@\"\n").expect("write");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    let options = Options { interpreter: Some(path), ..Options::default() };
    let one = || async { started(options.clone()).await.0.stop(None).await };
    tokio::join!(one(), one(), one(), one());
    assert_eq!(std::fs::read_to_string(dir.join("asked")).expect("read"), "asked\n");
}

#[tokio::test]
async fn an_interpreter_that_is_not_there_is_a_clear_error() {
    let seen = Arc::new(Seen::default());
    let options = Options { interpreter: Some("/no/such/python".into()), ..Options::default() };
    let supervisor = Supervisor::new(options, seen).expect("options");
    let error = supervisor.start(None).await.expect_err("there is no such interpreter");
    assert_eq!(error.code, "ERR_BUNTIME_INTERPRETER");
    assert!(error.message.contains("/no/such/python"), "{error}");
    assert_eq!(supervisor.stop(None).await, Ended::Never);
    assert_eq!(supervisor.start(None).await.expect_err("a second start").code, "ERR_BUNTIME_STATE");
}

/// A set of one policy, which allows reading `path`.
fn reads(path: &std::path::Path) -> PolicySet {
    let text = format!(
        r#"{{"version": 1, "fs": {{"rules": [{{"action": "allow", "path": {path:?}, "perms": ["read_file", "read_dir"]}}]}}}}"#
    );
    let policies = vec![buntime_policy::parse_policy(&text, "test").expect("valid")];
    PolicySet { policies, keys: vec!["test".into()], source: MetaSource::Apply }
}

/// Code that prints what a file holds, or the class of the error.
fn show(path: &std::path::Path) -> Run {
    Run::Code(format!(
        "try: print(open({path:?}).read())\nexcept OSError as error: print('PermissionError' if isinstance(error, PermissionError) else repr(error))"
    ))
}

#[tokio::test]
async fn policies_that_are_applied_hold_for_what_comes_after_and_the_old_ones_until_then() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("file");
    std::fs::write(&file, "content").expect("written");
    let (supervisor, seen) = started(Options::default()).await;
    supervisor.run(Run::Code("x = 5".into())).expect("run");
    supervisor.run(show(&file)).expect("run");
    let meta = supervisor.apply_policy_set(reads(dir.path())).await.expect("applied");
    assert_eq!((meta.policy_keys, meta.rules.fs, meta.source), (vec!["test".to_owned()], 1, MetaSource::Apply));
    supervisor.run(show(&file)).expect("run");
    supervisor.run(Run::Code("x".into())).expect("run");
    assert_eq!(seen.end(4).error.as_deref(), Some("NameError: name 'x' is not defined"));
    assert_eq!(seen.output().lines().take(2).collect::<Vec<_>>(), ["PermissionError", "content"]);
    let snapshot = supervisor.snapshot();
    assert_eq!(snapshot.policy.expect("started").fs.rules.len(), 1);
    assert_eq!(snapshot.enforcement.expect("started").tier, "full");
    // And back, with less.
    let none = PolicySet { policies: vec![], keys: vec![], source: MetaSource::Run };
    assert_eq!(supervisor.apply_policy_set(none).await.expect("applied").rules.fs, 0);
    supervisor.run(show(&file)).expect("run");
    seen.end(5);
    supervisor.stop(Some(Duration::from_secs(2))).await;
    assert_eq!(seen.output().lines().last(), Some("PermissionError"));
}

#[tokio::test]
async fn a_set_that_cannot_be_enforced_changes_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let blocked = dir.path().join("missing/active.json");
    let options = Options { active_policy_path: Some(blocked.clone()), ..Options::default() };
    // Written at the start already.
    std::fs::create_dir(blocked.parent().expect("joined")).expect("created");
    let (supervisor, seen) = started(options).await;
    supervisor.run(Run::Code("x = 5".into())).expect("run");
    let text = r#"{"version": 1, "plugins": {"namespaces": false}}"#;
    let policies = vec![buntime_policy::parse_policy(text, "test").expect("valid")];
    let unenforced = PolicySet { policies, keys: vec![], source: MetaSource::Apply };
    let error = supervisor.apply_policy_set(unenforced).await.expect_err("refused");
    assert_eq!(error.code, "ERR_BUNTIME_UNSUPPORTED");
    let before = std::fs::read_to_string(&blocked).expect("written at the start");
    // One that fails late: the sandbox is ready, and the file cannot be written.
    std::fs::rename(blocked.parent().expect("joined"), dir.path().join("moved")).expect("renamed");
    let error = supervisor.apply_policy_set(reads(dir.path())).await.expect_err("refused");
    assert_eq!(error.code, "ERR_BUNTIME_ACTIVE_POLICY");
    supervisor.run(Run::Code("print(x)".into())).expect("run");
    assert_eq!(seen.end(2).exit_code, Some(0));
    assert_eq!(seen.output(), "5\n");
    assert!(supervisor.snapshot().policy.expect("started").fs.rules.is_empty());
    // With a place to write to it takes effect.
    std::fs::rename(dir.path().join("moved"), blocked.parent().expect("joined")).expect("renamed");
    supervisor.apply_policy_set(reads(dir.path())).await.expect("applied");
    assert_ne!(std::fs::read_to_string(&blocked).expect("written"), before);
    supervisor.stop(Some(Duration::from_secs(2))).await;
}

#[tokio::test]
async fn a_restart_ends_what_does_not_end_and_leaves_the_rest_to_the_next_worker() {
    let (supervisor, seen) = started(Options::default()).await;
    supervisor.run(Run::Code("while True: pass".into())).expect("run");
    seen.phase(Phase::ExecStart);
    for number in 0..50 {
        supervisor.run(Run::Code(format!("print({number})"))).expect("run");
    }
    // Of this one the first parts are in the ring, and no more.
    supervisor.run(Run::Code(format!("print(len('{}'))", "x".repeat(3_000_000)))).expect("run");
    supervisor.restart_worker().await.expect("restarted");
    let end = seen.end(1);
    assert_eq!((end.exit_code, end.outcome), (Some(137), Some(Outcome::Cancelled)), "{end:?}");
    assert_eq!(seen.end(52).exit_code, Some(0));
    supervisor.stop(Some(Duration::from_secs(2))).await;
    let expected: Vec<_> = (0..50).chain([3_000_000]).map(|n| n.to_string()).collect();
    assert_eq!(seen.output().lines().collect::<Vec<_>>(), expected);
    assert_eq!(seen.phases(Phase::ExecEnd), 52, "each ends once");
    assert_eq!((seen.phases(Phase::Restarting), seen.phases(Phase::Stopped)), (1, 1));
}

#[tokio::test]
async fn a_worker_that_dies_while_it_is_replaced_is_replaced_all_the_same() {
    let (supervisor, seen) = started(Options::default()).await;
    // Long enough for the next one to be ready, and to see nothing of it.
    supervisor.run(Run::Code("import os, time; time.sleep(1); os.abort()".into())).expect("run");
    supervisor.run(Run::Code("print('next')".into())).expect("run");
    supervisor.restart_worker().await.expect("restarted");
    assert_eq!(seen.end(1).exit_code, Some(134));
    assert_eq!(seen.end(2).exit_code, Some(0));
    supervisor.stop(Some(Duration::from_secs(2))).await;
    assert_eq!(seen.output(), "next\n");
}

#[tokio::test]
async fn changes_wait_for_each_other_and_are_refused_outside_of_a_life() {
    let supervisor = Supervisor::new(Options::default(), Arc::new(Seen::default())).expect("options");
    let refused = |error: buntime_supervisor::Error| error.code == "ERR_BUNTIME_STATE";
    assert!(refused(supervisor.restart_worker().await.expect_err("before the start")));

    let (supervisor, seen) = started(Options::default()).await;
    let (first, second) = (supervisor.restart_worker(), supervisor.apply_policy_set(reads("/etc".as_ref())));
    let (first, second) = tokio::join!(first, second);
    first.expect("restarted");
    second.expect("applied");
    assert_eq!(seen.phases(Phase::Restarting), 2);

    // The end is not held up, and takes nothing back that was accepted.
    supervisor.run(Run::Code("print('last')".into())).expect("run");
    let (change, later) = (supervisor.restart_worker(), supervisor.restart_worker());
    let stopped = supervisor.stop(Some(Duration::from_secs(5)));
    assert!(refused(supervisor.restart_worker().await.expect_err("while it stops")));
    let (change, later, ended) = tokio::join!(change, later, stopped);
    assert!(change.is_ok() || change.is_err_and(refused));
    assert!(refused(later.expect_err("there is one at a time")));
    assert_eq!(ended, Ended::Exited(0));
    assert_eq!(seen.output(), "last\n");
    assert!(refused(supervisor.restart_worker().await.expect_err("after the end")));
}

#[tokio::test]
async fn a_host_that_lets_go_in_the_middle_of_a_change_leaves_nothing() {
    let (supervisor, seen) = started(Options::default()).await;
    let below = || {
        let children = std::fs::read_to_string(format!("/proc/self/task/{}/children", launcher_thread()));
        children.expect("it has children").split_whitespace().count()
    };
    assert_eq!(below(), 1, "the control: a helper is found");
    let change = supervisor.restart_worker();
    drop(supervisor);
    assert!(change.await.is_err());
    seen.phase(Phase::Stopped);
    let deadline = Instant::now() + LIMIT;
    while below() > 0 {
        assert!(Instant::now() < deadline, "a helper is left");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The thread that helpers are started by.
fn launcher_thread() -> String {
    let tasks = std::fs::read_dir("/proc/self/task").expect("proc");
    let names = tasks.map(|task| task.expect("proc").file_name().into_string().expect("a number"));
    let is_launcher = |task: &String| {
        let name = std::fs::read_to_string(format!("/proc/self/task/{task}/comm"));
        name.is_ok_and(|name| name.trim() == "buntime-launche")
    };
    names.into_iter().find(is_launcher).expect("it runs")
}
