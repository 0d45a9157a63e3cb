//! The sandbox's file tree, worked out on the host: which paths are shown, under which names, with which rights.
//!
//! Every path is resolved here, component by component, and shown under its resolved name; each symlink on the way is
//! made again inside, so that the name the caller used works too. Resolution only reads the host. What changes between
//! here and the mounting is found there, where no symlink is followed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Component, Path, PathBuf};

use crate::Bytes;
use crate::plan::{Access, Bind, LandlockRule, Node, Tmpfs};

/// Where our own files stand inside.
pub const OWN_DIR: &str = "/.buntime";
/// The harness, as byte code.
pub const HARNESS: &str = "/.buntime/worker.pyc";
/// The policy in force, for the worker to read (`POLICY_PATH`).
pub const POLICY_COPY: &str = "/.buntime/policy.json";
/// `HOME` inside: there, empty, read-only.
pub const HOME: &str = "/home/sandbox";

/// These are never the host's, whatever is granted.
const OWN_TREES: [&str; 4] = ["/proc", "/sys", "/dev", OWN_DIR];
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
/// Symlinks followed for one path, as the kernel does (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// Something to be shown.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Absolute, on the host.
    pub path: PathBuf,
    /// What may be done with it and what lies below.
    pub access: Access,
    /// Files in it may be mapped as code. A mount of the runtime's code is never writable.
    pub code: bool,
    /// Who asks for it.
    pub origin: Origin,
}

/// Who asks for a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// What the interpreter needs: exempt from the policy, reported as such, left out where it is missing.
    Runtime,
    /// The policy, or the caller's flags.
    Policy,
}

/// A denial inside of what is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Absolute, on the host.
    pub path: PathBuf,
    /// Nothing of it is shown. Otherwise it is only kept read-only.
    pub hidden: bool,
    /// The rule, for messages.
    pub rule: String,
}

/// What of the tree does not come from grants.
#[derive(Clone, Debug)]
pub struct Scaffold {
    /// Exists inside, empty and read-only where no grant covers it.
    pub cwd: PathBuf,
    /// The policy in force, as JSON.
    pub policy: String,
    /// Host directories that stay hidden (an empty one is shown) whatever is granted.
    pub masked: Vec<PathBuf>,
    /// Host paths that stay read-only whatever is granted.
    pub guarded: Vec<Guarded>,
    /// Bytes of a private, writable `/tmp`; none where a grant names `/tmp` or nothing asked for it.
    pub private_tmp: Option<u64>,
}

/// A host path that no worker may write, although a write grant covers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarded {
    /// Absolute, on the host.
    pub path: PathBuf,
    /// Why, as the end of a sentence that begins with the path.
    pub why: &'static str,
}

/// The tree and all that follows from it.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// In the order of its making.
    pub tree: Vec<Node>,
    /// The same as a second wall.
    pub landlock: Vec<LandlockRule>,
    /// Prefixes that can be read inside, for the harness's explanations.
    pub readable: Vec<PathBuf>,
    /// Those that can be written.
    pub writable: Vec<PathBuf>,
    /// Those in which nothing can be read, although what is above can.
    pub hidden: Vec<PathBuf>,
    /// Files of the sandbox's own in the place of the host's.
    pub stand_ins: Vec<PathBuf>,
    /// What a grant became, where that is not what it says: a symlink's target, a missing path.
    pub notes: Vec<String>,
    /// The resolved working directory.
    pub cwd: PathBuf,
}

/// A resolved host path.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Resolved {
    real: PathBuf,
    directory: bool,
    /// Symlinks on the way: where, and what they hold.
    links: Vec<(PathBuf, PathBuf)>,
}

/// The real directory that a path of the host's own lies in. Refuses one that is reached through a symlink in one of
/// the write grants, which the worker may point elsewhere; whoever opens it again must follow no symlink any more.
pub fn directory_of_host(path: &Path, grants: &[Grant]) -> io::Result<PathBuf> {
    let mut builder = Builder::default();
    let resolved = builder.resolve(path.parent().unwrap_or(Path::new("/")))?;
    for grant in grants.iter().filter(|grant| grant.access.write) {
        let Some(Resolved { real, .. }) = builder.resolve_existing(&grant.path)? else { continue };
        if let Some((link, _)) = resolved.links.iter().find(|(link, _)| link.starts_with(&real)) {
            return Err(io::Error::other(format!(
                "it goes through the symlink {}, which the write grant {} lets the worker replace",
                link.display(),
                grant.path.display(),
            )));
        }
    }
    Ok(resolved.real)
}

