//! The file tree: detached copies of what the host shows, put together on a private tmpfs, which becomes the root.
//!
//! Sources are opened before anything is built, targets through the new root, both by descriptor and with no symlink
//! followed: nothing that changes a name meanwhile redirects a mount.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::copies::Copies;
use super::idmap::OwnerMaps;
use super::landlock::PROBE;
use super::{During, Result, failure, overlays};
use crate::Bytes;
use crate::message::{LaunchFds, Step};
use crate::mutation::{Layer, off};
use crate::plan::{Bind, Identity, Node, Plan, Tmpfs};
use crate::sys::{self, MOUNT_NODEV, MOUNT_NOEXEC, MOUNT_NOSUID, MOUNT_RDONLY, SysError};

/// Bytes and files that the root's own tmpfs may hold: mount points, links and a few small files.
const ROOT_SIZE: u64 = 4 << 20;
const ROOT_INODES: u64 = 65_536;
/// The empty file that covers denied files.
const MASK: &str = "/.buntime/denied";

/// The detached mounts of the plan's binds, in their order. `foreign`: this is a root caller's outer process, and
/// grants are shown to the worker as its own.
pub fn open_sources(plan: &Plan, foreign: bool, notes: &mut Vec<String>) -> Result<Vec<OwnedFd>> {
    let mut owners = OwnerMaps::default();
    plan.tree
        .iter()
        .filter_map(|node| if let Node::Bind(bind) = node { Some(bind) } else { None })
        .map(|bind| open_source(bind, foreign.then_some((plan.identity, &mut owners)), notes))
        .collect()
}

fn open_source(bind: &Bind, ids: Option<(Identity, &mut OwnerMaps)>, notes: &mut Vec<String>) -> Result<OwnedFd> {
    let place = sys::open_place(None, &bind.source.0).during(Step::Mounts)?;
    let mount = sys::clone_tree(place.as_fd(), &bind.source.0).during(Step::Mounts)?;
    let mut flags = MOUNT_NOSUID;
    if !bind.device {
        flags |= MOUNT_NODEV;
    }
    if !bind.writable {
        flags |= MOUNT_RDONLY;
    }
    if !bind.exec {
        flags |= MOUNT_NOEXEC;
    }
    sys::set_mount_flags(mount.as_fd(), in_force(flags), true, &bind.source.0).during(Step::Mounts)?;
    if let Some((identity, owners)) = ids.filter(|_| bind.grant) {
        show_as_workers(bind, place.as_fd(), mount.as_fd(), identity, owners, notes)?;
    }
    Ok(mount)
}

/// Idmaps a grant from its owner to the worker. Where the file system refuses (an overlay root, NFS), a plain bind
/// stays: the worker then sees what its id may, which for a write grant has to be something.
fn show_as_workers(
    bind: &Bind,
    place: BorrowedFd<'_>,
    mount: BorrowedFd<'_>,
    identity: Identity,
    owners: &mut OwnerMaps,
    notes: &mut Vec<String>,
) -> Result<()> {
    let (uid, gid, mode) = sys::owner_of(place).during(Step::Mounts)?;
    let namespace = owners.of((uid, gid), identity)?;
    let Err(error) = sys::set_mount_ids(mount, namespace.as_fd(), &bind.source.0) else {
        return Ok(());
    };
    let shown = bind.source.as_path().display();
    let others_may_write = mode & 0o002 != 0;
    if bind.writable && !others_may_write {
        return Err(failure(
            Step::Mounts,
            format!(
                "the write grant {shown} would not work: its file system cannot be idmapped ({error}), and its mode \
                 lets only its owner {uid} write; use a volume, chown or chmod it, or run as an ordinary user"
            ),
        ));
    }
    notes.push(format!("{shown} is shown with its own owners: {error}"));
    Ok(())
}

