//! Which Python runs the worker, and which part of the host's file system it needs to start: its closure.
//!
//! The `python3` on PATH may be anything: a binary, a link, a virtual environment's, a shell script that picks one. So
//! it is asked, once, with `data/probe.py`; the answer is kept for as long as the files that it hangs on stay the same.

use std::collections::HashMap;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use buntime_sandbox::plan::Access;
use buntime_sandbox::view::{Grant, Origin};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::probe::Probe;
use crate::threads::on_launcher;

const PROBE: &str = include_str!("../data/probe.py");
/// The harness that runs user code.
const HARNESS: &str = include_str!("../../../src/worker.py");
/// Oldest version that the harness runs on.
const OLDEST: [u32; 2] = [3, 9];
/// How long an interpreter may take to answer, the wait for another start that asks the same one included.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// What the probe says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Python {
    /// `sys.executable`: inside a virtual environment, the environment's own.
    pub executable: PathBuf,
    pub version: [u32; 3],
    /// The program that loads the executable, `PT_INTERP`; empty for a static one.
    loader: PathBuf,
    prefixes: Vec<PathBuf>,
    stdlib: Vec<PathBuf>,
    site: Vec<PathBuf>,
    libraries: Vec<PathBuf>,
    /// Where it was found, before it was asked.
    #[serde(skip)]
    found: PathBuf,
    /// The harness as this version's byte code: compiling it anew at each start would take longer than all else.
    #[serde(skip)]
    pub harness: Vec<u8>,
}

/// An interpreter, and whether it has been asked before.
#[derive(Debug)]
pub enum Found {
    Known(Box<Python>),
    Unasked(Unasked),
}

/// An executable file that may be a Python.
#[derive(Clone, Debug)]
pub struct Unasked {
    found: PathBuf,
    cwd: PathBuf,
    fingerprint: Fingerprint,
}

/// Finds `python3`, or takes the one that the caller named. Runs nothing.
pub fn find(named: Option<&Path>, cwd: &Path) -> Result<Found, Error> {
    let found = match named {
        Some(path) if path.components().count() > 1 || path.is_absolute() => cwd.join(path),
        Some(name) => on_path(name).ok_or_else(|| missing(&name.display().to_string()))?,
        None => on_path(Path::new("python3")).ok_or_else(|| missing("python3"))?,
    };
    let fingerprint = Fingerprint::of(&found, cwd).map_err(|error| {
        failed(&found, &error.to_string()).with_hint("name an executable python3 with the option `interpreter`")
    })?;
    Ok(match cache::get(&fingerprint) {
        Some(known) => Found::Known(Box::new(Python { found, ..known })),
        None => Found::Unasked(Unasked { found, cwd: cwd.to_owned(), fingerprint }),
    })
}

fn failed(found: &Path, what: &str) -> Error {
    Error::setup("ERR_BUNTIME_INTERPRETER", format!("interpreter {}: {what}", found.display()))
}

impl Unasked {
    /// Runs it, on the reader thread, which goes on meanwhile. Dropped, this kills what it started.
    pub async fn ask(self) -> Result<Python, Error> {
        self.ask_within(ANSWER_LIMIT).await
    }

    async fn ask_within(self, limit: Duration) -> Result<Python, Error> {
        let found = self.found.clone();
        let late = |_| {
            let what = format!("no answer to the probe after {} s", limit.as_secs_f64());
            failed(&found, &what).with_hint("it was run with -I -c, outside the sandbox, and must end by itself")
        };
        tokio::time::timeout(limit, self.ask_in_turn()).await.map_err(late)?
    }

    /// A hundred first starts at once are to be one probe, and an interpreter that hangs holds up nobody who wants
    /// another.
    async fn ask_in_turn(self) -> Result<Python, Error> {
        static TURNS: LazyLock<Mutex<HashMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>> = LazyLock::new(Mutex::default);
        let turn = {
            let mut turns = TURNS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            turns.entry(self.found.clone()).or_default().clone()
        };
        let _turn = turn.lock().await;
        if let Some(known) = cache::get(&self.fingerprint) {
            return Ok(Python { found: self.found, ..known });
        }
        let fail = |what: String| failed(&self.found, &what);
        let (program, cwd) = (self.found.clone(), self.cwd.clone());
        // -I: nothing of the working directory or the environment is imported by this run, which is not sandboxed.
        let probe = on_launcher(move || Probe::start(&program, &["-I", "-c", PROBE], HARNESS.as_bytes(), &cwd)).await?;
        let answer = probe.map_err(fail)?.answer().await.map_err(fail)?;
        on_launcher(move || {
            let python = self.read(&answer)?;
            cache::put(&self.fingerprint, &python);
            Ok(python)
        })
        .await?
    }

