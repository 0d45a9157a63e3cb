//! Layers that are switched off, to show what each of them holds: see `scripts/mutations.mjs`.
//!
//! In the product, which is built without the feature `mutations`, [`off`] is a constant and nothing else of this
//! exists.
//! `.ci/run` looks for the name of the list in what is shipped.

/// Whether this is a test build, in which layers may be missing on purpose.
pub const MUTANT: bool = cfg!(feature = "mutations");

/// What can be switched off. The user namespace and the mount namespace cannot: without them a mutant would change the
/// host itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "mutations", derive(serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum Layer {
    /// The built root. Without it, the worker sees the host's file tree.
    Mounts,
    /// Read-only mounts.
    ReadOnly,
    /// `nosuid`, `nodev` and `noexec` mounts.
    MountFlags,
    /// `subset=pid` of `/proc`.
    ProcSubset,
    /// The empty covers over what is denied, and over the cache of interpreters, inside of something shown.
    Masks,
    /// The mount points of the directories between a write grant and what is denied or guarded in it, which nobody can
    /// rename.
    Pins,
    /// The overlays, on whose names the covers hold. Without them, a cover goes by the file.
    Overlays,
    /// The whiteouts of denied names that do not exist.
    AbsentNames,
    /// The copies of what is executed or loaded, and has another name by which it might be changed.
    Copies,
    /// `noexec` over programs that lie among libraries, where the loader would run them.
    ProgramCovers,
    /// Keeping read-only, whatever is granted, what the host runs or trusts.
    Guards,
    /// Landlock.
    Landlock,
    /// The list of system calls.
    Seccomp,
    /// The exec gate.
    ExecGate,
    /// What the supervisor refuses of the calls that it is asked about, for whatever reason.
    Refusals,
    /// What the supervisor answers in the kernel's place about the system.
    SystemAnswers,
    /// Ids of its own for a root caller's worker. Without them it is the host's uid 0, with no capability there.
    UserIds,
    /// `user.max_user_namespaces`.
    NamespaceLimit,
    /// The network namespace.
    Network,
    /// The pid namespace. Without it, the first process is PID 1 of nothing, and `/proc` is the host's.
    Pids,
    /// The IPC namespace.
    Ipc,
    /// The UTS namespace.
    HostName,
    /// The cgroup namespace.
    Cgroup,
    /// Having no capabilities. Without it, the worker has all those of its user namespace.
    Capabilities,
    /// `no_new_privs`. Without it and without capabilities, neither Landlock nor a filter can be loaded.
    NoNewPrivileges,
    /// PID 1 cannot be opened by the worker.
    Undumpable,
    /// Closing what the caller left open.
    Descriptors,
    /// A session without the caller's terminal.
    Session,
    /// The environment from nothing.
    Environment,
    /// `RLIMIT_CORE`.
    CoreLimit,
    /// `RLIMIT_NPROC`.
    ProcessLimit,
    /// The parent-death signals.
    ParentDeath,
    /// PID 1 ends when its socket does.
    SocketEnd,
}

/// Whether a layer is switched off.
#[cfg(not(feature = "mutations"))]
#[inline(always)]
pub const fn off(_layer: Layer) -> bool {
    false
}

/// Changes the plan as far as layers lie in it.
#[cfg(not(feature = "mutations"))]
#[inline(always)]
pub const fn change(_plan: &mut crate::plan::Plan) {}

/// What a mutant does instead of dropping capabilities.
#[cfg(not(feature = "mutations"))]
#[inline(always)]
pub const fn keep_capabilities() -> crate::sys::Result<()> {
    Ok(())
}

#[cfg(feature = "mutations")]
pub use {
    crate::sys::keep_capabilities,
    switches::{change, off},
};

#[cfg(feature = "mutations")]
mod switches {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::sync::OnceLock;

    use super::Layer;
    use crate::Bytes;
    use crate::plan::{Bind, Copy, Node, Plan};
    use crate::view::HARNESS;

    /// Whether a layer is switched off.
    pub fn off(layer: Layer) -> bool {
        static LIST: OnceLock<Vec<Layer>> = OnceLock::new();
        LIST.get_or_init(read_list).contains(&layer)
    }

    /// A JSON array beside the helper, and the command. The addon knows the helper by a variable. Read at the first
    /// question, while the host's files can be seen.
    fn read_list() -> Vec<Layer> {
        let helper = std::env::var_os("BUNTIME_INIT_PATH").map(PathBuf::from);
        let beside = helper.unwrap_or_else(|| std::env::current_exe().expect("a program has a path"));
        let list = beside.with_file_name("mutations-off.json");
        let text = fs::read(&list).unwrap_or_else(|error| panic!("{}: {error}", list.display()));
        serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", list.display()))
    }

    /// Changes the plan as far as layers lie in it.
    pub fn change(plan: &mut Plan) {
        if off(Layer::UserIds) {
            (plan.identity.outer_uid, plan.identity.outer_gid) = crate::sys::effective_ids();
        }
        if off(Layer::Mounts) {
            let scaffold = Path::new(HARNESS).parent().expect("it lies in a directory of ours");
            plan.tree.retain(|node| node.path().as_path().starts_with(scaffold));
            plan.tree.extend(host_tree());
            return;
        }
        if off(Layer::Masks) {
            unmask(&mut plan.tree);
        }
        if off(Layer::Overlays) {
            plan.tree.retain(|node| !matches!(node, Node::Overlay { .. }));
        }
        for node in &mut plan.tree {
            match node {
                // A process can mount a /proc of no other pid namespace than one of its user namespace.
                Node::Proc { path } if off(Layer::Pids) => *node = host(path.as_path(), true),
                Node::Overlay { absent, .. } if off(Layer::AbsentNames) => absent.clear(),
                Node::Copy(copy) if off(Layer::Copies) => *node = itself(copy),
                _ => {}
            }
        }
    }

    /// What was made to stand in a mask is there without it, as the host's.
    fn unmask(tree: &mut Vec<Node>) {
        let is_mask = |node: &Node| matches!(node, Node::Mask { .. });
        let masks: Vec<PathBuf> =
            tree.iter().filter(|node| is_mask(node)).map(|node| node.path().as_path().to_owned()).collect();
        tree.retain(|node| {
            let is_made = matches!(node, Node::Dir { .. } | Node::Symlink { .. } | Node::Text { .. });
            let is_below = || masks.iter().any(|mask| node.path().as_path().starts_with(mask));
            !(is_mask(node) || is_made && is_below())
        });
    }

    /// The file that was copied.
    fn itself(copy: &Copy) -> Node {
        let (source, path) = (copy.path.clone(), copy.path.clone());
        Node::Bind(Bind { source, path, directory: false, writable: false, exec: true, device: false, grant: true })
    }

    /// What lies in the host's root, with all that hangs below, `/proc` and `/dev` included.
    fn host_tree() -> Vec<Node> {
        let entries = fs::read_dir("/").expect("the host's root").flatten();
        let node = |entry: fs::DirEntry| match fs::read_link(entry.path()) {
            Ok(target) => Node::Symlink { path: Bytes::from(&entry.path()), target: Bytes::from(&target) },
            Err(_) => host(&entry.path(), entry.path().is_dir()),
        };
        entries.map(node).collect()
    }

    fn host(path: &Path, directory: bool) -> Node {
        let path = Bytes::from(path);
        let source = path.clone();
        Node::Bind(Bind { source, path, directory, writable: true, exec: true, device: true, grant: false })
    }
}
