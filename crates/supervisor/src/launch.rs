//! From options to a running helper: the policy in force, the plan of the sandbox, its descriptors, its process.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};

use buntime_ipc::{Layers, Segment, SetUp};
use buntime_policy::{
    Action, Egress, MetaSource, Permissions, PolicyMeta, PolicyStack, Query, Target, Tier, is_reserved_env,
};
use buntime_sandbox::message::{self, LaunchFds, SupervisorEnd};
use buntime_sandbox::mutation::{Layer, off};
use buntime_sandbox::plan::{ExecGate, Identity, Plan, SeccompPlan, Worker};
use buntime_sandbox::view::{self, HARNESS, HOME, POLICY_COPY, Region, Scaffold};
use buntime_sandbox::{Bytes, sys};
use serde_json::Value;

use crate::code::Code;
use crate::config::{self, Configured, SandboxConfig};
use crate::error::Error;
use crate::files;
use crate::interpreter::{self, Found, Python};
use crate::kept;
use crate::network;
use crate::notify::{self, Hiding, Job, Wanted};
use crate::options::{Options, WorkerKind};
use crate::policies::{self, PolicySet, Stacked};
use crate::programs::Policies;
use crate::tree::{self, FileTree};

/// What is said of a sandbox that monitors.
const MONITORED: &str = "monitor: nothing of the policy is enforced, the worker can read, change and start all that \
                             you can, and reaches the network through the relay alone; what the policy would deny is told";

/// Size of the private `/tmp` that `filesystem.allow_write` asks for, in MB, where `resources.tmpfs_size` says nothing.
const PRIVATE_TMP: f64 = 64.0;

/// Where the worker finds commands, unless it is given another PATH.
const WORKER_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What is in force for one supervisor, settled before anything starts.
pub struct Settled {
    pub stack: PolicyStack,
    pub meta: PolicyMeta,
    pub config: SandboxConfig,
    /// Told to the user: a path that does not exist, a setting without effect.
    pub warnings: Vec<String>,
    /// What is to be seen of the worker's system calls.
    watch: Wanted,
    /// What the sandbox enforces: the policy, or nothing where it monitors.
    pub in_force: PolicyStack,
    /// What of it is about the network, below the configuration's ceiling.
    pub egress: Arc<Egress>,
    /// Where nothing is denied: what the policy would deny of the network.
    pub would_deny: Option<Arc<Egress>>,
    /// Nothing of the policy is enforced: what it would deny is told.
    monitors: bool,
    /// What the worker takes for the host's name.
    hostname: String,
    audit_log: Option<PathBuf>,
    cwd: PathBuf,
    /// The file of the configuration.
    configured_by: Option<PathBuf>,
    /// The files of the policy.
    policy_files: Vec<PathBuf>,
}

impl Settled {
    /// Whether system calls are recorded.
    pub fn records_calls(&self) -> bool {
        self.watch.records()
    }

    /// The calls whose answers about the host are made up.
    pub fn hidden_calls(&self) -> Vec<&'static str> {
        self.watch.hidden_calls()
    }

    /// Whether a rule denies something of that.
    pub fn must_hide(&self) -> bool {
        self.watch.must_hide()
    }
}

/// Everything that a started sandbox gave the host to hold.
pub struct Launched {
    pub child: StartedHelper,
    pub helper: SupervisorEnd,
    pub control: OwnedFd,
    pub segment: Segment,
    pub to_host: OwnedFd,
    pub to_worker: OwnedFd,
    pub space: OwnedFd,
    pub stdin: Option<OwnedFd>,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
    /// What the view made of the grants.
    pub notes: Vec<String>,
    /// What the policy says of the host's files.
    pub regions: Vec<Region>,
    /// Variables of ours that the policy keeps from the worker.
    pub kept_away: HashSet<OsString>,
    /// What is to be known of the sandbox as long as it lasts.
    pub standing: Vec<String>,
    /// For the holder of the listener, where calls are watched.
    pub watch: Option<Job>,
    /// For its holder, where the host is hidden and nothing is watched.
    pub hiding: Option<Hiding>,
}

