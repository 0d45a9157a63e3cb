//! The programs that rules name, as files: what the worker and what it starts may execute, besides the interpreter.
//!
//! What enforces the list is the kernel, by the resolved inode: Landlock lets these files alone be executed, and only
//! they, their loaders and the runtime's libraries lie on mounts that are not `noexec`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use buntime_policy::{Action, Decision, FsPerm, PolicyStack, Program, Query, Rule, Target, WRITE_PERMS};
use buntime_sandbox::plan::Access;
use buntime_sandbox::view::{Grant, Origin};
use sha2::{Digest, Sha256};

use crate::closure::{Closure, Loader};
use crate::elf;
use crate::error::Error;
use crate::{search, tree};

/// How long the first line of a script may be (execve(2)).
const MAX_FIRST_LINE: u64 = 256;
/// Symlinks followed for one path, as the kernel does (path_resolution(7)).
const MAX_LINKS: usize = 40;
/// Most programs of all rules together: each is a mount of its own.
const MAX_PROGRAMS: usize = 4096;
/// Most bytes of all private copies together.
const MAX_COPIED: u64 = 256 << 20;
/// Where the system keeps programs.
const PROGRAM_DIRS: [&str; 6] = ["/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin", "/bin", "/sbin"];

/// What may be executed because a rule names it.
#[derive(Debug, Default)]
pub struct Programs {
    /// By their real paths, and by what they are allowed.
    pub allowed: BTreeMap<PathBuf, Decision>,
    /// By real path, what rules name and deny.
    pub denied: BTreeMap<PathBuf, Decision>,
    /// The real paths of their loaders and libraries.
    pub closure: BTreeSet<PathBuf>,
    /// What is shown for them: each program, its loader, its libraries, each a file of its own.
    pub grants: Vec<Grant>,
    /// What is shown as a private copy, for its content to stay as it is.
    pub copies: BTreeMap<PathBuf, Vec<u8>>,
    /// Told to the user: a name that is not found, a script whose interpreter is not allowed.
    pub notes: Vec<String>,
}

/// A policy as it was written, and as the disk has it: with each path where its symlinks lead.
#[derive(Debug)]
pub struct Policies<'a> {
    pub written: &'a PolicyStack,
    pub real: PolicyStack,
    /// The PATH that the worker has.
    pub path: OsString,
}

impl<'a> Policies<'a> {
    /// `path`: the PATH that the worker has.
    pub fn new(written: &'a PolicyStack, path: OsString) -> Self {
        let real = tree::with_real_paths(written.clone());
        Self { written, real, path }
    }

    /// Whether every program that can be seen may be run.
    pub fn all_programs(&self) -> bool {
        Query::run("/").is_ok_and(|query| self.real.decide(&query).allowed)
    }

    /// Whether every library that can be seen may be loaded.
    pub fn all_libraries(&self) -> bool {
        Query::ffi("/").is_ok_and(|query| self.real.decide(&query).allowed)
    }

    /// `--allow-all`.
    pub fn everything(&self) -> bool {
        self.real.all_rules().any(|(_, rule)| rule.action != Action::Deny && rule.target == Target::Everything)
    }
}

impl Programs {
    /// Looks up what the rules name.
    pub fn find(policies: &Policies<'_>) -> Result<Self, Error> {
        let named = |rule: &&Rule| matches!(rule.target, Target::Exec { .. });
        let rules: Vec<&Rule> = policies.written.all_rules().map(|(_, rule)| rule).filter(named).collect();
        let mut search = Search {
            policies,
            programs: Self::default(),
            loader: Loader::default(),
            needed: BTreeSet::new(),
            copied: 0,
        };
        // The denials first: each takes a file off the list, by whatever name it is on it.
        for rule in rules.iter().filter(|rule| rule.action == Action::Deny) {
            search.deny(rule)?;
        }
        for rule in rules.iter().filter(|rule| rule.action != Action::Deny) {
            search.allow(rule)?;
        }
        search.note_scripts();
        for (_, rule) in policies.written.all_rules().filter(|(_, rule)| rule.action != Action::Deny) {
            search.load(rule)?;
        }
        Ok(search.programs)
    }
}

struct Search<'a> {
    policies: &'a Policies<'a>,
    programs: Programs,
    loader: Loader,
    /// What has been added as needed, by the names that the loader opens.
    needed: BTreeSet<PathBuf>,
    copied: u64,
}