    fn read(&self, answer: &[u8]) -> Result<Python, Error> {
        let fail = |what: String| failed(&self.found, &what);
        let (facts, harness) = split_line(answer).ok_or_else(|| fail("no answer to the probe".into()))?;
        let mut python: Python =
            serde_json::from_slice(facts).map_err(|error| fail(format!("an odd answer to the probe: {error}")))?;
        python.harness = harness.to_vec();
        python.found = self.found.clone();
        if !python.executable.is_absolute() {
            return Err(fail(format!("it says that it is {:?}", python.executable)));
        }
        if python.version[..2] < OLDEST[..] {
            let [major, minor, _] = python.version;
            return Err(fail(format!("it is Python {major}.{minor}, expected 3.9 or newer")));
        }
        python.site.retain(|dir| dir.is_dir());
        Ok(python)
    }
}

impl Python {
    /// What the sandbox shows for it. The executable and its loader are the only files that may be executed.
    pub fn grants(&self) -> Vec<Grant> {
        let mut grants = Vec::new();
        let mut grant = |path: PathBuf, code: bool, execute: bool| {
            let access = Access { read: true, write: false, execute };
            grants.push(Grant { path, access, code, origin: Origin::Runtime });
        };
        grant(self.executable.clone(), true, true);
        if !self.loader.as_os_str().is_empty() {
            grant(self.loader.clone(), true, true);
        }
        for dir in self.stdlib.iter().chain(&self.site) {
            grant(dir.clone(), true, false);
        }
        for dir in &self.libraries {
            grant(dir.clone(), true, false);
            // The loader's cache names libraries by /lib where that is a link to /usr/lib.
            if let Ok(below) = dir.strip_prefix("/usr") {
                grant(Path::new("/").join(below), true, false);
            }
        }
        for prefix in &self.prefixes {
            grant(prefix.join("pyvenv.cfg"), false, false);
        }
        // The loader's cache, certificates, time zones, the C.UTF-8 locale: data that libraries take for given.
        for path in [
            "/etc/ld.so.cache",
            "/etc/localtime",
            "/etc/ssl/certs",
            "/etc/ssl/openssl.cnf",
            "/etc/pki/tls/certs",
            "/usr/lib/ssl",
            "/usr/share/ca-certificates",
            "/usr/share/zoneinfo",
            "/usr/lib/locale",
        ] {
            grant(PathBuf::from(path), false, false);
        }
        grants
    }
}

impl Python {
    /// What runs outside the sandbox when the interpreter is asked, the next time: never the worker's to write.
    pub fn guarded(&self) -> impl Iterator<Item = PathBuf> {
        self.prefixes.iter().chain([&self.found, &self.executable]).cloned()
    }
}

fn missing(name: &str) -> Error {
    Error::setup("ERR_BUNTIME_INTERPRETER", format!("no {name} on PATH"))
        .with_hint("install Python 3.9 or newer, or name one with the option `interpreter`")
}

/// The first executable file of that name on the caller's PATH.
fn on_path(name: &Path) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(name))
        .find(|file| std::fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0))
}

/// The first line, and what follows it.
fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// The files that decide which interpreter a name means, and their states.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Fingerprint {
    found: PathBuf,
    /// For scripts that choose an interpreter: what they may look at besides files.
    chosen_by: Vec<String>,
    files: Vec<(PathBuf, u64, u64, i64, i64, u64)>,
}

