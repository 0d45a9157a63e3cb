//! Sandboxes on a host that runs under a seccomp listener itself, as in a container that intercepts system calls: the
//! kernel allows one listener in a chain of filters, and that one is taken. Needs the helper, as `run.rs` does.

use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buntime_policy::Permissions;
use buntime_sandbox::sys::{self, Instruction, Reply};
use buntime_supervisor::{Error, Event, EventSink, Flow, Options, Run, Supervisor};

#[derive(Default)]
struct Seen(Mutex<Vec<Event>>);

impl EventSink for Seen {
    fn emit(&self, batch: Vec<Event>) -> Flow {
        self.0.lock().expect("no test panics while it holds this").extend(batch);
        Flow::Continue
    }
}

/// A process of its own for a test: filters and the supervisor's threads stay for good.
fn isolated(test: &str, inner: impl FnOnce()) {
    const MARK: &str = "BUNTIME_TEST_ISOLATED";
    if std::env::var_os(MARK).is_some() {
        return inner();
    }
    assert!(std::env::var_os("BUNTIME_INIT_PATH").is_some(), "BUNTIME_INIT_PATH must name a built buntime-init");
    let this = std::env::current_exe().expect("this program");
    let output = Command::new(this).args([test, "--exact", "--nocapture"]).env(MARK, "1").output().expect("itself");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

/// Puts this thread, and all that it starts, under a listener that is asked about one system call.
fn listen_for(call: i64) -> OwnedFd {
    let step = |code, k, jump_true, jump_false| Instruction { code, jump_true, jump_false, k };
    let filter = [
        step(0x20, 0, 0, 0),
        step(0x15, u32::try_from(call).expect("a number"), 0, 1),
        step(0x06, 0x7fc0_0000, 0, 0),
        step(0x06, 0x7fff_0000, 0, 0),
    ];
    sys::set_no_new_privileges().expect("no_new_privs");
    sys::load_filter(&filter, true).expect("a filter").expect("its listener")
}

/// What the code prints in a sandbox.
fn run(options: Options, code: &str) -> Result<(String, Arc<Seen>), Error> {
    let seen = Arc::new(Seen::default());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let supervisor = Supervisor::new(options, seen.clone()).expect("options");
        supervisor.start(None).await?;
        assert!(supervisor.run(Run::Code(code.into())).expect("run"));
        supervisor.stop(Some(Duration::from_secs(20))).await;
        Ok(())
    })?;
    let events = seen.0.lock().expect("no test panics while it holds this");
    let text = events.iter().filter_map(|event| match event {
        Event::Output(output) => Some(output.text().into_owned()),
        _ => None,
    });
    let text = text.collect();
    drop(events);
    Ok((text, seen))
}

/// What is in force, as it was told.
fn notes(seen: &Seen) -> Vec<String> {
    let events = seen.0.lock().expect("no test panics while it holds this");
    let told = events.iter().find_map(|event| match event {
        Event::Enforcement(enforcement) => Some(enforcement.notes.clone()),
        _ => None,
    });
    told.expect("an enforcement event")
}

/// Options whose flags deny, or allow, this of the system.
fn with_sys(deny: Option<&str>, allow: Option<&str>) -> Options {
    let mut permissions = Permissions::default();
    deny.into_iter().for_each(|names| permissions.sys.deny.add(Some(names)));
    allow.into_iter().for_each(|names| permissions.sys.allow.add(Some(names)));
    Options { permissions, interpreter: Some("/usr/bin/python3".into()), ..Options::default() }
}

/// What the worker is told of kernel and processors.
const LOOK: &str = "import os; print(os.uname().release, len(os.sched_getaffinity(0)))";

/// What the host is told.
fn truth() -> String {
    let release = nix::sys::utsname::uname().expect("uname");
    let processors = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0)).expect("sched_getaffinity");
    let count = (0..nix::sched::CpuSet::count()).filter(|cpu| processors.is_set(*cpu).unwrap_or(false)).count();
    format!("{} {count}\n", release.release().to_string_lossy())
}

