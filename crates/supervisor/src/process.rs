//! What `/proc` says of a worker, from outside: which layers are in force, and what it uses.

use std::fs;

use buntime_policy::Plugins;
use buntime_sandbox::message::{Built, WORKER_PID};
use buntime_sandbox::mutation::{Layer, off};
use buntime_sandbox::plan::Interception;
use nix::unistd::{SysconfVar, sysconf};

use crate::event::{Enforcement, LandlockInForce, Namespaces, ProcessStats};

/// Reads back what the kernel enforces on `pid`. What cannot be read is not claimed. `wanted`: the layers of the
/// policy; none without a sandbox.
pub fn enforcement(pid: Option<i32>, built: &Built, wanted: Option<&Plugins<bool>>) -> Enforcement {
    let enforced = wanted.is_some();
    let mut notes = built.notes.clone();
    let status = pid.and_then(|pid| fs::read_to_string(format!("/proc/{pid}/status")).ok()).unwrap_or_default();
    if status.is_empty() {
        notes.push("the worker's /proc entry cannot be read: nothing is claimed of its namespaces and filter".into());
    }
    let field = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim).unwrap_or_default()
    };
    let apart = |kind: &str| {
        let link = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok();
        match (pid.and_then(|pid| link(&pid.to_string())), link("self")) {
            (Some(theirs), Some(ours)) => theirs != ours,
            _ => false,
        }
    };
    let namespaces = Namespaces {
        user: apart("user"),
        mount: apart("mnt"),
        pid: apart("pid"),
        net: apart("net"),
        ipc: apart("ipc"),
        uts: apart("uts"),
        cgroup: apart("cgroup"),
    };
    let seccomp = field("Seccomp") == "2";
    let limited = pid.is_some_and(limited);
    let unprivileged = field("NoNewPrivs") == "1";
    let no_capabilities = ["CapPrm", "CapEff", "CapBnd", "CapAmb"]
        .iter()
        .all(|set| !field(set).is_empty() && field(set).bytes().all(|digit| digit == b'0'));
    let landlock = built.landlock_abi > 0;
    let others = [
        namespaces.user,
        namespaces.mount,
        namespaces.pid,
        namespaces.net,
        namespaces.ipc,
        namespaces.uts,
        namespaces.cgroup,
        seccomp,
        no_capabilities,
        unprivileged,
        limited,
    ]
    .iter()
    .all(|layer| *layer);
    if enforced && !no_capabilities {
        notes.push("the worker has capabilities".into());
    }
    if enforced && !unprivileged {
        notes.push("the worker could gain privileges: no_new_privs is not set".into());
    }
    if enforced && !built.exec_gate {
        notes.push("programs may be executed where mounts and Landlock let them".into());
    }
    Enforcement {
        tier: if enforced && others && landlock { "full" } else { "none" },
        as_asked: wanted.is_none_or(|wanted| others && (landlock || !wanted.landlock)),
        namespaces,
        landlock: landlock.then_some(LandlockInForce { abi: built.landlock_abi }),
        seccomp,
        limits: if limited { "rlimit" } else { "none" },
        network: match built.interception {
            _ if !namespaces.net => "host",
            Some(Interception::Tproxy) => "tproxy",
            Some(Interception::Redirect) => "redirect",
            None => "none",
        },
        notes,
    }
}

/// Whether the limits that the helper sets are in force: of core files 1 byte, and of processes any.
fn limited(pid: i32) -> bool {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
    let soft = |name: &str| limits.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
    soft("Max core file size") == Some("1") && soft("Max processes").is_some_and(|limit| limit != "unlimited")
}

/// The worker below a helper: the helper's grandchild in a sandbox (its child is PID 1 there), else its child.
pub fn worker_below(helper: u32, enforced: bool) -> Option<i32> {
    let child = |pid: &str| {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        children.split_whitespace().next().map(str::to_owned)
    };
    let first = child(&helper.to_string())?;
    let worker = if enforced { child(&first)? } else { first };
    worker.parse().ok()
}

/// The pid of a process as its innermost pid namespace numbers it; `None` where that cannot be read.
fn innermost_pid(pid: u32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("NSpid:"))?.split_whitespace().last()?.parse().ok()
}

/// Whether a process whose `execve` is asked about before all others is the worker: it has the worker's number in its
/// sandbox, which a test build may have left without numbers of its own.
pub fn is_worker(pid: u32) -> bool {
    innermost_pid(pid) == Some(WORKER_PID) || off(Layer::Pids) || off(Layer::Network)
}

/// The process that a thread belongs to, both as our pid namespace numbers them; `None` where that cannot be read.
pub fn group_of(thread: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok()
}

/// Memory and processor time of one process, sampled.
#[derive(Default)]
pub struct Sampler {
    peak: u64,
    last: Option<(std::time::Instant, u64)>,
}

impl Sampler {
    /// Zeros when the process is gone.
    pub fn sample(&mut self, pid: i32) -> ProcessStats {
        let unit =
            |var: SysconfVar| sysconf(var).ok().flatten().and_then(|value| u64::try_from(value).ok()).unwrap_or(1);
        let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
        let pages: u64 = statm.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        let rss = pages * unit(SysconfVar::PAGE_SIZE);
        self.peak = self.peak.max(rss);

        // Fields 14 and 15, counted behind the parenthesised name, which may hold anything (proc_pid_stat(5)).
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks: u64 =
            after_name.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
        let now = std::time::Instant::now();
        let cpu_percent = self.last.map_or(0.0, |(then, before)| {
            let seconds = ticks.saturating_sub(before) as f64 / unit(SysconfVar::CLK_TCK) as f64;
            100.0 * seconds / now.duration_since(then).as_secs_f64().max(0.001)
        });
        self.last = Some((now, ticks));
        ProcessStats { rss, peak: self.peak, limit: 0, cpu_percent }
    }
}
