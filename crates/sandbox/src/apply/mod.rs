//! From a plan to a sandbox: the ordered kernel steps, run by the helper `buntime-init`.
//!
//! Two processes take part. The *outer* one stays in the host's namespaces: it does what only the caller may (mapping
//! ids, idmapped mounts), then waits. The *inner* one is PID 1 of the sandbox: it builds everything, gives up all
//! privilege, starts the worker and stays as its init.

mod copies;
mod gate;
mod idmap;
mod init;
mod landlock;
mod listener;
mod mounts;
mod network;
mod overlays;

use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use self::gate::{Gate, Installed};
use self::network::Made;
use crate::message::{Built, Failure, FromHelper, HelperEnd, LaunchFds, Step, WorkerEnd};
use crate::mutation::{self, Layer, off};
use crate::plan::{ExecGate, Identity, Interception, Plan, SeccompPlan, Worker};
use crate::seccomp;
use crate::sys::{self, Fork, Status, SysError};

type Result<T> = std::result::Result<T, Failure>;

/// Names the step that a failed call belongs to.
trait During<T> {
    fn during(self, step: Step) -> Result<T>;
}

impl<T> During<T> for sys::Result<T> {
    fn during(self, step: Step) -> Result<T> {
        self.map_err(|error| Failure::of(step, &error))
    }
}

impl Failure {
    fn of(step: Step, error: &SysError) -> Self {
        Self { step, message: error.to_string(), errno: Some(error.errno) }
    }
}

/// A message that could not be sent to the supervisor.
fn sending(step: Step, what: &'static str) -> impl FnOnce(io::Error) -> Failure {
    move |error| match error.raw_os_error() {
        Some(errno) => Failure::of(step, &SysError { call: "sendmsg", arguments: what.into(), errno }),
        None => failure(step, format!("sendmsg({what}): {error}")),
    }
}

fn failure(step: Step, message: impl Into<String>) -> Failure {
    Failure { step, message: message.into(), errno: None }
}

/// The helper's whole life. `socket` joins it to its supervisor. Returns the exit code.
pub fn run(socket: OwnedFd) -> i32 {
    let helper = HelperEnd::new(socket);
    match launch(&helper) {
        Ok(code) => code,
        Err(failure) => {
            // Nobody is left to tell when this fails too: the supervisor is gone, and so is this sandbox.
            let _ = helper.send(&FromHelper::Failed(failure));
            1
        }
    }
}

/// All namespaces that there are, save the one for clocks, which the worker cannot set, and the network's, which takes
/// the longest to make and is made beside the rest.
fn namespaces() -> i32 {
    let kind = |layer: Layer, flag: i32| if off(layer) { 0 } else { flag };
    libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | kind(Layer::Pids, libc::CLONE_NEWPID)
        | kind(Layer::Ipc, libc::CLONE_NEWIPC)
        | kind(Layer::HostName, libc::CLONE_NEWUTS)
        | kind(Layer::Cgroup, libc::CLONE_NEWCGROUP)
}

/// Processes and threads of one sandbox.
const MAX_PROCESSES: u64 = 1024;

