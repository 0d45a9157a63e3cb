//! The file tree's rights as Landlock's rules.
//!
//! Landlock adds up what the rules on a path and on all directories above it allow, and has no denial. Most of what a
//! policy takes away below a grant is taken away by mounts. Of the rest, a right over a file's content can be carved
//! out: it is given to whatever else lies in the directories on the way, and not to these directories. A right over a
//! directory's entries cannot, since the directories on the way need it themselves.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::ViewError;
use crate::Bytes;
use crate::plan::{LandlockRule, Rights};

/// Most entries that are named one by one.
const MAX_ENTRIES: usize = 10_000;

/// What shall hold at a path, as far as no other place lies below.
#[derive(Clone, Debug)]
pub struct Place {
    pub path: PathBuf,
    pub rights: Rights,
    /// What mounts keep from it, whatever Landlock says.
    pub held: Rights,
}

impl Place {
    /// What can be done there.
    pub fn in_force(&self) -> Rights {
        self.rights.without(self.held)
    }
}

/// The rules. `places` come sorted.
pub fn rules(places: &[Place]) -> Result<Vec<LandlockRule>, ViewError> {
    let mut rules: std::collections::BTreeMap<PathBuf, Rights> = std::collections::BTreeMap::new();
    for right in Rights::ALL.each() {
        let mut granted: BTreeSet<PathBuf> = BTreeSet::new();
        for (index, place) in places.iter().enumerate().filter(|(_, place)| place.rights.has_any(right)) {
            if place.path.ancestors().any(|above| granted.contains(above)) {
                continue;
            }
            let below = places[index + 1..].iter().take_while(|below| below.path.starts_with(&place.path));
            let denied: Vec<&Place> = below.filter(|below| !below.rights.with(below.held).has_any(right)).collect();
            match denied.first() {
                None => {
                    granted.insert(place.path.clone());
                }
                Some(first) => {
                    if !can_be_carved(right, place, &denied, places) {
                        return Err(ViewError::Uncarvable { at: first.path.clone(), above: place.path.clone(), right });
                    }
                    granted.extend(entries_beside(right, place, &denied, places)?);
                }
            }
        }
        for path in granted {
            let rights = rules.entry(path).or_default();
            *rights = rights.with(right);
        }
    }
    Ok(rules.into_iter().map(|(path, rights)| LandlockRule { path: Bytes::from(&path), rights }).collect())
}

/// Where a file may be made, it would lack the right that all others have.
fn can_be_carved(right: Rights, place: &Place, denied: &[&Place], places: &[Place]) -> bool {
    let makes = Rights::MAKE_REG.with(Rights::WRITE_DIR);
    Rights::OF_FILES.has_any(right)
        && directories_on_the_way(place, denied)
            .iter()
            .all(|dir| !governing(dir, places).is_some_and(|place| place.in_force().has_any(makes)))
}

fn directories_on_the_way(place: &Place, denied: &[&Place]) -> BTreeSet<PathBuf> {
    let up = |denied: &&Place| {
        let above = denied.path.ancestors().skip(1).take_while(|above| above.starts_with(&place.path));
        above.map(Path::to_owned).collect::<Vec<_>>()
    };
    denied.iter().flat_map(up).collect()
}

/// The nearest place at or above a path.
fn governing<'a>(path: &Path, places: &'a [Place]) -> Option<&'a Place> {
    places.iter().rev().find(|place| path.starts_with(&place.path))
}

fn entries_beside(
    right: Rights,
    place: &Place,
    denied: &[&Place],
    places: &[Place],
) -> Result<Vec<PathBuf>, ViewError> {
    let on_the_way = directories_on_the_way(place, denied);
    let known: BTreeSet<&Path> = places.iter().map(|place| place.path.as_path()).collect();
    let mut found = Vec::new();
    for dir in
        on_the_way.iter().filter(|dir| governing(dir, places).is_some_and(|place| place.in_force().has_any(right)))
    {
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            let is_named = known.contains(path.as_path()) || on_the_way.contains(&path);
            if is_named || !kind.is_dir() && !kind.is_file() {
                continue;
            }
            found.push(path);
            if found.len() > MAX_ENTRIES {
                return super::refused(format!(
                    "{right} is denied at {} and allowed at {}: beside it lie more than {MAX_ENTRIES} files; deny its \
                     directory instead",
                    denied[0].path.display(),
                    place.path.display(),
                ));
            }
        }
    }
    Ok(found)
}
