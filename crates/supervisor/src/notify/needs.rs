//! What a call that is about to be carried out will need, as the disk stands before it.
//!
//! Of a run that nothing is denied to, and that sees the host's own files by their own names.

use std::fs;
use std::path::{Path, PathBuf};

use buntime_policy::FsPerm;

use super::calls::Access;
use crate::learn::Need;
use crate::programs::interpreter_of;

/// What these accesses need. What will fail for want of a file needs nothing.
pub fn of(accesses: &[Access]) -> Vec<(Need, PathBuf)> {
    accesses.iter().flat_map(of_one).map(|(need, path)| (need, plain(path))).collect()
}

fn of_one(access: &Access) -> Vec<(Need, PathBuf)> {
    let kept = |need: Need, path: &Path| vec![(need, path.to_owned())];
    let is_there = |path: &Path| fs::symlink_metadata(path).is_ok();
    match access {
        Access::File(path, FsPerm::ReadFile | FsPerm::ReadDir) if path.is_dir() => kept(Need::List, path),
        Access::File(path, FsPerm::ReadFile) if is_there(path) => kept(Need::Read, path),
        Access::File(path, FsPerm::WriteFile) if is_there(path) => kept(Need::Write, path),
        Access::File(path, FsPerm::RemoveFile | FsPerm::RemoveDir) if is_there(path) => kept(Need::Name, path),
        // The target of a rename may be there.
        Access::File(path, FsPerm::MakeReg) => kept(Need::Name, path),
        Access::File(path, FsPerm::MakeDir | FsPerm::MakeSym) if !is_there(path) => kept(Need::Name, path),
        Access::Create(path) if is_there(path) => kept(Need::Write, path),
        Access::Create(path) if path.parent().is_some_and(Path::is_dir) => kept(Need::Name, path),
        // A directory shows by what lies below it.
        Access::Look(path) if path.is_file() => kept(Need::Read, path),
        Access::Program(path) if path.is_file() => {
            let mut needs = kept(Need::Run, path);
            let interpreter = interpreter_of(path).filter(|interpreter| interpreter.is_file());
            needs.extend(interpreter.map(|interpreter| (Need::Run, interpreter)));
            needs
        }
        Access::Library(path) => kept(Need::Load, path),
        _ => Vec::new(),
    }
}

/// Without `.` and `..`, where the path leads somewhere.
fn plain(path: PathBuf) -> PathBuf {
    let is_plain = path.components().all(|part| !matches!(part, std::path::Component::ParentDir));
    if is_plain {
        // Components leave out what means nothing.
        return path.components().collect();
    }
    match (path.canonicalize(), path.parent().map(Path::canonicalize), path.file_name()) {
        (Ok(real), ..) => real,
        (_, Some(Ok(directory)), Some(name)) => directory.join(name),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_says_what_is_needed() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let at = |name: &str| root.join(name);
        fs::write(at("file"), "#!/bin/sh -e\n").unwrap();
        let file = |name: &str, perm| Access::File(at(name), perm);
        let need = |access: Access| of(&[access]).into_iter().map(|(need, _)| need).collect::<Vec<_>>();
        assert_eq!(need(file("file", FsPerm::ReadFile)), [Need::Read]);
        assert_eq!(need(file("missing", FsPerm::ReadFile)), []);
        assert_eq!(need(Access::File(root.clone(), FsPerm::ReadFile)), [Need::List]);
        assert_eq!(need(Access::Create(at("file"))), [Need::Write]);
        assert_eq!(need(Access::Create(at("missing"))), [Need::Name]);
        assert_eq!(need(Access::Create(at("missing/x"))), []);
        assert_eq!(need(file("file", FsPerm::RemoveFile)), [Need::Name]);
        assert_eq!(need(file("missing", FsPerm::RemoveFile)), []);
        assert_eq!(need(file("file", FsPerm::MakeDir)), []);
        assert_eq!(need(Access::Look(root.clone())), []);
        assert_eq!(
            of(&[Access::Program(at("./../").join(root.file_name().unwrap()).join("file"))]),
            [(Need::Run, at("file")), (Need::Run, "/bin/sh".into())],
            "without the way there and back, and with the script's interpreter"
        );
    }
}
