//! `policy explain`, `init-policy` and `run --print-policy`: what a policy says, without running anything.

use std::io::{self, Write as _};
use std::path::Path;

use buntime_policy::{Lift, PolicyError};
use buntime_supervisor::{Explanation, Options, Origins};

use crate::args::{ExplainArgs, InitPolicyArgs};
use crate::escape::escape;
use crate::failure::{Failure, OURS, USAGE};
use crate::{say, variables};

/// The answer of `policy explain` is no.
const DENIED: u8 = 1;

/// `policy explain`.
pub fn explain(args: ExplainArgs) -> Result<u8, Failure> {
    let pod = variables::read_pod(std::env::vars_os())?;
    let options = args.policy.into_options(pod);
    let found = buntime_supervisor::explain(&options, args.kind, &args.target).map_err(of_question)?;
    let text = if args.json { json(&found)? } else { explanation(&found) };
    print_out(&text)?;
    Ok(if found.decision.allowed { 0 } else { DENIED })
}

/// `run --print-policy`.
pub fn print(options: &Options) -> Result<u8, Failure> {
    print_out(&origins(&buntime_supervisor::origins(options).map_err(of_question)?))?;
    Ok(0)
}

/// `init-policy`.
pub fn init(args: InitPolicyArgs) -> Result<u8, Failure> {
    let of_flags = |error: PolicyError| Failure::new(USAGE, error.to_string());
    let mut policy = args.permissions.0.to_policy().map_err(of_flags)?;
    // Relative paths start from the policy's own directory when it is read, and from ours here.
    if let Some(directory) =
        args.output.as_deref().and_then(Path::parent).filter(|parent| !parent.as_os_str().is_empty())
    {
        let here =
            std::env::current_dir().map_err(|error| Failure::new(OURS, format!("working directory: {error}")))?;
        if directory.canonicalize().ok().as_ref() != Some(&here) {
            let base = here.to_str().ok_or_else(|| Failure::new(OURS, "the working directory's name is not UTF-8"))?;
            policy = policy.absolute(base).map_err(of_flags)?;
        }
    }
    let text = json(&policy)?;
    match &args.output {
        Some(path) => write_file(path, &text, args.force)?,
        None => print_out(&text)?,
    }
    Ok(0)
}

fn of_question(error: buntime_supervisor::Error) -> Failure {
    let failure = Failure::new(USAGE, error.message);
    match error.hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

fn explanation(found: &Explanation) -> String {
    let Explanation { kind, target, real, decision, hint, note, unsupported } = found;
    let verdict = match (decision.allowed, decision.action) {
        (false, _) => "denied",
        (true, buntime_policy::Action::Warn) => "allowed, with a warning",
        (true, _) => "allowed",
    };
    let mut lines = vec![format!("{verdict}: {kind} {}", escape(target))];
    if let Some(real) = real {
        lines.push(format!("  leads to   {}", escape(real)));
    }
    lines.push(match &decision.rule {
        Some(rule) => format!("  by         {} ({})", escape(rule), escape(&decision.source)),
        None => {
            let default = if decision.allowed { "allow" } else { "deny" };
            format!("  by         no rule; the default is to {default} it ({})", escape(&decision.source))
        }
    });
    for lifted in &decision.overridden {
        lines.push(format!("  overrides  {} ({})", escape(&lifted.rule), escape(&lifted.source)));
    }
    if let Some(flag) = hint {
        lines.push(format!("  allow it   {}", escape(flag)));
    }
    if let Some(note) = note {
        lines.push(format!("  note       {}", escape(note)));
    }
    for problem in unsupported {
        lines.push(format!("  a run is refused: {}", escape(problem)));
    }
    lines.join("\n") + "\n"
}

fn origins(found: &Origins) -> String {
    let mut lines = Vec::new();
    if found.rules.is_empty() {
        lines.push("no rule: everything is denied".to_owned());
    }
    let width = found.rules.iter().map(|(rule, _)| escape(rule).chars().count()).max().unwrap_or(0);
    for (rule, origin) in &found.rules {
        lines.push(format!("{:width$}  {}", escape(rule), escape(origin)));
        for Lift { by, .. } in found.lifts.iter().filter(|lift| is(lift, rule, origin)) {
            lines.push(format!("  overridden by {} ({})", escape(&by.rule), escape(&by.source)));
        }
    }
    lines.join("\n") + "\n"
}

fn is(lift: &Lift, rule: &str, origin: &str) -> bool {
    lift.restriction.rule == rule && lift.restriction.source == origin
}

pub fn json(value: &impl serde::Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::new(OURS, error.to_string()))?;
    Ok(text + "\n")
}

fn print_out(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    match written {
        // `| head` has read what it wants.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Failure::new(OURS, format!("standard output: {error}"))),
    }
}

/// Puts the file in place as a whole, or not at all.
pub fn write_file(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::new(OURS, format!("cannot write {}: {error}", path.display()));
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(directory)
        .map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    let placed = if force { file.persist(path) } else { file.persist_noclobber(path) };
    match placed {
        Ok(_) => {
            say::note(&format!("wrote {}", path.display()));
            Ok(())
        }
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            Err(Failure::new(USAGE, format!("{} exists already", path.display())).with_hint("--force replaces it"))
        }
        Err(error) => Err(failed(error.error)),
    }
}
