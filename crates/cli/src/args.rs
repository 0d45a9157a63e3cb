//! The grammar of the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use buntime_policy::{PermissionKind, Tier};
use buntime_supervisor::{Options, WorkerKind};
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::permissions::PermissionArgs;
use crate::size::shm_size;
use crate::variables::Pod;

// In the templates, and not as `long_about`: clap would then print each flag over three lines.
const HELP: &str = "\
{about-with-newline}
Without flags everything is denied: a script can compute, read what is piped into it and print. It
sees no file of yours but itself, no network, no other program and no variable of your environment.
Neither root nor a container is needed.

{usage-heading} {usage}

{all-args}{after-help}";

const RUN_HELP: &str = "\
{about-with-newline}
Without flags everything is denied: the script can compute, read what is piped into it and print.
It sees no file of yours but itself, no network, no other program and no variable of your
environment. Each permission is given by a flag, by a variable such as POD_ALLOW_READ=/data, or by a
policy; flags outrank variables, and these the policy. What was denied is listed at the end, with
the flag that would allow it.

Options come before the entry. Everything after the entry goes to the script. Ctrl-C raises
KeyboardInterrupt in it, also in the wait for its threads and in its exit handlers; a second one
kills it.

The exit code is the script's, or 128+N when signal N ended it; 125 when the sandbox failed, 126
when the entry cannot be read, 127 when there is no such entry, 2 for a mistake on the command line.

{usage-heading} {usage}

{all-args}{after-help}";

const EXPLAIN_EXAMPLES: &str = "\
The exit code is 0 for allowed, 1 for denied and 2 for a question that makes no sense.

Examples:
  python-ipc-bun policy explain read /etc/passwd --policy=lambda
  python-ipc-bun policy explain env AWS_REGION --allow-env=AWS_*
  POD_ALLOW_READ=/data python-ipc-bun policy explain read /data/x";

const LEARN_NOTES: &str = "\
The script runs twice: once with nothing denied but the network, when it can read, change and start
all that you can; then under the policy, with its output thrown away and nothing on its standard input.
What the second run is denied is told. Read the policy before you use it: it allows what the script
did, whether or not it should have.";

const EXAMPLES: &str = "\
Examples:
  python-ipc-bun run main.py                                 everything is denied
  python-ipc-bun run --allow-read=./data main.py --fast      it may read ./data, and gets --fast
  python-ipc-bun run -R=/data -W=/tmp/out -E=LANG,AWS_* x.py
  python-ipc-bun run --policy=lambda main.py                 a policy that comes with the package
  python-ipc-bun run -c 'print(6 * 7)'
  generate | python-ipc-bun run -";

/// Runs untrusted Python in a kernel-level Linux sandbox
#[derive(Debug, Parser)]
#[command(name = "python-ipc-bun", version, help_template = HELP, after_help = EXAMPLES)]
#[command(arg_required_else_help = true, max_term_width = 120)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a script in a sandbox
    Run(Box<RunArgs>),
    /// Run a script that you trust with nothing denied, and write the smallest policy under which the same run passes
    Learn(Box<LearnArgs>),
    /// Print the policy that the flags amount to, as a policy file
    InitPolicy(Box<InitPolicyArgs>),
    /// Ask what a policy allows
    #[command(subcommand)]
    Policy(PolicyCommand),
}

/// `policy`.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Say whether something is allowed, by which rule, and where that rule comes from
    Explain(Box<ExplainArgs>),
}

/// `run`.
#[derive(Debug, Args)]
#[command(help_template = RUN_HELP, after_help = EXAMPLES, override_usage = "\
python-ipc-bun run [OPTIONS] <ENTRY> [ARGS]...
       python-ipc-bun run [OPTIONS] -c <CODE> [ARGS]...")]
pub struct RunArgs {
    // One list, and not an entry beside a list: after the first positional argument of a list clap takes no more flags.
    /// The script to run, "-" to read it from standard input; then the script's own arguments
    #[arg(value_names = ["ENTRY", "ARGS"], num_args = 1.., trailing_var_arg = true)]
    #[arg(required_unless_present_any = ["code", "print_policy"])]
    positional: Vec<OsString>,

