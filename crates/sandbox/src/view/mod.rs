//! The sandbox's file tree, worked out on the host: which paths are shown, under which names, with which rights.
//!
//! Every path is resolved component by component and shown under its resolved name; each symlink on the way is
//! made again inside, so that the name the caller used works too. Resolution only reads the host. What changes between
//! here and the mounting is found there, where no symlink is followed.
//!
//! The policy comes as [`Region`]s: places with all that may be done from there on down. What holds at a place and does
//! not hold above it, or the other way round, becomes a mount; [`carve`] says the same once more to Landlock, and what
//! mounts cannot say.

mod carve;
mod overlay;
mod resolve;
mod scaffold;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::Bytes;
use crate::plan::{Access, Bind, LandlockRule, Node, Rights};

pub use resolve::{Found, Resolved, Resolver};
pub use scaffold::{HARNESS, HOME, POLICY_COPY};

use carve::Place;
use scaffold::OWN_DIR;
use tree::{Shown, Tree};

/// These are never the host's, whatever is granted.
const OWN_TREES: [&str; 4] = ["/proc", "/sys", "/dev", OWN_DIR];

/// True for what is the sandbox's own and never the host's.
pub fn is_own(path: &Path) -> bool {
    OWN_TREES.iter().any(|own| path.starts_with(own))
}

/// A place of the host's at which a policy may change its mind: what it lets be done there and below, as far as no
/// other region lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Absolute, and free of symlinks.
    pub path: PathBuf,
    /// It is a directory.
    pub directory: bool,
    /// All that may be done.
    pub allowed: Rights,
    /// What a rule denies, as opposed to nothing being said: that also goes for what an enclosing [`Grant`] brings.
    pub denied: Rights,
    /// Files in it may be mapped as code.
    pub code: bool,
}

/// A symlink that a path of the policy goes through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// Where it is.
    pub link: PathBuf,
    /// What it holds.
    pub target: PathBuf,
    /// By what it was followed, for messages: `the grant /x`.
    pub by: String,
    /// It is made again inside.
    pub shown: bool,
}

/// A name that a rule denies and that does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The name, in a directory whose path is free of symlinks.
    pub path: PathBuf,
    /// What would be allowed of what the rule denies: this name, or one below it.
    pub allowed: Rights,
    /// The rule, for messages.
    pub rule: String,
}

/// The policy, as the disk has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// At most one for each path.
    pub regions: Vec<Region>,
    /// Symlinks on the way to them.
    pub followed: Vec<Followed>,
    /// Names that are denied and not there.
    pub missing: Vec<Missing>,
}

/// Something that the sandbox shows beside what the policy allows.
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
    /// The caller, as with the script that is to be run.
    Policy,
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
    /// Names can be looked up.
    pub network: bool,
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
    /// Those in which nothing can be written, although it can above.
    pub kept: Vec<PathBuf>,
    /// Files of the sandbox's own in the place of the host's.
    pub stand_ins: Vec<PathBuf>,
    /// What a grant became, where that is not what it says: a symlink's target, a missing path.
    pub notes: Vec<String>,
    /// The resolved working directory.
    pub cwd: PathBuf,
}

/// Why there is no tree.
#[derive(Debug)]
pub enum ViewError {
    /// The host cannot be read, or the policy asks for what would not hold.
    Refused(io::Error),
    /// A right that is denied at one place and allowed above it, and which no layer of the kernel takes back.
    Uncarvable {
        /// Where it is denied.
        at: PathBuf,
        /// Where it is allowed.
        above: PathBuf,
        /// Which.
        right: Rights,
    },
}

impl fmt::Display for ViewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Uncarvable { at, above, right } => {
                let (at, above) = (at.display(), above.display());
                write!(f, "{right} is denied at {at} and allowed at {above}: the kernel takes nothing back below it")
            }
        }
    }
}

impl std::error::Error for ViewError {}

impl From<io::Error> for ViewError {
    fn from(error: io::Error) -> Self {
        Self::Refused(error)
    }
}

fn refused<T>(why: String) -> Result<T, ViewError> {
    Err(ViewError::Refused(io::Error::other(why)))
}