impl Fingerprint {
    fn of(found: &Path, cwd: &Path) -> std::io::Result<Self> {
        let mut names = vec![found.to_owned()];
        let mut chosen_by = Vec::new();
        let mut start = [0; 2];
        let mut file = crate::files::open(found, true)?;
        if file.metadata()?.permissions().mode() & 0o111 == 0 {
            return Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, "not executable"));
        }
        let is_script = file.read(&mut start)? == 2 && &start == b"#!";
        if is_script {
            // pyenv's and asdf's shims look for these files from the working directory upwards, at home, and in their
            // roots.
            let homes = ["HOME", "PYENV_ROOT", "ASDF_DIR"].into_iter().filter_map(std::env::var_os).map(PathBuf::from);
            let dirs: Vec<PathBuf> = cwd.ancestors().map(Path::to_owned).chain(homes).collect();
            for name in [".python-version", ".tool-versions", "version"] {
                names.extend(dirs.iter().map(|dir| dir.join(name)));
            }
            chosen_by.push(cwd.display().to_string());
            for name in ["PYENV_VERSION", "PYENV_ROOT", "ASDF_PYTHON_VERSION"] {
                chosen_by.push(std::env::var(name).unwrap_or_default());
            }
        } else if let Some(bin) = found.parent() {
            names.extend([bin.join("pyvenv.cfg"), bin.join("../pyvenv.cfg")]);
        }
        let state = |path: PathBuf| {
            let meta = std::fs::metadata(&path).ok()?;
            Some((path, meta.dev(), meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.len()))
        };
        Ok(Self { found: found.to_owned(), chosen_by, files: names.into_iter().filter_map(state).collect() })
    }
}

/// Answers of earlier probes: in this process, and in the user's cache directory.
mod cache {
    use super::*;

    static KNOWN: LazyLock<Mutex<HashMap<Fingerprint, Python>>> = LazyLock::new(Mutex::default);

    #[derive(Serialize, Deserialize)]
    struct Entry {
        made_by: String,
        fingerprint: Fingerprint,
        python: Python,
    }

    /// Entries of another version of this program, or of its harness, are not taken.
    fn made_by() -> String {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        (PROBE, super::HARNESS).hash(&mut hasher);
        format!("{} {:016x}", env!("CARGO_PKG_VERSION"), hasher.finish())
    }

    pub fn get(fingerprint: &Fingerprint) -> Option<Python> {
        let mut known = KNOWN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(python) = known.get(fingerprint) {
            return Some(python.clone());
        }
        let python = read(fingerprint)?;
        known.insert(fingerprint.clone(), python.clone());
        Some(python)
    }

    pub fn put(fingerprint: &Fingerprint, python: &Python) {
        let mut known = KNOWN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        known.insert(fingerprint.clone(), python.clone());
        // Only saves time: a cache that cannot be written is no error.
        let _ = write(fingerprint, python);
    }

    /// What an entry says decides what other sandboxes are shown, so it counts only where nobody but the user (or root)
    /// can have written it. No sandbox is ever given this directory to write: see `crate::launch`.
    fn read(fingerprint: &Fingerprint) -> Option<Python> {
        let path = file(fingerprint)?;
        let mut file = crate::files::open(&path, true).ok()?;
        for meta in [file.metadata().ok()?, std::fs::symlink_metadata(path.parent()?).ok()?] {
            if meta.uid() != nix::unistd::geteuid().as_raw() || meta.permissions().mode() & 0o022 != 0 {
                return None;
            }
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        let (entry, harness) = split_line(&bytes)?;
        let mut entry: Entry = serde_json::from_slice(entry).ok()?;
        entry.python.harness = harness.to_vec();
        (entry.made_by == made_by() && entry.fingerprint == *fingerprint).then_some(entry.python)
    }

    fn write(fingerprint: &Fingerprint, python: &Python) -> Option<()> {
        let path = file(fingerprint)?;
        let dir = path.parent()?;
        std::fs::create_dir_all(dir).ok()?;
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).ok()?;
        let entry = Entry { made_by: made_by(), fingerprint: fingerprint.clone(), python: python.clone() };
        let mut bytes = serde_json::to_vec(&entry).ok()?;
        bytes.push(b'\n');
        bytes.extend_from_slice(&python.harness);
        crate::files::replace(&path, &bytes).ok()
    }

    fn file(fingerprint: &Fingerprint) -> Option<PathBuf> {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        // The name only finds the entry; the whole fingerprint is compared.
        (&fingerprint.found, &fingerprint.chosen_by).hash(&mut hasher);
        Some(dirs().next()?.join(format!("python-{:016x}", hasher.finish())))
    }

    /// `$XDG_CACHE_HOME/python-ipc-bun`, by default `~/.cache/python-ipc-bun`; first the one that is used.
    pub fn dirs() -> impl Iterator<Item = PathBuf> {
        let named = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
        named.into_iter().chain(home).filter(|path| path.is_absolute()).map(|path| path.join("python-ipc-bun"))
    }
}