    /// Run this source text
    #[arg(short, value_name = "CODE")]
    code: Option<String>,

    /// What the script may do.
    #[command(flatten)]
    pub permissions: PermissionArgs,

    /// Take permissions from a policy file, or from a policy of the package by its name
    #[arg(long, value_name = "FILE|NAME", help_heading = "Policy")]
    pub policy: Option<String>,

    /// Use this configuration, and not config.json of the working directory
    #[arg(long, value_name = "FILE", help_heading = "Policy")]
    pub config: Option<PathBuf>,

    /// Print the policy in force, each rule with its origin, and run nothing
    #[arg(long, help_heading = "Policy")]
    pub print_policy: bool,

    /// What runs the script, "bun" being not supported yet; by default what its file name asks for
    #[arg(long, value_name = "WORKER", help_heading = "Sandbox")]
    worker: Option<Worker>,

    /// The python3 to run it with; by default the one on PATH
    #[arg(long, value_name = "PATH", help_heading = "Sandbox")]
    pub interpreter: Option<PathBuf>,

    /// Run as if started in this directory
    #[arg(long, value_name = "DIR", help_heading = "Sandbox")]
    pub cwd: Option<PathBuf>,

    /// Shared memory between worker and supervisor, as in 64kb, 10mb or 1gb [default: 1mb]
    #[arg(long, value_name = "SIZE", value_parser = shm_size, help_heading = "Sandbox")]
    pub shm_size: Option<usize>,

    /// Start with no less protection than this tier's: "full", "nested", "landlock" or "none"
    #[arg(long, value_name = "TIER", value_parser = tier, help_heading = "Sandbox")]
    pub min_tier: Option<Tier>,

    /// Isolate nothing: for development with code that you trust
    #[arg(long, help_heading = "Sandbox")]
    pub no_sandbox: bool,

    /// Record system calls, those of the policy's audit.events, as lines of JSON at the end of this file
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub audit: Option<PathBuf>,

    /// How to tell what was denied: at the "end", "live", as "json" (live, a line each), or "off"
    #[arg(long, value_name = "HOW", value_enum, default_value_t, hide_possible_values = true)]
    #[arg(help_heading = "Output")]
    pub denials: ShowDenials,

    /// Say which protection the kernel has in force
    #[arg(short, long, help_heading = "Output")]
    pub verbose: bool,

    /// Serve a page that shows the run (not supported yet)
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, require_equals = true, help_heading = "Output")]
    debug_ui: Option<Option<String>>,
}

/// `learn`.
#[derive(Debug, Args)]
#[command(override_usage = "python-ipc-bun learn [OPTIONS] <ENTRY> [ARGS]...", after_help = LEARN_NOTES)]
pub struct LearnArgs {
    /// The script to run; then the script's own arguments
    #[arg(value_names = ["ENTRY", "ARGS"], num_args = 1.., trailing_var_arg = true, required = true)]
    positional: Vec<OsString>,

    /// Write the policy to this file; by default to NAME.policy.json for NAME.py, in the working directory
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Replace the file that is there
    #[arg(long)]
    pub force: bool,

    /// The python3 to run it with; by default the one on PATH
    #[arg(long, value_name = "PATH")]
    pub interpreter: Option<PathBuf>,
}

/// `init-policy`.
#[derive(Debug, Args)]
#[command(override_usage = "python-ipc-bun init-policy [OPTIONS]")]
pub struct InitPolicyArgs {
    /// What the policy will allow and deny.
    #[command(flatten)]
    pub permissions: PermissionArgs,

    /// Write the policy to this file, which must not exist yet
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Replace the file that is there
    #[arg(long, requires = "output")]
    pub force: bool,
}

/// The policy that a question is about.
#[derive(Debug, Args)]
pub struct PolicyArgs {
    /// Its highest source.
    #[command(flatten)]
    pub permissions: PermissionArgs,

    /// A policy file, or a policy of the package by its name
    #[arg(long, value_name = "FILE|NAME", help_heading = "Policy")]
    pub policy: Option<String>,

