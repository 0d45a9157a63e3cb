//! Files of the disk that rules about programs and libraries name by a directory, a glob, or a name alone.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use buntime_policy::PathPattern;

use crate::error::Error;

/// Most files that are looked at for one rule.
const MAX_FILES: usize = 200_000;

/// What is to be done with an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// It is one of those.
    Yes,
    /// Something below it may be.
    Below,
    /// Nothing of it is.
    No,
}

/// The files below a directory; symlinks are among them, and not followed.
pub fn below(dir: &Path, origin: &str) -> Result<Vec<PathBuf>, Error> {
    walk(dir, origin, |_, directory| if directory { Wanted::Below } else { Wanted::Yes })
}

/// The files of a name below a directory, with symlinks of that name followed.
pub fn named(dir: &Path, name: &str, origin: &str) -> Result<Vec<PathBuf>, Error> {
    let found = walk(dir, origin, |path, directory| match directory {
        true => Wanted::Below,
        false if path.file_name() == Some(OsStr::new(name)) => Wanted::Yes,
        false => Wanted::No,
    })?;
    Ok(found.into_iter().filter_map(|path| path.canonicalize().ok()).collect())
}

/// The files that a glob names exactly.
pub fn files(pattern: &PathPattern, origin: &str) -> Result<Vec<PathBuf>, Error> {
    let is_match = matching(pattern);
    walk(Path::new(&pattern.literal_prefix()), origin, |path, directory| match is_match(path) {
        Wanted::Yes if directory => Wanted::Below,
        wanted => wanted,
    })
}

/// The files and directories that a glob names; what lies below those is meant with them.
pub fn places(pattern: &PathPattern, origin: &str) -> Result<Vec<PathBuf>, Error> {
    let is_match = matching(pattern);
    walk(Path::new(&pattern.literal_prefix()), origin, |path, _| is_match(path))
}

fn matching(pattern: &PathPattern) -> impl Fn(&Path) -> Wanted {
    move |path| {
        let names = path.components().filter_map(|component| match component {
            Component::Normal(name) => Some(name),
            _ => None,
        });
        let progress = names.fold(pattern.progress(), |progress, name| progress.enter(name));
        match (progress.is_match(), progress.is_lost()) {
            (true, _) => Wanted::Yes,
            (false, false) => Wanted::Below,
            (false, true) => Wanted::No,
        }
    }
}

/// Goes through a tree and asks about each entry, with whether it is a directory.
fn walk(from: &Path, origin: &str, wanted: impl Fn(&Path, bool) -> Wanted) -> Result<Vec<PathBuf>, Error> {
    let fail = |what: String, hint: &str| Err(Error::policy("ERR_BUNTIME_RUN", what).with_hint(hint));
    let mut found = Vec::new();
    let mut queue = vec![from.to_owned()];
    let mut files = 0;
    while let Some(dir) = queue.pop() {
        let entries = match std::fs::read_dir(&dir) {
            // Neither listed nor entered, or not there. What can be entered, by who knows the names, may hold some.
            Err(_) if std::fs::symlink_metadata(dir.join(".")).is_err() => continue,
            Err(error) => return fail(format!("{origin}: {}: {error}", dir.display()), "name what it is to be about"),
            Ok(entries) => entries,
        };
        for entry in entries {
            let looked = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?.is_dir())));
            let (path, directory) = match looked {
                Ok(looked) => looked,
                Err(error) => return fail(format!("{origin}: {}: {error}", dir.display()), "try again"),
            };
            files += 1;
            if files > MAX_FILES {
                let what = format!("{origin}: more than {MAX_FILES} files below {}", from.display());
                return fail(what, "name a narrower place");
            }
            match wanted(&path, directory) {
                Wanted::Yes => found.push(path),
                Wanted::Below if directory => queue.push(path),
                Wanted::Below | Wanted::No => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_name_files_exactly_and_places_with_what_is_below() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("a/deep")).unwrap();
        for file in ["a/tool", "a/deep/tool", "tool"] {
            std::fs::write(root.join(file), "").unwrap();
        }
        let policy =
            format!(r#"{{"version": 1, "ffi": {{"rules": [{{"action": "allow", "path": "{}/*"}}]}}}}"#, root.display());
        let policy = buntime_policy::parse_policy(&policy, "p").unwrap();
        let buntime_policy::Target::Ffi(pattern) = &policy.rules()[0].target else { panic!("{policy:?}") };
        assert_eq!(files(pattern, "p").unwrap(), [root.join("tool")]);
        assert_eq!(places(pattern, "p").unwrap(), [root.join("a"), root.join("tool")]);
        assert_eq!(below(&root, "p").unwrap().len(), 3);
        assert_eq!(named(&root.join("a"), "tool", "p").unwrap().len(), 2);
    }
}