/// Reads policy and configuration, and refuses what cannot be enforced.
pub fn settle(options: &Options, config_override: Option<&Value>) -> Result<Settled, Error> {
    let cwd = policies::working_directory(options)?;
    if options.worker == WorkerKind::Bun {
        return Err(unsupported("the bun worker is not supported yet".into()));
    }
    for (name, value) in &options.env {
        let refuse = |why: &str| Err(Error::policy("ERR_BUNTIME_OPTION", format!("env: {name:?} {why}")));
        if is_reserved_env(name) || name.is_empty() || name.contains(['=', '\0']) {
            return refuse("cannot be given to a worker");
        }
        if value.contains('\0') {
            return refuse("has a value with a NUL character, which no environment can hold");
        }
    }
    let configured = config::load(options.config_path.as_deref(), &cwd, config_override)?;
    let stacked = policies::stack(options, &cwd)?;
    enforceable(options, cwd, configured, stacked, MetaSource::Boot)
}

/// The same with other policies in the place of the policy file. Nothing is read again: configuration, variables and
/// flags hold as they were.
pub fn settle_set(options: &Options, before: &Settled, set: PolicySet) -> Result<Settled, Error> {
    let file = before.configured_by.clone();
    let configured = Configured { config: before.config.clone(), unsupported: vec![], notes: vec![], file };
    let source = set.source;
    let stacked = policies::stack_set(options, &before.cwd, set)?;
    enforceable(options, before.cwd.clone(), configured, stacked, source)
}

/// Holds policy and configuration against what can be enforced.
fn enforceable(
    options: &Options,
    cwd: PathBuf,
    configured: Configured,
    stacked: Stacked,
    source: MetaSource,
) -> Result<Settled, Error> {
    let Configured { config, unsupported: unenforced, notes: mut warnings, file: configured_by } = configured;
    let Stacked { stack, keys, files: policy_files, notes } = stacked;
    warnings.extend(notes);
    let monitors = options.sandbox_enabled && (options.learn || config.security.mode == "monitor");
    let in_force = if monitors { everything()? } else { stack.clone() };
    check_tier(options, &in_force, &stack)?;
    if options.sandbox_enabled {
        // What is not enforced anyway need not be enforceable.
        let unsupported_rules = if monitors { Vec::new() } else { buntime_policy::unsupported(&stack) };
        let mut problems: Vec<String> = unsupported_rules.iter().map(ToString::to_string).collect();
        problems.extend(unenforced);
        if !problems.is_empty() {
            return Err(unsupported(problems.join("; ")));
        }
    } else {
        warnings.push(
            "no sandbox: nothing of the policy is enforced by the kernel, the worker can do all that you can".into(),
        );
    }
    if monitors {
        warnings.push(MONITORED.into());
    }
    let hostname = hostname(&in_force);
    let ceiling = config.network.ceiling()?;
    let egress = Arc::new(Egress::new(in_force.clone(), ceiling.clone()));
    let would_deny = monitors.then(|| Arc::new(Egress::new(stack.clone(), ceiling)));
    let mut watch = match options {
        Options { sandbox_enabled: false, .. } => Wanted::default(),
        Options { learn: true, .. } => Wanted::learning(),
        _ if monitors => Wanted::monitoring(&stack),
        _ => Wanted::by(&stack, options.audit_log.is_some(), &hostname),
    };
    watch.connects = options.sandbox_enabled && egress.is_wanted();
    if options.sandbox_enabled {
        warnings.extend(warned_variables(&stack));
        warnings.extend(warned_ids(&stack));
    }
    // Of the caller's working directory, unlike what is the worker's.
    let audit_log = options.audit_log.as_ref().and_then(|path| std::path::absolute(path).ok());
    let meta = PolicyMeta::new(&stack.normalized(), keys, source, humantime_now());
    Ok(Settled {
        stack,
        meta,
        config,
        warnings,
        watch,
        hostname,
        in_force,
        egress,
        would_deny,
        monitors,
        audit_log,
        cwd,
        configured_by,
        policy_files,
    })
}

