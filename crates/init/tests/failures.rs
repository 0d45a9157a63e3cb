//! What the helper says when the worker cannot be started. Without a sandbox, so that these run wherever Rust does.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Command, Stdio};

use buntime_sandbox::message::{self, Failure, FromHelper, LaunchFds, Step};
use buntime_sandbox::plan::{Identity, Plan, SeccompPlan, Worker};
use buntime_sandbox::{Bytes, sys};

fn plan(program: &str, cwd: &str) -> Plan {
    let bytes = |text: &str| Bytes::from(text);
    Plan {
        enforced: false,
        identity: Identity { outer_uid: 1, outer_gid: 1, inner_uid: 1, inner_gid: 1 },
        hostname: "sandbox".into(),
        tree: vec![],
        with_landlock: true,
        landlock: vec![],
        seccomp: SeccompPlan::default(),
        network: buntime_sandbox::plan::NetworkPlan::None,
        worker: Worker { program: bytes(program), argv: vec![bytes(program)], env: vec![], cwd: bytes(cwd) },
    }
}

/// The helper's last word on a plan, with room for this many descriptors.
fn last_word(plan: &Plan, open_files: u32) -> Option<FromHelper> {
    let (supervisor, helper) = message::pair().expect("socketpair");
    let mut child = Command::new("/bin/sh")
        .args(["-c", "ulimit -n $1; exec \"$0\"", env!("CARGO_BIN_EXE_buntime-init"), &open_files.to_string()])
        .stdin(Stdio::from(File::from(helper)))
        .spawn()
        .expect("buntime-init");
    let plan = sys::sealed_memfd(c"plan", &serde_json::to_vec(plan).expect("a plan")).expect("memfd");
    let null: OwnedFd = File::open("/dev/null").expect("/dev/null").into();
    let worker: Vec<BorrowedFd<'_>> = (0..9).map(|_| null.as_fd()).collect();
    supervisor
        .launch(LaunchFds { plan: plan.as_fd(), harness: null.as_fd(), copies: null.as_fd(), worker })
        .expect("launch");
    let mut last = None;
    loop {
        sys::poll_readable([supervisor.as_fd()]).expect("poll");
        match supervisor.receive().expect("a message") {
            Some((message, _)) => last = Some(message),
            None => break,
        }
    }
    child.wait().expect("wait");
    last
}

fn failed(plan: &Plan, open_files: u32) -> Failure {
    match last_word(plan, open_files) {
        Some(FromHelper::Failed(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_failed_start_names_the_call_that_failed() {
    let chdir = failed(&plan("/bin/true", "/no/such/dir"), 256);
    assert_eq!((chdir.step, chdir.errno), (Step::Exec, Some(libc::ENOENT)), "{chdir:?}");
    assert_eq!(chdir.message, "chdir(\"/no/such/dir\") => ENOENT");

    let execve = failed(&plan("/no/such/program", "/"), 256);
    assert_eq!((execve.step, execve.errno), (Step::Exec, Some(libc::ENOENT)), "{execve:?}");
    assert_eq!(execve.message, "execve(\"/no/such/program\") => ENOENT");
}

#[test]
fn descriptors_that_cannot_be_arranged_are_told() {
    let failure = failed(&plan("/bin/true", "/"), 20);
    assert_eq!((failure.step, failure.errno), (Step::Exec, Some(libc::EMFILE)), "{failure:?}");
    assert!(failure.message.starts_with("fcntl("), "{failure:?}");
}

#[test]
fn a_start_that_works_says_so() {
    let last = last_word(&plan("/bin/true", "/"), 256);
    assert_eq!(last, Some(FromHelper::Ended(message::WorkerEnd::Exited(0))));
}
