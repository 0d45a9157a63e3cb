//! What of the tree is the sandbox's own: `/proc`, `/dev`, scratch space, our files, and stand-ins for a few of `/etc`.

use std::path::{Path, PathBuf};

use super::tree::Tree;
use super::{Builder, Scaffold};
use crate::Bytes;
use crate::plan::{Bind, LandlockRule, Node, Rights, Tmpfs};

/// Where our own files stand inside.
pub(super) const OWN_DIR: &str = "/.buntime";
/// The harness, as byte code.
pub const HARNESS: &str = "/.buntime/worker.pyc";
/// The policy in force, for the worker to read (`POLICY_PATH`).
pub const POLICY_COPY: &str = "/.buntime/policy.json";
/// `HOME` inside: there, empty, read-only.
pub const HOME: &str = "/home/sandbox";

const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

impl Builder {
    /// `/proc`, `/dev`, scratch space, our own files, and the few files of `/etc` that libraries look for.
    pub(super) fn scaffold(&mut self, tree: &mut Tree, scaffold: &Scaffold) {
        let read = Rights::READ;
        let read_write = Rights::READ.with(Rights::WRITE);
        let mut own = |path: &dyn AsRef<Path>, rights: Rights| {
            self.view.landlock.push(LandlockRule { path: Bytes::from(path.as_ref()), rights });
            self.note_prefixes(path.as_ref(), rights);
        };
        tree.put(PathBuf::from("/proc"), Node::Proc { path: Bytes::from("/proc") });
        own(&"/proc", read);
        tree.dir(Path::new("/dev"));
        own(&"/dev", read);
        for device in DEVICES {
            let at = PathBuf::from(format!("/dev/{device}"));
            own(&at, read_write);
            let (path, source) = (Bytes::from(&at), Bytes::from(&at));
            let (directory, writable, exec, grant) = (false, false, false, false);
            tree.put(at, Node::Bind(Bind { source, path, directory, writable, exec, device: true, grant }));
        }
        for (name, target) in [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
            let path = PathBuf::from(format!("/dev/{name}"));
            let link = Node::Symlink { path: Bytes::from(&path), target: Bytes::from(target) };
            tree.put(path, link);
        }
        let scratch = |path: &str, size_bytes: u64| {
            Node::Tmpfs(Tmpfs { path: Bytes::from(path), size_bytes, inodes: 16_384, mode: 0o1777 })
        };
        tree.put("/dev/shm".into(), scratch("/dev/shm", 64 << 20));
        own(&"/dev/shm", read_write);
        let tmp = Path::new("/tmp");
        if !tree.covers(tmp) {
            match scaffold.private_tmp.filter(|_| !tree.binds.keys().any(|bind| bind.starts_with(tmp))) {
                Some(size) => {
                    tree.put(tmp.to_owned(), scratch("/tmp", size));
                    own(&"/tmp", read_write);
                }
                None => tree.dir(tmp),
            }
        }
        if !tree.covers(Path::new(HOME)) {
            tree.dir(Path::new(HOME));
        }
        tree.dir(Path::new(OWN_DIR));
        tree.put(HARNESS.into(), Node::Harness { path: Bytes::from(HARNESS) });
        own(&HARNESS, read);
        let policy = scaffold.policy.clone();
        tree.put(POLICY_COPY.into(), Node::Text { path: Bytes::from(POLICY_COPY), text: policy });
        own(&POLICY_COPY, read);
        // Whichever name server a file of the host's names instead: questions come to the supervisor.
        let resolver = scaffold.network.then_some(("/etc/resolv.conf", "nameserver 169.254.1.1\n"));
        let files = [
            ("/etc/passwd", "root:x:0:0::/:/bin/false\nsandbox:x:1000:1000::/home/sandbox:/bin/false\n"),
            ("/etc/group", "root:x:0:\nsandbox:x:1000:\n"),
            ("/etc/hosts", "127.0.0.1 localhost sandbox\n::1 localhost\n"),
            ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
        ];
        for (path, text) in files.into_iter().chain(resolver) {
            let at = PathBuf::from(path);
            // Also where all of `/etc` is denied; not where this very file is.
            if !tree.binds.contains_key(&at) && !tree.nearest(&at).is_some_and(|nearest| nearest.is_there()) {
                tree.parents(&at);
                // Whoever reads those of the network wants the sandbox's own, where it has one.
                let is_wanted = scaffold.network && !["/etc/passwd", "/etc/group"].contains(&path);
                if !is_wanted {
                    self.view.stand_ins.push(at.clone());
                }
                tree.put(at, Node::Text { path: Bytes::from(path), text: text.to_owned() });
                self.view.landlock.push(LandlockRule { path: Bytes::from(path), rights: read });
            }
        }
    }
}