/// Less than every layer is in force where somebody asks for that; nobody may ask for more at the same time.
fn check_tier(options: &Options, in_force: &PolicyStack, stack: &PolicyStack) -> Result<(), Error> {
    let (wanted, less) = match options.sandbox_enabled {
        true if in_force.plugins().landlock => return Ok(()),
        true => (options.min_tier.max(stack.min_tier()), "plugins.landlock = false"),
        false => (options.min_tier, "sandboxEnabled: false"),
    };
    match wanted {
        None | Some(Tier::None) => Ok(()),
        Some(tier) => {
            let message = format!("minTier = \"{tier}\" cannot be had with {less}, which leaves the tier \"none\"");
            Err(Error::policy("ERR_BUNTIME_NOT_ENFORCED", message).with_hint("remove one of the two"))
        }
    }
}

fn unsupported(what: String) -> Error {
    Error::policy("ERR_BUNTIME_UNSUPPORTED", what).with_hint(
        "what cannot be enforced is refused, not ignored; remove it, or wait for the version that enforces it",
    )
}

fn humantime_now() -> String {
    let now = std::time::SystemTime::now();
    let seconds = now.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    iso_8601(seconds)
}

/// Seconds since the epoch as `2026-01-31T23:59:59Z` (the civil calendar by Howard Hinnant's algorithm).
fn iso_8601(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// Finds the interpreter that the options mean.
pub fn find_python(options: &Options, settled: &Settled) -> Result<Found, Error> {
    interpreter::find(options.interpreter.as_deref(), &settled.cwd)
}

/// Plans the sandbox and starts its helper. Runs on the launcher thread, which lives as long as the process does: the
/// helper dies with the thread that started it.
pub fn launch(options: &Options, settled: &Settled, python: &Python) -> Result<Launched, Error> {
    let policy = serde_json::to_string_pretty(&settled.stack.normalized()).unwrap_or_default();
    let io = |error: io::Error| Error::setup("ERR_BUNTIME_RESOURCES", error.to_string());
    let call = |error: sys::SysError| Error::setup("ERR_BUNTIME_RESOURCES", error.to_string());

    // Started first: it waits for its plan, and comes up while the plan is made.
    let (helper, helper_socket) = message::pair().map_err(io)?;
    let started = StartedHelper::spawn(helper_socket)?;

    let segment = Segment::create(options.shm_size).map_err(io)?;
    // Pipes all of them: each end has flags of its own, which a worker could change on an eventfd or a file that both
    // sides share; none can be filled so that our end blocks; and no descriptor can be sent through one, as through a
    // socket, whose last close would then be ours to wait for.
    let (control, worker_control) = pipe_to_host().map_err(io)?;
    let (to_host, worker_to_host) = pipe_to_host().map_err(io)?;
    let (worker_wake, to_worker) = pipe_to_worker().map_err(io)?;
    let (worker_space, space) = pipe_to_worker().map_err(io)?;
    let (stdin_read, stdin_write) = sys::pipe().map_err(call)?;
    let (stdout, worker_stdout) = pipe_to_host().map_err(io)?;
    let (stderr, worker_stderr) = pipe_to_host().map_err(io)?;

    let mut grants = tree::grants(python, options.entry.as_ref().map(|entry| settled.cwd.join(entry)));
    let everything = allows_everything(&settled.in_force);
    let policies = Policies::new(&settled.in_force, path_of_worker(options, &settled.in_force));
    let code = if options.sandbox_enabled { Some(Code::find(&policies, Some(python))?) } else { None };
    if let Some(code) = &code {
        code.check()?;
        grants.extend(code.grants()?);
    }
    let shown = grants.iter().filter_map(|grant| grant.path.canonicalize().ok()).filter(|path| path.is_dir());
    let files = FileTree::of(&settled.in_force, &shown.collect::<Vec<_>>())?;
    let writes = files.writable().next().is_some();
    let private_tmp = settled.config.resources.tmpfs_size.unwrap_or(PRIVATE_TMP) * f64::from(1 << 20);
    // No smaller than the kernel can make it, for which 0 means "no limit"; a number that is too great becomes the
    // greatest.
    let private_tmp = (private_tmp as u64).max(4096);
    let decided_by = settled.configured_by.iter().chain(&settled.policy_files);
    let guarded = || tree::guarded(python, own_programs(), decided_by, settled.audit_log.as_ref());
    let scaffold = Scaffold {
        cwd: settled.cwd.clone(),
        policy: policy.clone(),
        private_tmp: settled.config.filesystem.allow_write.then_some(private_tmp),
        masked: if writes { kept::cache_dirs() } else { Vec::new() },
        guarded: if everything || off(Layer::Guards) { Vec::new() } else { guarded() },
        network: settled.egress.is_wanted(),
    };
    let mut view = view::build(&files.policy, &grants, &scaffold).map_err(|error| files.refusal(&error))?;
    view.notes.splice(0..0, files.notes);
    if let Some(code) = &code {
        view.notes.extend(code.programs.notes.iter().cloned());
        code.apply(&mut view.tree, &mut view.landlock)?;
    }

    let mut set_up = SetUp::default();
    for arg in &options.args {
        set_up.arg(arg.as_encoded_bytes());
    }
    for path in &view.readable {
        set_up.readable(path.as_os_str().as_encoded_bytes());
    }
    for path in &view.writable {
        set_up.writable(path.as_os_str().as_encoded_bytes());
    }
    for path in &view.hidden {
        set_up.masked(path.as_os_str().as_encoded_bytes());
    }
    for path in &view.kept {
        set_up.kept(path.as_os_str().as_encoded_bytes());
    }
    for path in &view.stand_ins {
        set_up.stand_in(path.as_os_str().as_encoded_bytes());
    }
    for path in code.iter().flat_map(Code::programs) {
        set_up.program(path.as_os_str().as_encoded_bytes());
    }
    let kernel = options.sandbox_enabled;
    let learn = options.learn;
    set_up.layers(Layers {
        kernel,
        learn,
        read_all: everything,
        write_all: everything,
        net: !kernel || settled.egress.is_wanted(),
        exec: policies.all_programs(),
    });
    let set_up = sys::sealed_memfd(c"buntime-setup", &set_up.into_bytes()).map_err(call)?;
    let harness = sys::sealed_memfd(c"buntime-harness", &python.harness).map_err(call)?;
    let policy_file = sys::sealed_memfd(c"buntime-policy", policy.as_bytes()).map_err(call)?;

    let mut worker_fds = vec![
        stdin_read.as_fd(),
        worker_stdout.as_fd(),
        worker_stderr.as_fd(),
        worker_control.as_fd(),
        segment.as_fd(),
        worker_to_host.as_fd(),
        worker_wake.as_fd(),
        worker_space.as_fd(),
        set_up.as_fd(),
    ];
    // Without a file system of its own the worker finds its two files behind descriptors.
    let (harness_path, policy_path) = if kernel {
        (HARNESS.to_owned(), POLICY_COPY.to_owned())
    } else {
        let first = worker_fds.len();
        worker_fds.extend([harness.as_fd(), policy_file.as_fd()]);
        (format!("/proc/self/fd/{first}"), format!("/proc/self/fd/{}", first + 1))
    };

    let runs_programs = code.as_ref().is_none_or(Code::runs_programs);
    let copies = code.as_ref().and_then(Code::copies);
    let copies = copies.map(|content| sys::sealed_memfd(c"buntime-copies", &content).map_err(call)).transpose()?;

    let exec = if runs_programs { ExecGate::Open } else { ExecGate::WorkerOnly };
    let hiding = settled.watch.hiding(exec);
    let identity = identity(&settled.in_force)?;
    let argv: Vec<OsString> = [
        python.executable.clone().into_os_string(),
        "-I".into(),
        "-S".into(),
        harness_path.into(),
        "fd:3".into(),
        "fd:4".into(),
        segment.size().to_string().into(),
    ]
    .into();
    let plan = Plan {
        enforced: kernel,
        identity,
        hostname: settled.hostname.clone(),
        tree: view.tree,
        with_landlock: settled.in_force.plugins().landlock,
        landlock: view.landlock,
        network: network::plan(&settled.egress),
        seccomp: SeccompPlan {
            deny: settled.in_force.normalized().anti_escape.deny_syscalls,
            exec,
            watch: settled.watch.calls(),
            watch_code: settled.watch.watches_code(),
            hide: hiding.iter().flat_map(Hiding::calls).map(str::to_owned).collect(),
            connects: hiding.is_some() && settled.watch.connects,
            must_hide: settled.watch.must_hide(),
        },
        worker: Worker {
            program: Bytes::from(&python.executable),
            argv: argv.iter().map(Bytes::from).collect(),
            env: environment(options, settled, &policy_path)?,
            cwd: Bytes::from(&view.cwd),
        },
    };
    let watch = (!plan.seccomp.watch.is_empty() || plan.seccomp.watch_code).then(|| Job {
        stack: settled.stack.clone(),
        egress: settled.would_deny.clone().unwrap_or_else(|| settled.egress.clone()),
        runtime: python.grants().into_iter().map(|grant| grant.path).collect(),
        // Of a monitored worker the policy is asked, which sees nothing of what it is shown.
        shown: if settled.monitors { vec![] } else { [&view.readable[..], &view.writable].concat() },
        entry: options.entry.as_ref().map(|entry| settled.cwd.join(entry)),
        wanted: settled.watch.clone(),
        deny: plan.seccomp.deny.clone(),
        exec: plan.seccomp.exec,
    });
    let plan = serde_json::to_vec(&plan)
        .map_err(|error| Error::setup("ERR_BUNTIME_PLAN", format!("the plan cannot be written: {error}")))?;
    let plan = sys::sealed_memfd(c"buntime-plan", &plan).map_err(call)?;

    let fds: LaunchFds<BorrowedFd<'_>> = LaunchFds {
        plan: plan.as_fd(),
        harness: harness.as_fd(),
        copies: copies.as_ref().map_or(harness.as_fd(), AsFd::as_fd),
        worker: worker_fds,
    };
    helper.launch(fds).map_err(|error| {
        Error::setup("ERR_BUNTIME_HELPER", format!("buntime-init ended before it was told anything: {error}"))
    })?;
    Ok(Launched {
        child: started,
        helper,
        control,
        segment,
        to_host,
        to_worker,
        space,
        // A writing end that nobody holds is the end of the worker's input.
        stdin: options.stdin.then_some(stdin_write),
        stdout,
        stderr,
        notes: view.notes,
        regions: files.policy.regions,
        kept_away: kept_away(settled),
        standing: settled.monitors.then(|| MONITORED.into()).into_iter().collect(),
        watch,
        hiding,
    })
}

