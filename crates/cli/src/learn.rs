//! `learn`: a run that nothing is denied to, the policy that would have been enough for it, and a run under that
//! policy.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use buntime_policy::parse_policy;
use buntime_supervisor::{Learned, Options, Supervisor};
use serde_json::Value;
use tokio::sync::mpsc::unbounded_channel;

use crate::args::{LearnArgs, ShowDenials};
use crate::entry::Entry;
use crate::escape::escape;
use crate::failure::{Failure, OURS, USAGE};
use crate::session::Session;
use crate::sink::Sink;
use crate::variables::is_setting;
use crate::{policy, say, signals};

/// Runs the script, writes the policy, runs the script again under it. The exit code is that of the first run where
/// the second ends the same and is denied nothing.
pub fn learn(mut args: LearnArgs) -> Result<u8, Failure> {
    let (source, script_args) = args.take_program();
    let entry = Entry::find(source, None)?;
    let script = entry.path.clone().ok_or_else(|| Failure::new(USAGE, "learn takes a script as a file"))?;
    let output = args.output.unwrap_or_else(|| beside(&script));
    if !args.force && output.symlink_metadata().is_ok() {
        let message = format!("{} exists already", output.display());
        return Err(Failure::new(USAGE, message).with_hint("--force replaces it, --output names another file"));
    }
    let options = Options {
        interpreter: args.interpreter.clone(),
        args: script_args.clone(),
        entry: entry.path,
        stdin: entry.has_stdin,
        learn: true,
        ..Options::default()
    };
    let (sender, notices) = unbounded_channel();
    signals::listen(sender.clone()).map_err(|error| Failure::new(OURS, format!("cannot wait for signals: {error}")))?;
    let sink = std::sync::Arc::new(Sink::new(sender, false, ShowDenials::Off, None));
    let supervisor = Supervisor::new(options, sink.clone())?;
    let code = pollster::block_on(Session::new(&supervisor, notices).drive(entry.run));
    sink.finish();
    let code = code.inspect_err(|_| sink.break_line())?;
    sink.break_line();
    let Learned { policy, notes } =
        sink.take_learned().ok_or_else(|| Failure::new(OURS, "nothing was learned of the run"))?;
    let file = parse_policy(&policy.to_string(), "learned").map_err(|error| Failure::new(OURS, error.to_string()))?;
    policy::write_file(&output, &policy::json(&file)?, args.force)?;
    for note in &notes {
        say::warning(note);
    }
    again(&output, &policy, args.interpreter.as_deref(), &script, &script_args, code)
}

/// `main.policy.json` for `main.py`, in the working directory.
fn beside(script: &Path) -> PathBuf {
    let mut name = script.file_stem().unwrap_or_default().to_owned();
    name.push(".policy.json");
    PathBuf::from(name)
}

/// The run under the policy, in a process of its own, whose output nobody sees a second time.
fn again(
    policy: &Path,
    text: &Value,
    interpreter: Option<&Path>,
    script: &Path,
    script_args: &[std::ffi::OsString],
    expected: u8,
) -> Result<u8, Failure> {
    let failed = |error: std::io::Error| Failure::new(OURS, format!("the run under the policy: {error}"));
    let mut command = Command::new(std::env::current_exe().map_err(failed)?);
    command.args(["run", "--denials=json", "--policy"]).arg(std::path::absolute(policy).map_err(failed)?);
    if let Some(interpreter) = interpreter {
        command.arg("--interpreter").arg(interpreter);
    }
    // The policy alone: no variable was asked while it was learned.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_setting)) {
        command.env_remove(name);
    }
    // What reads standard input has read it.
    let stdin = File::open("/dev/null").map_err(failed)?;
    command.arg("--").arg(script).args(script_args).stdin(Stdio::from(stdin)).stdout(Stdio::null());
    let output = command.output().map_err(failed)?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let denials: Vec<Value> = told
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["kind"].is_string() && line["target"].is_string() && line["operation"].is_string())
        .collect();
    let code = output.status.code();
    if denials.is_empty() && code == Some(expected.into()) {
        let rules = ["fs", "exec", "ffi", "env"].iter().map(|kind| text[kind]["rules"].as_array().map_or(0, Vec::len));
        say::note(&format!("the same run passes under {} ({} rules)", policy.display(), rules.sum::<usize>()));
        return Ok(expected);
    }
    for denial in &denials {
        let word = |key: &str| escape(denial[key].as_str().unwrap_or_default()).into_owned();
        say::warning(&format!("denied under the policy: {} {} ({})", word("kind"), word("target"), word("operation")));
    }
    if code == Some(expected.into()) {
        say::note(&format!("under {} the run ends the same, though something is denied to it", policy.display()));
        return Ok(expected);
    }
    let ended = code.map_or_else(|| "by a signal".to_owned(), |code| format!("with {code}"));
    let last = told.lines().rev().find(|line| !line.starts_with('{')).unwrap_or_default();
    Err(Failure::new(OURS, format!("under {} the run ends {ended}, not with {expected}: {last}", policy.display()))
        .with_hint("add to the policy what is missing, and try it with run --policy"))
}
