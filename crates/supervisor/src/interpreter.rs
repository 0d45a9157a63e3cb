//! Which Python runs the worker, and which part of the host's file system it needs to start: its closure.
//!
//! The `python3` on PATH may be anything: a binary, a link, a virtual environment's, a script that picks one (a shim of
//! pyenv's or asdf's). A picker is asked for its pick, then the interpreter itself is asked with `data/probe.py`, in an
//! environment like a worker's. Answers are kept for as long as the files that they hang on stay the same.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use buntime_sandbox::plan::Access;
use buntime_sandbox::view::{Grant, Origin};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::kept::{self, State};
use crate::probe::{Env, Probe};
use crate::threads::on_launcher;

const PROBE: &str = include_str!("../data/probe.py");
/// Asks a picker which interpreter it starts.
const PICK: &str = "import sys; print(sys.executable)";
/// The longest picker that is read for whose it is.
const SHIM_LENGTH: u64 = 4096;
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
    /// `sys.path` without site-packages: directories, and zip files.
    stdlib: Vec<PathBuf>,
    site: Vec<PathBuf>,
    /// Directories all of which are shown, and single files of others.
    libraries: Vec<PathBuf>,
    /// The libraries that it has loaded, with the usual extension modules.
    loaded: Vec<PathBuf>,
    /// Where a virtual environment's `pyvenv.cfg` is looked for.
    configs: Vec<PathBuf>,
    /// Files that the answer hangs on, once it is known.
    decided_by: Vec<PathBuf>,
    /// Their states, when it was asked.
    #[serde(default)]
    states: Vec<State>,
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
    Ok(match known(&fingerprint) {
        Some(known) => Found::Known(Box::new(Python { found, ..known })),
        None => Found::Unasked(Unasked { found, cwd: cwd.to_owned(), fingerprint }),
    })
}

/// The interpreter that is meant, where all that decides is as it was when it was asked.
fn known(fingerprint: &Fingerprint) -> Option<Python> {
    match cache::get(fingerprint)? {
        Answer::Is(python) => Some(*python),
        Answer::Picks(picked) => match cache::get(&Fingerprint::of_interpreter(&picked))? {
            Answer::Is(python) => Some(*python),
            Answer::Picks(_) => None,
        },
    }
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
            failed(&found, &what).with_hint("it was run with -I -S -c, outside the sandbox, and must end by itself")
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
        if let Some(known) = known(&self.fingerprint) {
            return Ok(Python { found: self.found, ..known });
        }
        let executable = match self.fingerprint.picked_by {
            None => self.found.clone(),
            Some(_) => self.pick().await?,
        };
        let fail = |what: String| {
            let picked =
                if executable == self.found { String::new() } else { format!(" (picked by {})", self.found.display()) };
            failed(&executable, &format!("{what}{picked}")).with_hint(
                "a worker needs Python 3.9 or newer that starts by itself, without LD_* and PYTHON* variables",
            )
        };
        let fingerprint = Fingerprint::of_interpreter(&executable);
        let program = executable.clone();
        let probe = on_launcher(move || {
            Probe::start(&program, &["-I", "-S", "-c", PROBE], HARNESS.as_bytes(), Path::new("/"), Env::Worker)
        });
        let answer = probe.await?.map_err(fail)?.answer().await.map_err(fail)?;
        let mut python = read(&answer).map_err(fail)?;
        python.found = self.found;
        on_launcher(move || {
            python.states = python.decided_by.iter().map(|path| State::of(path)).collect();
            cache::put(&fingerprint, Answer::Is(Box::new(python.clone())));
            Ok(python)
        })
        .await?
    }

    /// Runs a picker as a shell would, in the caller's environment and the worker's directory.
    async fn pick(&self) -> Result<PathBuf, Error> {
        let fail = |what: String| {
            failed(&self.found, &what).with_hint(
                "it was run to see which Python it picks; have it pick one that is installed, or name an interpreter \
                 with the option `interpreter`",
            )
        };
        let (program, cwd) = (self.found.clone(), self.cwd.clone());
        let probe = on_launcher(move || Probe::start(&program, &["-I", "-S", "-c", PICK], b"", &cwd, Env::Caller));
        let answer = probe.await?.map_err(fail)?.answer().await.map_err(fail)?;
        let (line, _) = split_line(&answer).ok_or_else(|| fail("no answer to the probe".into()))?;
        let picked = PathBuf::from(OsStr::from_bytes(line));
        if !picked.is_absolute() {
            return Err(fail(format!("an odd answer to the probe: it picks {picked:?}")));
        }
        let (fingerprint, answer) = (self.fingerprint.clone(), picked.clone());
        on_launcher(move || cache::put(&fingerprint, Answer::Picks(answer))).await?;
        Ok(picked)
    }
}