impl Search<'_> {
    fn deny(&mut self, rule: &Rule) -> Result<(), Error> {
        let Target::Exec { program, .. } = &rule.target else { return Ok(()) };
        let names = match program {
            Program::Command(name) => {
                if self.policies.everything() {
                    self.programs.notes.push(format!(
                        "{}: beside --allow-all, {name} is denied on PATH and where the system keeps programs; a file \
                         of that name elsewhere can be run",
                        rule.origin
                    ));
                }
                self.dirs().map(|dir| dir.join(name)).filter(|path| path.exists()).collect()
            }
            // All of them, which needs no list.
            Program::Path(path) if path.is_root() => Vec::new(),
            Program::Path(path) if path.is_glob() => search::files(path, &rule.origin.to_string())?,
            Program::Path(path) => {
                let named = PathBuf::from(path.to_string());
                match named.is_dir() {
                    true if self.policies.all_programs() => programs_below(&named, &rule.origin.to_string())?,
                    // Of a list, each is taken off as it is met.
                    true => Vec::new(),
                    false => vec![named],
                }
            }
        };
        for name in names {
            let (Some(decision), Ok(real)) = (denial(self.policies.written, &name), name.canonicalize()) else {
                continue;
            };
            // Told by the rule that denies its real name, where one does.
            let decision = denial(&self.policies.real, &real).unwrap_or(decision);
            self.programs.denied.entry(real).or_insert(decision);
        }
        Ok(())
    }

    fn allow(&mut self, rule: &Rule) -> Result<(), Error> {
        let Target::Exec { program, sha256 } = &rule.target else { return Ok(()) };
        let origin = rule.origin.to_string();
        let names = match program {
            Program::Command(name) => match on_path(name, &self.policies.path) {
                Some(path) => vec![path],
                None => {
                    self.programs.notes.push(format!("{origin}: {program} is not on the worker's PATH"));
                    return Ok(());
                }
            },
            // All of them: see `Code`.
            Program::Path(path) if path.is_root() => return Ok(()),
            Program::Path(path) => {
                let named = PathBuf::from(path.to_string());
                if path.is_glob() {
                    return search::files(path, &origin)?.iter().try_for_each(|name| self.allow_found(rule, name));
                }
                if named.is_dir() {
                    if sha256.is_some() {
                        return Err(refuse(
                            rule,
                            &format!("{} is a directory, and sha256 pins one program", named.display()),
                        ));
                    }
                    return search::below(&named, &origin)?.iter().try_for_each(|name| self.allow_found(rule, name));
                }
                vec![named]
            }
        };
        names.iter().try_for_each(|name| self.allow_named(rule, name, sha256.as_deref()))
    }

    /// A file that a directory or a glob brings along.
    fn allow_found(&mut self, rule: &Rule, named: &Path) -> Result<(), Error> {
        let Ok(real) = named.canonicalize() else { return Ok(()) };
        let usable = std::fs::metadata(&real).is_ok_and(|meta| is_program(&meta)) && real.to_str().is_some();
        if !usable || self.is_denied(named, &real) || !self.not_to_be_written(&real).is_ok_and(|file| file.is_none()) {
            return Ok(());
        }
        self.add(rule, named, real, None)
    }

    /// A file that a rule means alone.
    fn allow_named(&mut self, rule: &Rule, named: &Path, sha256: Option<&str>) -> Result<(), Error> {
        let refuse = |what: String| refuse(rule, &what);
        let Ok(real) = named.canonicalize() else {
            self.programs.notes.push(format!("{} does not exist: it cannot be run", named.display()));
            return Ok(());
        };
        if real.to_str().is_none() {
            return Err(refuse(format!("{} is not UTF-8, which the name of a program must be", real.display())));
        }
        if self.is_denied(named, &real) {
            self.programs.notes.push(format!("{} is denied by another rule", named.display()));
            return Ok(());
        }
        let meta = std::fs::metadata(&real).map_err(|error| refuse(format!("{}: {error}", real.display())))?;
        if !is_program(&meta) {
            return Err(refuse(format!(
                "{} is no file with an executable bit, expected a program or a directory of programs",
                real.display()
            )));
        }
        if let Some(link) = links_to(named).into_iter().find(|link| may_write(&self.policies.real, link)) {
            return Err(refuse(format!(
                "{} goes through the symlink {}, which the worker may replace; name {}",
                named.display(),
                link.display(),
                real.display()
            )));
        }
        if let Some(file) = self.not_to_be_written(&real)? {
            return Err(refuse(format!(
                "{} lies where the worker may write: what is run must not be the worker's to change",
                file.display()
            )));
        }
        self.add(rule, named, real, sha256)
    }

    fn is_denied(&self, named: &Path, real: &Path) -> bool {
        // A denial counts by any name: the one that was written, and the file's own.
        self.programs.denied.contains_key(real)
            || denial(self.policies.written, named).is_some()
            || denial(&self.policies.real, real).is_some()
    }

    /// The program, or the part of what it needs, that the worker may write.
    fn not_to_be_written(&mut self, real: &Path) -> Result<Option<PathBuf>, Error> {
        if !writes_anything(&self.policies.real) {
            return Ok(None);
        }
        let Closure { loader, libraries } = self.loader.closure(real);
        let needed = libraries.into_iter().chain(loader).map(|path| path.canonicalize().unwrap_or(path));
        Ok([real.to_owned()].into_iter().chain(needed).find(|file| may_write(&self.policies.real, file)))
    }

    fn add(&mut self, rule: &Rule, named: &Path, real: PathBuf, sha256: Option<&str>) -> Result<(), Error> {
        let Closure { loader, libraries } = self.loader.closure(&real);
        self.copy_if_needed(&real, sha256).map_err(|what| refuse(rule, &what))?;
        self.programs.grants.push(grant(named.to_owned(), true));
        // Where /bin is a link to /usr/bin, both names are in use.
        if let Ok(below) = real.strip_prefix("/usr") {
            let short = Path::new("/").join(below);
            if short != named && short.canonicalize().is_ok_and(|other| other == real) {
                self.programs.grants.push(grant(short, true));
            }
        }
        let libraries = libraries.into_iter().map(|file| (file, false));
        self.need(rule, libraries.chain(loader.map(|loader| (loader, true))))?;
        self.programs.allowed.entry(real).or_insert_with(|| Decision {
            allowed: true,
            action: rule.action,
            rule: Some(rule.to_string()),
            source: rule.origin.to_string(),
            overridden: Vec::new(),
        });
        if self.programs.allowed.len() > MAX_PROGRAMS {
            return Err(refuse(rule, &format!("more than {MAX_PROGRAMS} programs; name fewer, or allow every one")));
        }
        Ok(())
    }

    /// What the libraries of an `ffi` rule need in turn.
    fn load(&mut self, rule: &Rule) -> Result<(), Error> {
        let Target::Ffi(path) = &rule.target else { return Ok(()) };
        let named = PathBuf::from(path.to_string());
        let files = if path.is_root() {
            Vec::new() // Found among the system's, which are shown.
        } else if path.is_glob() {
            search::files(path, &rule.origin.to_string())?
        } else if named.is_dir() {
            let mut files = search::below(&named, &rule.origin.to_string())?;
            files.retain(|file| file.file_name().is_some_and(|name| name.to_string_lossy().contains(".so")));
            files
        } else {
            vec![named]
        };
        for file in files {
            if let Ok(real) = file.canonicalize()
                && real.is_file()
            {
                self.copy_if_needed(&real, None).map_err(|what| refuse(rule, &what))?;
            }
            let needed = self.loader.closure(&file).libraries;
            let safe = needed
                .into_iter()
                .filter(|file| file.canonicalize().is_ok_and(|real| !may_write(&self.policies.real, &real)));
            let safe: Vec<PathBuf> = safe.collect();
            self.need(rule, safe.into_iter().map(|file| (file, false)))?;
        }
        Ok(())
    }

    /// Files that come with what a rule allows, and whether they are executed.
    fn need(&mut self, rule: &Rule, files: impl Iterator<Item = (PathBuf, bool)>) -> Result<(), Error> {
        for (file, execute) in files {
            if self.needed.insert(file.clone())
                && let Ok(real) = file.canonicalize()
                && self.programs.closure.insert(real.clone())
            {
                self.copy_if_needed(&real, None).map_err(|what| refuse(rule, &what))?;
                self.programs.grants.push(grant(file, execute));
            }
        }
        Ok(())
    }

    /// A file whose content was named, or that has another name in what the worker may write, is shown as a copy that
    /// nobody can change.
    fn copy_if_needed(&mut self, real: &Path, sha256: Option<&str>) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("{}: {error}", real.display());
        let file = crate::files::open(real, false).map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        if sha256.is_none() && (meta.nlink() == 1 || !writes_anything(&self.policies.real)) {
            return Ok(());
        }
        let mut content = Vec::new();
        let room = MAX_COPIED - self.copied;
        file.take(room + 1).read_to_end(&mut content).map_err(failed)?;
        if content.len() as u64 > room {
            return Err(format!(
                "{}: more than {MAX_COPIED} bytes of programs would have to be copied",
                real.display()
            ));
        }
        if let Some(expected) = sha256 {
            let found: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
            if found != expected {
                return Err(format!("sha256 of {} is {found}, expected {expected}", real.display()));
            }
        }
        if !self.programs.copies.contains_key(real) {
            self.copied += content.len() as u64;
            self.programs.copies.insert(real.to_owned(), content);
        }
        Ok(())
    }

    /// The kernel starts a script's interpreter only where that is allowed, too; it is never implied, for a shell runs
    /// anything.
    fn note_scripts(&mut self) {
        let notes = self.programs.allowed.keys().filter_map(|script| {
            let interpreter = interpreter_of(script)?;
            let allowed = interpreter.canonicalize().is_ok_and(|real| self.programs.allowed.contains_key(&real));
            (!allowed).then(|| {
                format!(
                    "{} is run by {}, which is not allowed: add --allow-run={}",
                    script.display(),
                    interpreter.display(),
                    interpreter.display()
                )
            })
        });
        let notes: Vec<String> = notes.collect();
        // A directory of programs holds many scripts, and whoever allows it wants few of them.
        match &notes[..] {
            [first, rest @ ..] if rest.len() > 3 => {
                self.programs.notes.push(format!("{first}; so it is with {} other scripts", rest.len()));
            }
            _ => self.programs.notes.extend(notes),
        }
    }

    /// Where a command may lie.
    fn dirs(&self) -> impl Iterator<Item = PathBuf> {
        let path: Vec<PathBuf> = std::env::split_paths(&self.policies.path).filter(|dir| dir.is_absolute()).collect();
        path.into_iter().chain(PROGRAM_DIRS.map(PathBuf::from))
    }
}