/// The launch, in order. `docs/ARCHITECTURE.md` tells it in prose.
fn launch(helper: &HelperEnd) -> Result<i32> {
    let started = Instant::now();

    // ---- outer process
    sys::die_with_parent().during(Step::Plan)?;
    let order = helper.launch_order().map_err(|error| failure(Step::Plan, format!("recvmsg(Launch): {error}")))?;
    let Some(fds) = order else {
        return Ok(0); // the supervisor died before it asked for anything
    };
    let plan = read_plan(fds.plan.as_fd())?;
    if !plan.enforced {
        return start_bare(helper, &plan.worker, fds);
    }
    let foreign = is_foreign(plan.identity);
    let mut notes = Vec::new();
    // A root caller's grants are cloned and idmapped out here, where its privilege holds.
    let sources = if foreign { Some(mounts::open_sources(&plan, true, &mut notes)?) } else { None };
    let (mapped, tell_mapped) = sys::pipe().during(Step::Namespaces)?;

    // All namespaces at once. The child is PID 1 of the new pid namespace.
    match sys::clone_process(namespaces()).during(Step::Namespaces)? {
        Fork::Parent(child) => {
            drop((mapped, sources, fds));
            return outer(helper, child, plan.identity, foreign, tell_mapped);
        }
        Fork::Child => drop(tell_mapped),
    }

    // ---- inner process, PID 1
    sys::die_with_parent().during(Step::Namespaces)?;
    // What needs no mapped id goes first: the outer process writes the maps meanwhile.
    // To make the network takes the kernel as long as all mounts, and neither waits for the other.
    let network_plan = plan.network.clone();
    let network = (!off(Layer::Network)).then(|| std::thread::spawn(move || network::make(&network_plan)));
    let namespace_limit = open_namespace_limit(&mut notes);
    if !off(Layer::HostName) {
        sys::set_hostname(&plan.hostname).during(Step::Mounts)?;
    }
    sys::make_mounts_private().during(Step::Mounts)?;
    let sources = match sources {
        Some(sources) => sources,
        None => mounts::open_sources(&plan, false, &mut notes)?,
    };
    if sys::read_byte(mapped.as_fd()).during(Step::Identity)?.is_none() {
        return Ok(1); // the outer process failed, and has said so
    }
    become_worker_id(plan.identity, foreign)?;

    // The file tree.
    let overlays = mounts::build_root(&plan, sources, &fds, &mut notes)?;
    if !overlays.is_empty() {
        let handles: Vec<BorrowedFd<'_>> = overlays.iter().map(AsFd::as_fd).collect();
        helper.send_overlays(&handles).map_err(sending(Step::Mounts, "Overlays"))?;
    }
    drop(overlays);
    let interception = match network {
        Some(network) => {
            let made = network.join().map_err(|_| failure(Step::Network, "the thread of the network panicked"))??;
            hand_out_network(helper, &made, &mut notes)?
        }
        None => None,
    };
    forbid_more_namespaces(namespace_limit)?;

    // No terminal, no core files. RLIMIT_CORE is 1, not 0: a pipe in core_pattern would still be fed at 0 (core(5)).
    if !off(Layer::Session) {
        sys::new_session().during(Step::Privileges)?;
    }
    if !off(Layer::CoreLimit) {
        sys::set_limit("RLIMIT_CORE", libc::RLIMIT_CORE, 1).during(Step::Privileges)?;
    }
    // Against fork bombs. Counted inside this user namespace since Linux 5.14, over the whole kuid before.
    if !off(Layer::ProcessLimit) {
        sys::set_limit("RLIMIT_NPROC", libc::RLIMIT_NPROC, MAX_PROCESSES).during(Step::Privileges)?;
    }
    if off(Layer::Capabilities) {
        mutation::keep_capabilities().during(Step::Privileges)?;
    } else {
        sys::drop_capabilities().during(Step::Privileges)?;
    }
    if !off(Layer::NoNewPrivileges) {
        sys::set_no_new_privileges().during(Step::Privileges)?;
    }

    // The second wall over files.
    let landlock_abi = if off(Layer::Landlock) || !plan.with_landlock { 0 } else { landlock::restrict(&plan)? };
    if !plan.with_landlock {
        notes.push("Landlock is left out, as plugins.landlock asks".into());
    }

    // The filters. PID 1 does its duties under the built-in list, which the worker inherits; what the policy denies on
    // top is the worker's alone. Where calls are watched, the gate and the worker's list are parts of the listener's
    // filter.
    let child_signals = sys::child_signal_fd().during(Step::Exec)?;
    let (exec_failed, tell_exec_failed) = sys::pipe().during(Step::Exec)?;
    let SeccompPlan { deny, exec, watch, watch_code, .. } = &plan.seccomp;
    let watched = !watch.is_empty() || *watch_code;
    let unwatched: Vec<String> = deny.iter().filter(|name| !watch.contains(name)).cloned().collect();
    let denied = seccomp::refusing(&unwatched).map_err(of_filter)?;
    let list = seccomp::list().map_err(of_filter)?;
    let own_gate = if watched { ExecGate::Open } else { *exec };
    let Installed { gate, list: inherited, shown } =
        gate::install(helper, &plan.seccomp, own_gate, denied.is_none() && !watched)?;
    notes.extend(shown);
    let worker_list = (!inherited && !watched).then_some(&*list);
    let worker_filters = OwnFilters {
        loaded: denied.as_deref().into_iter().chain(worker_list).collect(),
        watch: watched.then_some((helper, &plan.seccomp)),
    };

    // The worker.
    let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    let exec_gate = gate != Gate::Open || watched && *exec == ExecGate::WorkerOnly;
    let built = Built { landlock_abi, exec_gate, interception, notes, micros };
    helper.send(&FromHelper::Built(built)).map_err(sending(Step::Exec, "Built"))?;
    match sys::clone_process(0).during(Step::Exec)? {
        Fork::Child => exec_worker(&plan.worker, &fds, Some(worker_filters), gate, tell_exec_failed),
        Fork::Parent(worker) => {
            drop((fds, tell_exec_failed));
            if gate == Gate::Tracer
                && let Some(status) = gate::pass_one_exec(worker)?
            {
                return Err(init::read_failure(&exec_failed)?.unwrap_or_else(|| {
                    failure(Step::Exec, format!("the worker ended before its execve: {status:?}"))
                }));
            }
            if !inherited {
                load_filter(&list)?;
            }
            init::serve(helper, worker, child_signals, exec_failed)
        }
    }
}

