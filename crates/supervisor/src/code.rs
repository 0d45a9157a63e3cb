//! Which files can be executed, and which be mapped as code, whatever shows them: rules, programs and the runtime
//! together, as one answer for a place, which the plan's mounts and `policy explain` both take.
//!
//! A mount is the means: what may be neither started nor loaded lies on one that is `noexec`. Landlock then tells the
//! programs from the libraries.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use buntime_policy::{Action, Decision, Program, Query, Rule, Target};
use buntime_sandbox::Bytes;
use buntime_sandbox::mutation::{Layer, off};
use buntime_sandbox::plan::{Access, Bind, Copy, LandlockRule, Node, Rights};
use buntime_sandbox::view::{Grant, Origin};

use crate::elf;
use crate::error::Error;
use crate::interpreter::Python;
use crate::libraries::Libraries;
use crate::programs::{self, Policies, Programs};
use crate::search;

/// What is shown where every program may be run, or every library be loaded: the system's. Elsewhere a program is one
/// that can be read.
const SYSTEM: [&str; 12] = [
    "/usr/local/bin",
    "/usr/local/sbin",
    "/usr/local/lib",
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/lib64",
    "/usr/libexec",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
];

/// The answers.
pub struct Code<'a> {
    policies: &'a Policies<'a>,
    pub programs: Programs,
    python: Option<&'a Python>,
    /// Worked out when it is asked for: a start without rules of this kind is to take no longer.
    runtime: OnceCell<Runtime>,
    system: Vec<PathBuf>,
}

impl<'a> Code<'a> {
    /// Looks up what the rules name. `python`: where it has been asked before, what it needs is known.
    pub fn find(policies: &'a Policies<'a>, python: Option<&'a Python>) -> Result<Self, Error> {
        let programs = Programs::find(policies)?;
        let wide = policies.all_programs() || policies.all_libraries();
        let system = SYSTEM.iter().filter(|_| wide).filter_map(|dir| Path::new(dir).canonicalize().ok()).collect();
        Ok(Self { policies, programs, python, runtime: OnceCell::new(), system })
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.get_or_init(|| self.python.map(Runtime::of).unwrap_or_default())
    }

    /// Whether anything but the worker itself can be executed.
    pub fn runs_programs(&self) -> bool {
        !self.programs.allowed.is_empty() || self.policies.all_programs()
    }

    /// By their real paths, the programs of a list, and what can be run besides.
    pub fn programs(&self) -> impl Iterator<Item = &Path> {
        let own = self.runs_programs().then(|| &self.runtime().executed);
        self.programs.allowed.keys().chain(own.into_iter().flatten()).map(PathBuf::as_path)
    }

    /// The interpreter has to be executed once, and then it can be again: that is said, and a policy that says
    /// otherwise is refused.
    pub fn check(&self) -> Result<(), Error> {
        if !self.runs_programs() {
            return Ok(());
        }
        for file in &self.runtime().executed {
            let by_rule = || file.to_str().map(|text| self.ask(Query::run(text)));
            let decision = self.programs.denied.get(file).cloned().or_else(by_rule);
            if let Some(Decision { allowed: false, rule: Some(rule), source, .. }) = decision {
                let what = format!("{source}: {rule}: {} starts the worker, and can be run again", file.display());
                return Err(Error::policy("ERR_BUNTIME_RUN", what).with_hint(
                    "an interpreter cannot be denied beside programs that are allowed; leave the denial out, or allow \
                     no program",
                ));
            }
        }
        Ok(())
    }

    /// What the sandbox shows for it.
    pub fn grants(&self) -> Result<Vec<Grant>, Error> {
        let mut grants = self.programs.grants.clone();
        if !self.policies.everything() {
            // By both names where /bin is a link to /usr/bin.
            let execute = self.policies.all_programs();
            let shown = SYSTEM.iter().filter(|_| !self.system.is_empty()).map(PathBuf::from);
            grants.extend(shown.map(|path| grant(path, execute, Origin::Runtime)));
        }
        let allowed = self.libraries()?.into_iter().filter(|(_, rule)| rule.action != Action::Deny);
        // Where they do not exist, and which symlinks lead to them, is said of the policy's files.
        let found = allowed.filter_map(|(path, _)| path.canonicalize().ok());
        grants.extend(found.map(|path| grant(path, false, Origin::Policy)));
        Ok(grants)
    }

    /// The places that `ffi` rules name, as they are written, with the rules.
    fn libraries(&self) -> Result<Vec<(PathBuf, &Rule)>, Error> {
        let mut places = Vec::new();
        for (_, rule) in self.policies.written.all_rules() {
            let Target::Ffi(path) = &rule.target else { continue };
            if path.is_glob() {
                let found = search::places(path, &rule.origin.to_string())?;
                places.extend(found.into_iter().map(|path| (path, rule)));
            } else if !path.is_root() {
                places.push((PathBuf::from(path.to_string()), rule));
            }
        }
        Ok(places)
    }