/// Works the tree out. Fails only where the host cannot be read for a reason other than a missing path.
pub fn build(grants: &[Grant], denied: &[Denied], scaffold: &Scaffold) -> io::Result<View> {
    let mut builder = Builder::default();
    for grant in grants {
        builder.grant(grant)?;
    }
    for denied in denied {
        builder.deny(denied)?;
    }
    builder.finish(scaffold)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Shown {
    directory: bool,
    writable: bool,
    code: bool,
    /// Code of the runtime: read-only, whatever else is granted.
    runtime: bool,
    policy: bool,
    /// Denied: an empty mask in place of it.
    hidden: bool,
    /// Denied for writing.
    read_only: bool,
}

#[derive(Default)]
struct Builder {
    cache: HashMap<PathBuf, Option<PathBuf>>,
    /// By resolved path, so that parents come before what they hold.
    shown: BTreeMap<PathBuf, Shown>,
    links: BTreeMap<PathBuf, PathBuf>,
    access: BTreeMap<PathBuf, Access>,
    /// What is denied, and where that really is.
    denied: Vec<(Resolved, Denied)>,
    /// Symlinks that grants of the policy go through, with the grant as it was written.
    followed: Vec<(PathBuf, PathBuf)>,
    view: View,
}

impl Builder {
    fn grant(&mut self, grant: &Grant) -> io::Result<()> {
        let path = &grant.path;
        if OWN_TREES.iter().any(|own| path.starts_with(own)) {
            // Such a grant names the sandbox's own `/proc` or `/dev`, which is there in any case.
            self.note_prefixes(path, grant.access);
            return Ok(());
        }
        let Some(resolved) = self.resolve_existing(path)? else {
            if grant.origin == Origin::Policy {
                self.view.notes.push(format!("{} does not exist: nothing is granted", path.display()));
            }
            return Ok(());
        };
        if OWN_TREES.iter().any(|own| resolved.real.starts_with(own)) {
            let real = resolved.real.display();
            self.view.notes.push(format!("{} leads to {real}, which is the sandbox's own", path.display()));
            return Ok(());
        }
        if grant.origin == Origin::Policy && resolved.real != *path && !resolved.links.is_empty() {
            self.view.notes.push(format!("{} is {}", path.display(), resolved.real.display()));
        }
        self.note_prefixes(path, grant.access);
        self.note_prefixes(&resolved.real, grant.access);
        for (at, target) in resolved.links {
            if grant.origin == Origin::Policy {
                self.followed.push((at.clone(), path.clone()));
            }
            self.note_prefixes(&at, Access { read: true, ..Access::default() });
            self.links.insert(at, target);
        }
        if resolved.real == Path::new("/") {
            return self.grant_everything(grant);
        }
        self.show(resolved.real, resolved.directory, grant);
        Ok(())
    }

    fn deny(&mut self, denied: &Denied) -> io::Result<()> {
        let path = &denied.path;
        if OWN_TREES.iter().any(|own| path.starts_with(own)) {
            self.view.notes.push(format!("{}: that is the sandbox's own, and none of the host's", denied.rule));
            return Ok(());
        }
        // The sandbox's root is never the host's.
        if path == Path::new("/") {
            return Ok(());
        }
        let Some(resolved) = self.resolve_existing(path)? else { return self.deny_missing(denied) };
        let shown = self.shown.entry(resolved.real.clone()).or_default();
        shown.directory = resolved.directory;
        shown.hidden |= denied.hidden;
        shown.read_only = true;
        if denied.hidden && resolved.real != *path {
            self.view.notes.push(format!("{}: {} is hidden", denied.rule, resolved.real.display()));
        }
        self.denied.push((resolved, denied.clone()));
        Ok(())
    }

    /// There is nothing to mount on, and whoever makes that name later must not get by.
    fn deny_missing(&mut self, denied: &Denied) -> io::Result<()> {
        let mut below = &*denied.path;
        for above in denied.path.ancestors().skip(1) {
            let Some(resolved) = self.resolve_existing(above)? else {
                below = above;
                continue;
            };
            // A symlink to nothing may come to lead anywhere.
            let dangling = std::fs::symlink_metadata(below).is_ok_and(|found| found.is_symlink());
            let reached = self.shown.iter().any(|(at, shown)| shown.policy && resolved.real.starts_with(at));
            let writes = self.access.values().any(|access| access.write);
            if (reached || dangling) && (denied.hidden || writes) {
                return Err(io::Error::other(format!(
                    "{}: {} does not exist and lies where something is granted, and a name that does not exist cannot \
                     be denied yet; create it first, deny its directory, or grant the directories beside it",
                    denied.rule,
                    below.display(),
                )));
            }
            return Ok(());
        }
        Ok(())
    }

    /// The host's tree, entry by entry: `/proc`, `/sys` and `/dev` stay the sandbox's own.
    fn grant_everything(&mut self, grant: &Grant) -> io::Result<()> {
        for entry in std::fs::read_dir("/")? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            if OWN_TREES.iter().any(|own| path == Path::new(own)) {
                continue;
            }
            if kind.is_symlink() {
                self.links.insert(path.clone(), std::fs::read_link(&path)?);
            } else if !kind.is_socket() && !kind.is_block_device() && !kind.is_char_device() {
                self.show(path, kind.is_dir(), grant);
            }
        }
        Ok(())
    }

    fn show(&mut self, real: PathBuf, directory: bool, grant: &Grant) {
        let shown = self.shown.entry(real.clone()).or_default();
        shown.directory = directory;
        shown.writable |= grant.access.write;
        shown.code |= grant.code;
        shown.runtime |= grant.code && grant.origin == Origin::Runtime;
        shown.policy |= grant.origin == Origin::Policy;
        let access = self.access.entry(real).or_default();
        access.read |= grant.access.read;
        access.write |= grant.access.write;
        access.execute |= grant.access.execute;
    }

    fn note_prefixes(&mut self, path: &Path, access: Access) {
        if access.read {
            self.view.readable.push(path.to_owned());
        }
        if access.write {
            self.view.writable.push(path.to_owned());
        }
    }

    /// `None` where nothing is there.
    fn resolve_existing(&mut self, path: &Path) -> io::Result<Option<Resolved>> {
        match self.resolve(path) {
            Ok(resolved) => Ok(Some(resolved)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        }
    }

    /// Follows a path as the kernel does, noting each symlink.
    fn resolve(&mut self, path: &Path) -> io::Result<Resolved> {
        let mut links = Vec::new();
        let mut real = PathBuf::from("/");
        let mut rest: Vec<OsString> = names(path).rev().collect();
        while let Some(name) = rest.pop() {
            if name == ".." {
                real.pop();
                continue;
            }
            let next = real.join(&name);
            match self.link_at(&next)? {
                None => real = next,
                Some(target) => {
                    if links.len() == MAX_LINKS {
                        return Err(io::Error::from_raw_os_error(libc::ELOOP));
                    }
                    rest.extend(names(&target).rev());
                    if target.is_absolute() {
                        real = PathBuf::from("/");
                    }
                    links.push((next, target));
                }
            }
        }
        let directory = std::fs::symlink_metadata(&real)?.is_dir();
        Ok(Resolved { real, directory, links })
    }

    /// What the symlink at `path` holds; `None` when it is something else.
    fn link_at(&mut self, path: &Path) -> io::Result<Option<PathBuf>> {
        if let Some(known) = self.cache.get(path) {
            return Ok(known.clone());
        }
        let target = if std::fs::symlink_metadata(path)?.is_symlink() { Some(std::fs::read_link(path)?) } else { None };
        self.cache.insert(path.to_owned(), target.clone());
        Ok(target)
    }

    fn finish(mut self, scaffold: &Scaffold) -> io::Result<View> {
        let cwd = self.resolve(&scaffold.cwd);
        let cwd = cwd.map_err(|error| {
            io::Error::new(error.kind(), format!("working directory {}: {error}", scaffold.cwd.display()))
        })?;
        self.view.cwd = cwd.real.clone();

        let mut tree = Tree::default();
        for (path, shown) in &self.shown {
            let above = tree.binds.range::<PathBuf, _>(..path.clone()).rev().find(|(bind, _)| path.starts_with(bind));
            let inherited = above.map(|(_, shown)| *shown).unwrap_or_default();
            // What is granted above holds here too, save that nothing writes the runtime's code.
            let runtime = shown.runtime || inherited.runtime;
            let policy = shown.policy || inherited.policy;
            if shown.hidden && shown.runtime && policy {
                return Err(io::Error::other(format!(
                    "{} is denied inside of what is granted, and holds code of the runtime, which cannot be denied; \
                     name what is to be hidden inside of it, or grant less",
                    path.display(),
                )));
            }
            // Landlock alone keeps from reading what is only to be written, where nothing above can be read.
            let write_only = self.access.get(path).is_some_and(|access| access.write && !access.read);
            let hidden = shown.hidden && !shown.runtime && (!write_only || self.reads_above(path));
            if hidden {
                if !write_only {
                    self.access.remove(path);
                }
                if above.is_none() || inherited.hidden {
                    continue;
                }
            }
            if !hidden && !shown.policy && !shown.runtime && !self.access.contains_key(path) && inherited.hidden {
                continue; // Read-only in what is hidden already.
            }
            if !shown.hidden && shown.read_only && above.is_none() && !self.access.contains_key(path) {
                continue; // A denial alone shows nothing.
            }
            let effective = Shown {
                directory: shown.directory,
                writable: (shown.writable || inherited.writable && !shown.read_only) && !runtime && !hidden,
                code: (shown.code || inherited.code) && !hidden,
                runtime: runtime && !hidden,
                policy,
                hidden,
                read_only: shown.read_only,
            };
            if shown.writable && runtime {
                self.view.notes.push(format!("{} holds code of the runtime and stays read-only", path.display()));
            }
            let covered = above.is_some()
                && (effective.writable, effective.code, effective.hidden)
                    == (inherited.writable, inherited.code, inherited.hidden);
            if !covered {
                tree.binds.insert(path.clone(), effective);
            }
        }
        self.refuse_links_of_the_worker(&tree)?;
        self.pin_denied(&mut tree)?;
        if tree.is_hidden(&cwd.real) {
            return Err(io::Error::other(format!("working directory {}: the policy denies it", cwd.real.display())));
        }
        self.guard(&mut tree, scaffold)?;
        self.mask(&mut tree, scaffold)?;
        for (at, target) in std::mem::take(&mut self.links) {
            tree.add(Node::Symlink { path: Bytes::from(&at), target: Bytes::from(&target) }, &at);
        }
        for (path, shown) in tree.binds.clone() {
            tree.parents(&path);
            if shown.hidden {
                let pass = tree.binds.keys().any(|bind| *bind != path && bind.starts_with(&path));
                if !pass {
                    self.view.hidden.push(path.clone());
                }
                let mask = Node::Mask { path: Bytes::from(&path), directory: shown.directory, pass };
                tree.nodes.push((path, mask));
                continue;
            }
            tree.nodes.push((path.clone(), Node::Bind(bind(&path, shown))));
        }
        if !tree.covers(&cwd.real) {
            tree.dir(&cwd.real);
        }
        self.scaffold(&mut tree, scaffold);

        tree.nodes.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.view.tree = tree.nodes.into_iter().map(|(_, node)| node).collect();
        let rules = self.access.iter().map(|(path, access)| LandlockRule { path: Bytes::from(path), access: *access });
        self.view.landlock.extend(rules);
        Ok(self.view)
    }

    /// A symlink that the worker may write is the worker's to point elsewhere, for the next run to follow.
    fn refuse_links_of_the_worker(&self, tree: &Tree) -> io::Result<()> {
        for (link, grant) in &self.followed {
            if let Some((writable, _)) = tree.writable_above(link) {
                return Err(io::Error::other(format!(
                    "the grant {} goes through the symlink {}, which the write grant {} lets the worker replace; grant \
                     the symlink's target instead",
                    grant.display(),
                    link.display(),
                    writable.display(),
                )));
            }
        }
        Ok(())
    }

    fn reads_above(&self, path: &Path) -> bool {
        path.ancestors().skip(1).any(|above| self.access.get(above).is_some_and(|access| access.read))
    }

    /// Directories between a denied path and the writable bind above it become mount points, which cannot be renamed;
    /// and what no layer can take away again is refused.
    fn pin_denied(&self, tree: &mut Tree) -> io::Result<()> {
        for (resolved, denied) in &self.denied {
            let real = &resolved.real;
            if tree.binds.contains_key(real) {
                tree.pin_below_writable(real);
            }
            if !denied.hidden {
                continue;
            }
            let reads_above = self.reads_above(real);
            let mut below = self.access.iter().filter(|(path, _)| path.starts_with(real));
            if let Some((path, _)) = below.find(|(_, access)| reads_above && !access.read) {
                return Err(io::Error::other(format!(
                    "{}: {} is to be written and not read, inside of what can be read: that is not supported yet; \
                     deny writing it too, or move it out",
                    denied.rule,
                    path.display(),
                )));
            }
        }
        for (resolved, denied) in &self.denied {
            refuse_links_on_the_way(tree, &denied.path, resolved, "is denied, and its path")?;
        }
        Ok(())
    }

    /// Read-only binds over what is guarded, where a write grant lies over it. Each directory between becomes a mount
    /// point, too: that cannot be renamed, so that nothing else can be put in its place.
    fn guard(&mut self, tree: &mut Tree, scaffold: &Scaffold) -> io::Result<()> {
        let mut links = Vec::new();
        for guarded in &scaffold.guarded {
            let Some(resolved) = self.resolve_kept(tree, &guarded.path)? else { continue };
            let Resolved { real, directory, .. } = &resolved;
            let below = tree.pin_below_writable(real);
            if below || tree.binds.get(real).is_some_and(|shown| shown.writable) {
                self.view.notes.push(format!("{} {} and stays read-only", real.display(), guarded.why));
                let bind = tree.binds.entry(real.clone());
                bind.or_insert(Shown { directory: *directory, ..Shown::default() }).writable = false;
            }
            links.push((guarded, resolved));
        }
        // Only now: a link inside a directory that has just become read-only is nobody's to replace.
        links.iter().try_for_each(|(guarded, resolved)| {
            refuse_links_on_the_way(tree, &guarded.path, resolved, &format!("{}, and its path", guarded.why))
        })
    }

    /// Empty directories over what is to stay hidden, pinned likewise.
    fn mask(&mut self, tree: &mut Tree, scaffold: &Scaffold) -> io::Result<()> {
        for masked in &scaffold.masked {
            let Some(resolved) = self.resolve_kept(tree, masked)?.filter(|resolved| resolved.directory) else {
                continue;
            };
            refuse_links_on_the_way(tree, masked, &resolved, "is trusted by the next run, and its path")?;
            let real = resolved.real;
            let hidden = tree.covers(&real);
            let mut granted = self.access.iter().filter(|(path, _)| path.starts_with(&real));
            if let Some((granted, _)) = granted.find(|(_, access)| hidden || access.write) {
                return Err(io::Error::other(format!(
                    "{} cannot be granted: {} holds what is known of interpreters, which the next run trusts, and is \
                     hidden from a sandbox that may write; leave that grant out, or keep the cache elsewhere with \
                     XDG_CACHE_HOME",
                    granted.display(),
                    real.display(),
                )));
            }
            tree.pin_below_writable(&real);
            if hidden && !tree.is_hidden(&real) {
                let path = Bytes::from(&real);
                tree.nodes.push((real, Node::Tmpfs(Tmpfs { path, size_bytes: 4096, inodes: 2, mode: 0 })));
            }
        }
        Ok(())
    }

    /// A path that the worker must be kept from; `None` where it is out of the worker's reach in any case. One that
    /// cannot be read matters only where the worker may write above it: elsewhere it is as far away for the worker as
    /// for the caller.
    fn resolve_kept(&mut self, tree: &Tree, path: &Path) -> io::Result<Option<Resolved>> {
        match self.resolve_existing(path) {
            Err(_) if tree.writable_above(path).is_none() => Ok(None),
            other => other,
        }
    }

    /// `/proc`, `/dev`, scratch space, our own files, and the few files of `/etc` that libraries look for.
    fn scaffold(&mut self, tree: &mut Tree, scaffold: &Scaffold) {
        let read = Access { read: true, ..Access::default() };
        let read_write = Access { read: true, write: true, execute: false };
        let mut own = |path: &str, access: Access| {
            self.view.landlock.push(LandlockRule { path: Bytes::from(path), access });
            self.note_prefixes(Path::new(path), access);
        };
        tree.own(Node::Proc { path: Bytes::from("/proc") }, "/proc");
        own("/proc", read);
        tree.dir(Path::new("/dev"));
        own("/dev", read);
        for device in DEVICES {
            let path = format!("/dev/{device}");
            own(&path, read_write);
            let path = Bytes::from(&path);
            let source = path.clone();
            tree.own(
                Node::Bind(Bind {
                    source,
                    path,
                    directory: false,
                    writable: false,
                    exec: false,
                    device: true,
                    grant: false,
                }),
                &format!("/dev/{device}"),
            );
        }
        for (name, target) in [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
            let path = format!("/dev/{name}");
            tree.own(Node::Symlink { path: Bytes::from(&path), target: Bytes::from(target) }, &path);
        }
        let scratch = |path: &str, size_bytes: u64| {
            Node::Tmpfs(Tmpfs { path: Bytes::from(path), size_bytes, inodes: 16_384, mode: 0o1777 })
        };
        tree.own(scratch("/dev/shm", 64 << 20), "/dev/shm");
        own("/dev/shm", read_write);
        let tmp = Path::new("/tmp");
        if !tree.covers(tmp) {
            match scaffold.private_tmp.filter(|_| !tree.binds.keys().any(|bind| bind.starts_with(tmp))) {
                Some(size) => {
                    tree.own(scratch("/tmp", size), "/tmp");
                    own("/tmp", read_write);
                }
                None => tree.dir(tmp),
            }
        }
        if !tree.covers(Path::new(HOME)) {
            tree.dir(Path::new(HOME));
        }
        tree.dir(Path::new(OWN_DIR));
        tree.own(Node::Harness { path: Bytes::from(HARNESS) }, HARNESS);
        own(HARNESS, read);
        let policy = scaffold.policy.clone();
        tree.own(Node::Text { path: Bytes::from(POLICY_COPY), text: policy }, POLICY_COPY);
        own(POLICY_COPY, read);
        for (path, text) in [
            ("/etc/passwd", "root:x:0:0::/:/bin/false\nsandbox:x:1000:1000::/home/sandbox:/bin/false\n"),
            ("/etc/group", "root:x:0:\nsandbox:x:1000:\n"),
            ("/etc/hosts", "127.0.0.1 localhost sandbox\n::1 localhost\n"),
            ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
        ] {
            if !tree.covers(Path::new(path)) {
                tree.parents(Path::new(path));
                tree.own(Node::Text { path: Bytes::from(path), text: text.to_owned() }, path);
                self.view.stand_ins.push(PathBuf::from(path));
                self.view.landlock.push(LandlockRule { path: Bytes::from(path), access: read });
            }
        }
    }
}

/// What is kept from the worker must not be reached through a symlink that the worker may point elsewhere.
fn refuse_links_on_the_way(tree: &Tree, path: &Path, resolved: &Resolved, what: &str) -> io::Result<()> {
    for (link, _) in &resolved.links {
        if let Some((writable, _)) = tree.writable_above(link) {
            return Err(io::Error::other(format!(
                "{} {what} goes through the symlink {}, which the write grant {} lets the worker replace; grant a \
                 directory without that symlink, or use {} itself",
                path.display(),
                link.display(),
                writable.display(),
                resolved.real.display(),
            )));
        }
    }
    Ok(())
}

fn bind(path: &Path, shown: Shown) -> Bind {
    Bind {
        source: Bytes::from(path),
        path: Bytes::from(path),
        directory: shown.directory,
        writable: shown.writable,
        exec: shown.code,
        device: false,
        grant: shown.policy,
    }
}

/// The nodes, with the directories that they need.
#[derive(Default)]
struct Tree {
    binds: BTreeMap<PathBuf, Shown>,
    dirs: BTreeSet<PathBuf>,
    nodes: Vec<(PathBuf, Node)>,
}

impl Tree {
    /// Whether a bind shows this path, at it or above it.
    fn covers(&self, path: &Path) -> bool {
        path.ancestors().any(|above| self.binds.contains_key(above))
    }

    /// Whether a mask lies over this path.
    fn is_hidden(&self, path: &Path) -> bool {
        path.ancestors().find_map(|above| self.binds.get(above)).is_some_and(|nearest| nearest.hidden)
    }

    /// The nearest bind at or above a path, where it is a writable one.
    fn writable_above(&self, path: &Path) -> Option<(PathBuf, Shown)> {
        let nearest = path.ancestors().find_map(|above| Some((above, self.binds.get(above)?)))?;
        nearest.1.writable.then(|| (nearest.0.to_owned(), *nearest.1))
    }

    /// Makes every directory between a path and the writable bind above it a mount point. False where there is none.
    fn pin_below_writable(&mut self, path: &Path) -> bool {
        let Some((writable, shown)) = path.parent().and_then(|parent| self.writable_above(parent)) else {
            return false;
        };
        for between in path.ancestors().skip(1).take_while(|above| *above != writable) {
            self.binds.insert(between.to_owned(), Shown { directory: true, ..shown });
        }
        true
    }

    /// A node whose place is nobody else's.
    fn own(&mut self, node: Node, path: &str) {
        self.nodes.push((PathBuf::from(path), node));
    }

    /// A node that a bind above would show anyway.
    fn add(&mut self, node: Node, path: &Path) {
        if !self.covers(path) {
            self.parents(path);
            self.nodes.push((path.to_owned(), node));
        }
    }

    fn dir(&mut self, path: &Path) {
        self.parents(path);
        if path != Path::new("/") && self.dirs.insert(path.to_owned()) {
            self.nodes.push((path.to_owned(), Node::Dir { path: Bytes::from(path) }));
        }
    }

    fn parents(&mut self, path: &Path) {
        let is_there = |parent: &Path| {
            // Below a mask nothing is there but what is made.
            self.binds.contains_key(parent)
                || self.covers(parent) && !self.is_hidden(parent)
                || self.dirs.contains(parent)
        };
        let parent = path.parent().filter(|parent| !is_there(parent));
        if let Some(parent) = parent.map(Path::to_owned) {
            self.dir(&parent);
        }
    }
}

fn names(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect::<Vec<_>>()
        .into_iter()
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn grant(path: &Path, write: bool) -> Grant {
        let access = Access { read: !write, write, execute: false };
        Grant { path: path.to_owned(), access, code: false, origin: Origin::Policy }
    }

    fn view(grants: &[Grant]) -> View {
        let scaffold = with(&[], &[]);
        build(grants, &[], &scaffold).unwrap()
    }

    fn binds(view: &View) -> Vec<(PathBuf, bool)> {
        let binds = view.tree.iter().filter_map(|node| match node {
            Node::Bind(bind) if !bind.device => Some((bind.path.as_path().to_owned(), bind.writable)),
            _ => None,
        });
        binds.collect()
    }

    /// A tree of its own, whose real path has no symlink.
    fn place() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap();
        (dir, path)
    }

    #[test]
    fn symlinks_on_the_way_are_made_again_and_reported() {
        let (_guard, dir) = place();
        fs::create_dir_all(dir.join("real/deep")).unwrap();
        symlink("real", dir.join("link")).unwrap();
        symlink(dir.join("link/deep"), dir.join("absolute")).unwrap();
        let view = view(&[grant(&dir.join("absolute"), false)]);
        assert_eq!(binds(&view), [(dir.join("real/deep"), false)]);
        let links: Vec<_> = view
            .tree
            .iter()
            .filter(|node| matches!(node, Node::Symlink { path, .. } if path.as_path().starts_with(&dir)))
            .collect();
        assert_eq!(links.len(), 2, "{links:?}");
        assert!(view.notes.iter().any(|note| note.contains("real/deep")), "{:?}", view.notes);
        assert!(view.readable.contains(&dir.join("absolute")));
    }

    #[test]
    fn what_is_covered_is_not_mounted_twice_and_what_differs_is() {
        let (_guard, dir) = place();
        fs::create_dir_all(dir.join("a/b")).unwrap();
        fs::create_dir_all(dir.join("ab")).unwrap();
        let (a, b, ab) = (dir.join("a"), dir.join("a/b"), dir.join("ab"));
        assert_eq!(binds(&view(&[grant(&a, false), grant(&b, false)])), [(a.clone(), false)]);
        assert_eq!(binds(&view(&[grant(&a, false), grant(&b, true)])), [(a.clone(), false), (b.clone(), true)]);
        assert_eq!(binds(&view(&[grant(&b, false), grant(&a, true)])), [(a.clone(), true)]);
        let siblings = view(&[grant(&a, false), grant(&ab, true), grant(&b, false)]);
        assert_eq!(binds(&siblings), [(a, false), (ab, true)]);
    }

    #[test]
    fn code_of_the_runtime_is_never_writable() {
        let (_guard, dir) = place();
        fs::create_dir_all(dir.join("lib")).unwrap();
        let code = Grant { code: true, origin: Origin::Runtime, ..grant(&dir.join("lib"), false) };
        assert_eq!(binds(&view(&[code, grant(&dir, true)])), [(dir.clone(), true), (dir.join("lib"), false)]);
        // Unless the caller asks for just that.
        let everything = Grant { code: true, ..grant(&dir, true) };
        assert_eq!(binds(&view(&[everything])), [(dir, true)]);
    }

    #[test]
    fn missing_paths_and_loops_grant_nothing() {
        let (_guard, dir) = place();
        symlink("loop", dir.join("loop")).unwrap();
        let missing = view(&[grant(&dir.join("none/at/all"), true)]);
        assert_eq!(binds(&missing), []);
        assert!(missing.notes[0].contains("does not exist"), "{:?}", missing.notes);
        let scaffold = with(&[], &[]);
        let error = build(&[grant(&dir.join("loop"), false)], &[], &scaffold).unwrap_err();
        assert!(error.to_string().contains("loop"), "{error}");
    }

    #[test]
    fn a_symlink_that_the_worker_may_write_is_not_followed() {
        let (_guard, dir) = place();
        fs::create_dir_all(dir.join("work")).unwrap();
        fs::create_dir_all(dir.join("secret")).unwrap();
        symlink(dir.join("secret"), dir.join("work/data")).unwrap();
        let scaffold = with(&[], &[]);
        let grants = [grant(&dir.join("work"), true), grant(&dir.join("work/data"), false)];
        let error = build(&grants, &[], &scaffold).unwrap_err().to_string();
        assert!(error.contains("work/data") && error.contains("symlink"), "{error}");
        assert!(build(&grants[1..], &[], &scaffold).is_ok(), "nobody can replace it without the write grant");
    }

    #[test]
    fn what_is_hidden_or_guarded_cannot_be_renamed_away() {
        let (_guard, dir) = place();
        fs::create_dir_all(dir.join("home/.cache/ours")).unwrap();
        fs::create_dir_all(dir.join("home/project/.venv")).unwrap();
        let scaffold = with(&[dir.join("home/project/.venv")], &[dir.join("home/.cache/ours")]);
        let view = build(&[grant(&dir.join("home"), true)], &[], &scaffold).unwrap();
        let expected = [("home", true), ("home/.cache", true), ("home/project", true), ("home/project/.venv", false)];
        assert_eq!(binds(&view), expected.map(|(path, writable)| (dir.join(path), writable)));
        let hidden =
            |node: &Node| matches!(node, Node::Tmpfs(tmpfs) if tmpfs.path.as_path().ends_with("home/.cache/ours"));
        assert!(view.tree.iter().any(hidden), "{:?}", view.tree);
        // What lies in a guarded directory needs no word of its own.
        let nested = [dir.join("home/project"), dir.join("home/project/.venv")];
        let notes = build(&[grant(&dir.join("home"), true)], &[], &with(&nested, &[])).unwrap().notes;
        assert_eq!(notes.iter().filter(|note| note.contains("read-only")).count(), 1, "{notes:?}");
        // Without a write grant above there is nothing to guard against.
        let view = build(&[grant(&dir.join("home"), false)], &[], &scaffold).unwrap();
        assert_eq!(binds(&view), [(dir.join("home"), false)]);
    }

    #[test]
    fn where_the_host_writes_no_link_of_the_worker_leads() {
        let (_guard, dir) = place();
        fs::create_dir_all(dir.join("granted/state")).unwrap();
        symlink("granted", dir.join("mine")).unwrap();
        let grants = [grant(&dir.join("granted"), true)];
        let file = dir.join("mine/state/active.json");
        assert_eq!(directory_of_host(&file, &grants).unwrap(), dir.join("granted/state"), "a link of the caller's own");
        fs::rename(dir.join("granted/state"), dir.join("granted/moved")).unwrap();
        symlink("..", dir.join("granted/state")).unwrap();
        let error = directory_of_host(&file, &grants).unwrap_err().to_string();
        assert!(error.contains("granted/state, which the write grant"), "{error}");
        assert!(
            directory_of_host(&file, &[grant(&dir.join("granted"), false)]).is_ok(),
            "a read grant replaces nothing"
        );
    }

    fn with(guarded: &[PathBuf], masked: &[PathBuf]) -> Scaffold {
        let guard = |path: &PathBuf| Guarded { path: path.clone(), why: "is run outside the sandbox" };
        let (guarded, masked) = (guarded.iter().map(guard).collect(), masked.to_vec());
        Scaffold { cwd: PathBuf::from("/"), policy: "{}".into(), private_tmp: None, masked, guarded }
    }

    #[test]
    fn what_runs_outside_is_not_reached_through_a_symlink_of_the_workers() {
        let (_guard, dir) = place();
        for name in ["home/bin", "home/.venv/bin", "opt"] {
            fs::create_dir_all(dir.join(name)).unwrap();
        }
        fs::write(dir.join("opt/python3"), "").unwrap();
        let (on_path, in_venv) = (dir.join("home/bin/python3"), dir.join("home/.venv/bin/python3"));
        symlink(dir.join("opt/python3"), &on_path).unwrap();
        symlink(dir.join("opt/python3"), &in_venv).unwrap();
        let grants = [grant(&dir.join("home"), true)];
        let error = build(&grants, &[], &with(std::slice::from_ref(&on_path), &[])).unwrap_err().to_string();
        for part in [on_path.clone(), dir.join("home"), dir.join("opt/python3")] {
            assert!(error.contains(&format!("{} ", part.display())), "{error}");
        }
        // A link whose directory is guarded, whichever comes first, and one that only reading is granted to.
        let guarded = build(&grants, &[], &with(&[in_venv, dir.join("home/.venv")], &[])).unwrap();
        assert_eq!(binds(&guarded), [(dir.join("home"), true), (dir.join("home/.venv"), false)]);
        assert!(build(&[grant(&dir.join("home"), false)], &[], &with(std::slice::from_ref(&on_path), &[])).is_ok());
        // The cache is trusted likewise.
        fs::create_dir_all(dir.join("disk/ours")).unwrap();
        symlink(dir.join("disk"), dir.join("home/.cache")).unwrap();
        let error = build(&grants, &[], &with(&[], &[dir.join("home/.cache/ours")])).unwrap_err().to_string();
        assert!(error.contains("home/.cache") && error.contains("symlink"), "{error}");
    }

    #[test]
    fn a_write_grant_of_just_what_runs_outside_stays_read_only() {
        let (_guard, dir) = place();
        fs::create_dir_all(dir.join(".venv/bin")).unwrap();
        let venv = dir.join(".venv");
        let view = build(&[grant(&venv, true)], &[], &with(std::slice::from_ref(&venv), &[])).unwrap();
        assert_eq!(binds(&view), [(venv.clone(), false)]);
        assert!(view.notes.iter().any(|note| note.contains("read-only")), "{:?}", view.notes);
        let below = venv.join("bin");
        let view = build(&[grant(&below, true)], &[], &with(&[venv], &[])).unwrap();
        assert_eq!(binds(&view), [(below, true)], "what is granted below by name is granted");
    }

    #[test]
    fn a_grant_of_what_is_hidden_is_an_error_that_says_why() {
        let (_guard, dir) = place();
        let (home, cache, below) = (dir.join("home"), dir.join("home/cache"), dir.join("home/cache/python"));
        fs::create_dir_all(&below).unwrap();
        let scaffold = with(&[], std::slice::from_ref(&cache));
        let cases: [(&[Grant], &Path); 4] = [
            (&[grant(&home, true), grant(&below, false)], &below),
            (&[grant(&cache, true)], &cache),
            (&[grant(&below, true)], &below),
            (&[grant(&cache, false), grant(&home, true)], &cache),
        ];
        for (grants, named) in cases {
            let error = build(grants, &[], &scaffold).unwrap_err().to_string();
            for part in [named, cache.as_path()] {
                assert!(error.contains(&part.display().to_string()), "{error}");
            }
            assert!(error.contains("hidden") && error.contains("XDG_CACHE_HOME"), "{error}");
        }
        assert!(build(&[grant(&home, true)], &[], &scaffold).is_ok(), "hidden with nothing of it granted by name");
    }

    #[test]
    fn proc_dev_and_sys_are_never_the_hosts() {
        let (_guard, dir) = place();
        symlink("/proc/1", dir.join("sneaky")).unwrap();
        let all =
            [grant(Path::new("/proc/self/fd"), false), grant(&dir.join("sneaky"), false), grant(Path::new("/"), false)];
        for (path, _) in binds(&view(&all)) {
            assert!(!OWN_TREES.iter().any(|own| path.starts_with(own)), "{path:?}");
        }
    }

    #[test]
    fn parents_come_before_what_they_hold() {
        let (_guard, dir) = place();
        fs::create_dir_all(dir.join("x y\n/ü")).unwrap();
        let view = view(&[grant(&dir.join("x y\n/ü"), false)]);
        let mut seen = vec![PathBuf::from("/")];
        for node in &view.tree {
            let path = match node {
                Node::Dir { path }
                | Node::Symlink { path, .. }
                | Node::Text { path, .. }
                | Node::Harness { path }
                | Node::Proc { path } => path,
                Node::Bind(bind) => &bind.path,
                Node::Tmpfs(tmpfs) => &tmpfs.path,
                Node::Mask { path, .. } => path,
            };
            let path = path.as_path().to_owned();
            assert!(path.ancestors().skip(1).any(|above| seen.iter().any(|known| known == above)), "{path:?}");
            assert!(path.parent().is_none_or(|parent| seen.iter().any(|known| known == parent)), "{path:?}");
            seen.push(path);
        }
    }

    fn denied(path: &Path, hidden: bool) -> Denied {
        Denied { path: path.to_owned(), hidden, rule: format!("deny {}", path.display()) }
    }

    fn masks(view: &View) -> Vec<(PathBuf, bool, bool)> {
        let masks = view.tree.iter().filter_map(|node| match node {
            Node::Mask { path, directory, pass } => Some((path.as_path().to_owned(), *directory, *pass)),
            _ => None,
        });
        masks.collect()
    }

    #[test]
    fn what_is_denied_inside_is_masked_by_its_real_path_and_what_is_granted_below_is_shown() {
        let (_guard, dir) = place();
        fs::create_dir_all(dir.join("in/open/deep")).unwrap();
        fs::write(dir.join("odd \n\u{e4}"), "").unwrap();
        symlink("in", dir.join("link")).unwrap();
        let denials = [denied(&dir.join("link"), true), denied(&dir.join("odd \n\u{e4}"), true)];
        let open = dir.join("in/open/deep");
        let view = build(&[grant(&dir, false), grant(&open, false)], &denials, &with(&[], &[])).unwrap();
        assert_eq!(masks(&view), [(dir.join("in"), true, true), (dir.join("odd \n\u{e4}"), false, false)]);
        assert_eq!(binds(&view), [(dir.clone(), false), (open, false)]);
        assert_eq!(view.hidden, [dir.join("odd \n\u{e4}")]);
    }

    #[test]
    fn what_may_not_be_written_is_bound_read_only_and_cannot_be_moved_away() {
        let (_guard, dir) = place();
        fs::create_dir_all(dir.join("a/b/c")).unwrap();
        let scaffold = with(&[], &[]);
        let view = build(&[grant(&dir, true)], &[denied(&dir.join("a/b"), false)], &scaffold).unwrap();
        assert_eq!(binds(&view), [(dir.clone(), true), (dir.join("a"), true), (dir.join("a/b"), false)]);
        let grants = [grant(&dir, true), grant(&dir.join("a/b/c"), true)];
        let view = build(&grants, &[denied(&dir.join("a/b"), false)], &scaffold).unwrap();
        assert!(binds(&view).contains(&(dir.join("a/b/c"), true)));
    }

    #[test]
    fn a_denial_outside_of_every_grant_shows_nothing() {
        let (_guard, dir) = place();
        fs::create_dir_all(dir.join("a")).unwrap();
        fs::create_dir_all(dir.join("b/c")).unwrap();
        let denials = [denied(&dir.join("b"), true), denied(&dir.join("b/c"), false), denied(&dir.join("none"), true)];
        let view = build(&[grant(&dir.join("a"), false)], &denials, &with(&[], &[])).unwrap();
        assert_eq!((binds(&view), masks(&view)), (vec![(dir.join("a"), false)], vec![]));
    }

    #[test]
    fn denials_that_nothing_can_enforce_are_refused() {
        let (_guard, dir) = place();
        fs::create_dir_all(dir.join("a/in")).unwrap();
        symlink("nothing", dir.join("a/dangling")).unwrap();
        symlink("in", dir.join("a/link")).unwrap();
        let scaffold = with(&[], &[]);
        let (read, both) =
            ([grant(&dir.join("a"), false)], [grant(&dir.join("a"), false), grant(&dir.join("a"), true)]);
        let refused = |grants: &[Grant], path: &str, expected: &str| {
            let error = build(grants, &[denied(&dir.join(path), true)], &scaffold).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        refused(&read, "a/missing", "does not exist");
        refused(&read, "a/missing/below", "does not exist");
        refused(&read, "a/dangling", "does not exist");
        refused(&both, "a/link", "lets the worker replace");
        let write_only = [grant(&dir.join("a"), false), grant(&dir.join("a/in"), true)];
        refused(&write_only, "a/in", "not supported yet");
    }
}