/// Builds the tree on a tmpfs and makes it the root. Returns the handles of its overlays.
pub fn build_root(
    plan: &Plan,
    sources: Vec<OwnedFd>,
    fds: &LaunchFds,
    notes: &mut Vec<String>,
) -> Result<Vec<OwnedFd>> {
    let step = Step::Mounts;
    let mut copies = Copies::of(plan, fds.copies.as_fd())?;
    let root = scratch(ROOT_SIZE, ROOT_INODES, 0o755, 0)?;
    // On top of the old root: mounts can be put into a tree that hangs in this namespace only. Nothing looks names up
    // from "/" any more until the pivot.
    let old_root = sys::open_place(None, b"/").during(step)?;
    sys::move_mount(root.as_fd(), old_root.as_fd(), b"/").during(step)?;

    let mut sources = sources.into_iter();
    let mut hosts: Vec<&[u8]> = Vec::new();
    let mut masks: Vec<(&[u8], OwnedFd)> = Vec::new();
    let mut masked_files: Vec<&[u8]> = Vec::new();
    let mut handles: Vec<OwnedFd> = Vec::new();
    let mut overlays = 0;
    for node in &plan.tree {
        match node {
            Node::Dir { path } => {
                sys::make_dir(root.as_fd(), &path.0).during(step)?;
                // Below a mask it is on the way to something that is shown: not to be listed, as the mask itself.
                if masks.iter().any(|(mask, _)| is_below(&path.0, mask)) {
                    sys::set_mode(root.as_fd(), &path.0, 0o111).during(step)?;
                }
            }
            Node::Symlink { path, target } => sys::make_symlink(root.as_fd(), &path.0, &target.0).during(step)?,
            Node::Text { path, text } => write_file(root.as_fd(), &path.0, text.as_bytes())?,
            Node::Harness { path } => {
                let text = sys::read_whole(fds.harness.as_fd()).during(step)?;
                write_file(root.as_fd(), &path.0, &text)?;
            }
            Node::Bind(bind) => {
                let source = sources.next().ok_or_else(|| failure(step, "fewer sources than binds"))?;
                let point = match is_of_the_host(&bind.path.0, &hosts, &masks) {
                    true => MountPoint::OfTheHost,
                    false if bind.directory => MountPoint::NewDirectory,
                    false => MountPoint::NewFile,
                };
                hosts.push(&bind.path.0);
                attach(root.as_fd(), source.as_fd(), &bind.path.0, point)?;
            }
            Node::Copy(copy) => {
                let mount = copies.mount(root.as_fd(), copy)?;
                let below_host = is_of_the_host(&copy.path.0, &hosts, &masks);
                let point = if below_host { MountPoint::OfTheHost } else { MountPoint::NewFile };
                attach(root.as_fd(), mount.as_fd(), &copy.path.0, point)?;
            }
            Node::Tmpfs(Tmpfs { path, size_bytes, inodes, mode }) => {
                let scratch = scratch(*size_bytes, *inodes, *mode, MOUNT_NOEXEC)?;
                let below_host = is_of_the_host(&path.0, &hosts, &masks);
                let point = if below_host { MountPoint::OfTheHost } else { MountPoint::NewDirectory };
                attach(root.as_fd(), scratch.as_fd(), &path.0, point)?;
            }
            Node::Mask { path, directory: true, pass } => {
                let mask = scratch(ROOT_SIZE, ROOT_INODES, if *pass { 0o111 } else { 0 }, MOUNT_NOEXEC)?;
                attach(root.as_fd(), mask.as_fd(), &path.0, MountPoint::OfTheHost)?;
                masks.push((&path.0, mask));
            }
            Node::Mask { path, directory: false, .. } => masked_files.push(&path.0),
            Node::Overlay { path, absent, exec } => {
                let place = sys::open_place(Some(root.as_fd()), &path.0).during(step)?;
                overlays += 1;
                match overlays::over(root.as_fd(), place.as_fd(), overlays, absent, *exec) {
                    Ok((overlay, handle)) => {
                        sys::move_mount(overlay.as_fd(), place.as_fd(), &path.0).during(step)?;
                        handles.push(handle);
                    }
                    Err(error) => without_overlay(&path.0, absent, &error, notes)?,
                }
            }
            Node::Proc { path } => {
                // Only PID 1 can mount it: the kernel shows the pid namespace of the caller. Read-only, processes
                // alone.
                let flags = MOUNT_RDONLY | MOUNT_NOSUID | MOUNT_NODEV | MOUNT_NOEXEC;
                let options = [(c"subset", Some(c"pid".to_owned()))];
                let options = if off(Layer::ProcSubset) { &[][..] } else { &options };
                let proc = sys::new_filesystem(c"proc", options, in_force(flags)).during(step)?;
                attach(root.as_fd(), proc.as_fd(), &path.0, MountPoint::NewDirectory)?;
            }
        }
    }
    copies.seal()?;
    // Only now: what is shown below a mask has been put into it.
    let read_only = in_force(MOUNT_RDONLY | MOUNT_NOSUID | MOUNT_NODEV | MOUNT_NOEXEC);
    for (path, mask) in &masks {
        sys::set_mount_flags(mask.as_fd(), read_only, false, path).during(step)?;
    }
    if !masked_files.is_empty() {
        sys::create_file(root.as_fd(), MASK.as_bytes(), 0).during(step)?;
        let mask = sys::open_place(Some(root.as_fd()), MASK.as_bytes()).during(step)?;
        for path in masked_files {
            let copy = sys::clone_tree(mask.as_fd(), path).during(step)?;
            sys::set_mount_flags(copy.as_fd(), read_only, false, path).during(step)?;
            attach(root.as_fd(), copy.as_fd(), path, MountPoint::OfTheHost)?;
        }
    }
    write_file(root.as_fd(), PROBE.as_bytes(), b"nobody reads this\n")?;

    sys::pivot_into(root.as_fd()).during(step)?;
    let flags = MOUNT_RDONLY | MOUNT_NOSUID | MOUNT_NODEV | MOUNT_NOEXEC;
    sys::set_mount_flags(root.as_fd(), in_force(flags), false, b"/").during(step)?;
    Ok(handles)
}