    /// Whether a file, by its real path, may be executed.
    pub fn may_run(&self, path: &Path) -> Decision {
        let Some(text) = path.to_str() else { return nothing_said() };
        if let Some(decision) = self.programs.allowed.get(path) {
            return decision.clone();
        }
        if self.runs_programs() && self.runtime().executed.contains(path) {
            return by_runtime("the worker's own interpreter");
        }
        if let Some(decision) = self.programs.denied.get(path) {
            return decision.clone();
        }
        let run = self.ask(Query::run(text));
        if !run.allowed {
            return if self.is_named_elsewhere(path, &run) { self.ask(Query::run("/")) } else { run };
        }
        // A rule for a directory or for some names is one for the programs that are there at the start, which are
        // known.
        if !self.policies.all_programs() {
            return nothing_said();
        }
        self.restriction(path, text).unwrap_or(run)
    }

    /// Beside `--allow-all` a name is denied where programs lie, which is said in a note: the whole disk would have to
    /// be looked through, and the worker can make files of any name.
    fn is_named_elsewhere(&self, path: &Path, denial: &Decision) -> bool {
        let name = path.file_name().and_then(|name| name.to_str());
        let by_name = name.map(|name| format!("{} run {name}", Action::Deny));
        self.policies.everything() && denial.rule.is_some() && denial.rule == by_name
    }

    /// Whether a file, by its real path, may be mapped as code.
    pub fn may_load(&self, path: &Path) -> Decision {
        let Some(text) = path.to_str() else { return nothing_said() };
        let is_below = |dirs: &BTreeSet<PathBuf>| dirs.iter().any(|dir| path.starts_with(dir));
        if self.runtime().files.contains(path) || is_below(&self.runtime().stdlib) {
            return by_runtime("what the interpreter needs");
        }
        if self.programs.closure.contains(path) {
            return by_runtime("what an allowed program or library needs");
        }
        if let Some(decision) = self.programs.allowed.get(path).or_else(|| self.programs.denied.get(path)) {
            return decision.clone();
        }
        let load = self.ask(Query::ffi(text));
        if is_denied(&load) {
            return load;
        }
        // The loader would run it.
        if self.is_program(path) {
            return self.may_run(path);
        }
        if is_below(&self.runtime().libraries) {
            return by_runtime("what the interpreter may load");
        }
        if !load.allowed {
            // What may be started is mapped.
            let run = self.may_run(path);
            return if run.allowed { run } else { load };
        }
        match self.restriction(path, text) {
            // A place that a rule names can be seen.
            Some(unseen) if unseen.rule.is_none() && self.is_named_library(path) => load,
            Some(restriction) => restriction,
            None => load,
        }
    }

    /// Whether there is a list of programs, and this one is to be looked for there.
    fn is_program(&self, path: &Path) -> bool {
        self.runs_programs()
            && !self.policies.all_programs()
            && elf::read(path).is_ok_and(|elf| elf.is_some_and(|elf| elf.program))
    }

    fn is_named_library(&self, path: &Path) -> bool {
        self.policies.real.all_rules().any(|(_, rule)| match &rule.target {
            Target::Ffi(named) => rule.action != Action::Deny && !named.is_root() && named.holds(path),
            _ => false,
        })
    }

    /// What else keeps a file from being code: that it is denied as a library or for reading, that it can be written,
    /// or that it cannot be seen.
    fn restriction(&self, path: &Path, text: &str) -> Option<Decision> {
        let load = self.ask(Query::ffi(text));
        if is_denied(&load) {
            return Some(load);
        }
        let read = self.ask(Query::read(text));
        if is_denied(&read) {
            return Some(read);
        }
        if self.policies.everything() {
            return None;
        }
        if programs::may_write(&self.policies.real, path) {
            let write = self.ask(Query::write(text));
            return Some(Decision { allowed: false, action: Action::Deny, ..write });
        }
        (!read.allowed && !self.system.iter().any(|dir| path.starts_with(dir))).then_some(read)
    }

    fn ask(&self, query: Result<Query, buntime_policy::PolicyError>) -> Decision {
        query.map_or_else(|_| nothing_said(), |query| self.policies.real.decide(&query))
    }

