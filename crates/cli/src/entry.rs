//! The program to run: found, and refused with the reason where it cannot be.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use buntime_supervisor::{MAX_CODE, Run};
use nix::unistd::{AccessFlags, access};

use crate::args::Source;
use crate::failure::{Failure, NOT_FOUND, UNREADABLE};

/// How many names of a directory are looked at for a near one.
const MAX_NAMES: usize = 10_000;

/// A program that is there.
#[derive(Debug)]
pub struct Entry {
    /// What the worker is told to run.
    pub run: Run,
    /// The file, when it is one that the worker reads itself.
    pub path: Option<PathBuf>,
    /// Whether standard input is still there for the script to read.
    pub has_stdin: bool,
}

impl Entry {
    /// Finds the program. Relative paths start from `cwd`, or from the working directory.
    pub fn find(source: Source, cwd: Option<&Path>) -> Result<Self, Failure> {
        match source {
            Source::Code(code) => Ok(Self { run: Run::Command(code), path: None, has_stdin: true }),
            Source::Stdin => {
                let code = read_source(io::stdin().lock(), "standard input")?;
                Ok(Self { run: Run::Stdin(code), path: None, has_stdin: false })
            }
            Source::File(path) => {
                let here = cwd.map_or_else(|| path.clone(), |cwd| cwd.join(&path));
                let cannot_open = |why: io::Error| unusable(&path, &here, &why);
                let metadata = fs::metadata(&here).map_err(cannot_open)?;
                if metadata.is_dir() {
                    let message = format!("cannot run {}: it is a directory", path.display());
                    return Err(Failure::new(UNREADABLE, message));
                }
                if metadata.is_file() {
                    access(&here, AccessFlags::R_OK).map_err(|errno| cannot_open(errno.into()))?;
                    return Ok(Self { run: Run::File, path: Some(path), has_stdin: true });
                }
                // A pipe, as in `run <(generate)`, has no name inside the sandbox.
                let file = fs::File::open(&here).map_err(cannot_open)?;
                let code = read_source(file, &path.display().to_string())?;
                Ok(Self { run: Run::Stdin(code), path: None, has_stdin: true })
            }
        }
    }
}

fn read_source(from: impl Read, name: &str) -> Result<String, Failure> {
    let cannot_read = |why: &dyn std::fmt::Display| Failure::new(UNREADABLE, format!("cannot read {name}: {why}"));
    let mut bytes = Vec::new();
    // One byte more than allowed, and not the whole of /dev/zero.
    from.take(MAX_CODE as u64 + 1).read_to_end(&mut bytes).map_err(|error| cannot_read(&error))?;
    if bytes.len() > MAX_CODE {
        return Err(cannot_read(&format!("it is longer than {} MiB", MAX_CODE >> 20)));
    }
    String::from_utf8(bytes).map_err(|_| cannot_read(&"it is not UTF-8"))
}

/// `path` as the user wrote it, `here` as it was looked for.
fn unusable(path: &Path, here: &Path, why: &io::Error) -> Failure {
    match why.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            let failure = Failure::new(NOT_FOUND, format!("cannot find {}: no such file", path.display()));
            match nearest_file(here) {
                Some(name) => failure.with_hint(format!("did you mean {}?", path.with_file_name(name).display())),
                None => failure,
            }
        }
        _ => Failure::new(UNREADABLE, format!("cannot read {}: {}", path.display(), reason(why))),
    }
}

/// The kernel's words, without the number that `io::Error` adds.
fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => nix::errno::Errno::from_raw(number).desc().to_lowercase(),
        None => error.to_string(),
    }
}

fn nearest_file(missing: &Path) -> Option<String> {
    let wanted = missing.file_name()?.to_str()?;
    let directory = match missing.parent()? {
        parent if parent.as_os_str().is_empty() => Path::new("."),
        parent => parent,
    };
    let names = fs::read_dir(directory)
        .ok()?
        .take(MAX_NAMES)
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok());
    nearest(wanted, names)
}

/// The name that was probably meant: first one without its ending, the commonest slip, and a long one. Of several as
/// near the first by the alphabet, whatever order the directory has.
fn nearest(wanted: &str, names: impl Iterator<Item = String>) -> Option<String> {
    let mut names: Vec<String> = names.collect();
    names.sort();
    let is_stem = |name: &&str| Path::new(name).file_stem().is_some_and(|stem| stem == wanted);
    let texts = || names.iter().map(String::as_str);
    texts().find(is_stem).or_else(|| buntime_policy::nearest(wanted, texts())).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name() {
        let names = ["main.py", "maim.py", "hello_world.py", "README.md"];
        for (wanted, expected) in [
            ("mian.py", Some("main.py")),
            ("main.pyy", Some("main.py")),
            ("mai.py", Some("maim.py")),
            ("Main.py", Some("main.py")),
            ("main", Some("main.py")),
            ("hello-world.py", Some("hello_world.py")),
            ("other.txt", None),
            ("x", None),
        ] {
            let found = nearest(wanted, names.iter().map(|name| (*name).to_owned()));
            assert_eq!(found.as_deref(), expected, "{wanted}");
        }
    }

    #[test]
    fn what_cannot_be_run_says_why() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("main.py"), "").unwrap();
        let find = |name: &str| Entry::find(Source::File(name.into()), Some(dir.path()));
        assert_eq!(find("main.py").unwrap().path, Some("main.py".into()));
        let missing = Failure::new(NOT_FOUND, "cannot find mian.py: no such file");
        assert_eq!(find("mian.py").unwrap_err(), missing.with_hint("did you mean main.py?"));
        assert_eq!(find("main.py/x").unwrap_err().code, NOT_FOUND);
        assert_eq!(find(".").unwrap_err(), Failure::new(UNREADABLE, "cannot run .: it is a directory"));
        assert_eq!(find(&"x".repeat(300)).unwrap_err().code, UNREADABLE);
    }

    #[test]
    fn source_that_is_no_text_or_too_long() {
        assert_eq!(read_source(&b"print(1)"[..], "x").unwrap(), "print(1)");
        assert_eq!(
            read_source(&b"\xff"[..], "x").unwrap_err(),
            Failure::new(UNREADABLE, "cannot read x: it is not UTF-8")
        );
        let endless = read_source(io::repeat(b' '), "x").unwrap_err();
        assert_eq!(endless, Failure::new(UNREADABLE, "cannot read x: it is longer than 64 MiB"));
    }
}
