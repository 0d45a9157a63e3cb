//! What the policy means on this disk: asked at every place that a rule names or matches, since between those nothing
//! changes. The sandbox's file tree is made from the answers, and not from the rules a second time.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use buntime_policy::{Action, Decision, FsPerm, FsRights, PathPattern, PolicyStack, Progress, Query, Rule, Target};
use buntime_sandbox::plan::{Access, Rights};
use buntime_sandbox::view::{self, Followed, Found, Grant, Guarded, Missing, Origin, Region, Resolver, ViewError};

use crate::error::Error;
use crate::interpreter::Python;

/// Most entries of the disk that are looked at for globs.
const MAX_ENTRIES: usize = 200_000;

/// The files of a policy.
#[derive(Debug)]
pub struct FileTree {
    /// What is to be shown.
    pub policy: view::Policy,
    /// Told to the user: a symlink that was followed, a path that does not exist.
    pub notes: Vec<String>,
    /// The rules, by real paths.
    stack: PolicyStack,
}

/// Where a path leads, when that is elsewhere; of one that does not exist, the part that exists does.
pub fn real_path(path: &Path) -> Option<PathBuf> {
    Resolver::default().resolve(path).ok().map(|found| found.real())
}

/// The rules by real paths: what is said of a symbolic link is said of what it leads to.
pub fn with_real_paths(stack: PolicyStack) -> PolicyStack {
    stack.with_real_paths(|path| real_path(Path::new(path))?.into_os_string().into_string().ok())
}

/// What the sandbox shows beside the policy: the runtime, and the script.
pub fn grants(python: &Python, entry: Option<PathBuf>) -> Vec<Grant> {
    let mut grants = python.grants();
    grants.extend(entry.map(|path| {
        let access = Access { read: true, ..Access::default() };
        Grant { path, access, code: false, origin: Origin::Policy }
    }));
    grants
}

/// What a write grant shall not reach: what runs outside the sandbox, and what says what the next run may do.
pub fn guarded<'a>(
    python: &Python,
    own: impl Iterator<Item = PathBuf>,
    decided_by: impl Iterator<Item = &'a PathBuf>,
    records: Option<&PathBuf>,
) -> Vec<Guarded> {
    let guard = |why: &'static str| move |path: PathBuf| Guarded { path, why };
    let programs = python.guarded().chain(own).map(guard("is run outside the sandbox"));
    let decisive = decided_by.cloned().map(guard("decides what a sandbox may do"));
    let records = records.cloned().map(guard("records what a sandbox does"));
    programs.chain(decisive).chain(records).collect()
}

impl FileTree {
    /// Asks the policy at each place that it names or matches. `shown` are directories that are shown beside what it
    /// says of files, in which a denial may match as well.
    pub fn of(stack: &PolicyStack, shown: &[PathBuf]) -> Result<Self, Error> {
        let mut reader = Reader {
            stack: with_real_paths(stack.clone()),
            resolver: Resolver::default(),
            places: BTreeMap::new(),
            globs: Vec::new(),
            closed: Vec::new(),
            looked_at: 0,
            shown: shown.to_owned(),
            policy: view::Policy::default(),
            notes: Vec::new(),
        };
        for (_, rule) in stack.all_rules() {
            reader.rule(rule)?;
        }
        reader.everything().map_err(|error| unreadable(Path::new("/"), &error))?;
        // Those that allow come first: those that deny are looked for in what is allowed.
        let globs = std::mem::take(&mut reader.globs);
        let (denying, allowing): (Vec<Glob>, Vec<Glob>) = globs.into_iter().partition(|glob| glob.denies);
        for glob in allowing.iter().chain(&denying) {
            reader.expand(glob)?;
        }
        reader.finish()
    }

    /// The real paths of what may be written.
    pub fn writable(&self) -> impl Iterator<Item = &Path> {
        let writable = |region: &&Region| region.allowed.has_any(Rights::WRITE);
        self.policy.regions.iter().filter(writable).map(|region| region.path.as_path())
    }

    /// Why there can be no such tree, in the words of the policy.
    pub fn refusal(&self, error: &ViewError) -> Error {
        let ViewError::Uncarvable { at, above, right } = error else {
            return Error::setup("ERR_BUNTIME_VIEW", error.to_string());
        };
        let said = |path: &Path| {
            let decision = self.decide(path, *right);
            let rule = decision.rule.unwrap_or_else(|| format!("{} by default", decision.action));
            format!("{rule} ({})", decision.source)
        };
        let message = format!(
            "{} cannot be carved out of {}: the kernel takes {right} of {} not back from what has it of {}",
            said(at),
            said(above),
            at.display(),
            above.display(),
        );
        Error::setup("ERR_BUNTIME_VIEW", message).with_hint(format!(
            "deny all of reading and writing there, or all of writing; or allow the places beside {} instead of {}",
            at.display(),
            above.display(),
        ))
    }