/// Writes the policy in force and its metadata where the caller wants them; `regions` are those of every sandbox that
/// is there meanwhile.
pub fn write_active(options: &Options, settled: &Settled, regions: &[Region]) -> Result<(), Error> {
    let write = |path: &Option<PathBuf>, value: serde_json::Result<String>| {
        let Some(path) = path else { return Ok(()) };
        let path = settled.cwd.join(path);
        let written = || {
            let text = value.map_err(io::Error::other)?;
            let name = path.file_name().ok_or_else(|| io::Error::other("expected the name of a file"))?;
            files::replace_in(&view::directory_of_host(&path, regions)?, name, text.as_bytes())
        };
        written().map_err(|error| Error::setup("ERR_BUNTIME_ACTIVE_POLICY", format!("{}: {error}", path.display())))
    };
    write(&options.active_policy_path, serde_json::to_string_pretty(&settled.stack.normalized()))?;
    write(&options.active_policy_meta_path, serde_json::to_string_pretty(&settled.meta))
}

/// The policy of a sandbox that denies nothing.
fn everything() -> Result<PolicyStack, Error> {
    let mut stack = PolicyStack::deny_all();
    let permissions = Permissions { allow_all: true, ..Permissions::default() };
    stack.push_flags(&permissions, "/").map_err(policies::error)?;
    Ok(stack)
}

