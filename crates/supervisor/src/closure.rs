//! Which libraries a program needs to start, found by the loader's own rules (ld.so(8)).

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::elf::{self, Elf};

/// Libraries of one program.
const MAX_LIBRARIES: usize = 1000;
/// Where the loader looks last, with Debian's directory of this machine.
const DEFAULT_DIRS: [&str; 6] =
    ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"];

/// What a program or library needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Closure {
    /// `PT_INTERP`.
    pub loader: Option<PathBuf>,
    /// By the names that the loader opens. One that is not found is left out: the loader says so when the program
    /// starts.
    pub libraries: Vec<PathBuf>,
}

/// Looks closures up, and reads each file once.
#[derive(Default)]
pub struct Loader {
    /// The loader's own cache, once it is needed.
    cache: OnceCell<Vec<u8>>,
    read: HashMap<PathBuf, Option<Rc<Elf>>>,
}

impl Loader {
    /// Of what is no ELF file, nothing is needed.
    pub fn closure(&mut self, program: &Path) -> Closure {
        let Some(first) = self.elf(program) else { return Closure::default() };
        let mut found: Vec<PathBuf> = Vec::new();
        let mut seen = BTreeSet::new();
        // The search paths of a program are its libraries', too (DT_RPATH); those of a library are its own.
        let inherited = search_dirs(program, &first);
        let loader = first.interpreter.clone();
        let mut queue = vec![(program.to_owned(), first)];
        while let Some((by, elf)) = queue.pop() {
            let dirs: Vec<PathBuf> = search_dirs(&by, &elf).into_iter().chain(inherited.clone()).collect();
            for name in &elf.needed {
                if found.len() == MAX_LIBRARIES || !seen.insert(name.clone()) {
                    continue;
                }
                if let Some((path, elf)) = self.library(name, &dirs) {
                    found.push(path.clone());
                    queue.push((path, elf));
                }
            }
        }
        Closure { loader, libraries: found }
    }

    fn library(&mut self, name: &str, dirs: &[PathBuf]) -> Option<(PathBuf, Rc<Elf>)> {
        let candidates: Vec<PathBuf> = if name.contains('/') {
            vec![PathBuf::from(name)]
        } else {
            let cache = self.cache.get_or_init(|| std::fs::read("/etc/ld.so.cache").unwrap_or_default());
            let listed = dirs.iter().map(|dir| dir.join(name));
            let last = DEFAULT_DIRS.iter().map(|dir| Path::new(dir).join(name));
            listed.chain(elf::cached(cache, name)).chain(last).collect()
        };
        candidates.into_iter().filter(|path| path.is_absolute()).find_map(|path| {
            let elf = self.elf(&path)?;
            Some((path, elf))
        })
    }

    fn elf(&mut self, path: &Path) -> Option<Rc<Elf>> {
        if let Some(known) = self.read.get(path) {
            return known.clone();
        }
        let elf = elf::read(path).ok().flatten().map(Rc::new);
        self.read.insert(path.to_owned(), elf.clone());
        elf
    }
}

fn search_dirs(by: &Path, elf: &Elf) -> Vec<PathBuf> {
    let real = by.canonicalize().unwrap_or_else(|_| by.to_owned());
    let origin = real.parent().unwrap_or(Path::new("/")).to_string_lossy().into_owned();
    let dirs = elf.search.iter().map(|dir| dir.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin));
    dirs.map(PathBuf::from).filter(|dir| dir.is_absolute()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_names_its_loader_and_libraries() {
        let closure = Loader::default().closure(Path::new("/bin/echo"));
        assert!(closure.loader.is_some_and(|loader| loader.exists()));
        let is_libc = |path: &PathBuf| path.file_name().is_some_and(|name| name == "libc.so.6");
        assert!(closure.libraries.iter().any(is_libc), "{:?}", closure.libraries);
        assert_eq!(Loader::default().closure(Path::new("/etc/passwd")), Closure::default());
    }
}
