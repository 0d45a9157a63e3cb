//! The nodes of a file tree in the making, with the directories that they need.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::{Path, PathBuf};

use crate::Bytes;
use crate::mutation::{Layer, off};
use crate::plan::{Node, Rights};

/// How a place is shown: by a bind of its own, or by a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    pub directory: bool,
    pub writable: bool,
    pub code: bool,
    /// The policy's or the caller's: a root caller's worker sees it as its own.
    pub of_caller: bool,
    /// An empty mask in place of it.
    pub hidden: bool,
}

/// Nothing is there.
impl Default for Shown {
    fn default() -> Self {
        Self { directory: false, writable: false, code: false, of_caller: false, hidden: true }
    }
}

impl Shown {
    /// Something of the host's.
    pub fn is_there(&self) -> bool {
        !self.hidden
    }

    /// Needs no mount of its own below the other.
    pub fn is_like(&self, above: &Self) -> bool {
        (self.writable, self.code, self.hidden) == (above.writable, above.code, above.hidden)
    }

    /// What such a mount keeps the worker from, whatever Landlock says.
    pub fn held(&self, directory: bool) -> Rights {
        if self.hidden {
            return Rights::ALL;
        }
        let held = [
            (true, Rights::DEVICES),
            (!self.writable, Rights::WRITE),
            (!self.code, Rights::EXECUTE),
            (!directory, Rights::ALL.without(Rights::OF_FILES)),
        ];
        held.into_iter().filter(|(holds, _)| *holds).fold(Rights::NONE, |all, (_, rights)| all.with(rights))
    }
}

#[derive(Default)]
pub struct Tree {
    pub binds: BTreeMap<PathBuf, Shown>,
    /// Those of the binds that get an overlay, with names that shall not come to be.
    pub overlays: BTreeMap<PathBuf, Vec<Bytes>>,
    dirs: BTreeSet<PathBuf>,
    nodes: Vec<(PathBuf, Node)>,
    /// Where the nodes stand.
    made: BTreeSet<PathBuf>,
}

impl Tree {
    /// How the nearest bind or mask at or above a path shows it.
    pub fn nearest(&self, path: &Path) -> Option<Shown> {
        path.ancestors().find_map(|above| self.binds.get(above)).copied()
    }

    /// Whether a bind or a mask says what this path shows.
    pub fn covers(&self, path: &Path) -> bool {
        self.nearest(path).is_some()
    }

    /// The nearest bind at or above a path, where it is a writable one.
    pub fn writable_above(&self, path: &Path) -> Option<(PathBuf, Shown)> {
        let nearest = path.ancestors().find_map(|above| Some((above, self.binds.get(above)?)))?;
        nearest.1.writable.then(|| (nearest.0.to_owned(), *nearest.1))
    }

    /// Makes every directory between a path and the writable bind above it a mount point. False where there is none.
    pub fn pin_below_writable(&mut self, path: &Path) -> bool {
        let Some((writable, shown)) = path.parent().and_then(|parent| self.writable_above(parent)) else {
            return false;
        };
        let between = path.ancestors().skip(1).take_while(|above| *above != writable);
        for between in between.filter(|_| !off(Layer::Pins)) {
            self.binds.insert(between.to_owned(), Shown { directory: true, ..shown });
        }
        true
    }

    /// A node whose place is nobody else's.
    pub fn put(&mut self, path: PathBuf, node: Node) {
        self.made.insert(path.clone());
        self.nodes.push((path, node));
    }

    /// A node that a bind above would show anyway.
    pub fn add(&mut self, node: Node, path: &Path) {
        if !self.nearest(path).is_some_and(|nearest| nearest.is_there()) {
            self.parents(path);
            self.put(path.to_owned(), node);
        }
    }

    pub fn dir(&mut self, path: &Path) {
        self.parents(path);
        if path != Path::new("/") && !self.binds.contains_key(path) && self.dirs.insert(path.to_owned()) {
            self.put(path.to_owned(), Node::Dir { path: Bytes::from(path) });
        }
    }

    pub fn parents(&mut self, path: &Path) {
        let is_there = |parent: &Path| {
            // Below a mask nothing is there but what is made.
            self.binds.contains_key(parent)
                || self.nearest(parent).is_some_and(|nearest| nearest.is_there())
                || self.dirs.contains(parent)
        };
        let parent = path.parent().filter(|parent| !is_there(parent));
        if let Some(parent) = parent.map(Path::to_owned) {
            self.dir(&parent);
        }
    }

    /// Whether something is shown below a mask.
    pub fn holds_below(&self, mask: &Path) -> bool {
        let below = (Bound::Excluded(mask), Bound::Unbounded);
        let mut binds = self.binds.range::<Path, _>(below).take_while(|(path, _)| path.starts_with(mask));
        let mut made = self.made.range::<Path, _>(below).take_while(|path| path.starts_with(mask));
        binds.any(|(_, shown)| shown.is_there()) || made.next().is_some()
    }

    /// Parents come before what they hold.
    pub fn into_nodes(mut self) -> Vec<Node> {
        self.nodes.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.nodes.into_iter().map(|(_, node)| node).collect()
    }
}