fn allows_everything(stack: &PolicyStack) -> bool {
    stack.rules().any(|rule| rule.action == Action::Allow && rule.target == Target::Everything)
}

/// The PATH that the worker will have, by which it finds commands.
pub fn path_of_worker(options: &Options, stack: &PolicyStack) -> OsString {
    let given = options.env.iter().find(|(name, _)| name.as_str() == "PATH").map(|(_, value)| OsString::from(value));
    let of_host = || {
        let allowed = Query::env("PATH").is_ok_and(|query| stack.decide(&query).allowed);
        std::env::var_os("PATH").filter(|_| allowed)
    };
    given.or_else(of_host).unwrap_or_else(|| WORKER_PATH.into())
}

/// Those of our variables that the policy denies. What no policy can allow is no news.
fn kept_away(settled: &Settled) -> HashSet<OsString> {
    let is_denied = |name: &OsString| {
        let query = name.to_str().filter(|name| !is_reserved_env(name)).and_then(|name| Query::env(name).ok());
        query.is_some_and(|query| !settled.in_force.decide(&query).allowed)
    };
    std::env::vars_os().map(|(name, _)| name).filter(is_denied).collect()
}

/// Variables that a `warn` rule lets through, in words: they are seen by being there, so that this is told at the
/// start.
fn warned_variables(stack: &PolicyStack) -> Vec<String> {
    let warned = |name: OsString| {
        let name = name.into_string().ok()?;
        let decision = Query::env(&name).ok().map(|query| stack.decide(&query))?;
        (decision.action == Action::Warn).then(|| notify::let_through("env", &name, &decision))
    };
    std::env::vars_os().filter_map(|(name, _)| warned(name)).collect()
}

