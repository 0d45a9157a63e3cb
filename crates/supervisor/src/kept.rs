//! What earlier starts found out, kept in the user's cache directory. It only saves time: what cannot be kept is found
//! out anew, and that is no error.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A file or directory as it is now: another one, or another content, is another state.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct State {
    pub path: PathBuf,
    /// Device, inode, time of change (seconds, nanoseconds) and size; nothing where there is no such file. Not the time
    /// of modification, which whoever unpacks or copies files sets back.
    stat: Option<(u64, u64, i64, i64, u64)>,
}

impl State {
    pub fn of(path: &Path) -> Self {
        let stat = std::fs::metadata(path).ok();
        let stat = stat.map(|meta| (meta.dev(), meta.ino(), meta.ctime(), meta.ctime_nsec(), meta.len()));
        Self { path: path.to_owned(), stat }
    }

    /// Whether there is such a file.
    pub fn exists(&self) -> bool {
        self.stat.is_some()
    }

    /// When it last changed, in seconds since the epoch.
    pub fn changed(&self) -> Option<i64> {
        self.stat.map(|(_, _, seconds, _, _)| seconds)
    }
}

/// The name of an entry about `key`. Two keys may have one name: whoever reads an entry compares what it is about.
pub fn name(kind: &str, key: &impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    format!("{kind}-{:016x}", hasher.finish())
}

/// What an entry says decides what other sandboxes are shown, so it counts only where nobody but the user (or root)
/// can have written it. No sandbox is ever given this directory to write: see `crate::launch`.
pub fn read(name: &str) -> Option<Vec<u8>> {
    let path = dirs().next()?.join(name);
    let mut file = crate::files::open(&path, true).ok()?;
    for meta in [file.metadata().ok()?, std::fs::symlink_metadata(path.parent()?).ok()?] {
        if meta.uid() != nix::unistd::geteuid().as_raw() || meta.permissions().mode() & 0o022 != 0 {
            return None;
        }
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Keeps `bytes` under a name.
pub fn write(name: &str, bytes: &[u8]) -> Option<()> {
    let dir = dirs().next()?;
    std::fs::create_dir_all(&dir).ok()?;
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o700)).ok()?;
    crate::files::replace(&dir.join(name), bytes).ok()
}

/// `$XDG_CACHE_HOME/python-ipc-bun`, by default `~/.cache/python-ipc-bun`; first the one that is used.
fn dirs() -> impl Iterator<Item = PathBuf> {
    let named = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    named.into_iter().chain(home).filter(|path| path.is_absolute()).map(|path| path.join("python-ipc-bun"))
}

/// Where entries lie, now or with another environment: for whoever must keep sandboxes away from them. Made where they
/// are missing, since only what exists can be hidden.
pub fn cache_dirs() -> Vec<PathBuf> {
    let made = |dir: &PathBuf| dir.is_dir() || std::fs::create_dir_all(dir).is_ok();
    dirs().filter(made).collect()
}