fn refuse(rule: &Rule, what: &str) -> Error {
    Error::policy("ERR_BUNTIME_RUN", format!("{}: {what}", rule.origin))
}

/// The rule that denies running a path, as opposed to nothing being said of it.
fn denial(stack: &PolicyStack, path: &Path) -> Option<Decision> {
    let decision = stack.decide(&Query::run(path.to_str()?).ok()?);
    (!decision.allowed && decision.rule.is_some()).then_some(decision)
}

/// Whether the worker may change a file, or put another in its place.
pub fn may_write(stack: &PolicyStack, path: &Path) -> bool {
    let asks = |perm: &FsPerm| path.to_str().and_then(|path| Query::fs(path, *perm).ok());
    WRITE_PERMS.iter().filter_map(asks).any(|query| stack.decide(&query).allowed)
}

fn writes_anything(stack: &PolicyStack) -> bool {
    let writes = |rule: &Rule| match &rule.target {
        Target::Fs { perms, .. } => perms.iter().any(|perm| WRITE_PERMS.contains(perm)),
        target => *target == Target::Everything,
    };
    stack.all_rules().any(|(_, rule)| rule.action != Action::Deny && writes(rule)) || may_write(stack, Path::new("/"))
}

/// The symlinks that are followed on the way to where a path leads.
fn links_to(path: &Path) -> Vec<PathBuf> {
    let mut links = Vec::new();
    let mut at = Some(path.to_owned());
    while let Some(path) = at.take() {
        for above in path.ancestors() {
            let Ok(target) = std::fs::read_link(above) else { continue };
            let rest = path.strip_prefix(above).unwrap_or(Path::new(""));
            let next = above.parent().unwrap_or(Path::new("/")).join(target).join(rest);
            if links.len() < MAX_LINKS {
                links.push(
                    tree::real_path(above.parent().unwrap_or(Path::new("/")))
                        .unwrap_or_default()
                        .join(above.file_name().unwrap_or_default()),
                );
                at = Some(next);
            }
            break;
        }
    }
    links
}