/// Where answers are kept on disk, now or with another environment: for whoever must keep sandboxes away from it. Made
/// where they are missing, since only what exists can be hidden.
pub fn cache_dirs() -> Vec<PathBuf> {
    let made = |dir: &PathBuf| dir.is_dir() || std::fs::create_dir_all(dir).is_ok();
    cache::dirs().filter(made).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn python(named: &str) -> Result<Python, Error> {
        match find(Some(Path::new(named)), Path::new("/"))? {
            Found::Known(python) => Ok(*python),
            Found::Unasked(unasked) => unasked.ask().await,
        }
    }

    /// A program of the test's own, and the folder that holds it.
    fn program(text: &str) -> (tempfile::TempDir, String) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("python");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let name = path.display().to_string();
        (dir, name)
    }

    #[tokio::test]
    async fn the_system_python_names_its_closure() {
        let python = python("/usr/bin/python3").await.unwrap();
        assert!(python.version[0] == 3 && python.executable.is_absolute(), "{python:?}");
        assert!(python.stdlib.iter().any(|dir| dir.join("os.py").exists()), "{python:?}");
        assert!(python.loader.exists(), "{python:?}");
        assert!(python.harness.len() > 10_000, "{}", python.harness.len());
        let executables: Vec<_> = python.grants().into_iter().filter(|grant| grant.access.execute).collect();
        assert_eq!(executables.len(), 2, "the interpreter and its loader: {executables:?}");
    }

    #[tokio::test]
    async fn a_missing_one_is_an_error_that_names_it() {
        let error = python("/no/such/python").await.unwrap_err();
        assert!(error.message.contains("/no/such/python"), "{error}");
        let error = python("no-such-python").await.unwrap_err();
        assert!(error.message.contains("no-such-python") && error.hint.is_some(), "{error}");
        let error = python("/bin/true").await.unwrap_err();
        assert_eq!(error.code, "ERR_BUNTIME_INTERPRETER", "{error}");
    }

    #[test]
    fn what_is_no_executable_file_is_neither_opened_nor_run() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let plain = dir.path().join("plain");
        std::fs::write(&plain, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&plain, std::fs::Permissions::from_mode(0o644)).unwrap();
        for (path, expected) in [
            (fifo.as_path(), "not a regular file"),
            (dir.path(), "not a regular file"),
            (Path::new("/dev/zero"), "not a regular file"),
            (plain.as_path(), "not executable"),
        ] {
            let error = find(Some(path), Path::new("/")).unwrap_err();
            assert_eq!(error.code, "ERR_BUNTIME_INTERPRETER");
            let name = path.display().to_string();
            assert!(error.message.contains(&name) && error.message.contains(expected), "{error}");
        }
    }

    #[tokio::test]
    async fn one_that_does_not_answer_is_an_error_in_time_and_is_killed_with_its_children() {
        let (dir, name) = program("#!/bin/sh\nsleep 1000 &\necho $$ $! > \"${0%/*}/pids\"\nwait\n");
        let Found::Unasked(unasked) = find(Some(Path::new(&name)), Path::new("/")).unwrap() else { panic!("known") };
        let error = unasked.ask_within(Duration::from_millis(500)).await.unwrap_err();
        assert_eq!(error.code, "ERR_BUNTIME_INTERPRETER");
        assert!(error.message.contains(&name) && error.message.contains("after 0.5 s"), "{error}");
        let pids = std::fs::read_to_string(dir.path().join("pids")).unwrap();
        // Killed processes are gone when whoever inherits them has waited for them, or zombies until then.
        let lives = |pid: &str| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty());
        for _ in 0..200 {
            if !pids.split_whitespace().any(lives) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("still there: {pids}");
    }

    #[tokio::test]
    async fn one_that_answers_without_end_is_an_error() {
        let (_dir, name) = program("#!/bin/sh\nexec cat /dev/zero\n");
        let error = python(&name).await.unwrap_err();
        assert!(error.message.contains(&name) && error.message.contains("1048576 bytes"), "{error}");
        let (_dir, name) = program("#!/bin/sh\nexec cat /dev/zero >&2\n");
        assert!(python(&name).await.unwrap_err().message.contains("1048576 bytes"));
    }
}