fn read(answer: &[u8]) -> Result<Python, String> {
    let (facts, harness) = split_line(answer).ok_or("no answer to the probe")?;
    let mut python: Python =
        serde_json::from_slice(facts).map_err(|error| format!("an odd answer to the probe: {error}"))?;
    python.harness = harness.to_vec();
    if !python.executable.is_absolute() {
        return Err(format!("it says that it is {:?}", python.executable));
    }
    if python.version[..2] < OLDEST[..] {
        let [major, minor, _] = python.version;
        return Err(format!("it is Python {major}.{minor}, expected 3.9 or newer"));
    }
    Ok(python)
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
        for config in &self.configs {
            grant(config.clone(), false, false);
        }
        // The loader's cache, the links by which Debian chooses among libraries (libblas.so.3), certificates, time
        // zones, the C.UTF-8 locale: data that libraries take for given.
        for path in [
            "/etc/ld.so.cache",
            "/etc/alternatives",
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
    /// The files that are executed for it: itself, and the loader that starts it.
    pub fn executed(&self) -> Vec<&Path> {
        [&self.executable, &self.loader]
            .into_iter()
            .map(PathBuf::as_path)
            .filter(|path| *path != Path::new(""))
            .collect()
    }

    /// The files of code without which it does not start, or lacks a part of the standard library.
    pub fn loaded(&self) -> Vec<&Path> {
        self.executed().into_iter().chain(self.loaded.iter().map(PathBuf::as_path)).collect()
    }

    /// Where the standard library lies.
    pub fn stdlib(&self) -> Vec<&Path> {
        self.stdlib.iter().map(PathBuf::as_path).collect()
    }

    /// Where the code of packages and the libraries that they load lie.
    pub fn libraries(&self) -> Vec<&Path> {
        self.site.iter().chain(&self.libraries).map(PathBuf::as_path).collect()
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

/// What decides which interpreter a name means.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Fingerprint {
    found: PathBuf,
    /// Of a picker: what it may look at besides files.
    picked_by: Option<Vec<(String, String)>>,
    files: Vec<State>,
}

impl Fingerprint {
    /// Of a file that is no interpreter by its name, it is assumed that it picks one: scripts, and mise's links to
    /// itself.
    fn of(found: &Path, cwd: &Path) -> std::io::Result<Self> {
        let file = crate::files::open(found, true)?;
        if file.metadata()?.permissions().mode() & 0o111 == 0 {
            return Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, "not executable"));
        }
        let mut head = Vec::new();
        file.take(SHIM_LENGTH).read_to_end(&mut head)?;
        let name = std::fs::canonicalize(found)?;
        let is_python = name.file_name().is_some_and(|name| name.as_bytes().starts_with(b"python"));
        if is_python && !head.starts_with(b"#!") {
            return Ok(Self::of_interpreter(found));
        }
        Ok(Self::of_picker(found, &head, cwd))
    }

    fn of_interpreter(found: &Path) -> Self {
        let mut files = vec![State::of(found)];
        // The nearer one goes first, as in site.py. Without their symlinks resolved: so looks Python.
        files.extend(found.ancestors().skip(1).take(2).map(|dir| State::of(&dir.join("pyvenv.cfg"))));
        Self { found: found.to_owned(), picked_by: None, files }
    }

    /// Version managers look for these files from the working directory upwards, at home, and in their roots, one of
    /// which is above the shim.
    fn of_picker(found: &Path, text: &[u8], cwd: &Path) -> Self {
        let roots = ["HOME", "PYENV_ROOT", "PYENV_DIR", "ASDF_DIR", "ASDF_DATA_DIR"];
        let roots = roots.into_iter().filter_map(std::env::var_os).map(PathBuf::from);
        let dirs: Vec<PathBuf> = cwd.ancestors().map(Path::to_owned).chain(roots).collect();
        let mut names = vec![found.to_owned()];
        for name in [".python-version", ".tool-versions", "mise.toml", ".mise.toml", ".config/mise/config.toml"] {
            names.extend(dirs.iter().map(|dir| dir.join(name)));
        }
        names.extend(found.ancestors().skip(1).take(2).map(|dir| dir.join("version")));
        let decides = |name: &str| {
            ["PYENV_", "ASDF_", "MISE_"].iter().any(|prefix| name.starts_with(prefix))
                || name == "PATH"
                || name == "HOME"
        };
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok().filter(|name| decides(name))?;
            Some((name, value.to_string_lossy().into_owned()))
        });
        let mut picked_by: Vec<_> = variables.collect();
        picked_by.sort();
        let says = |word: &[u8]| text.windows(word.len()).any(|part| part == word);
        if !says(b"pyenv") && !says(b"asdf") {
            // Nobody knows what of the directory it looks at.
            picked_by.push(("cwd".into(), cwd.display().to_string()));
        }
        let mut files: Vec<State> = names.iter().map(|path| State::of(path)).collect();
        files.retain(State::exists);
        Self { found: found.to_owned(), picked_by: Some(picked_by), files }
    }
}

