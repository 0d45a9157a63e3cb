//! Paths of the host, followed as the kernel follows them.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

/// Symlinks followed for one path, as the kernel does (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// A resolved host path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Free of symlinks.
    pub real: PathBuf,
    /// It is a directory.
    pub directory: bool,
    /// Symlinks on the way: where, and what they hold.
    pub links: Vec<(PathBuf, PathBuf)>,
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Something that exists.
    There(Resolved),
    /// Nothing.
    Missing {
        /// The first name on the way that does not exist, in a place whose path is free of symlinks.
        path: PathBuf,
        /// The names that would follow it.
        rest: PathBuf,
        /// Symlinks on the way: where, and what they hold.
        links: Vec<(PathBuf, PathBuf)>,
    },
}

impl Found {
    /// What exists.
    pub fn there(self) -> Option<Resolved> {
        match self {
            Self::There(resolved) => Some(resolved),
            Self::Missing { .. } => None,
        }
    }

    /// The path without symlinks, whether or not there is something.
    pub fn real(&self) -> PathBuf {
        match self {
            Self::There(resolved) => resolved.real.clone(),
            Self::Missing { path, rest, .. } => path.join(rest),
        }
    }
}

/// Follows paths, and remembers which names are symlinks.
#[derive(Debug, Default)]
pub struct Resolver {
    known: HashMap<PathBuf, Option<PathBuf>>,
}

impl Resolver {
    /// Follows an absolute path. Fails where the host cannot be read, and for a loop of symlinks.
    pub fn resolve(&mut self, path: &Path) -> io::Result<Found> {
        let in_words = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let mut links = Vec::new();
        let mut real = PathBuf::from("/");
        let mut rest: Vec<OsString> = names(path).rev().collect();
        while let Some(name) = rest.pop() {
            if name == ".." {
                real.pop();
                continue;
            }
            let next = real.join(&name);
            match self.link_at(&next) {
                Ok(None) => real = next,
                Ok(Some(_)) if links.len() == MAX_LINKS => {
                    return Err(in_words(io::Error::from_raw_os_error(libc::ELOOP)));
                }
                Ok(Some(target)) => {
                    rest.extend(names(&target).rev());
                    if target.is_absolute() {
                        real = PathBuf::from("/");
                    }
                    links.push((next, target));
                }
                Err(error) if is_missing(&error) => {
                    return Ok(Found::Missing { path: next, rest: rest.iter().rev().collect(), links });
                }
                Err(error) => return Err(in_words(error)),
            }
        }
        let directory = std::fs::symlink_metadata(&real).map_err(in_words)?.is_dir();
        Ok(Found::There(Resolved { real, directory, links }))
    }

    /// What the symlink at `path` holds; `None` when it is something else.
    fn link_at(&mut self, path: &Path) -> io::Result<Option<PathBuf>> {
        if let Some(known) = self.known.get(path) {
            return Ok(known.clone());
        }
        let target = if std::fs::symlink_metadata(path)?.is_symlink() { Some(std::fs::read_link(path)?) } else { None };
        self.known.insert(path.to_owned(), target.clone());
        Ok(target)
    }
}

fn names(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect::<Vec<_>>()
        .into_iter()
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