fn is_program(meta: &std::fs::Metadata) -> bool {
    meta.is_file() && meta.permissions().mode() & 0o111 != 0
}

fn grant(path: PathBuf, execute: bool) -> Grant {
    let access = Access { read: true, write: false, execute };
    Grant { path, access, code: true, origin: Origin::Runtime }
}

/// The first executable file of that name on a PATH.
pub fn on_path(name: &str, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(name))
        .find(|file| std::fs::metadata(file).is_ok_and(|meta| is_program(&meta)))
}

/// The programs below a directory, and the links there to programs anywhere.
fn programs_below(dir: &Path, origin: &str) -> Result<Vec<PathBuf>, Error> {
    let mut found = search::below(dir, origin)?;
    found.retain(|path| path.is_symlink() || is_started(path));
    Ok(found)
}

/// Whether a file is started by its name, or by the loader.
fn is_started(path: &Path) -> bool {
    let executable = || std::fs::metadata(path).is_ok_and(|meta| is_program(&meta));
    match elf::read(path) {
        Ok(Some(elf)) => elf.program,
        Ok(None) => executable(),
        Err(_) => false,
    }
}

/// What `#!` names: what the kernel starts in the place of a script.
pub fn interpreter_of(script: &Path) -> Option<PathBuf> {
    let mut head = Vec::new();
    crate::files::open(script, true).ok()?.take(MAX_FIRST_LINE).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let word = line.split(|byte| matches!(byte, b' ' | b'\t' | b'\r')).find(|word| !word.is_empty())?;
    Some(PathBuf::from(OsStr::from_bytes(word)))
}
