//! What of a directory of libraries is code. The loader, told a file's name, runs it as a program wherever it may be
//! mapped as code: so where programs can be started, no more of such a directory may be mapped than holds libraries,
//! and the programs among those are covered.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::elf;
use crate::error::Error;
use crate::kept::{self, State};

/// Most files that are looked at.
const MAX_FILES: usize = 200_000;
/// A directory that changed less than this many seconds ago may change once more at the same time stamp.
const SETTLED_AFTER: i64 = 2;
/// A mount takes as long as to look at about so many directories whether they have changed.
const COST_OF_MOUNT: usize = 10;

/// What was found below a directory.
#[derive(Debug, Serialize, Deserialize)]
pub struct Libraries {
    made_by: String,
    below: PathBuf,
    /// The directories all of which may be mapped, and single libraries of others.
    pub code: BTreeSet<PathBuf>,
    /// The programs among those.
    pub programs: BTreeSet<PathBuf>,
    /// What the answer hangs on: a file comes or goes with its directory's time. One that comes where nothing may be
    /// mapped changes nothing, and with a package that is installed the first directory changes, too.
    dirs: Vec<State>,
}

impl Libraries {
    /// Looks at the header of each file below a directory, which is a real path, unless an earlier start did and what
    /// it found still holds.
    pub fn below(dir: &Path) -> Result<Arc<Self>, Error> {
        static KNOWN: LazyLock<Mutex<HashMap<PathBuf, Arc<Libraries>>>> = LazyLock::new(Mutex::default);
        let known = || KNOWN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let remembered = known().get(dir).cloned();
        if let Some(found) = remembered.filter(|found| found.holds(dir)) {
            return Ok(found);
        }
        let name = kept::name("libraries", &dir);
        let read = || serde_json::from_slice::<Self>(&kept::read(&name)?).ok();
        let (found, is_new) = match read().filter(|found| found.holds(dir)) {
            Some(found) => (found, false),
            None => (look(dir)?, true),
        };
        let found = Arc::new(found);
        if found.is_settled() {
            if is_new && let Ok(text) = serde_json::to_vec(&*found) {
                // Only saves time.
                let _ = kept::write(&name, &text);
            }
            known().insert(dir.to_owned(), found.clone());
        }
        Ok(found)
    }

    fn holds(&self, below: &Path) -> bool {
        self.made_by == env!("CARGO_PKG_VERSION")
            && self.below == below
            && self.dirs.iter().all(|dir| *dir == State::of(&dir.path))
    }

    fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        self.dirs.iter().all(|dir| dir.changed().is_none_or(|changed| changed < now - SETTLED_AFTER))
    }
}

/// A directory that was walked through.
struct Dir {
    state: State,
    libraries: Vec<PathBuf>,
    programs: Vec<PathBuf>,
    inner: Vec<usize>,
}

fn look(below: &Path) -> Result<Libraries, Error> {
    let dirs = walk(below)?;
    let mut found = Libraries {
        made_by: env!("CARGO_PKG_VERSION").to_owned(),
        below: below.to_owned(),
        code: BTreeSet::new(),
        programs: BTreeSet::new(),
        dirs: dirs.first().map(|dir| dir.state.clone()).into_iter().collect(),
    };
    // Of each directory, what it costs to let all of it be mapped, and what to let its libraries alone. Inner ones come
    // after those that hold them.
    let (mut whole, mut parts) = (vec![1; dirs.len()], vec![0; dirs.len()]);
    for (index, dir) in dirs.iter().enumerate().rev() {
        whole[index] += dir.inner.iter().map(|inner| whole[*inner]).sum::<usize>();
        let inner = dir.inner.iter().map(|inner| parts[*inner].min(whole[*inner] + COST_OF_MOUNT));
        parts[index] = dir.libraries.len() * COST_OF_MOUNT + inner.sum::<usize>();
    }
    let mut queue = vec![0];
    while let Some(index) = queue.pop() {
        let Some(dir) = dirs.get(index) else { continue };
        let mount = if index == 0 { 0 } else { COST_OF_MOUNT };
        if parts[index] <= whole[index] + mount {
            found.code.extend(dir.libraries.iter().cloned());
            queue.extend(&dir.inner);
            continue;
        }
        found.code.insert(dir.state.path.clone());
        let mut all = vec![index];
        while let Some(index) = all.pop() {
            found.programs.extend(dirs[index].programs.iter().cloned());
            found.dirs.push(dirs[index].state.clone());
            all.extend(&dirs[index].inner);
        }
    }
    Ok(found)
}

