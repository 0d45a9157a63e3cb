//! From the start of a helper to the first turn of the program in its sandbox, against `bwrap --unshare-all` with the
//! same mounts, in turns. `bash benches/launch/run.sh` builds what it needs and runs it.
//!
//! Ours does more: Landlock, a seccomp list, the exec gate, no capabilities, and for a root caller an unprivileged id.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use buntime_sandbox::Bytes;
use buntime_sandbox::message::{self, FromHelper, LaunchFds};
use buntime_sandbox::plan::{
    Access, Bind, ExecGate, Identity, Interception, LandlockRule, NetworkPlan, Node, Plan, SeccompPlan, Tmpfs, Worker,
};
use buntime_sandbox::sys::{self, Reply};

type Failure = Box<dyn std::error::Error>;

const ROUNDS: usize = 200;
/// Between two launches: the kernel takes a network namespace down in the background.
const PAUSE: Duration = Duration::from_millis(15);

/// What a Python needs, roughly: the same list for both.
const READ_ONLY: [&str; 16] = [
    "/usr/bin",
    "/usr/lib",
    "/usr/lib64",
    "/usr/share/zoneinfo",
    "/usr/share/locale",
    "/usr/share/ca-certificates",
    "/usr/local/lib",
    "/usr/local/share",
    "/etc/ssl",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/services",
    "/etc/protocols",
];
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

fn main() -> Result<(), Failure> {
    let [helper, stamp] = ["HELPER", "STAMP"].map(|name| std::env::var_os(name).map(PathBuf::from));
    let (helper, stamp) = (helper.ok_or("HELPER names no buntime-init")?, stamp.ok_or("STAMP names no program")?);
    let paths: Vec<PathBuf> = READ_ONLY.iter().filter_map(|path| std::fs::canonicalize(path).ok()).collect();
    let without = serde_json::to_vec(&plan(&paths, &stamp, NetworkPlan::None))?;
    let with = NetworkPlan::Relayed { loopback: Vec::new(), udp: false, prefer: Interception::Tproxy };
    let with = serde_json::to_vec(&plan(&paths, &stamp, with))?;

    let (mut ours, mut built, mut theirs, mut bare) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut networked, mut networked_built) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS + 10 {
        let (took, inside) = launch(&helper, &without)?;
        std::thread::sleep(PAUSE);
        let (networked_took, networked_inside) = launch(&helper, &with)?;
        std::thread::sleep(PAUSE);
        let bwrap = time(bwrap(&paths, &stamp))?;
        std::thread::sleep(PAUSE);
        let plain = time(Command::new(&stamp))?;
        if round >= 10 {
            ours.push(took);
            built.push(inside);
            networked.push(networked_took);
            networked_built.push(networked_inside);
            theirs.push(bwrap);
            bare.push(plain);
        }
    }
    let user = if sys::effective_ids().0 == 0 { "root" } else { "an ordinary user" };
    println!("as {user}, {} binds, {ROUNDS} rounds; microseconds to the program's first turn", paths.len());
    for (name, mut values) in
        [("bare spawn", bare), ("ours", ours.clone()), ("with network", networked), ("bwrap", theirs.clone())]
    {
        values.sort_unstable();
        println!("{name:12} median {:6}  p10 {:6}  p90 {:6}", at(&values, 50), at(&values, 10), at(&values, 90));
    }
    println!(
        "helper's own word, start to built: median {} us, with network {} us",
        median(&built),
        median(&networked_built)
    );
    println!("ours / bwrap: {:.2}", median(&ours) as f64 / median(&theirs) as f64);
    Ok(())
}

fn at(sorted: &[u64], percent: usize) -> u64 {
    sorted[(sorted.len() - 1) * percent / 100]
}

fn median(values: &[u64]) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    at(&sorted, 50)
}

/// Nanoseconds of the clock that `stamp` reads.
fn now() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).expect("Linux has this clock");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}

/// Microseconds from here to what the program says.
fn time(mut command: Command) -> Result<u64, Failure> {
    let before = now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let said = said(child.stdout.take().ok_or("no pipe")?)?;
    let status = child.wait()?;
    if !status.success() {
        return Err(format!("{command:?}: {status}").into());
    }
    Ok((said - before) / 1000)
}

fn said(mut from: impl Read) -> Result<u64, Failure> {
    let mut text = String::new();
    from.read_to_string(&mut text)?;
    Ok(text.trim().parse()?)
}

fn bwrap(paths: &[PathBuf], stamp: &Path) -> Command {
    let mut command = Command::new("bwrap");
    command.args(["--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--hostname", "sandbox"]);
    for path in paths {
        command.arg("--ro-bind").args([path, path]);
    }
    for device in DEVICES {
        command.args(["--dev-bind", device, device]);
    }
    command.args(["--proc", "/proc", "--tmpfs", "/tmp", "--tmpfs", "/dev/shm", "--ro-bind"]).arg(stamp).arg("/stamp");
    command.args(["--chdir", "/tmp", "/stamp"]);
    command
}