/// The real directory that a path of the host's own lies in. Refuses one that is reached through a symlink in a place
/// that may be written, which the worker may point elsewhere; whoever opens it again must follow no symlink any more.
pub fn directory_of_host(path: &Path, regions: &[Region]) -> io::Result<PathBuf> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let Some(resolved) = Resolver::default().resolve(parent)?.there() else {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("{} does not exist", parent.display())));
    };
    for region in regions.iter().filter(|region| region.allowed.has_any(Rights::WRITE)) {
        if let Some((link, _)) = resolved.links.iter().find(|(link, _)| link.starts_with(&region.path)) {
            return Err(io::Error::other(format!(
                "it goes through the symlink {}, which the write grant {} lets the worker replace",
                link.display(),
                region.path.display(),
            )));
        }
    }
    Ok(resolved.real)
}

/// Works the tree out. Fails where the host cannot be read for a reason other than a missing path, and where what is
/// asked for cannot be enforced.
pub fn build(policy: &Policy, grants: &[Grant], scaffold: &Scaffold) -> Result<View, ViewError> {
    let mut builder = Builder::default();
    for region in &policy.regions {
        builder.region(region);
    }
    for grant in grants {
        builder.grant(grant)?;
    }
    builder.finish(policy, scaffold)
}

/// What is said of one path.
#[derive(Clone, Debug, Default)]
struct Point {
    directory: bool,
    /// The policy's word. None: that of the nearest region above.
    policy: Option<(Rights, bool)>,
    denied: Rights,
    /// What grants bring.
    own: Rights,
    own_code: bool,
    /// Code of the runtime: read-only, whatever else is granted.
    runtime: bool,
    /// The caller's, and thus shown as the worker's own.
    of_caller: bool,
}

/// What holds at a path, with what comes from above.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    policy: Rights,
    policy_code: bool,
    own: Rights,
    own_code: bool,
    runtime: bool,
    of_caller: bool,
}

impl State {
    fn at(self, point: &Point) -> Self {
        let (policy, policy_code) = point.policy.unwrap_or((self.policy, self.policy_code));
        let own = self.own.without(point.denied);
        let kept = !own.is_none();
        Self {
            policy,
            policy_code,
            own: own.with(point.own),
            own_code: self.own_code && kept || point.own_code,
            runtime: self.runtime && kept || point.runtime,
            of_caller: self.of_caller && kept || point.of_caller,
        }
    }

    /// All rights, those that only a directory can have included.
    fn all(self) -> Rights {
        let all = self.policy.with(self.own).without(Rights::DEVICES);
        if self.runtime { all.without(Rights::WRITE) } else { all }
    }

    fn rights(self, directory: bool) -> Rights {
        if directory { self.all() } else { self.all().and(Rights::OF_FILES) }
    }
}

#[derive(Default)]
struct Builder {
    resolver: Resolver,
    /// By resolved path, so that parents come before what they hold.
    points: BTreeMap<PathBuf, Point>,
    /// Symlinks that are made again inside.
    links: BTreeMap<PathBuf, PathBuf>,
    /// Symlinks on the way to what is granted or denied, and for what they were followed.
    followed: Vec<(PathBuf, String)>,
    view: View,
}

impl Builder {
    fn region(&mut self, region: &Region) {
        self.note_prefixes(&region.path, region.allowed);
        if is_own(&region.path) {
            // It names the sandbox's own `/proc` or `/dev`, which is there in any case.
            return;
        }
        let point = self.points.entry(region.path.clone()).or_default();
        point.directory = region.directory;
        point.policy = Some((region.allowed, region.code));
        point.denied = region.denied;
    }

