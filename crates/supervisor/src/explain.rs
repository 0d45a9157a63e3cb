//! What a policy says of one thing, without running anything.

use std::path::{Path, PathBuf};

use buntime_policy::{Decision, Egress, Lift, PermissionKind, Query, hint_flag};
use serde::Serialize;

use crate::code::Code;
use crate::config;
use crate::error::Error;
use crate::interpreter::{self, Found};
use crate::launch::path_of_worker;
use crate::notify::System;
use crate::options::Options;
use crate::policies::{self, Stacked};
use crate::programs::{self, Policies};
use crate::tree;

/// Of what only a seccomp listener hides.
const HIDDEN_BY_DEFAULT: &str = "a made-up value is shown; where the host has no seccomp listener to give, or nobody may \
                                 write into the worker's memory, the true one is, as the notes of enforcement (run -v) \
                                 then say";

/// The answer to one question.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The permission that was asked about.
    #[serde(serialize_with = "as_text")]
    pub kind: PermissionKind,
    /// What was asked about; a path is absolute here.
    pub target: String,
    /// Where a path leads through symbolic links, when that is elsewhere: the kernel judges by that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub real: Option<String>,
    /// The answer, the rule that gave it, and that rule's source.
    #[serde(flatten)]
    pub decision: Decision,
    /// The narrowest flag that would allow it, where it is denied and a flag can say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What can be said only when it happens: where a name leads, and what depends on the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Parts of the policy that a run would refuse, as they are not enforced yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unsupported: Vec<String>,
}

/// A policy with the origin of each of its rules.
#[derive(Clone, Debug)]
pub struct Origins {
    /// Rule and origin, as text, highest source first.
    pub rules: Vec<(String, String)>,
    /// The restrictions that higher sources lift.
    pub lifts: Vec<Lift>,
}

/// Says whether the policy of these options allows `target`, and why. A relative path starts from the working
/// directory. Only the sources of the policy are read, and the ceiling that the configuration sets to the network: the
/// interpreter's own files, which every worker may read, are no part of it.
pub fn explain(options: &Options, kind: PermissionKind, target: &str) -> Result<Explanation, Error> {
    let cwd = policies::working_directory(options)?;
    let Stacked { stack, .. } = policies::stack(options, &cwd)?;
    let unsupported = buntime_policy::unsupported(&stack).iter().map(ToString::to_string).collect();
    let is_path = match kind {
        PermissionKind::Read | PermissionKind::Write | PermissionKind::Ffi => true,
        PermissionKind::Run => target.contains('/'),
        _ => false,
    };
    let (target, real) = if is_path { located(&cwd, target)? } else { (target.to_owned(), None) };
    let asked = real.as_deref().unwrap_or(&target);
    let query = if kind == PermissionKind::Read && Path::new(asked).is_dir() {
        Query::list(asked)
    } else {
        Query::parse(kind, asked)
    };
    if kind == PermissionKind::Net {
        let query = query.map_err(policies::error)?;
        let configured = config::load(options.config_path.as_deref(), &cwd, None)?;
        let egress = Egress::new(stack, configured.config.network.ceiling()?);
        let decision = egress.decide_query(&query);
        let hint = if decision.allowed { None } else { egress.hint_for(&query, &target) };
        let note = egress.outlook(&query).map(|outlook| format!("it may lead to what is {outlook}"));
        return Ok(Explanation { kind, target, real, decision, hint, note, unsupported });
    }
    let policies = Policies::new(&stack, path_of_worker(options, &stack));
    let decision = match kind {
        PermissionKind::Run | PermissionKind::Ffi => decide_code(options, &cwd, &policies, kind, &target, asked)?,
        _ => policies.real.decide(&query.map_err(policies::error)?),
    };
    let is_made_up = kind == PermissionKind::Sys && !decision.allowed && System::MADE_UP.contains(&&*target);
    // By a rule it is hidden, or there is no start.
    let note = (is_made_up && decision.rule.is_none()).then(|| HIDDEN_BY_DEFAULT.to_owned());
    let hint = if decision.allowed { None } else { hint_flag(kind, &target) };
    Ok(Explanation { kind, target, real, decision, hint, note, unsupported })
}

/// The policy of these options, with the origin of each rule.
pub fn origins(options: &Options) -> Result<Origins, Error> {
    let Stacked { stack, .. } = policies::stack(options, &policies::working_directory(options)?)?;
    let rules = stack.all_rules().map(|(_, rule)| (rule.to_string(), rule.origin.to_string())).collect();
    Ok(Origins { rules, lifts: stack.lifts() })
}

/// A path as it was meant, absolute, and where it leads when that is elsewhere.
fn located(cwd: &Path, target: &str) -> Result<(String, Option<String>), Error> {
    let invalid = |problem: &str| Error::policy("ERR_BUNTIME_POLICY", format!("{target:?}: {problem}"));
    if target.is_empty() {
        return Err(invalid("expected a path"));
    }
    let utf8 =
        |path: PathBuf| path.into_os_string().into_string().map_err(|_| invalid("leads to a name that is not UTF-8"));
    let path = std::path::absolute(cwd.join(target)).map_err(|error| invalid(&error.to_string()))?;
    let real = tree::real_path(&path).map(utf8).transpose()?;
    let target = utf8(path)?;
    Ok((target.clone(), real.filter(|real| *real != target)))
}

/// What may be started and loaded is more than the rules say of a name: programs that are found, the interpreter's
/// code.
fn decide_code(
    options: &Options,
    cwd: &Path,
    policies: &Policies<'_>,
    kind: PermissionKind,
    named: &str,
    real: &str,
) -> Result<Decision, Error> {
    let python = match interpreter::find(options.interpreter.as_deref(), cwd) {
        Ok(Found::Known(python)) => Some(python),
        // Nothing is run to explain a policy.
        Ok(Found::Unasked(_)) | Err(_) => None,
    };
    let code = Code::find(policies, python.as_deref())?;
    if kind == PermissionKind::Ffi {
        return Ok(code.may_load(Path::new(real)));
    }
    // By whatever other name it is denied, it is denied; and a command is what the worker's PATH finds.
    let by_name = policies.written.decide(&Query::run(named).map_err(policies::error)?);
    let is_other_name = named != real || !named.contains('/');
    if is_other_name && !by_name.allowed && by_name.rule.is_some() {
        return Ok(by_name);
    }
    let found = if named.contains('/') { Some(PathBuf::from(real)) } else { programs::on_path(named, &policies.path) };
    Ok(match found.and_then(|found| found.canonicalize().ok().or(Some(found))) {
        Some(real) => code.may_run(&real),
        None => by_name,
    })
}

fn as_text<S: serde::Serializer>(kind: &PermissionKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(kind)
}