    fn decide(&self, path: &Path, right: Rights) -> Decision {
        let perm = FsPerm::ALL.iter().find(|perm| perm.as_str() == right.to_string());
        let query = path.to_str().zip(perm).and_then(|(path, perm)| Query::fs(path, *perm).ok());
        query.map_or_else(
            || Decision { allowed: false, action: Action::Deny, rule: None, source: String::new(), overridden: vec![] },
            |query| self.stack.decide(&query),
        )
    }
}

/// A rule's glob, from a directory that exists.
struct Glob {
    pattern: PathPattern,
    prefix: PathBuf,
    denies: bool,
    /// The rule, for messages.
    rule: String,
}

struct Reader {
    stack: PolicyStack,
    resolver: Resolver,
    /// Real paths, and whether they are directories.
    places: BTreeMap<PathBuf, bool>,
    globs: Vec<Glob>,
    /// Denied paths that the caller cannot reach.
    closed: Vec<(PathBuf, String)>,
    looked_at: usize,
    /// Real paths of directories that are shown whatever the policy says of files.
    shown: Vec<PathBuf>,
    policy: view::Policy,
    notes: Vec<String>,
}

impl Reader {
    fn rule(&mut self, rule: &Rule) -> Result<(), Error> {
        let pattern = match &rule.target {
            Target::Fs { path, perms } if !perms.is_empty() => path,
            Target::Ffi(path) => path,
            _ => return Ok(()),
        };
        let denies = rule.action == Action::Deny;
        let text = format!("{rule} ({})", rule.origin);
        let named = PathBuf::from(pattern.literal_prefix());
        if view::is_own(&named) {
            if denies {
                self.notes.push(format!("{text}: that is the sandbox's own, and none of the host's"));
            } else if !pattern.is_glob() {
                self.places.insert(named, true);
            }
            return Ok(());
        }
        let found = match self.resolver.resolve(&named) {
            Err(error) if denies && error.kind() == io::ErrorKind::PermissionDenied => {
                self.closed.push((named, text));
                return Ok(());
            }
            found => found.map_err(|error| Error::setup("ERR_BUNTIME_VIEW", format!("{text}: {error}")))?,
        };
        let real = found.real();
        if real.to_str().is_none() {
            let problem =
                format!("{text}: leads to {}, which is no UTF-8 and cannot be named by a rule", real.display());
            return Err(Error::setup("ERR_BUNTIME_VIEW", problem));
        }
        let links = match &found {
            Found::There(resolved) => &resolved.links,
            Found::Missing { links, .. } => links,
        };
        let by =
            if denies { format!("the denial {}", named.display()) } else { format!("the grant {}", named.display()) };
        let shown = !denies && matches!(found, Found::There(_));
        self.policy.followed.extend(links.iter().map(|(link, target)| Followed {
            link: link.clone(),
            target: target.clone(),
            by: by.clone(),
            shown,
        }));
        if view::is_own(&real) {
            self.notes.push(format!("{} leads to {}, which is the sandbox's own", named.display(), real.display()));
            return Ok(());
        }
        match found {
            Found::Missing { .. } if !denies => {
                self.notes.push(format!("{} does not exist: nothing is granted", named.display()));
            }
            Found::Missing { path, rest, .. } => {
                // Below a file nothing can be made.
                if path.parent().is_some_and(Path::is_dir) {
                    // Whoever makes the name makes what a glob would match below it.
                    let asked = if pattern.is_glob() { None } else { Some(path.join(rest)) };
                    let allowed = asked.map_or(Rights::NONE, |asked| of(&self.stack.fs_rights(&asked).allowed));
                    self.policy.missing.push(Missing { path, allowed, rule: text });
                }
            }
            Found::There(resolved) => {
                if !resolved.links.is_empty() {
                    self.notes.push(format!("{} is {}", named.display(), real.display()));
                }
                match real.to_str().and_then(|real| pattern.with_literal_prefix(real)) {
                    Some(pattern) if pattern.is_glob() => {
                        self.globs.push(Glob { pattern, prefix: real, denies, rule: text });
                    }
                    _ => {
                        self.places.insert(real, resolved.directory);
                    }
                }
            }
        }
        Ok(())
    }