    fn grant(&mut self, grant: &Grant) -> Result<(), ViewError> {
        let path = &grant.path;
        let rights = Rights::from(grant.access);
        if is_own(path) {
            self.note_prefixes(path, rights);
            return Ok(());
        }
        let Some(resolved) = self.resolver.resolve(path)?.there() else {
            if grant.origin == Origin::Policy {
                self.view.notes.push(format!("{} does not exist: nothing is granted", path.display()));
            }
            return Ok(());
        };
        if is_own(&resolved.real) {
            let real = resolved.real.display();
            self.view.notes.push(format!("{} leads to {real}, which is the sandbox's own", path.display()));
            return Ok(());
        }
        if grant.origin == Origin::Policy && !resolved.links.is_empty() {
            self.view.notes.push(format!("{} is {}", path.display(), resolved.real.display()));
        }
        self.note_prefixes(path, rights);
        self.note_prefixes(&resolved.real, rights);
        for (link, target) in resolved.links {
            if grant.origin == Origin::Policy {
                self.followed.push((link.clone(), format!("the grant {}", path.display())));
            }
            self.note_prefixes(&link, Rights::READ);
            self.links.insert(link, target);
        }
        let point = self.points.entry(resolved.real).or_default();
        point.directory = resolved.directory;
        point.own = point.own.with(rights);
        point.own_code |= grant.code;
        point.runtime |= grant.code && grant.origin == Origin::Runtime;
        point.of_caller |= grant.origin == Origin::Policy;
        Ok(())
    }

    fn note_prefixes(&mut self, path: &Path, rights: Rights) {
        if rights.has_any(Rights::READ) {
            self.view.readable.push(path.to_owned());
        }
        if rights.has_any(Rights::WRITE) {
            self.view.writable.push(path.to_owned());
        }
    }

    fn finish(mut self, policy: &Policy, scaffold: &Scaffold) -> Result<View, ViewError> {
        let cwd = match self.resolver.resolve(&scaffold.cwd)? {
            Found::There(resolved) => resolved.real,
            Found::Missing { path, .. } => {
                return refused(format!(
                    "working directory {}: {} does not exist",
                    scaffold.cwd.display(),
                    path.display()
                ));
            }
        };
        for followed in &policy.followed {
            self.followed.push((followed.link.clone(), followed.by.clone()));
            if followed.shown {
                self.note_prefixes(&followed.link, Rights::READ);
                self.links.insert(followed.link.clone(), followed.target.clone());
            }
        }

        let mut tree = Tree::default();
        let places = self.lay_out(&mut tree);
        self.refuse_links_of_the_worker(&tree)?;
        self.overlay(&mut tree, &places, &policy.missing)?;
        self.guard(&mut tree, scaffold)?;
        self.mask(&mut tree, &places, scaffold)?;
        for (at, target) in std::mem::take(&mut self.links) {
            tree.add(Node::Symlink { path: Bytes::from(&at), target: Bytes::from(&target) }, &at);
        }
        if !tree.nearest(&cwd).is_some_and(|nearest| nearest.is_there()) {
            tree.dir(&cwd);
        }
        self.scaffold(&mut tree, scaffold);
        self.show(&mut tree, &cwd);
        self.note_kept(&places);
        self.view.cwd = cwd;
        self.view.tree = tree.into_nodes();
        self.view.landlock.extend(carve::rules(&places)?);
        Ok(self.view)
    }