/// Enters the namespace, and sends its sockets to the supervisor: none stays here.
fn hand_out_network(helper: &HelperEnd, made: &Made, notes: &mut Vec<String>) -> Result<Option<Interception>> {
    sys::network::enter(made.namespace.as_fd()).during(Step::Network)?;
    let Some(relayed) = &made.relayed else { return Ok(None) };
    notes.extend(relayed.without_v6.clone());
    let sent = helper.send_network(relayed.interception, relayed.with_raw, &relayed.descriptors());
    sent.map_err(sending(Step::Network, "Network"))?;
    Ok(Some(relayed.interception))
}

fn of_filter(error: String) -> Failure {
    failure(Step::Seccomp, error)
}

fn load_filter(filter: &[sys::Instruction]) -> Result<()> {
    if off(Layer::Seccomp) { Ok(()) } else { sys::load_filter(filter, false).map(drop).during(Step::Seccomp) }
}

/// The worker without any sandbox, for development: this process starts and watches it, and nothing else.
fn start_bare(helper: &HelperEnd, worker: &Worker, fds: LaunchFds) -> Result<i32> {
    let child_signals = sys::child_signal_fd().during(Step::Exec)?;
    let (exec_failed, tell_exec_failed) = sys::pipe().during(Step::Exec)?;
    let built = Built { notes: vec!["no sandbox".into()], ..Built::default() };
    helper.send(&FromHelper::Built(built)).map_err(sending(Step::Exec, "Built"))?;
    match sys::clone_process(0).during(Step::Exec)? {
        Fork::Child => exec_worker(worker, &fds, None, Gate::Open, tell_exec_failed),
        Fork::Parent(pid) => {
            drop((fds, tell_exec_failed));
            let code = init::serve(helper, pid, child_signals, exec_failed);
            // No pid namespace ends what the worker started: its session, which it leads, is as far as this reaches.
            let _ = sys::kill(-pid, libc::SIGKILL);
            code
        }
    }
}

fn read_plan(file: BorrowedFd<'_>) -> Result<Plan> {
    let text = sys::read_whole(file).during(Step::Plan)?;
    let mut plan: Plan = serde_json::from_slice(&text)
        .map_err(|error| failure(Step::Plan, format!("the plan cannot be read: {error}")))?;
    mutation::change(&mut plan);
    let id = plan.identity;
    if plan.enforced && !off(Layer::UserIds) && (id.outer_uid == 0 || is_foreign(id) && id.outer_gid == 0) {
        // With no capability at all, kuid 0 may still write /proc/sys/kernel/core_pattern, and so take the host.
        return Err(failure(Step::Plan, format!("the worker would be the host's root: {id:?}")));
    }
    Ok(plan)
}

/// Whether the worker gets other ids than the caller's: a root caller's worker does.
fn is_foreign(identity: Identity) -> bool {
    sys::effective_ids() != (identity.outer_uid, identity.outer_gid)
}

/// The outer process: maps the child's ids, lets it go on, and waits for its end.
fn outer(helper: &HelperEnd, child: i32, identity: Identity, foreign: bool, go: OwnedFd) -> Result<i32> {
    // When this fails the failure is told from here; the child ends without a word as the pipe closes.
    idmap::write_maps(child, identity, foreign)?;
    sys::write_all(go.as_fd(), b"1", "pipe").during(Step::Identity)?;
    drop(go);
    match sys::wait(child, true).during(Step::Exec)? {
        Some((_, Status::Signalled(signal))) => {
            // PID 1 was killed, from outside: it had no time to report.
            let _ = helper.send(&FromHelper::Ended(WorkerEnd::Signalled(signal)));
            Ok(0)
        }
        Some((_, Status::Exited(code))) => Ok(code),
        None => Ok(1),
    }
}