    /// Puts the answers into a finished tree and into Landlock's rules.
    pub fn apply(&self, tree: &mut Vec<Node>, landlock: &mut [LandlockRule]) -> Result<(), Error> {
        let is_code = |rule: &Rule| matches!(rule.target, Target::Exec { .. } | Target::Ffi(_));
        if !self.policies.real.all_rules().any(|(_, rule)| is_code(rule)) && self.system.is_empty() {
            return Ok(()); // Nobody said anything, and the tree is as it should be.
        }
        let mut mounts = Mounts::of(tree);
        for (path, bind) in &mut mounts.binds {
            bind.exec = self.is_code(path) && (!bind.writable || self.policies.everything());
        }
        self.runtime().stdlib.iter().for_each(|dir| mounts.split(dir, true));
        // `ld.so FILE` runs whatever may be mapped as code. Where every program may be run, it runs nothing more.
        let mut covered = Vec::new();
        if self.runs_programs() && !self.policies.all_programs() {
            for dir in mounts.code_dirs() {
                if self.runtime().holds(&dir) {
                    let found = Libraries::below(&dir)?;
                    mounts.narrow(&dir, found.code.iter().filter(|place| self.is_code(place)));
                    covered.extend(found.programs.iter().cloned());
                } else {
                    covered.extend(search::below(&dir, "ffi")?);
                }
            }
            covered.retain(|path| !self.is_code(path));
        }
        // Every place where another answer may begin.
        let mut points: BTreeSet<&Path> = BTreeSet::new();
        points.extend(self.programs.closure.iter().chain(&self.runtime().files).map(PathBuf::as_path));
        points.extend(self.programs.allowed.keys().chain(self.programs.denied.keys()).map(PathBuf::as_path));
        let libraries = self.libraries()?.into_iter().filter_map(|(path, _)| path.canonicalize().ok());
        let others: BTreeSet<PathBuf> = libraries.chain(self.names_denied_everywhere(&mounts)?).collect();
        points.extend(others.iter().chain(&self.system).map(PathBuf::as_path));
        for point in points {
            mounts.split(point, self.is_code(point));
        }
        if !off(Layer::ProgramCovers) {
            covered.iter().for_each(|program| mounts.split(program, false));
        }
        self.programs.copies.keys().for_each(|path| mounts.own(path));
        mounts.put_back(tree, &self.programs.copies);
        if self.policies.all_programs() {
            for rule in landlock.iter_mut().filter(|rule| self.may_run(rule.path.as_path()).allowed) {
                if rule.rights.has_any(Rights::READ_FILE) {
                    rule.rights = rule.rights.with(Rights::EXECUTE);
                }
            }
        }
        Ok(())
    }

    /// What all copies hold, one after the other; `None` where there are none.
    pub fn copies(&self) -> Option<Vec<u8>> {
        let copies = &self.programs.copies;
        (!copies.is_empty()).then(|| copies.values().flatten().copied().collect())
    }

    /// Whether a place lies on a mount that is not `noexec`.
    fn is_code(&self, path: &Path) -> bool {
        self.may_load(path).allowed || self.may_run(path).allowed
    }

    /// A command is denied in every directory where programs can be run at all.
    fn names_denied_everywhere(&self, mounts: &Mounts) -> Result<Vec<PathBuf>, Error> {
        if !self.policies.all_programs() || self.policies.everything() {
            return Ok(Vec::new()); // Of a list, the name is taken off. `--allow-all` is asked in the system's directories.
        }
        let mut found = Vec::new();
        for (_, rule) in self.policies.real.all_rules().filter(|(_, rule)| rule.action == Action::Deny) {
            let Target::Exec { program: Program::Command(name), .. } = &rule.target else { continue };
            for dir in mounts.dirs() {
                found.extend(search::named(&dir, name, &rule.origin.to_string())?);
            }
        }
        Ok(found)
    }
}

fn is_denied(decision: &Decision) -> bool {
    !decision.allowed && decision.rule.is_some()
}

fn nothing_said() -> Decision {
    Decision { allowed: false, action: Action::Deny, rule: None, source: "default".into(), overridden: Vec::new() }
}

fn by_runtime(what: &str) -> Decision {
    let rule = Some(what.to_owned());
    Decision { allowed: true, action: Action::Allow, rule, source: "runtime".into(), overridden: Vec::new() }
}

fn grant(path: PathBuf, execute: bool, origin: Origin) -> Grant {
    Grant { path, access: Access { read: true, write: false, execute }, code: origin == Origin::Policy, origin }
}

/// The interpreter's own code, by real paths.
#[derive(Default)]
struct Runtime {
    /// The interpreter and its loader, which are executed to start the worker.
    executed: BTreeSet<PathBuf>,
    /// These, and what they load: no rule denies them.
    files: BTreeSet<PathBuf>,
    /// The standard library, likewise.
    stdlib: BTreeSet<PathBuf>,
    /// What else an interpreter may load, where no rule denies it.
    libraries: BTreeSet<PathBuf>,
}