    /// Where relative paths start; by default the working directory
    #[arg(long, value_name = "DIR", help_heading = "Policy")]
    pub cwd: Option<PathBuf>,
}

/// `policy explain`.
#[derive(Debug, Args)]
#[command(after_help = EXPLAIN_EXAMPLES)]
pub struct ExplainArgs {
    /// The permission: read, write, net, run, env, ffi or sys
    #[arg(value_parser = permission_kind)]
    pub kind: PermissionKind,

    /// A path, a host as in github.com:443, a program, or a name
    pub target: String,

    /// Answer in JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub policy: PolicyArgs,
}

fn permission_kind(text: &str) -> Result<PermissionKind, String> {
    let known = || PermissionKind::ALL.iter().map(ToString::to_string);
    PermissionKind::ALL.iter().find(|kind| kind.to_string() == text).copied().ok_or_else(|| {
        let names: Vec<String> = known().collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        format!("expected one of {}; {}", names.join(", "), buntime_policy::did_you_mean(text, &names))
    })
}

fn tier(text: &str) -> Result<Tier, String> {
    let names: Vec<&str> = Tier::ALL.iter().map(|tier| tier.as_str()).collect();
    let found = Tier::ALL.iter().find(|tier| tier.as_str() == text).copied();
    found.ok_or_else(|| format!("expected one of {}; {}", names.join(", "), buntime_policy::did_you_mean(text, &names)))
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Worker {
    Python,
    Bun,
}

/// When and how denials are told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ShowDenials {
    /// As a block after the script's output.
    #[default]
    End,
    /// Each in a line of its own when it first happens.
    Live,
    /// Each as a line of JSON, again as its count doubles.
    Json,
    /// Not at all.
    Off,
}

/// Where the program comes from.
#[derive(Debug, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// `-`.
    Stdin,
    /// `-c`.
    Code(String),
}

impl PolicyArgs {
    /// The options that make up the policy.
    pub fn into_options(self, pod: Pod) -> Options {
        Options {
            policy_path: self.policy,
            permissions: self.permissions.0,
            variables: pod.permissions,
            variables_policy: pod.policy,
            cwd: self.cwd,
            ..Options::default()
        }
    }
}

/// The program, and what follows it.
fn split_program(mut positional: Vec<OsString>) -> (Source, Vec<OsString>) {
    // The grammar has made sure that there is one.
    let args = positional.split_off(positional.len().min(1));
    let source = match positional.pop().unwrap_or_default() {
        dash if dash == "-" => Source::Stdin,
        path => Source::File(path.into()),
    };
    (source, args)
}

impl LearnArgs {
    /// The program and its arguments, each taken out once.
    pub fn take_program(&mut self) -> (Source, Vec<OsString>) {
        split_program(std::mem::take(&mut self.positional))
    }
}

impl RunArgs {
    /// The program and its arguments, each taken out once.
    pub fn take_program(&mut self) -> (Source, Vec<OsString>) {
        let positional = std::mem::take(&mut self.positional);
        match self.code.take() {
            Some(code) => (Source::Code(code), positional),
            None => split_program(positional),
        }
    }

    /// The worker that was asked for, by flag or by the name of the script, as in the guide's `run main.ts`.
    pub fn worker_for(&self, source: &Source) -> WorkerKind {
        const SCRIPTS_OF_BUN: [&str; 8] = ["ts", "tsx", "mts", "cts", "js", "jsx", "mjs", "cjs"];
        match (self.worker, source) {
            (Some(Worker::Python), _) => WorkerKind::Python,
            (Some(Worker::Bun), _) => WorkerKind::Bun,
            (None, Source::File(path)) => match path.extension().and_then(|extension| extension.to_str()) {
                Some(extension) if SCRIPTS_OF_BUN.contains(&extension) => WorkerKind::Bun,
                _ => WorkerKind::Python,
            },
            (None, _) => WorkerKind::Python,
        }
    }

    /// Whether `--debug-ui` was given.
    pub fn wants_debug_ui(&self) -> bool {
        self.debug_ui.is_some()
    }
}

/// Reads the command line of this process. Help, version and mistakes end it here.
pub fn parse() -> Cli {
    Cli::try_parse().unwrap_or_else(|error| with_run_tip(error, std::env::args_os().skip(1)).exit())
}