/// The caller's own ids that a `warn` rule shows, in words, likewise.
fn warned_ids(stack: &PolicyStack) -> Vec<String> {
    let warned = |name: &str| {
        let decision = Query::sys(name).ok().map(|query| stack.decide(&query))?;
        (decision.action == Action::Warn).then(|| notify::let_through("sys", name, &decision))
    };
    ["uid", "gid"].into_iter().filter_map(warned).collect()
}

/// The worker's environment, from nothing: constants, then what the policy lets through of the host's, then what the
/// caller gave by value.
fn environment(options: &Options, settled: &Settled, policy_path: &str) -> Result<Vec<Bytes>, Error> {
    let mut values: BTreeMap<OsString, OsString> = BTreeMap::new();
    let constants = [("PATH", WORKER_PATH), ("HOME", HOME), ("LANG", "C.UTF-8"), ("TMPDIR", "/tmp")];
    values.extend(constants.map(|(name, value)| (name.into(), value.into())));
    for (name, value) in std::env::vars_os() {
        let allowed = name.to_str().is_some_and(|name| {
            // A worker that is learned from has the constants that it will have under the policy.
            let stays = options.learn && constants.iter().any(|(constant, _)| *constant == name);
            off(Layer::Environment)
                || !is_reserved_env(name)
                    && !stays
                    && (!options.sandbox_enabled
                        || Query::env(name).is_ok_and(|query| settled.in_force.decide(&query).allowed))
        });
        if allowed {
            values.insert(name, value);
        }
    }
    if settled.egress.is_wanted() && settled.config.network.proxy_variables == Some(true) {
        values.extend(network::proxy_variables());
    }
    values.extend(options.env.iter().map(|(name, value)| (name.into(), value.into())));
    values.insert("POLICY_PATH".into(), policy_path.into());
    values.insert("PYTHONUNBUFFERED".into(), "1".into());
    let entries = values.into_iter().map(|(mut name, value)| {
        name.push("=");
        name.push(value);
        Bytes::from(&name)
    });
    Ok(entries.collect())
}

/// Our reading end does not block; the worker's writing end does, so that a slow reader slows it.
fn pipe_to_host() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    nonblocking(&read)?;
    Ok((read, write))
}