/// What is known of a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Answer {
    Is(Box<Python>),
    /// It starts this interpreter.
    Picks(PathBuf),
}

impl Answer {
    fn holds(&self) -> bool {
        match self {
            Self::Is(python) => python.states.iter().all(|state| *state == State::of(&state.path)),
            Self::Picks(_) => true,
        }
    }
}

/// Answers of earlier probes: in this process, and in the user's cache directory.
mod cache {
    use super::*;

    static KNOWN: LazyLock<Mutex<HashMap<Fingerprint, Answer>>> = LazyLock::new(Mutex::default);

    #[derive(Serialize, Deserialize)]
    struct Entry {
        made_by: String,
        fingerprint: Fingerprint,
        answer: Answer,
    }

    /// Entries of another version of this program, or of its harness, are not taken.
    fn made_by() -> String {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        (PROBE, super::HARNESS).hash(&mut hasher);
        format!("{} {:016x}", env!("CARGO_PKG_VERSION"), hasher.finish())
    }

    pub fn get(fingerprint: &Fingerprint) -> Option<Answer> {
        let mut known = KNOWN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(answer) = known.get(fingerprint).filter(|answer| answer.holds()) {
            return Some(answer.clone());
        }
        let answer = read(fingerprint).filter(Answer::holds)?;
        known.insert(fingerprint.clone(), answer.clone());
        Some(answer)
    }

    pub fn put(fingerprint: &Fingerprint, answer: Answer) {
        // Only saves time: a cache that cannot be written is no error.
        let _ = write(fingerprint, &answer);
        let mut known = KNOWN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // A file that has changed is not remembered as it was.
        known.retain(|other, _| other.found != fingerprint.found || other.picked_by != fingerprint.picked_by);
        known.insert(fingerprint.clone(), answer);
    }

    fn read(fingerprint: &Fingerprint) -> Option<Answer> {
        let bytes = kept::read(&name(fingerprint))?;
        let (entry, harness) = split_line(&bytes)?;
        let mut entry: Entry = serde_json::from_slice(entry).ok()?;
        if let Answer::Is(python) = &mut entry.answer {
            python.harness = harness.to_vec();
        }
        (entry.made_by == made_by() && entry.fingerprint == *fingerprint).then_some(entry.answer)
    }

