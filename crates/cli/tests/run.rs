//! Real runs in a real sandbox.

#![allow(clippy::unwrap_used, reason = "the whole file is tests")]

mod common;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::command;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

#[test]
fn transcripts() {
    common::transcripts("tests/run/*.trycmd", &common::helper());
}

fn run(code: &str) -> Command {
    let mut command = command();
    command.args(["run", "-c", code]);
    command
}

fn with_stdin(mut command: Command, input: &[u8]) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writing = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    // The script may have ended without reading all of it.
    let _ = writing.join().unwrap();
    output
}

/// A script that has said that it is ready, in its first line.
struct Running {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Running {
    fn start(code: &str) -> Self {
        let mut child = run(code).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut running = Self { stdout: BufReader::new(child.stdout.take().unwrap()), child };
        assert_eq!(running.line(), "ready\n");
        running
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// The exit code, what else came on stdout, and stderr.
    fn end(mut self) -> (Option<i32>, String, String) {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.stdout.read_to_string(&mut stdout).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (self.child.wait().unwrap().code(), stdout, stderr)
    }
}

#[test]
fn stdin_stdout_and_stderr_carry_any_byte_and_stay_apart() {
    let code = "import sys\ndata = sys.stdin.buffer.read()\n\
                sys.stdout.buffer.write(data)\nsys.stderr.buffer.write(data[::-1])";
    let bytes: Vec<u8> = (0..300_000u32).map(|n| (n * 7 % 256) as u8).collect();
    let output = with_stdin(run(code), &bytes);
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout == bytes);
    assert!(output.stderr.iter().eq(bytes.iter().rev()));
}

#[test]
fn the_script_comes_from_stdin() {
    let mut command = command();
    command.args(["run", "-", "a", "--b"]);
    let output = with_stdin(command, b"import sys; print(sys.argv, repr(sys.stdin.read()))");
    assert_eq!(output.stdout, b"['-', 'a', '--b'] ''\n");
}

#[test]
fn a_script_that_reads_nothing_does_not_wait_for_stdin() {
    let mut child = run("print(1)").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let held = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout), (Some(0), b"1\n".to_vec()));
    drop(held);
}

#[test]
fn input_is_passed_on_line_by_line() {
    let mut child = run("while True: print('got', input())")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    for word in ["one", "two"] {
        writeln!(stdin, "{word}").unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, format!("got {word}\n"));
    }
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(1), "EOFError");
}

#[test]
fn a_reader_that_goes_away_ends_the_script() {
    let mut running = Running::start("print('ready')\nwhile True: print('y')");
    assert_eq!(running.line(), "y\n");
    let Running { mut child, stdout } = running;
    drop(stdout);
    assert_eq!(child.wait().unwrap().code(), Some(128 + 13));
}

#[test]
fn a_full_disk_is_told() {
    let output = run("print('x' * 100_000)").stdout(File::create("/dev/full").unwrap()).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr, "python-ipc-bun: cannot write to standard output: no space left on device\n");
}

#[test]
fn a_signal_that_kills_the_worker_is_told() {
    let output = run("import os; os.kill(os.getpid(), 11)").output().unwrap();
    assert_eq!(output.status.code(), Some(128 + 11));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "python-ipc-bun: the worker was killed (SIGSEGV)\n");
}

#[test]
fn an_interrupt_is_the_scripts_to_handle() {
    let running = Running::start(
        "import time\ntry:\n  print('ready')\n  time.sleep(60)\nexcept KeyboardInterrupt: print('caught')",
    );
    running.signal(Signal::SIGINT);
    assert_eq!(running.end(), (Some(0), "caught\n".to_owned(), String::new()));

    let running = Running::start("print('ready')\nwhile True: pass");
    running.signal(Signal::SIGINT);
    let (code, _, stderr) = running.end();
    assert_eq!(code, Some(130));
    assert!(stderr.ends_with("\nKeyboardInterrupt\n"), "{stderr}");
}

/// A terminal sends Ctrl-C to the whole foreground group.
#[test]
fn ctrl_c_at_a_terminal_reaches_the_script_alone() {
    let mut child =
        run("import time\ntry:\n  print('ready')\n  time.sleep(60)\nexcept KeyboardInterrupt: print('caught')")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut lines = String::new();
    stdout.read_line(&mut lines).unwrap();
    killpg(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    stdout.read_to_string(&mut lines).unwrap();
    assert_eq!((child.wait().unwrap().code(), lines.as_str()), (Some(0), "ready\ncaught\n"));
}

#[test]
fn a_second_interrupt_kills() {
    let mut running = Running::start(
        "import time\nword = 'ready'\nwhile True:\n  try:\n    print(word)\n    time.sleep(60)\n\
         \x20 except KeyboardInterrupt: word = 'not me'",
    );
    running.signal(Signal::SIGINT);
    assert_eq!(running.line(), "not me\n");
    running.signal(Signal::SIGINT);
    assert_eq!(running.end().0, Some(130));
}

#[test]
fn an_interrupt_after_the_script_reaches_its_exit_handlers_and_a_second_kills() {
    let handler = "import atexit, time\n@atexit.register\ndef rest():\n\
        \x20 try:\n    print('ready')\n    time.sleep(60)\n  except KeyboardInterrupt: print('caught')\n\
        \x20 time.sleep(60)";
    let mut running = Running::start(handler);
    running.signal(Signal::SIGINT);
    assert_eq!(running.line(), "caught\n");
    running.signal(Signal::SIGINT);
    assert_eq!(running.end().0, Some(130));
}

#[test]
fn termination_leaves_two_seconds_and_twice_none() {
    let stubborn = "import time\nprint('ready')\nwhile True:\n  try: time.sleep(60)\n  except BaseException: pass";
    let (mut once, twice) = (Running::start(stubborn), Running::start(stubborn));
    // Two different ones, since the same one twice may arrive as one; which of them is seen first is open.
    twice.signal(Signal::SIGHUP);
    twice.signal(Signal::SIGTERM);
    let start = Instant::now();
    once.signal(Signal::SIGHUP);
    let code = twice.end().0;
    assert!(matches!(code, Some(129 | 143)), "{code:?}");
    assert_eq!(once.child.try_wait().unwrap(), None, "it still has time to end");
    assert_eq!(once.end().0, Some(129));
    assert!(start.elapsed() >= Duration::from_millis(1900), "{:?}", start.elapsed());
}

/// Paths and arguments are bytes; this is what plain Python makes of those that are no text.
#[test]
fn names_that_are_no_text() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let script = directory.path().join(OsStr::from_bytes(b"caf\xe9.py"));
    fs::write(&script, "import sys\nprint(ascii(sys.argv), ascii(__file__))").unwrap();
    let output = command()
        .current_dir(&directory)
        .arg("run")
        .args([script.file_name().unwrap(), OsStr::from_bytes(b"na\xefve")])
        .output()
        .unwrap();
    let directory = directory.path().display();
    let expected = format!("['caf\\udce9.py', 'na\\udcefve'] '{directory}/caf\\udce9.py'\n");
    assert_eq!((text(&output.stdout), text(&output.stderr)), (expected, String::new()));
}

#[test]
fn a_mistake_beside_a_name_that_is_no_text_is_told() {
    let output = command().arg(OsStr::from_bytes(b"\xe9.py")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("to run a script: python-ipc-bun run \u{fffd}.py"));
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