/// Whatever the sandbox lets be executed by Landlock, past every hook: the interpreter, its loader, both by descriptor
/// too.
const ATTEMPTS: &str = r#"
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def attempt(call):
    child = libc.fork()
    if child == 0:
        call()
        os._exit(ctypes.get_errno())
    status = ctypes.c_int()
    libc.waitpid(child, ctypes.byref(status), 0)
    print(os.waitstatus_to_exitcode(status.value))
def argv(*words):
    return (ctypes.c_char_p * (len(words) + 1))(*[word.encode() for word in words])
program = ["-I", "-S", "-c", "import os; os.write(1, b'EXECUTED '); os._exit(99)"]
loader = next(word for line in open("/proc/self/maps") for word in line.split() if "/ld-" in word or "/ld." in word)
python = os.path.realpath(sys.executable)
attempt(lambda: libc.execv(python.encode(), argv(python, *program)))
attempt(lambda: libc.execv(b"/proc/self/exe", argv(python, *program)))
attempt(lambda: libc.execv(loader.encode(), argv(loader, python, *program)))
place = os.open(python, os.O_RDONLY)
empty = argv()
attempt(lambda: libc.syscall(322, place, b"", argv(python, *program), empty, 0x1000))
attempt(lambda: libc.syscall(322, place, python.encode(), argv(python, *program), empty, 0))
"#;

#[test]
#[cfg(target_arch = "x86_64")]
fn exec_is_denied_without_a_listener_too() {
    isolated("exec_is_denied_without_a_listener_too", || {
        let _listener = listen_for(libc::SYS_acct);
        let interpreter = Some("/usr/bin/python3".into());
        let (text, seen) =
            run(Options { interpreter: interpreter.clone(), ..Options::default() }, ATTEMPTS).expect("start");
        let enosys = format!("{}\n", libc::ENOSYS).repeat(5);
        assert_eq!(text, enosys);
        let events = seen.0.lock().expect("no test panics while it holds this");
        let enforcement = events.iter().find_map(|event| match event {
            Event::Enforcement(enforcement) => Some(enforcement),
            _ => None,
        });
        let enforcement = enforcement.expect("an enforcement event");
        assert_eq!(enforcement.tier, "full");
        assert!(!enforcement.notes.iter().any(|note| note.contains("execute")), "{:?}", enforcement.notes);
        drop(events);
        // The attempts are good ones.
        let bare = Options { interpreter, sandbox_enabled: false, ..Options::default() };
        let (text, _) = run(bare, ATTEMPTS).expect("start");
        assert_eq!(text.matches("EXECUTED 99").count(), 5, "{text}");
    });
}

#[test]
fn calls_cannot_be_watched_beside_another_listener_which_is_an_error() {
    isolated("calls_cannot_be_watched_beside_another_listener_which_is_an_error", || {
        let _listener = listen_for(libc::SYS_acct);
        let log = Some("/nonexistent/log".into());
        let error = run(Options { audit_log: log, ..Options::default() }, "1").map(|(text, _)| text);
        let error = error.expect_err("nobody would see a call");
        assert_eq!(error.code, "ERR_BUNTIME_AUDIT", "{error}");
        assert!(error.message.contains("EBUSY"), "{error}");
        assert!(error.hint.is_some_and(|hint| hint.contains("without audit")));
    });
}

#[test]
fn a_listener_that_is_asked_about_execve_leaves_no_gate_and_is_an_error() {
    isolated("a_listener_that_is_asked_about_execve_leaves_no_gate_and_is_an_error", || {
        let listener = listen_for(libc::SYS_execve);
        std::thread::spawn(move || {
            loop {
                sys::poll_readable([listener.as_fd()]).expect("poll");
                if let Some(asked) = sys::receive_notification(listener.as_fd()).expect("a notification") {
                    sys::answer_notification(listener.as_fd(), asked.id, Reply::Continue).expect("an answer");
                }
            }
        });
        let error = run(Options::default(), "1").map(|(text, _)| text).expect_err("there is no gate");
        assert_eq!(error.code, "ERR_BUNTIME_SECCOMP", "{error}");
        assert!(error.message.contains("execve(\"\") => ENOENT"), "{error}");
        assert!(error.hint.is_some_and(|hint| hint.contains("execve")));
    });
}

