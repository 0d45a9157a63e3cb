//! Which directories of the tree get an overlay, so that what is denied in them is denied by its name.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::carve::Place;
use super::tree::{Shown, Tree};
use super::{Builder, Missing, ViewError, refused};
use crate::Bytes;
use crate::plan::Rights;

/// Most directories that get one: each costs a mount, and a refresh before each execution.
const MAX_OVERLAYS: usize = 32;

impl Builder {
    /// Overlays over the smallest directories that hold what is denied, where the worker may not write: for the host
    /// may, and a mask goes away with the file that it covers. Names that do not exist can be denied there alone.
    pub(super) fn overlay(&mut self, tree: &mut Tree, places: &[Place], missing: &[Missing]) -> Result<(), ViewError> {
        let mut wanted: BTreeMap<PathBuf, Vec<Bytes>> = BTreeMap::new();
        for (path, _) in tree.binds.iter().filter(|(_, shown)| shown.hidden) {
            let Some(directory) = path.parent() else { continue };
            if tree.nearest(directory).is_some_and(|nearest| nearest.is_there() && !nearest.writable) {
                wanted.entry(directory.to_owned()).or_default();
            }
        }
        for Missing { path, allowed, rule } in missing {
            let nearest = places.iter().rev().find(|place| path.starts_with(&place.path));
            let lost = nearest.map_or(Rights::NONE, |place| place.in_force().without(*allowed));
            let (Some(directory), Some(name)) = (path.parent().filter(|_| !lost.is_none()), path.file_name()) else {
                continue;
            };
            if tree.nearest(directory).is_some_and(|nearest| nearest.writable) {
                return refused(format!(
                    "{rule}: {} does not exist, and the worker may make it; a name that does not exist can only be \
                     denied where it may not: create it first, deny its directory, or grant the directories beside it",
                    path.display(),
                ));
            }
            let names = wanted.entry(directory.to_owned()).or_default();
            let name = Bytes::from(name);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let mounts = mount_points()?;
        // First those that cannot do without.
        let mut wanted: Vec<(PathBuf, Vec<Bytes>)> = wanted.into_iter().collect();
        wanted.sort_by_key(|(_, absent)| absent.is_empty());
        let mut too_many = 0;
        for (directory, absent) in wanted {
            let dir = directory.display();
            let why = if mounts.iter().any(|mount| mount.starts_with(&directory) && *mount != directory) {
                "other file systems are mounted below it"
            } else if tree.overlays.len() == MAX_OVERLAYS {
                "too many directories hold something denied"
            } else {
                let shown = tree.nearest(&directory).unwrap_or_default();
                tree.binds.entry(directory.clone()).or_insert(Shown { directory: true, ..shown });
                tree.overlays.insert(directory, absent);
                continue;
            };
            if let Some(name) = absent.first() {
                return refused(format!(
                    "{} does not exist in {dir}, and cannot be denied there: {why}; create it first, or deny {dir}",
                    name.as_path().display(),
                ));
            }
            if tree.overlays.len() == MAX_OVERLAYS {
                too_many += 1;
            } else {
                let what = format!("what is denied in {dir} holds until the host puts another file in its place");
                self.view.notes.push(format!("{what}: {why}"));
            }
        }
        if too_many > 0 {
            self.view.notes.push(format!(
                "what is denied in {too_many} of {} directories holds until the host puts other files in its place: \
                 {MAX_OVERLAYS} at most can be kept from that; deny whole directories instead",
                too_many + MAX_OVERLAYS,
            ));
        }
        Ok(())
    }
}

/// The mount points below the directories of the host, from /proc/self/mountinfo (proc_pid_mountinfo(5)).
fn mount_points() -> io::Result<Vec<PathBuf>> {
    let text = std::fs::read("/proc/self/mountinfo")?;
    let lines = text.split(|byte| *byte == b'\n');
    let field = |line: &[u8]| line.split(|byte| *byte == b' ').nth(4).map(unescaped);
    Ok(lines.filter_map(field).collect())
}

/// Blanks, line breaks and backslashes are written as three octal digits.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = field;
    while let [first, after @ ..] = rest {
        let digits = after.get(..3).filter(|_| *first == b'\\').and_then(|digits| str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_whatever_their_names() {
        assert_eq!(unescaped(br"/a\040b\134c\0"), PathBuf::from("/a b\\c\\0"));
        assert!(mount_points().unwrap().contains(&PathBuf::from("/proc")));
    }
}