/// The worker's reading end blocks, our writing end does not: a full pipe wakes just as well.
fn pipe_to_worker() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    nonblocking(&write)?;
    Ok((read, write))
}

/// Makes our end of a pipe one that never blocks.
pub fn nonblocking(fd: &OwnedFd) -> io::Result<()> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(())
}

/// Whether this may be seen of the system.
fn sees(stack: &PolicyStack, name: &str) -> bool {
    Query::sys(name).is_ok_and(|query| stack.decide(&query).allowed)
}

/// What `gethostname()` says inside: the host's own name where that may be seen.
fn hostname(stack: &PolicyStack) -> String {
    let real =
        || nix::sys::utsname::uname().ok()?.nodename().to_str().map(str::to_owned).filter(|name| !name.is_empty());
    sees(stack, "hostname").then(real).flatten().unwrap_or_else(|| "sandbox".to_owned())
}

/// Who the worker is to the kernel. An ordinary caller can only be itself, under its own number where that may be seen.
/// A root caller's worker is never root: it gets an id of its own, drawn from the caller's map, so that two sandboxes
/// do not share one either.
fn identity(stack: &PolicyStack) -> Result<Identity, Error> {
    let (uid, gid) = sys::effective_ids();
    let inner = Identity::INNER;
    if uid != 0 {
        let shown = |name, id| if sees(stack, name) { id } else { inner };
        let (inner_uid, inner_gid) = (shown("uid", uid), shown("gid", gid));
        return Ok(Identity { outer_uid: uid, outer_gid: gid, inner_uid, inner_gid });
    }
    let draw = |map: &str| {
        let text = std::fs::read_to_string(map)
            .map_err(|error| Error::setup("ERR_BUNTIME_IDENTITY", format!("{map}: {error}")))?;
        unprivileged_id(&text, random()).ok_or_else(|| {
            Error::setup(
                "ERR_BUNTIME_IDENTITY",
                format!("{map} holds no id that the worker could have: {:?}", text.trim()),
            )
            .with_hint("run as an ordinary user, or in a user namespace that maps more than root")
        })
    };
    Ok(Identity {
        outer_uid: draw("/proc/self/uid_map")?,
        outer_gid: draw("/proc/self/gid_map")?,
        inner_uid: inner,
        inner_gid: inner,
    })
}

/// An id of the map (user_namespaces(7): lines of inside, outside, length) that belongs to no ordinary user: from the
/// upper half of its longest line, above 65,535 where it reaches that far.
fn unprivileged_id(map: &str, random: u64) -> Option<u32> {
    let lines = map.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace().map(|word| word.parse::<u64>().ok());
        let (start, _, length) = (numbers.next()??, numbers.next()??, numbers.next()??);
        Some((start, length))
    });
    let (start, length) = lines.max_by_key(|(_, length)| *length)?;
    // The last two ids of a full map mean "no id" and "unchanged".
    let end = (start + length).min(u64::from(u32::MAX) - 1);
    let from = (start + length / 2).max(1000);
    let span = end.checked_sub(from).filter(|span| *span > 0)?;
    let id = from + random % span;
    // 65534 is everybody's "nobody".
    u32::try_from(if id == 65_534 { id - 1 } else { id }).ok()
}

fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    // Each RandomState has keys of its own, from the system's random source.
    RandomState::new().build_hasher().finish()
}

static INIT_PATH: OnceLock<PathBuf> = OnceLock::new();

/// Where `buntime-init` lies, for embedders that know: the addon finds it beside itself. `BUNTIME_INIT_PATH` goes
/// before it.
pub fn set_init_path(path: PathBuf) {
    // The first answer stays: all callers of one process mean the same installation.
    let _ = INIT_PATH.set(path);
}

fn init_path() -> Result<PathBuf, Error> {
    if let Some(path) = std::env::var_os("BUNTIME_INIT_PATH").filter(|path| !path.is_empty()) {
        return Ok(PathBuf::from(path));
    }
    if let Some(path) = INIT_PATH.get() {
        return Ok(path.clone());
    }
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("buntime-init")));
    beside.ok_or_else(|| Error::setup("ERR_BUNTIME_HELPER", "buntime-init cannot be found: this program has no path"))
}