/// All directories below one, it first, each before those that it holds.
fn walk(below: &Path) -> Result<Vec<Dir>, Error> {
    let mut dirs: Vec<Dir> = Vec::new();
    let mut files = 0;
    let mut queue = vec![(below.to_owned(), None)];
    while let Some((path, outer)) = queue.pop() {
        // Its state goes first: what comes while it is read makes it another.
        let state = State::of(&path);
        let entries = match std::fs::read_dir(&path) {
            // Neither listed nor entered. What can be entered, by who knows the names, is an error.
            Err(_) if std::fs::symlink_metadata(path.join(".")).is_err() => continue,
            other => other.map_err(|error| unknown(&path, &error.to_string()))?,
        };
        let index = dirs.len();
        let mut dir = Dir { state, libraries: Vec::new(), programs: Vec::new(), inner: Vec::new() };
        for entry in entries {
            let entry = entry.map_err(|error| unknown(&path, &error.to_string()))?;
            let kind = entry.file_type().map_err(|error| unknown(&path, &error.to_string()))?;
            files += 1;
            if files > MAX_FILES {
                return Err(unknown(&path, &format!("more than {MAX_FILES} files")));
            }
            let path = entry.path();
            if kind.is_dir() {
                queue.push((path, Some(index)));
            } else if kind.is_file() {
                match header(&path).map_err(|error| unknown(&path, &error.to_string()))? {
                    Some(elf) if elf.program => dir.programs.push(path),
                    Some(elf) if elf.library => dir.libraries.push(path),
                    _ => {}
                }
            }
        }
        dirs.push(dir);
        if let Some(outer) = outer {
            let outer: usize = outer;
            dirs[outer].inner.push(index);
        }
    }
    Ok(dirs)
}

/// What the caller may not read is out of the worker's reach, too.
fn header(path: &Path) -> io::Result<Option<elf::Elf>> {
    match elf::read(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        other => other,
    }
}

fn unknown(path: &Path, why: &str) -> Error {
    Error::setup(
        "ERR_BUNTIME_RUN",
        format!("{}: {why}: it cannot be told which programs lie among the libraries", path.display()),
    )
    .with_hint("allow no program, or use an interpreter whose directories hold less")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap();
        (dir, path)
    }

    fn library(path: &Path) {
        let loader = elf::read(Path::new("/bin/echo")).unwrap().unwrap().interpreter.unwrap();
        std::fs::copy(loader, path).unwrap();
    }

    #[test]
    fn what_holds_libraries_is_mapped_and_programs_in_it_are_named() {
        let (_guard, dir) = place();
        let (deep, plain) = (dir.join("deep"), dir.join("plain"));
        for dir in [&deep, &plain] {
            std::fs::create_dir(dir).unwrap();
        }
        for index in 0..100 {
            std::fs::create_dir(plain.join(index.to_string())).unwrap();
        }
        std::fs::copy("/bin/echo", deep.join("module.py")).unwrap();
        std::fs::copy("/bin/echo", plain.join("tool")).unwrap();
        for name in ["a.so", "b.so"] {
            library(&deep.join(name));
        }
        library(&dir.join("single.so"));
        let found = Libraries::below(&dir).unwrap();
        assert_eq!(found.code, BTreeSet::from([deep.clone(), dir.join("single.so")]));
        assert_eq!(found.programs, BTreeSet::from([deep.join("module.py")]));
        // One that comes is found, however soon.
        std::fs::copy("/bin/echo", deep.join("another")).unwrap();
        assert_eq!(Libraries::below(&dir).unwrap().programs.len(), 2);
    }

    #[test]
    fn an_answer_holds_until_a_directory_changes() {
        let (_guard, dir) = place();
        let deep = dir.join("deep");
        std::fs::create_dir(&deep).unwrap();
        for name in ["a.so", "b.so"] {
            library(&deep.join(name));
        }
        let found = look(&dir).unwrap();
        assert!(found.holds(&dir) && !found.is_settled(), "{found:?}");
        std::fs::write(deep.join("file"), "").unwrap();
        assert!(!found.holds(&dir));
    }
}
