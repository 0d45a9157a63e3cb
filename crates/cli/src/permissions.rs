//! The flags of the permissions: a table of them, as clap arguments and back.

use buntime_policy::PermissionKind::{Env, Ffi, Net, Read, Run, Sys, Write};
use buntime_policy::{Action, PermissionKind, Permissions, PolicyError, Selection};
use clap::{Arg, ArgAction, ArgMatches, Command, Error, FromArgMatches};

/// One flag, as the guide's table has it.
struct Flag {
    kind: PermissionKind,
    action: Action,
    name: &'static str,
    short: Option<char>,
    value: &'static str,
    help: &'static str,
}

const fn allow(kind: PermissionKind, name: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag { kind, action: Action::Allow, name, short: None, value, help }
}

const fn deny(kind: PermissionKind, name: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag { action: Action::Deny, ..allow(kind, name, value, help) }
}

impl Flag {
    const fn short(self, short: char) -> Self {
        Self { short: Some(short), ..self }
    }

    /// Accepts a list with commas, all of whose items mean something: `--allow-read=$UNSET` must not become anything.
    fn check(&self, items: &str) -> Result<String, String> {
        if items.is_empty() {
            return Err("the value is empty; leave out the \"=\" to mean everything".to_owned());
        }
        if items.split(',').any(str::is_empty) {
            return Err("an item of the list is empty".to_owned());
        }
        let mut permissions = Permissions::default();
        self.selection(&mut permissions).add(Some(items));
        match permissions.to_policy() {
            Ok(_) => Ok(items.to_owned()),
            // Clap names the flag itself.
            Err(PolicyError::Flag { problem, .. }) => Err(problem),
            Err(error) => Err(error.to_string()),
        }
    }

    fn selection<'a>(&self, permissions: &'a mut Permissions) -> &'a mut Selection {
        let grants = permissions.grants_mut(self.kind);
        match self.action {
            Action::Deny => &mut grants.deny,
            _ => &mut grants.allow,
        }
    }
}

static FLAGS: [Flag; 14] = [
    allow(Read, "allow-read", "PATHS", "Read these files, and all below these directories").short('R'),
    deny(Read, "deny-read", "PATHS", "Never read these, whatever else is allowed"),
    allow(Write, "allow-write", "PATHS", "Write there; does not imply reading").short('W'),
    deny(Write, "deny-write", "PATHS", "Never write there"),
    allow(Env, "allow-env", "NAMES", "See these environment variables, as in PATH,AWS_*").short('E'),
    deny(Env, "deny-env", "NAMES", "Never see these environment variables"),
    allow(Net, "allow-net", "HOSTS", "Connect to these hosts, as in github.com:443,*.cdn.com,10.0.0.0/8,:443")
        .short('N'),
    deny(Net, "deny-net", "HOSTS", "Never connect to these hosts"),
    allow(Run, "allow-run", "PROGRAMS", "Start these programs"),
    deny(Run, "deny-run", "PROGRAMS", "Never start these programs"),
    allow(Ffi, "allow-ffi", "PATHS", "Load dynamic libraries from these paths"),
    deny(Ffi, "deny-ffi", "PATHS", "Never load dynamic libraries from these paths"),
    allow(Sys, "allow-sys", "NAMES", "See this about the system, as in hostname,os,cpus"),
    deny(Sys, "deny-sys", "NAMES", "Never see this about the system"),
];

const ALLOW_ALL: &str = "allow-all";
const HEADING: &str = "Permissions (a list after \"=\"; without one, everything of the kind)";

/// The permission flags of a command line.
#[derive(Debug, Clone, Default)]
pub struct PermissionArgs(pub Permissions);

impl clap::Args for PermissionArgs {
    fn augment_args(command: Command) -> Command {
        let lists = FLAGS.iter().map(|flag| {
            Arg::new(flag.name)
                .long(flag.name)
                .short(flag.short)
                .value_name(flag.value)
                .help(flag.help)
                .action(ArgAction::Append)
                .num_args(0..=1)
                // So that `--allow-read main.py` can mean one thing only: the script is main.py.
                .require_equals(true)
                .value_parser(move |items: &str| flag.check(items))
        });
        let all = Arg::new(ALLOW_ALL)
            .long(ALLOW_ALL)
            .short('A')
            .help("Allow everything but what a --deny-... flag names")
            .action(ArgAction::SetTrue);
        command.next_help_heading(HEADING).args(lists).arg(all)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for PermissionArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut permissions = Permissions { allow_all: matches.get_flag(ALLOW_ALL), ..Permissions::default() };
        for flag in &FLAGS {
            let selection = flag.selection(&mut permissions);
            for mut occurrence in matches.get_occurrences::<String>(flag.name).into_iter().flatten() {
                selection.add(occurrence.next().map(String::as_str));
            }
        }
        Ok(Self(permissions))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Whether an argument looks like a permission flag.
pub fn is_flag(argument: &str) -> bool {
    let name = argument.strip_prefix("--").map(|rest| rest.split_once('=').map_or(rest, |(name, _)| name));
    name.is_some_and(|name| name == ALLOW_ALL || FLAGS.iter().any(|flag| flag.name == name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Args;

    fn parse(args: &[&str]) -> Result<Permissions, Error> {
        let command = PermissionArgs::augment_args(Command::new("x")).no_binary_name(true);
        let matches = command.try_get_matches_from(args)?;
        PermissionArgs::from_arg_matches(&matches).map(|args| args.0)
    }

    fn listed(items: &[&str]) -> Selection {
        Selection::List(items.iter().map(|item| (*item).to_owned()).collect())
    }

    #[test]
    fn values_repeat_and_have_commas() {
        let permissions = parse(&["--allow-read=/a,/b", "-R=/c", "--deny-write=/", "-NE"]).unwrap();
        assert_eq!(permissions.read.allow, listed(&["/a", "/b", "/c"]));
        assert_eq!(permissions.write.deny, listed(&["/"]));
        assert_eq!(permissions.net.allow, Selection::All);
        assert_eq!(permissions.env.allow, Selection::All);
        assert_eq!(permissions.run.allow, Selection::None);
    }

    #[test]
    fn one_occurrence_without_a_value_is_everything() {
        for args in [["--allow-read", "--allow-read=/a"], ["--allow-read=/a", "--allow-read"]] {
            assert_eq!(parse(&args).unwrap().read.allow, Selection::All, "{args:?}");
        }
    }

    #[test]
    fn every_flag_of_the_guide_is_there_with_and_without_a_value() {
        for kind in PermissionKind::ALL {
            for action in ["allow", "deny"] {
                let flag = format!("--{action}-{kind}");
                let bare = parse(&[&flag]).unwrap();
                let grants = bare.grants(*kind);
                let selection = if action == "allow" { &grants.allow } else { &grants.deny };
                assert_eq!(*selection, Selection::All, "{flag}");
                assert!(parse(&[&format!("{flag}=")]).unwrap_err().to_string().contains(&flag), "{flag}");
                assert!(is_flag(&flag) && is_flag(&format!("{flag}=x")), "{flag}");
            }
        }
        assert!(parse(&["-A"]).unwrap().allow_all);
        assert!(!is_flag("--allow-reading") && !is_flag("allow-read") && !is_flag("--verbose"));
    }

    #[test]
    fn values_that_mean_nothing_name_their_flag() {
        for flag in ["--allow-read=/a,,/b", "--allow-env=A*B", "--allow-sys=nonsense", "--allow-net=http://x"] {
            let message = parse(&[flag]).unwrap_err().to_string();
            assert!(message.contains(flag.split_once('=').unwrap().0), "{message}");
        }
    }
}