/// Takes the mapped ids on. Only then is this process closed to the outside: a non-dumpable one has no maps to write.
/// The credential change clears the parent-death signal, which is armed again.
fn become_worker_id(identity: Identity, foreign: bool) -> Result<()> {
    if foreign {
        sys::drop_groups().during(Step::Identity)?;
    }
    sys::set_ids(identity.inner_uid, identity.inner_gid).during(Step::Identity)?;
    sys::set_dumpable(off(Layer::Undumpable)).during(Step::Identity)?;
    sys::die_with_parent().during(Step::Identity)
}

/// Nested user namespaces, without which the worker can have no other either, are refused by the filter; this is the
/// second lock (namespaces(7), /proc/sys/user, per user namespace). Opened while the host's `/proc` is in reach,
/// written when the tree stands.
fn open_namespace_limit(notes: &mut Vec<String>) -> Option<OwnedFd> {
    if off(Layer::NamespaceLimit) {
        return None;
    }
    sys::open_file(b"/proc/sys/user/max_user_namespaces", libc::O_WRONLY)
        // A read-only /proc/sys, as in containers.
        .map_err(|error| notes.push(format!("nested user namespaces are refused by seccomp alone: {error}")))
        .ok()
}

fn forbid_more_namespaces(limit: Option<OwnedFd>) -> Result<()> {
    limit.map_or(Ok(()), |limit| sys::write_all(limit.as_fd(), b"0", "max_user_namespaces")).during(Step::Privileges)
}

/// The filters that a worker loads itself.
struct OwnFilters<'a> {
    loaded: Vec<&'a [sys::Instruction]>,
    /// The calls that the supervisor is asked about, by a filter that has the list in it.
    watch: Option<(&'a HelperEnd, &'a SeccompPlan)>,
}

/// The worker's last steps: its descriptors, its directory, its filters, its one `execve`. Whatever fails is told
/// through the pipe; the pipe's end without a word means success.
///
/// `filters` is `None` for a worker without a sandbox.
fn exec_worker(worker: &Worker, fds: &LaunchFds, filters: Option<OwnFilters<'_>>, gate: Gate, tell: OwnedFd) -> ! {
    let borrowed: Vec<BorrowedFd<'_>> = fds.worker.iter().map(AsFd::as_fd).collect();
    // While the socket to the supervisor is still there.
    let watching = match &filters {
        Some(OwnFilters { loaded, watch: Some((helper, plan)) }) => loaded
            .iter()
            .try_for_each(|filter| load_filter(filter))
            .and_then(|()| listener::install(helper, &plan.watch, plan.watch_code)),
        _ => Ok(()),
    };
    let (tell, failure) = match watching {
        Err(failure) => (tell, failure),
        Ok(()) => match sys::arrange_descriptors(&borrowed, tell) {
            Ok(tell) => {
                let Err(failure) = try_exec(worker, filters.as_ref(), gate);
                (tell, failure)
            }
            Err((error, tell)) => (tell, Failure::of(Step::Exec, &error)),
        },
    };
    // When this fails too, PID 1 sees the worker exit with 127.
    let _ = sys::write_all(tell.as_fd(), &serde_json::to_vec(&failure).unwrap_or_default(), "pipe");
    sys::exit_now(127)
}

fn try_exec(worker: &Worker, filters: Option<&OwnFilters<'_>>, gate: Gate) -> Result<Infallible> {
    let step = Step::Exec;
    let c = |bytes: &crate::Bytes| {
        let error = || SysError { call: "execve", arguments: format!("{bytes:?}"), errno: libc::EINVAL };
        bytes.to_c().map_err(|_| error()).during(step)
    };
    let program = c(&worker.program)?;
    let argv = worker.argv.iter().map(c).collect::<Result<Vec<CString>>>()?;
    let env = worker.env.iter().map(c).collect::<Result<Vec<CString>>>()?;
    sys::reset_signals().during(step)?;
    if !off(Layer::Session) {
        sys::new_session().during(step)?;
    }
    sys::change_dir(&worker.cwd.0).during(step)?;
    if gate == Gate::Tracer {
        gate::be_traced()?;
    }
    match filters {
        Some(OwnFilters { watch: Some(_), .. }) => {}
        Some(OwnFilters { loaded, .. }) => loaded.iter().try_for_each(|filter| load_filter(filter))?,
        None => sys::die_with_parent().during(step)?,
    }
    Err(Failure::of(step, &sys::execute(&program, &argv, &env)))
}