#[test]
fn what_cannot_be_hidden_beside_another_listener_is_told() {
    isolated("what_cannot_be_hidden_beside_another_listener_is_told", || {
        let _listener = listen_for(libc::SYS_acct);
        let (text, seen) = run(with_sys(None, None), LOOK).expect("start");
        assert_eq!(text, truth());
        let told = notes(&seen);
        let note = told.iter().find(|note| note.starts_with("not hidden")).expect("a note");
        assert!(note.contains("uname, sysinfo, sched_getaffinity") && note.contains("seccomp listener"), "{note}");
        // Only what was to be hidden is told of.
        let (_, seen) = run(with_sys(None, Some("os,loadavg,systemMemoryInfo")), LOOK).expect("start");
        let told = notes(&seen);
        assert!(told.iter().any(|note| note.contains("what sched_getaffinity tell")), "{told:?}");
    });
}

#[test]
fn a_rule_that_hides_is_an_error_beside_another_listener() {
    isolated("a_rule_that_hides_is_an_error_beside_another_listener", || {
        let _listener = listen_for(libc::SYS_acct);
        let error = run(with_sys(Some("osRelease"), None), LOOK).map(|(text, _)| text);
        let error = error.expect_err("it would be shown");
        assert_eq!(error.code, "ERR_BUNTIME_AUDIT", "{error}");
        assert!(error.message.contains("uname") && error.message.contains("EBUSY"), "{error}");
        // The host's name is hidden by a namespace.
        let (text, _) = run(with_sys(Some("hostname"), None), LOOK).expect("start");
        assert_eq!(text, truth());
    });
}

#[test]
fn elsewhere_it_is_hidden_with_no_word() {
    isolated("elsewhere_it_is_hidden_with_no_word", || {
        let (text, seen) = run(with_sys(None, None), LOOK).expect("start");
        assert_eq!(text, "6.1.0 1\n");
        assert!(!notes(&seen).iter().any(|note| note.contains("not hidden")));
    });
}

/// Lets nobody open a file for reading and writing, as the memory of a process is opened to be written to.
fn refuse_to_write_memory() {
    let step = |code, k, jump_true, jump_false| Instruction { code, jump_true, jump_false, k };
    let openat = u32::try_from(libc::SYS_openat).expect("a number");
    let flags = (libc::O_RDWR | libc::O_CLOEXEC) as u32;
    let filter = [
        step(0x20, 0, 0, 0),
        step(0x15, openat, 0, 3),
        step(0x20, 32, 0, 0), // the third argument
        step(0x15, flags, 0, 1),
        step(0x06, 0x0005_0000 | libc::EACCES as u32, 0, 0),
        step(0x06, 0x7fff_0000, 0, 0),
    ];
    sys::set_no_new_privileges().expect("no_new_privs");
    sys::load_filter(&filter, false).expect("a filter");
}

#[test]
fn where_nobody_may_write_memory_the_kernel_answers_and_that_is_told() {
    isolated("where_nobody_may_write_memory_the_kernel_answers_and_that_is_told", || {
        refuse_to_write_memory();
        let (text, seen) = run(with_sys(None, None), LOOK).expect("start");
        assert_eq!(text, truth());
        let told = notes(&seen);
        let note = told.iter().find(|note| note.starts_with("not hidden")).expect("a note");
        assert!(note.contains("uname, sysinfo, sched_getaffinity") && note.contains("ptrace_scope"), "{note}");
        let error = run(with_sys(Some("cpus"), None), LOOK).map(|(text, _)| text);
        let error = error.expect_err("it would be shown");
        assert_eq!(error.code, "ERR_BUNTIME_NOT_ENFORCED", "{error}");
    });
}