/// What of ours runs outside the sandbox: the helper, where it was installed (the command and the addon lie there,
/// too), and this program.
fn own_programs() -> impl Iterator<Item = PathBuf> {
    let helper = init_path().ok().and_then(|path| std::path::absolute(path).ok());
    let installed = helper.as_ref().and_then(|helper| Some(helper.parent()?.to_owned()));
    [installed, helper, std::env::current_exe().ok()].into_iter().flatten()
}

/// A helper that nobody serves yet. Dropped, for something failed or nobody wants it any more, it is ended and waited
/// for.
pub struct StartedHelper(Option<Child>);

impl StartedHelper {
    fn spawn(socket: OwnedFd) -> Result<Self, Error> {
        spawn_helper(socket).map(|child| Self(Some(child)))
    }

    pub fn into_child(mut self) -> Child {
        self.0.take().expect("it is there until this call, which there is only one of")
    }
}

impl Drop for StartedHelper {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // It may have ended by itself; either way nothing is left of it after the wait.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn spawn_helper(socket: OwnedFd) -> Result<Child, Error> {
    let path = init_path()?;
    // No `pre_exec`: the standard library then uses posix_spawn, which copies nothing of a large host process. A
    // process group of its own: the Ctrl-C of a terminal is for the host, which interrupts the script, and not for the
    // helper.
    Command::new(&path)
        .arg0("buntime-init") // what the worker sees of PID 1: no path of the host's
        .env_clear()
        .process_group(0)
        .stdin(Stdio::from(File::from(socket)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::NotFound => "reinstall the package, or name the helper with BUNTIME_INIT_PATH",
                io::ErrorKind::PermissionDenied => {
                    "it needs its executable bit and a file system that is not mounted noexec"
                }
                _ => "the host may be out of processes or memory",
            };
            Error::setup("ERR_BUNTIME_HELPER", format!("{}: {error}", path.display())).with_hint(hint)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_that_cannot_be_made_is_refused_by_name() {
        for (name, value) in [("A", "x\0y"), ("A\0", ""), ("A=", ""), ("", "x"), ("POD_ALLOW_NET", "x")] {
            let options = Options { env: [(name.to_owned(), value.to_owned())].into(), ..Options::default() };
            let error = settle(&options, None).err().unwrap();
            assert_eq!(error.code, "ERR_BUNTIME_OPTION");
            assert!(error.message.contains(&format!("{name:?}")), "{error}");
        }
    }

    #[test]
    fn the_helper_and_its_directory_are_the_hosts_to_write() {
        let helper = std::path::absolute(init_path().unwrap()).unwrap();
        let guarded: Vec<PathBuf> = own_programs().collect();
        for path in [helper.as_path(), helper.parent().unwrap(), &std::env::current_exe().unwrap()] {
            assert!(path.is_absolute() && guarded.iter().any(|guarded| guarded == path), "{guarded:?}");
        }
    }

    #[test]
    fn dates() {
        assert_eq!(iso_8601(0), "1970-01-01T00:00:00Z");
        assert_eq!(iso_8601(951_827_696), "2000-02-29T12:34:56Z");
        assert_eq!(iso_8601(4_102_444_799), "2099-12-31T23:59:59Z");
    }

    #[test]
    fn a_root_callers_worker_is_never_root_nor_a_user() {
        for seed in [0, 1, u64::MAX, 0x9e37_79b9_7f4a_7c15] {
            let whole = unprivileged_id("         0          0 4294967295\n", seed).unwrap();
            assert!(whole >= 1 << 30, "{whole}");
            let container = unprivileged_id("0 100000 65536", seed).unwrap();
            assert!((32_768..65_536).contains(&container) && container != 65_534, "{container}");
        }
        assert_eq!(unprivileged_id("0 1000 1", 7), None, "root of a map with root alone");
        assert_eq!(unprivileged_id("", 7), None);
    }
}