    fn write(fingerprint: &Fingerprint, answer: &Answer) -> Option<()> {
        let entry = Entry { made_by: made_by(), fingerprint: fingerprint.clone(), answer: answer.clone() };
        let mut bytes = serde_json::to_vec(&entry).ok()?;
        bytes.push(b'\n');
        if let Answer::Is(python) = answer {
            bytes.extend_from_slice(&python.harness);
        }
        kept::write(&name(fingerprint), &bytes)
    }

    /// The name only finds the entry; the whole fingerprint is compared.
    fn name(fingerprint: &Fingerprint) -> String {
        kept::name("python", &(&fingerprint.found, &fingerprint.picked_by))
    }
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

    #[test]
    fn another_file_or_environment_is_another_interpreter() {
        let (dir, _) = program("");
        std::fs::create_dir(dir.path().join("bin")).unwrap();
        let (python, config) = (dir.path().join("bin/python3"), dir.path().join("pyvenv.cfg"));
        std::fs::copy("/bin/true", &python).unwrap();
        let now = || Fingerprint::of(&python, Path::new("/")).unwrap();
        let mut seen = vec![now()];
        assert_eq!(seen[0], now());
        assert!(seen[0].picked_by.is_none());
        let mut differs = |what: &str| {
            assert!(!seen.contains(&now()), "{what}");
            seen.push(now());
        };
        let time = std::fs::metadata(&python).unwrap().modified().unwrap();
        let set =
            |path: &Path, time| std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
        set(&python, time - Duration::from_nanos(1_000_000));
        differs("another time");
        let other = dir.path().join("other");
        std::fs::copy(&python, &other).unwrap();
        std::fs::rename(&other, &python).unwrap();
        set(&python, time - Duration::from_nanos(1_000_000));
        differs("another inode");
        std::fs::write(&config, "").unwrap();
        differs("a pyvenv.cfg");
        set(&config, time);
        differs("another pyvenv.cfg");
        std::fs::write(dir.path().join("bin/pyvenv.cfg"), "").unwrap();
        differs("a nearer one");
    }

    #[test]
    fn what_a_picker_picks_depends_on_version_files_and_directory() {
        let (dir, name) = program("#!/bin/sh\nexec python3 \"$@\"\n");
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        for dir in [&one, &two] {
            std::fs::create_dir(dir).unwrap();
        }
        let of = |cwd: &Path| Fingerprint::of(Path::new(&name), cwd).unwrap();
        let before = of(&one);
        assert_eq!(before, of(&one));
        assert_ne!(before, of(&two), "nobody knows what an unknown script looks at");
        std::fs::write(dir.path().join(".tool-versions"), "python 3.9").unwrap();
        assert_ne!(before, of(&one));
        // A known one looks for files only.
        std::fs::write(&name, "#!/bin/sh\nexec pyenv exec python3 \"$@\"\n").unwrap();
        let before = of(&one);
        assert_eq!(before, of(&two));
        std::fs::write(two.join(".python-version"), "3.9").unwrap();
        assert_eq!(before, of(&one));
        assert_ne!(before, of(&two));
    }

    #[test]
    fn an_answer_holds_while_the_files_that_it_named_are_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let (library, config) = (dir.path().join("libpython3.so"), dir.path().join("pyvenv.cfg"));
        std::fs::write(&library, "1").unwrap();
        let states = [&library, &config].map(|path| State::of(path));
        let text = r#"{"executable":"/p","version":[3,9,0],"loader":"","prefixes":[],"stdlib":[],"site":[],
            "libraries":[],"loaded":[],"configs":[],"decided_by":[]}"#;
        let python = Python { states: states.to_vec(), ..serde_json::from_str(text).unwrap() };
        let answer = Answer::Is(Box::new(python));
        assert!(answer.holds());
        std::fs::write(&config, "").unwrap();
        assert!(!answer.holds(), "it has come into being");
        std::fs::remove_file(&config).unwrap();
        assert!(answer.holds());
        std::fs::write(&library, "22").unwrap();
        assert!(!answer.holds(), "it has changed");
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