/// A first word that is no command is most likely the script, and the word left out is `run`.
fn with_run_tip(mut error: clap::Error, args: impl Iterator<Item = OsString>) -> clap::Error {
    let args: Vec<String> = args.map(|argument| argument.to_string_lossy().into_owned()).collect();
    let at_top_level =
        args.first().is_some_and(|first| !["run", "learn", "init-policy", "policy", "help"].contains(&first.as_str()));
    if at_top_level && matches!(error.kind(), ErrorKind::InvalidSubcommand | ErrorKind::UnknownArgument) {
        let tip = StyledStr::from(format!("to run a script: python-ipc-bun run {}", args.join(" ")));
        error.remove(ContextKind::SuggestedArg);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(args: &[&str]) -> Result<RunArgs, clap::Error> {
        let words = ["python-ipc-bun", "run"].into_iter().chain(args.iter().copied());
        match Cli::try_parse_from(words)?.command {
            Command::Run(args) => Ok(*args),
            other => panic!("{other:?}"),
        }
    }

    fn program(args: &[&str]) -> (Source, Vec<OsString>) {
        parse(args).unwrap().take_program()
    }

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_follows_the_entry_is_the_scripts() {
        let mut args = parse(&["-v", "main.py", "--allow-read", "-v", "--", "--help", ""]).unwrap();
        assert_eq!(args.permissions.0, buntime_policy::Permissions::default());
        let (source, args) = args.take_program();
        assert_eq!(source, Source::File("main.py".into()));
        assert_eq!(args, ["--allow-read", "-v", "--", "--help", ""]);
    }

    #[test]
    fn programs() {
        let (source, args) = program(&["-", "a"]);
        assert_eq!((source, args), (Source::Stdin, vec![OsString::from("a")]));
        let (source, args) = program(&["-c", "print(1)", "a", "-v"]);
        assert_eq!(source, Source::Code("print(1)".to_owned()));
        assert_eq!(args, ["a", "-v"]);
        let (source, _) = program(&["--", "-odd.py"]);
        assert_eq!(source, Source::File("-odd.py".into()));
        assert!(parse(&[]).is_err());
    }

    #[test]
    fn a_flag_never_swallows_the_entry() {
        for flag in ["--allow-read", "-R", "--deny-net", "--debug-ui", "--no-sandbox", "-A"] {
            assert_eq!(program(&[flag, "main.py"]).0, Source::File("main.py".into()), "{flag}");
        }
        for flags in [
            ["--policy", "lambda"],
            ["--shm-size", "1mb"],
            ["--worker", "python"],
            ["--cwd", "/"],
            ["--min-tier", "full"],
        ] {
            assert_eq!(program(&[flags[0], flags[1], "main.py"]).0, Source::File("main.py".into()), "{flags:?}");
        }
    }

    #[test]
    fn tiers_by_name() {
        for tier in Tier::ALL.iter().copied() {
            assert_eq!(parse(&["--min-tier", tier.as_str(), "main.py"]).unwrap().min_tier, Some(tier));
        }
        assert_eq!(parse(&["main.py"]).unwrap().min_tier, None);
        for (wrong, near) in [("ful", "\"full\""), ("Nested", "\"nested\""), ("", "expected")] {
            let error = parse(&["--min-tier", wrong, "main.py"]).unwrap_err().to_string();
            assert!(error.contains(near), "{error}");
        }
    }

    #[test]
    fn the_name_of_the_script_says_who_runs_it() {
        let worker = |args: &[&str]| {
            let mut args = parse(args).unwrap();
            let (source, _) = args.take_program();
            args.worker_for(&source)
        };
        assert_eq!(worker(&["main.ts"]), WorkerKind::Bun);
        assert_eq!(worker(&["main.py"]), WorkerKind::Python);
        assert_eq!(worker(&["main"]), WorkerKind::Python);
        assert_eq!(worker(&["--worker=python", "main.ts"]), WorkerKind::Python);
        assert_eq!(worker(&["--worker=bun", "-c", "1"]), WorkerKind::Bun);
    }
}
