//! User and group ids: the sandbox's own map, and the maps by which a root caller's files are shown to its worker.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};

use super::{During, Result};
use crate::message::Step;
use crate::plan::Identity;
use crate::sys::{self, Fork};

/// Writes the one-line maps of a process in a new user namespace (user_namespaces(7)). An ordinary caller may map its
/// own id alone, and only after `setgroups` is denied; a root caller maps any, and its worker drops its groups instead.
pub fn write_maps(pid: i32, identity: Identity, foreign: bool) -> Result<()> {
    if !foreign {
        write_proc(pid, "setgroups", "deny")?;
    }
    write_proc(pid, "uid_map", &format!("{} {} 1", identity.inner_uid, identity.outer_uid))?;
    write_proc(pid, "gid_map", &format!("{} {} 1", identity.inner_gid, identity.outer_gid))
}

fn write_proc(pid: i32, name: &str, text: &str) -> Result<()> {
    let path = format!("/proc/{pid}/{name}");
    sys::open_file(path.as_bytes(), libc::O_WRONLY)
        .and_then(|file| sys::write_all(file.as_fd(), text.as_bytes(), "id map"))
        .map_err(|mut error| {
            error.arguments = format!("{path:?}, {text:?}");
            error
        })
        .during(Step::Identity)
}

/// User namespaces whose only use is their map: from a grant's owner to the worker, one per owner.
#[derive(Default)]
pub struct OwnerMaps {
    namespaces: HashMap<(u32, u32), OwnedFd>,
}

impl OwnerMaps {
    /// The namespace that shows files of `(uid, gid)` as the worker's.
    pub fn of(&mut self, owner: (u32, u32), identity: Identity) -> Result<&OwnedFd> {
        use std::collections::hash_map::Entry;
        Ok(match self.namespaces.entry(owner) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(make_namespace(owner, identity)?),
        })
    }
}

/// A namespace outlives its processes as long as a descriptor holds it, so that its one process can go at once.
fn make_namespace(owner: (u32, u32), identity: Identity) -> Result<OwnedFd> {
    let (wait, go) = sys::pipe().during(Step::Mounts)?;
    let pid = match sys::clone_process(libc::CLONE_NEWUSER).during(Step::Mounts)? {
        Fork::Child => {
            drop(go);
            let _ = sys::read_byte(wait.as_fd());
            sys::exit_now(0)
        }
        Fork::Parent(pid) => pid,
    };
    let map = Identity { inner_uid: owner.0, inner_gid: owner.1, ..identity };
    let namespace = write_maps(pid, map, true)
        .and_then(|()| sys::open_file(format!("/proc/{pid}/ns/user").as_bytes(), libc::O_RDONLY).during(Step::Mounts));
    drop(go);
    sys::wait(pid, true).during(Step::Mounts)?;
    namespace
}
