//! Programs whose content nobody can change: copies on a file system of the sandbox's own, which is read-only once they
//! are written.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::mounts::in_force;
use super::{During, Result, failure};
use crate::message::Step;
use crate::plan::{Copy, Node, Plan};
use crate::sys::{self, MOUNT_NODEV, MOUNT_NOSUID, MOUNT_RDONLY};

/// Where they lie, reached by nobody: each is shown by a mount of its own.
const STORE: &str = "/.buntime/copies";
/// What a file may take beyond its length: its last page, and its inode.
const FILE_OVERHEAD: u64 = 8192;
const READ_ONLY: u64 = MOUNT_RDONLY | MOUNT_NOSUID | MOUNT_NODEV;

/// The copies of a plan.
pub struct Copies {
    content: Vec<u8>,
    store: Option<OwnedFd>,
    /// How many there are, and how many have been made.
    count: u64,
    made: u64,
}

impl Copies {
    /// Takes their content.
    pub fn of(plan: &Plan, content: BorrowedFd<'_>) -> Result<Self> {
        let count = plan.tree.iter().filter(|node| matches!(node, Node::Copy(_))).count() as u64;
        let content = if count == 0 { Vec::new() } else { sys::read_whole(content).during(Step::Mounts)? };
        Ok(Self { content, store: None, count, made: 0 })
    }

    /// The mount of one, detached; `root` is where the tree is built.
    pub fn mount(&mut self, root: BorrowedFd<'_>, copy: &Copy) -> Result<OwnedFd> {
        let step = Step::Mounts;
        if self.store.is_none() {
            let size = self.content.len() as u64 + self.count * FILE_OVERHEAD;
            let store = super::mounts::scratch(size, self.count + 2, 0, 0)?;
            sys::make_dir(root, STORE.as_bytes()).during(step)?;
            let place = sys::open_place(Some(root), STORE.as_bytes()).during(step)?;
            sys::move_mount(store.as_fd(), place.as_fd(), STORE.as_bytes()).during(step)?;
            self.store = Some(store);
        }
        let range = usize::try_from(copy.offset).ok().zip(usize::try_from(copy.length).ok());
        let content = range.and_then(|(offset, length)| self.content.get(offset..offset.checked_add(length)?));
        let content = content.ok_or_else(|| failure(step, format!("{copy:?} is beyond the copies' content")))?;
        let path = format!("{STORE}/{}", self.made);
        self.made += 1;
        let file = sys::create_file(root, path.as_bytes(), 0o555).during(step)?;
        sys::write_all(file.as_fd(), content, "copy").during(step)?;
        // A file that is open for writing cannot be executed.
        drop(file);
        let place = sys::open_place(Some(root), path.as_bytes()).during(step)?;
        let mount = sys::clone_tree(place.as_fd(), path.as_bytes()).during(step)?;
        sys::set_mount_flags(mount.as_fd(), in_force(READ_ONLY), false, path.as_bytes()).during(step)?;
        Ok(mount)
    }

    /// Nothing is written any more.
    pub fn seal(self) -> Result<()> {
        self.store
            .map_or(Ok(()), |store| sys::set_mount_flags(store.as_fd(), in_force(READ_ONLY), false, STORE.as_bytes()))
            .during(Step::Mounts)
    }
}