    /// Where something may be done with `/`, the host's root is shown entry by entry: the sandbox has one of its own.
    fn everything(&mut self) -> io::Result<()> {
        let root = Path::new("/");
        // To run every program that is shown shows none.
        if of(&self.stack.fs_rights(root).allowed).without(Rights::EXECUTE).is_none() {
            return Ok(());
        }
        self.places.insert(root.to_owned(), true);
        for entry in std::fs::read_dir(root)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            if view::is_own(&path) {
                continue;
            }
            if kind.is_symlink() {
                let target = std::fs::read_link(&path)?;
                self.policy.followed.push(Followed { link: path, target, by: "the grant /".into(), shown: true });
            } else if kind.is_dir() || kind.is_file() {
                self.places.insert(path, kind.is_dir());
            }
        }
        Ok(())
    }

    /// Finds what a glob matches. No symlink is followed below its literal part.
    fn expand(&mut self, glob: &Glob) -> Result<(), Error> {
        let mut matches = 0;
        let mut dirs: Vec<(PathBuf, Progress<'_>)> = Vec::new();
        for root in self.roots(glob) {
            let names = root.components().skip(1).map(|name| name.as_os_str());
            let progress = names.fold(glob.pattern.progress(), |progress, name| progress.enter(name));
            if progress.is_match() {
                self.places.insert(root, true);
                matches += 1;
            } else if !progress.is_lost() {
                dirs.push((root, progress));
            }
        }
        while let Some((dir, progress)) = dirs.pop() {
            let entries = match std::fs::read_dir(&dir) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                // What can be entered, by who knows the names, may hold what is denied.
                Err(_) if !glob.denies || std::fs::symlink_metadata(dir.join(".")).is_err() => continue,
                entries => entries.map_err(|error| unreadable(&dir, &error))?,
            };
            for entry in entries {
                let entry = entry.map_err(|error| unreadable(&dir, &error))?;
                let kind = entry.file_type().map_err(|error| unreadable(&dir, &error))?;
                self.looked_at += 1;
                if self.looked_at > MAX_ENTRIES {
                    let problem = format!("{}: more than {MAX_ENTRIES} files were looked at", glob.rule);
                    return Err(Error::setup("ERR_BUNTIME_VIEW", problem).with_hint("name a narrower place"));
                }
                let (path, progress) = (entry.path(), progress.enter(&entry.file_name()));
                if view::is_own(&path) || progress.is_lost() {
                    continue;
                }
                if !progress.is_match() {
                    if kind.is_dir() {
                        dirs.push((path, progress));
                    }
                } else if kind.is_symlink() {
                    self.notes.push(format!(
                        "{}: {} is a symlink, and a glob follows none: what it leads to is judged by its own path",
                        glob.rule,
                        path.display()
                    ));
                } else {
                    self.places.insert(path, kind.is_dir());
                    matches += 1;
                }
            }
        }
        if !glob.denies && matches == 0 {
            self.notes.push(format!("{}: nothing matches, and nothing is granted", glob.rule));
        }
        Ok(())
    }

    /// Where a glob is looked for: below its literal part; what denies, only where something is allowed.
    fn roots(&mut self, glob: &Glob) -> Vec<PathBuf> {
        if !glob.denies {
            return vec![glob.prefix.clone()];
        }
        let granted = self
            .places
            .iter()
            .filter(|(path, directory)| **directory && !self.stack.fs_rights(path).allowed.is_empty());
        let granted: BTreeSet<&PathBuf> = granted.map(|(path, _)| path).chain(&self.shown).collect();
        let roots = if granted.iter().any(|path| glob.prefix.starts_with(path)) {
            vec![glob.prefix.clone()]
        } else {
            let mut roots: Vec<PathBuf> = Vec::new();
            for path in granted {
                if path.starts_with(&glob.prefix) && !roots.last().is_some_and(|root| path.starts_with(root)) {
                    roots.push(path.clone());
                }
            }
            roots
        };
        if !roots.is_empty() {
            self.notes.push(format!(
                "{}: holds for the names that match now; a name that is made while the sandbox runs is not looked for",
                glob.rule
            ));
        }
        roots
    }

    fn finish(mut self) -> Result<FileTree, Error> {
        for (path, directory) in std::mem::take(&mut self.places) {
            let rights = self.stack.fs_rights(&path);
            let loads = path.to_str().and_then(|path| Query::ffi(path).ok());
            let loads = loads.is_some_and(|query| self.stack.decide(&query).allowed);
            let FsRights { allowed, denied } = rights;
            let (allowed, denied) = (of(&allowed), of(&denied));
            let code = loads && allowed.has_any(Rights::READ_FILE);
            self.policy.regions.push(Region { path, directory, allowed, denied, code });
        }
        for (path, rule) in &self.closed {
            let above = self.policy.regions.iter().rev().find(|region| path.starts_with(&region.path));
            if above.is_some_and(|region| !region.allowed.is_none()) {
                let problem = format!("{rule}: {} cannot be reached, and so not be denied", path.display());
                return Err(Error::setup("ERR_BUNTIME_VIEW", problem).with_hint("deny the directory that is closed"));
            }
        }
        Ok(FileTree { policy: self.policy, notes: self.notes, stack: self.stack })
    }
}

/// The sandbox's word for rights of the policy.
fn of(perms: &[FsPerm]) -> Rights {
    let rights = perms.iter().filter_map(|perm| Rights::named(perm.as_str()));
    rights.fold(Rights::NONE, Rights::with)
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::setup("ERR_BUNTIME_VIEW", format!("{}: {error}", path.display()))
}