fn plan(paths: &[PathBuf], stamp: &Path, network: NetworkPlan) -> Plan {
    let bytes = |path: &Path| Bytes::from(path);
    let bind = |source: &Path, path: &Path, device: bool| {
        Node::Bind(Bind {
            source: bytes(source),
            path: bytes(path),
            directory: source.is_dir(),
            writable: device,
            exec: !device,
            device,
            grant: false,
        })
    };
    let scratch = |path: &str| {
        Node::Tmpfs(Tmpfs { path: bytes(Path::new(path)), size_bytes: 64 << 20, inodes: 4096, mode: 0o1777 })
    };
    let mut tree = Vec::new();
    let mut made: Vec<PathBuf> = vec!["/".into()];
    // Where the helper tries Landlock out.
    tree.push(Node::Dir { path: bytes(Path::new("/.buntime")) });
    let all = paths.iter().map(PathBuf::as_path).chain(DEVICES.map(Path::new)).chain([Path::new("/dev/shm")]);
    for path in all {
        for parent in path.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
            if !made.iter().any(|there| there == parent) && !paths.iter().any(|bound| parent.starts_with(bound)) {
                tree.push(Node::Dir { path: bytes(parent) });
                made.push(parent.to_owned());
            }
        }
    }
    tree.extend(paths.iter().map(|path| bind(path, path, false)));
    tree.extend(DEVICES.map(|device| bind(Path::new(device), Path::new(device), true)));
    tree.extend([scratch("/tmp"), scratch("/dev/shm"), Node::Proc { path: bytes(Path::new("/proc")) }]);
    tree.push(bind(stamp, Path::new("/stamp"), false));

    let rule = |path: &Path, write: bool| LandlockRule {
        path: bytes(path),
        rights: Access { read: true, write, execute: !write }.into(),
    };
    let mut landlock: Vec<LandlockRule> = paths.iter().map(|path| rule(path, false)).collect();
    landlock.extend(DEVICES.map(|device| rule(Path::new(device), true)));
    landlock.extend(["/tmp", "/dev/shm"].map(|path| rule(Path::new(path), true)));
    landlock.extend(["/proc", "/stamp"].map(|path| rule(Path::new(path), false)));

    let (uid, gid) = sys::effective_ids();
    let unprivileged = |id: u32| if id == 0 { 1_234_567 } else { id };
    Plan {
        enforced: true,
        identity: Identity {
            outer_uid: unprivileged(uid),
            outer_gid: unprivileged(gid),
            inner_uid: Identity::INNER,
            inner_gid: Identity::INNER,
        },
        hostname: "sandbox".into(),
        tree,
        with_landlock: true,
        landlock,
        seccomp: SeccompPlan { exec: ExecGate::WorkerOnly, ..SeccompPlan::default() },
        network,
        worker: Worker {
            program: Bytes::from("/stamp"),
            argv: vec![Bytes::from("stamp")],
            env: Vec::new(),
            cwd: Bytes::from("/tmp"),
        },
    }
}

/// One launch as the supervisor does it: microseconds to the program's first turn, and the helper's own count.
fn launch(helper: &Path, plan: &[u8]) -> Result<(u64, u64), Failure> {
    let plan = sys::sealed_memfd(c"plan", plan)?;
    let harness = sys::sealed_memfd(c"harness", b"")?;
    let (output, worker_output) = sys::pipe()?;
    let null = OwnedFd::from(File::open("/dev/null")?);
    let before = now();
    let (socket, theirs) = message::pair()?;
    let mut child: Child = Command::new(helper)
        .env_clear()
        .process_group(0)
        .stdin(Stdio::from(File::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()?;
    let worker = vec![null.as_fd(), worker_output.as_fd(), null.as_fd()];
    socket.launch(LaunchFds { plan: plan.as_fd(), harness: harness.as_fd(), copies: harness.as_fd(), worker })?;
    drop(worker_output);
    let mut built = 0;
    loop {
        wait(socket.as_fd())?;
        match socket.receive() {
            Ok(Some((FromHelper::Built(facts), _))) => built = facts.micros,
            Ok(Some((FromHelper::Listener, fds))) => {
                let listener = fds.into_iter().next().ok_or("no listener")?;
                wait(listener.as_fd())?;
                let asked = sys::receive_notification(listener.as_fd())?.ok_or("nobody asks")?;
                sys::answer_notification(listener.as_fd(), asked.id, Reply::Continue)?;
            }
            // Closed: nobody connects.
            Ok(Some((FromHelper::Ended(_) | FromHelper::Network { .. }, _))) => {}
            Ok(Some((other, _))) => return Err(format!("{other:?}").into()),
            Ok(None) => break,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    let said = said(File::from(output))?;
    child.wait()?;
    Ok(((said - before) / 1000, built))
}

fn wait(fd: std::os::fd::BorrowedFd<'_>) -> Result<(), Failure> {
    let mut fds = [nix::poll::PollFd::new(fd, nix::poll::PollFlags::POLLIN)];
    nix::poll::poll(&mut fds, nix::poll::PollTimeout::from(10_000_u16))?;
    Ok(())
}