    /// From what holds at each point to mounts: a bind where something begins to be shown, or is shown otherwise than
    /// above; a mask where it ends.
    fn lay_out(&mut self, tree: &mut Tree) -> Vec<Place> {
        let mut places: Vec<Place> = Vec::new();
        let mut above: Vec<(PathBuf, State, Rights)> = Vec::new();
        for (path, point) in &self.points {
            while above.last().is_some_and(|(above, ..)| !path.starts_with(above)) {
                above.pop();
            }
            let (inherited, rights_above) =
                above.last().map_or_else(Default::default, |(_, state, rights)| (*state, *rights));
            let state = inherited.at(point);
            let rights = state.rights(point.directory);
            above.push((path.clone(), state, rights));
            if state.runtime && state.policy.has_any(Rights::WRITE) && point.policy.is_some() {
                self.view.notes.push(format!("{} holds code of the runtime and stays read-only", path.display()));
            }
            if !point.own.and(point.denied).is_none() {
                self.view.notes.push(format!("{} is denied, and shown: the interpreter needs it", path.display()));
            }
            // The root is the sandbox's own: of it, the names can be listed.
            if path == Path::new("/") {
                places.push(Place { path: path.clone(), rights: rights.and(Rights::READ_DIR), held: Rights::ALL });
                continue;
            }
            let nearest = tree.nearest(path).unwrap_or_default();
            let code = state.policy_code || state.own_code;
            // A file of which the directory may be changed is not made a mount point for having no right of its own.
            let writes = if nearest.writable { state.all() } else { rights };
            let shown = Shown {
                directory: point.directory,
                writable: writes.has_any(Rights::WRITE),
                code,
                of_caller: !state.policy.is_none() || state.of_caller,
                hidden: rights.is_none() && !code,
            };
            // A mount point can be neither removed nor renamed.
            let stays = if point.directory { Rights::REMOVE_DIR } else { Rights::REMOVE_FILE };
            let kept = point.denied.has_any(stays) && rights_above.has_any(stays);
            let of_kind = if point.directory { Rights::ALL } else { Rights::OF_FILES };
            let nothing_to_hide = shown.hidden && rights_above.and(of_kind).is_none();
            if !kept && (nothing_to_hide || shown.is_like(&nearest)) || shown.hidden && !nearest.is_there() {
                let held = nearest.held(point.directory);
                places.push(Place { path: path.clone(), rights, held });
                continue;
            }
            places.push(Place { path: path.clone(), rights, held: shown.held(point.directory) });
            if !rights_above.without(rights).is_none() {
                tree.pin_below_writable(path);
            }
            tree.binds.insert(path.clone(), shown);
        }
        places
    }

    /// A symlink that the worker may write is the worker's to point elsewhere, for the next run to follow.
    fn refuse_links_of_the_worker(&self, tree: &Tree) -> Result<(), ViewError> {
        for (link, by) in &self.followed {
            if let Some((writable, _)) = tree.writable_above(link) {
                return refused(format!(
                    "{by} goes through the symlink {}, which the write grant {} lets the worker replace; name the \
                     symlink's target instead",
                    link.display(),
                    writable.display(),
                ));
            }
        }
        Ok(())
    }

    /// Read-only binds over what is guarded, where a write grant lies over it. Each directory between becomes a mount
    /// point, too: that cannot be renamed, so that nothing else can be put in its place.
    fn guard(&mut self, tree: &mut Tree, scaffold: &Scaffold) -> Result<(), ViewError> {
        // Who may write everywhere has named no directory that could be granted without its symlinks.
        let everywhere = self.points.get(Path::new("/")).and_then(|root| root.policy);
        let everywhere = everywhere.is_some_and(|(rights, _)| rights.has_any(Rights::WRITE));
        let mut links = Vec::new();
        for guarded in &scaffold.guarded {
            let Some(resolved) = self.resolve_kept(tree, &guarded.path)? else { continue };
            let Resolved { real, directory, .. } = &resolved;
            let below = tree.pin_below_writable(real);
            if below || tree.binds.get(real).is_some_and(|shown| shown.writable) {
                self.view.notes.push(format!("{} {} and stays read-only", real.display(), guarded.why));
                let shown = tree.nearest(real).unwrap_or_default();
                let read_only = Shown { directory: *directory, writable: false, ..shown };
                tree.binds.insert(real.clone(), read_only);
            }
            if everywhere {
                for (link, _) in &resolved.links {
                    self.guard_link(tree, link, guarded);
                }
            }
            links.push((guarded, resolved));
        }
        // Only now: a link inside a directory that has just become read-only is nobody's to replace.
        links.iter().try_for_each(|(guarded, resolved)| {
            refuse_links_on_the_way(tree, &guarded.path, resolved, &format!("{}, and its path", guarded.why))
        })
    }

    /// Keeps the directory of a symlink read-only, and with it the symlink.
    fn guard_link(&mut self, tree: &mut Tree, link: &Path, guarded: &Guarded) {
        let Some(directory) = link.parent().filter(|_| tree.writable_above(link).is_some()) else { return };
        tree.pin_below_writable(directory);
        let shown = tree.nearest(directory).unwrap_or_default();
        tree.binds.insert(directory.to_owned(), Shown { directory: true, writable: false, ..shown });
        let (directory, path) = (directory.display(), guarded.path.display());
        self.view.notes.push(format!("{directory} leads to {path}, which {}, and stays read-only", guarded.why));
    }

