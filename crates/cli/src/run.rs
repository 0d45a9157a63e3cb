//! `run`: from arguments to options, and the run.

use std::env;
use std::ffi::OsString;
use std::sync::Arc;

use buntime_supervisor::{Options, Supervisor};
use tokio::sync::mpsc::unbounded_channel;

use crate::args::{PolicyArgs, RunArgs};
use crate::audit_file::AuditFile;
use crate::entry::Entry;
use crate::failure::{Failure, OURS, USAGE};
use crate::session::Session;
use crate::sink::Sink;
use crate::{permissions, policy, say, signals, variables};

/// Runs a script in a sandbox and returns the exit code.
pub fn run(mut args: RunArgs) -> Result<u8, Failure> {
    if args.wants_debug_ui() {
        return Err(Failure::unsupported("--debug-ui"));
    }
    let pod = variables::read_pod(env::vars_os())?;
    if args.no_sandbox {
        variables::refuse_no_sandbox(|name| env::var_os(name))?;
    }
    if let Some(cwd) = &args.cwd
        && !cwd.is_dir()
    {
        let message = format!("cannot start in {}: no such directory", cwd.display());
        return Err(Failure::new(OURS, message));
    }
    if args.print_policy {
        let policy = PolicyArgs { permissions: args.permissions, policy: args.policy, cwd: args.cwd };
        return policy::print(&policy.into_options(pod));
    }
    if args.audit.is_some() && args.no_sandbox {
        return Err(Failure::new(USAGE, "--audit records nothing without a sandbox: leave out --no-sandbox"));
    }
    let (source, script_args) = args.take_program();
    warn_of_late_flags(&script_args);
    let worker = args.worker_for(&source);
    let entry = Entry::find(source, args.cwd.as_deref())?;
    let audit = args.audit.as_deref().map(AuditFile::open).transpose()?;
    let options = Options {
        policy_path: args.policy,
        permissions: args.permissions.0,
        variables: pod.permissions,
        variables_policy: pod.policy,
        shm_size: args.shm_size.unwrap_or(buntime_supervisor::DEFAULT_SHM_SIZE),
        worker,
        interpreter: args.interpreter,
        sandbox_enabled: !args.no_sandbox,
        min_tier: args.min_tier,
        cwd: args.cwd,
        args: script_args,
        entry: entry.path,
        stdin: entry.has_stdin,
        config_path: args.config,
        audit_log: args.audit,
        ..Options::default()
    };

    let (sender, notices) = unbounded_channel();
    signals::listen(sender.clone()).map_err(|error| Failure::new(OURS, format!("cannot wait for signals: {error}")))?;
    let sink = Arc::new(Sink::new(sender, args.verbose, args.denials, audit));
    let supervisor = Supervisor::new(options, sink.clone())?;
    let done = pollster::block_on(Session::new(&supervisor, notices).drive(entry.run));
    sink.finish();
    done.inspect_err(|_| sink.break_line())
}

/// `run main.py --allow-read` looks as if it allowed something.
fn warn_of_late_flags(script_args: &[OsString]) {
    let mut texts = script_args.iter().filter_map(|argument| argument.to_str());
    if let Some(flag) = texts.find(|argument| permissions::is_flag(argument)) {
        say::warning(&format!("{flag} comes after the entry, so it goes to the script and allows or denies nothing"));
    }
}