impl Runtime {
    fn of(python: &Python) -> Self {
        let real = |paths: Vec<&Path>| paths.into_iter().filter_map(|path| path.canonicalize().ok()).collect();
        Self {
            executed: real(python.executed()),
            files: real(python.loaded()),
            stdlib: real(python.stdlib()),
            libraries: real(python.libraries()),
        }
    }

    fn holds(&self, path: &Path) -> bool {
        self.stdlib.iter().chain(&self.libraries).any(|dir| path.starts_with(dir))
    }
}

/// The mounts of a tree that show something of the host's, and the places of all else.
struct Mounts {
    binds: BTreeMap<PathBuf, Bind>,
    /// Those that stand on a bind, and have its flags.
    overlays: Vec<Node>,
    others: BTreeSet<PathBuf>,
}

impl Mounts {
    /// Takes the binds out of the tree.
    fn of(tree: &mut Vec<Node>) -> Self {
        let mut mounts = Self { binds: BTreeMap::new(), overlays: Vec::new(), others: BTreeSet::new() };
        tree.retain(|node| match node {
            Node::Overlay { .. } => {
                mounts.overlays.push(node.clone());
                false
            }
            Node::Bind(bind) if !bind.device => {
                mounts.binds.insert(bind.path.as_path().to_owned(), bind.clone());
                false
            }
            other => {
                mounts.others.insert(other.path().as_path().to_owned());
                true
            }
        });
        mounts
    }

    /// Gives a place a mount of its own where the one that shows it says otherwise.
    fn split(&mut self, point: &Path, exec: bool) {
        if self.shown_by(point).is_some_and(|bind| bind.exec != exec && bind.path.as_path() != point) {
            self.own(point);
            if let Some(bind) = self.binds.get_mut(point) {
                bind.exec = exec;
                // Code that is not a whole writable tree's is nobody's to change.
                bind.writable &= !exec;
            }
        }
    }

    /// Lets no more of a directory be code than some places, which may be all of it.
    fn narrow<'a>(&mut self, dir: &Path, code: impl Iterator<Item = &'a PathBuf>) {
        let code: Vec<&PathBuf> = code.collect();
        if let Some(bind) = self.binds.get_mut(dir) {
            bind.exec = code.iter().any(|place| *place == dir);
        }
        code.iter().for_each(|place| self.split(place, true));
    }

    /// Gives a place that is shown a mount of its own.
    fn own(&mut self, point: &Path) {
        let Some(meta) = std::fs::symlink_metadata(point).ok().filter(|meta| !meta.is_symlink()) else { return };
        if let Some(bind) = self.shown_by(point).cloned() {
            let path = Bytes::from(point);
            let own = Bind { source: path.clone(), path, directory: meta.is_dir(), ..bind };
            self.binds.entry(point.to_owned()).or_insert(own);
        }
    }

    /// The mount that shows a place; `None` where none does.
    fn shown_by(&self, point: &Path) -> Option<&Bind> {
        let is_here = |above: &&Path| self.binds.contains_key(*above) || self.others.contains(*above);
        self.binds.get(point.ancestors().find(is_here)?)
    }

    fn dirs(&self) -> Vec<PathBuf> {
        self.binds.iter().filter(|(_, bind)| bind.directory).map(|(path, _)| path.clone()).collect()
    }

    fn code_dirs(&self) -> Vec<PathBuf> {
        self.binds.iter().filter(|(_, bind)| bind.directory && bind.exec).map(|(path, _)| path.clone()).collect()
    }

    /// Parents come before what they hold.
    fn put_back(self, tree: &mut Vec<Node>, copies: &BTreeMap<PathBuf, Vec<u8>>) {
        let mut offset = 0;
        let copies: BTreeMap<&PathBuf, (u64, u64)> = copies
            .iter()
            .map(|(path, content)| {
                let start = offset;
                offset += content.len() as u64;
                (path, (start, content.len() as u64))
            })
            .collect();
        let overlays = self.overlays.into_iter().map(|mut node| {
            if let Node::Overlay { path, exec, .. } = &mut node {
                *exec = self.binds.get(path.as_path()).is_some_and(|bind| bind.exec);
            }
            node
        });
        // They come after the binds of the same places.
        let overlays: Vec<Node> = overlays.collect();
        // A copy is mapped as code: it stands only where the file itself would be.
        tree.extend(self.binds.into_iter().map(|(path, bind)| match copies.get(&path).filter(|_| bind.exec) {
            Some(&(offset, length)) => Node::Copy(Copy { path: bind.path, offset, length }),
            None => Node::Bind(bind),
        }));
        tree.extend(overlays);
        tree.sort_by(|a, b| a.path().as_path().cmp(b.path().as_path()));
    }
}