/// Covers alone hold as long as the host leaves what they cover where it is; nothing holds for what is not there.
fn without_overlay(path: &[u8], absent: &[Bytes], error: &SysError, notes: &mut Vec<String>) -> Result<()> {
    let dir = Path::new(OsStr::from_bytes(path)).display();
    match absent.first() {
        None => {
            notes.push(format!("what is denied in {dir} holds until the host puts another file in its place: {error}"));
            Ok(())
        }
        Some(name) => Err(failure(
            Step::Mounts,
            format!(
                "{} does not exist in {dir}, and its file system does not let that be denied ({error}); create it \
                 first, or deny {dir}",
                name.as_path().display(),
            ),
        )),
    }
}

/// As far as a test build has not switched them off.
pub(super) fn in_force(mut flags: u64) -> u64 {
    if off(Layer::ReadOnly) {
        flags &= !MOUNT_RDONLY;
    }
    if off(Layer::MountFlags) {
        flags &= MOUNT_RDONLY;
    }
    flags
}

pub(super) fn scratch(size_bytes: u64, inodes: u64, mode: u32, flags: u64) -> Result<OwnedFd> {
    let text = |value: String| CString::new(value).ok();
    let options = [
        (c"size", text(size_bytes.to_string())),
        (c"nr_inodes", text(inodes.to_string())),
        (c"mode", text(format!("{mode:o}"))),
    ];
    sys::new_filesystem(c"tmpfs", &options, in_force(MOUNT_NOSUID | MOUNT_NODEV | flags)).during(Step::Mounts)
}

/// What a mount is put on.
#[derive(Clone, Copy)]
enum MountPoint {
    NewDirectory,
    NewFile,
    /// Below a bind, where it is there already: nothing is ever created on the host's side.
    OfTheHost,
}

fn attach(root: BorrowedFd<'_>, mount: BorrowedFd<'_>, path: &[u8], point: MountPoint) -> Result<()> {
    let step = Step::Mounts;
    let target = match point {
        MountPoint::NewFile => sys::create_file(root, path, 0o444).during(step)?,
        MountPoint::NewDirectory => {
            sys::make_dir(root, path).during(step)?;
            sys::open_place(Some(root), path).during(step)?
        }
        MountPoint::OfTheHost => sys::open_place(Some(root), path).during(step)?,
    };
    sys::move_mount(mount, target.as_fd(), path).during(Step::Mounts)
}

/// Whether the nearest mount above is a bind of the host's, and not an empty mask, which has nothing to mount on.
fn is_of_the_host(path: &[u8], hosts: &[&[u8]], masks: &[(&[u8], OwnedFd)]) -> bool {
    let nearest =
        |mounts: &mut dyn Iterator<Item = &[u8]>| mounts.filter(|mount| is_below(path, mount)).map(<[u8]>::len).max();
    let host = nearest(&mut hosts.iter().copied());
    host.is_some() && host > nearest(&mut masks.iter().map(|(mask, _)| *mask))
}

fn is_below(path: &[u8], above: &[u8]) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.first() == Some(&b'/'))
}

fn write_file(root: BorrowedFd<'_>, path: &[u8], text: &[u8]) -> Result<()> {
    let file = sys::create_file(root, path, 0o444).during(Step::Mounts)?;
    sys::write_all(file.as_fd(), text, "file").during(Step::Mounts)
}