    /// Empty directories over what is to stay hidden, pinned likewise.
    fn mask(&mut self, tree: &mut Tree, places: &[Place], scaffold: &Scaffold) -> Result<(), ViewError> {
        for masked in &scaffold.masked {
            let Some(resolved) = self.resolve_kept(tree, masked)?.filter(|resolved| resolved.directory) else {
                continue;
            };
            refuse_links_on_the_way(tree, masked, &resolved, "is trusted by the next run, and its path")?;
            let real = resolved.real;
            let shown = tree.nearest(&real).is_some_and(|nearest| nearest.is_there());
            let mut granted = places.iter().filter(|place| place.path.starts_with(&real) && !place.rights.is_none());
            if let Some(granted) = granted.find(|place| shown || place.rights.has_any(Rights::WRITE)) {
                return refused(format!(
                    "{} cannot be granted: {} holds what is known of interpreters, which the next run trusts, and is \
                     hidden from a sandbox that may write; leave that grant out, or keep the cache elsewhere with \
                     XDG_CACHE_HOME",
                    granted.path.display(),
                    real.display(),
                ));
            }
            tree.pin_below_writable(&real);
            if shown {
                tree.binds.insert(real, Shown { directory: true, hidden: true, ..Shown::default() });
            }
        }
        Ok(())
    }

    /// A path that the worker must be kept from; `None` where it is out of the worker's reach in any case. One that
    /// cannot be read matters only where the worker may write above it: elsewhere it is as far away for the worker as
    /// for the caller.
    fn resolve_kept(&mut self, tree: &Tree, path: &Path) -> io::Result<Option<Resolved>> {
        match self.resolver.resolve(path) {
            Err(_) if tree.writable_above(path).is_none() => Ok(None),
            other => other.map(Found::there),
        }
    }

    /// Where writing ends and does not begin again below, for explanations.
    fn note_kept(&mut self, places: &[Place]) {
        let mut above: Vec<&Place> = Vec::new();
        for (index, place) in places.iter().enumerate() {
            while above.last().is_some_and(|above| !place.path.starts_with(&above.path)) {
                above.pop();
            }
            let mut from_here = places[index..].iter().take_while(|below| below.path.starts_with(&place.path));
            let writes = |place: &Place| place.in_force().has_any(Rights::WRITE);
            if above.last().is_some_and(|above| writes(above)) && !from_here.any(writes) {
                self.view.kept.push(place.path.clone());
            }
            above.push(place);
        }
    }

    /// The binds and masks as nodes.
    fn show(&mut self, tree: &mut Tree, cwd: &Path) {
        for (path, shown) in tree.binds.clone() {
            tree.parents(&path);
            let node = if shown.hidden {
                let pass = path == cwd || tree.holds_below(&path);
                if !pass {
                    self.view.hidden.push(path.clone());
                }
                Node::Mask { path: Bytes::from(&path), directory: shown.directory, pass }
            } else {
                Node::Bind(Bind {
                    source: Bytes::from(&path),
                    path: Bytes::from(&path),
                    directory: shown.directory,
                    writable: shown.writable,
                    exec: shown.code,
                    device: false,
                    grant: shown.of_caller,
                })
            };
            tree.put(path.clone(), node);
            if let Some(absent) = tree.overlays.remove(&path) {
                tree.put(path.clone(), Node::Overlay { path: Bytes::from(&path), absent, exec: shown.code });
            }
        }
    }
}

/// What is kept from the worker must not be reached through a symlink that the worker may point elsewhere.
fn refuse_links_on_the_way(tree: &Tree, path: &Path, resolved: &Resolved, what: &str) -> Result<(), ViewError> {
    for (link, _) in &resolved.links {
        if let Some((writable, _)) = tree.writable_above(link) {
            return refused(format!(
                "{} {what} goes through the symlink {}, which the write grant {} lets the worker replace; grant a \
                 directory without that symlink, or use {} itself",
                path.display(),
                link.display(),
                writable.display(),
                resolved.real.display(),
            ));
        }
    }
    Ok(())
}
