use std::fs;
use std::os::unix::fs::symlink;

use super::*;

fn grant(path: &Path, write: bool) -> Grant {
    let access = Access { read: !write, write, execute: false };
    Grant { path: path.to_owned(), access, code: false, origin: Origin::Policy }
}

fn view(grants: &[Grant]) -> View {
    let scaffold = with(&[], &[]);
    build(&Policy::default(), grants, &scaffold).unwrap()
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
    let error = build(&Policy::default(), &[grant(&dir.join("loop"), false)], &scaffold).unwrap_err();
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
    let error = build(&Policy::default(), &grants, &scaffold).unwrap_err().to_string();
    assert!(error.contains("work/data") && error.contains("symlink"), "{error}");
    assert!(
        build(&Policy::default(), &grants[1..], &scaffold).is_ok(),
        "nobody can replace it without the write grant"
    );
}

#[test]
fn what_is_hidden_or_guarded_cannot_be_renamed_away() {
    let (_guard, dir) = place();
    fs::create_dir_all(dir.join("home/.cache/ours")).unwrap();
    fs::create_dir_all(dir.join("home/project/.venv")).unwrap();
    let scaffold = with(&[dir.join("home/project/.venv")], &[dir.join("home/.cache/ours")]);
    let view = build(&Policy::default(), &[grant(&dir.join("home"), true)], &scaffold).unwrap();
    let expected = [("home", true), ("home/.cache", true), ("home/project", true), ("home/project/.venv", false)];
    assert_eq!(binds(&view), expected.map(|(path, writable)| (dir.join(path), writable)));
    assert_eq!(masks(&view), [(dir.join("home/.cache/ours"), true, false)]);
    // What lies in a guarded directory needs no word of its own.
    let nested = [dir.join("home/project"), dir.join("home/project/.venv")];
    let notes = build(&Policy::default(), &[grant(&dir.join("home"), true)], &with(&nested, &[])).unwrap().notes;
    assert_eq!(notes.iter().filter(|note| note.contains("read-only")).count(), 1, "{notes:?}");
    // Without a write grant above there is nothing to guard against.
    let view = build(&Policy::default(), &[grant(&dir.join("home"), false)], &scaffold).unwrap();
    assert_eq!(binds(&view), [(dir.join("home"), false)]);
}

#[test]
fn where_the_host_writes_no_link_of_the_worker_leads() {
    let (_guard, dir) = place();
    fs::create_dir_all(dir.join("granted/state")).unwrap();
    symlink("granted", dir.join("mine")).unwrap();
    let regions = [region(&dir.join("granted"), Rights::WRITE, Rights::NONE)];
    let file = dir.join("mine/state/active.json");
    assert_eq!(directory_of_host(&file, &regions).unwrap(), dir.join("granted/state"), "a link of the caller's own");
    fs::rename(dir.join("granted/state"), dir.join("granted/moved")).unwrap();
    symlink("..", dir.join("granted/state")).unwrap();
    let error = directory_of_host(&file, &regions).unwrap_err().to_string();
    assert!(error.contains("granted/state, which the write grant"), "{error}");
    assert!(
        directory_of_host(&file, &[region(&dir.join("granted"), Rights::READ, Rights::NONE)]).is_ok(),
        "a read grant replaces nothing"
    );
}

fn with(guarded: &[PathBuf], masked: &[PathBuf]) -> Scaffold {
    let guard = |path: &PathBuf| Guarded { path: path.clone(), why: "is run outside the sandbox" };
    let (guarded, masked) = (guarded.iter().map(guard).collect(), masked.to_vec());
    Scaffold { cwd: PathBuf::from("/"), policy: "{}".into(), private_tmp: None, masked, guarded, network: false }
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
    let error = build(&Policy::default(), &grants, &with(std::slice::from_ref(&on_path), &[])).unwrap_err().to_string();
    for part in [on_path.clone(), dir.join("home"), dir.join("opt/python3")] {
        assert!(error.contains(&format!("{} ", part.display())), "{error}");
    }
    // A link whose directory is guarded, whichever comes first, and one that only reading is granted to.
    let guarded = build(&Policy::default(), &grants, &with(&[in_venv, dir.join("home/.venv")], &[])).unwrap();
    assert_eq!(binds(&guarded), [(dir.join("home"), true), (dir.join("home/.venv"), false)]);
    assert!(
        build(&Policy::default(), &[grant(&dir.join("home"), false)], &with(std::slice::from_ref(&on_path), &[]))
            .is_ok()
    );
    // The cache is trusted likewise.
    fs::create_dir_all(dir.join("disk/ours")).unwrap();
    symlink(dir.join("disk"), dir.join("home/.cache")).unwrap();
    let error =
        build(&Policy::default(), &grants, &with(&[], &[dir.join("home/.cache/ours")])).unwrap_err().to_string();
    assert!(error.contains("home/.cache") && error.contains("symlink"), "{error}");
}

#[test]
fn a_write_grant_of_just_what_runs_outside_stays_read_only() {
    let (_guard, dir) = place();
    fs::create_dir_all(dir.join(".venv/bin")).unwrap();
    let venv = dir.join(".venv");
    let view = build(&Policy::default(), &[grant(&venv, true)], &with(std::slice::from_ref(&venv), &[])).unwrap();
    assert_eq!(binds(&view), [(venv.clone(), false)]);
    assert!(view.notes.iter().any(|note| note.contains("read-only")), "{:?}", view.notes);
    let below = venv.join("bin");
    let view = build(&Policy::default(), &[grant(&below, true)], &with(&[venv], &[])).unwrap();
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
        let error = build(&Policy::default(), grants, &scaffold).unwrap_err().to_string();
        for part in [named, cache.as_path()] {
            assert!(error.contains(&part.display().to_string()), "{error}");
        }
        assert!(error.contains("hidden") && error.contains("XDG_CACHE_HOME"), "{error}");
    }
    assert!(
        build(&Policy::default(), &[grant(&home, true)], &scaffold).is_ok(),
        "hidden with nothing of it granted by name"
    );
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
        let path = node.path().as_path().to_owned();
        assert!(path.ancestors().skip(1).any(|above| seen.iter().any(|known| known == above)), "{path:?}");
        assert!(path.parent().is_none_or(|parent| seen.iter().any(|known| known == parent)), "{path:?}");
        seen.push(path);
    }
}

fn region(path: &Path, allowed: Rights, denied: Rights) -> Region {
    Region { path: path.to_owned(), directory: path.is_dir(), allowed, denied, code: false }
}

fn of(regions: &[Region]) -> Result<View, ViewError> {
    build(&Policy { regions: regions.to_vec(), ..Policy::default() }, &[], &with(&[], &[]))
}

fn masks(view: &View) -> Vec<(PathBuf, bool, bool)> {
    let masks = view.tree.iter().filter_map(|node| match node {
        Node::Mask { path, directory, pass } => Some((path.as_path().to_owned(), *directory, *pass)),
        _ => None,
    });
    masks.collect()
}

/// Landlock's rules at and below a directory.
fn rules(view: &View, dir: &Path) -> Vec<(PathBuf, Rights)> {
    let rules = view.landlock.iter().map(|rule| (rule.path.as_path().to_owned(), rule.rights));
    rules.filter(|(path, _)| path.starts_with(dir)).collect()
}

const BOTH: Rights = Rights::READ.with(Rights::WRITE);

#[test]
fn what_is_denied_inside_is_masked_and_what_is_allowed_below_is_shown() {
    let (_guard, dir) = place();
    fs::create_dir_all(dir.join("in/open/deep")).unwrap();
    let odd = dir.join("odd \n\u{e4}");
    fs::write(&odd, "").unwrap();
    let open = dir.join("in/open/deep");
    let regions = [
        region(&dir, Rights::READ, Rights::NONE),
        region(&dir.join("in"), Rights::NONE, Rights::READ),
        region(&open, Rights::READ, Rights::NONE),
        region(&odd, Rights::NONE, Rights::READ),
    ];
    let view = of(&regions).unwrap();
    assert_eq!(masks(&view), [(dir.join("in"), true, true), (odd.clone(), false, false)]);
    assert_eq!(binds(&view), [(dir.clone(), false), (open, false)]);
    assert_eq!(view.hidden, [odd]);
}

#[test]
fn what_may_not_be_written_is_bound_read_only_and_cannot_be_moved_away() {
    let (_guard, dir) = place();
    fs::create_dir_all(dir.join("a/b/c")).unwrap();
    let write = Rights::WRITE;
    let outer = [region(&dir, BOTH, Rights::NONE), region(&dir.join("a/b"), Rights::READ, write)];
    assert_eq!(binds(&of(&outer).unwrap()), [(dir.clone(), true), (dir.join("a"), true), (dir.join("a/b"), false)]);
    let inner = [outer.to_vec(), vec![region(&dir.join("a/b/c"), BOTH, Rights::NONE)]].concat();
    let inner = of(&inner).unwrap();
    assert!(binds(&inner).contains(&(dir.join("a/b/c"), true)));
    assert_eq!((of(&outer).unwrap().kept, inner.kept), (vec![dir.join("a/b")], vec![]));
}

#[test]
fn a_denial_outside_of_every_grant_shows_nothing() {
    let (_guard, dir) = place();
    fs::create_dir_all(dir.join("a")).unwrap();
    fs::create_dir_all(dir.join("b/c")).unwrap();
    let regions = [
        region(&dir.join("a"), Rights::READ, Rights::NONE),
        region(&dir.join("b"), Rights::NONE, Rights::READ),
        region(&dir.join("b/c"), Rights::NONE, BOTH),
    ];
    let view = of(&regions).unwrap();
    assert_eq!((binds(&view), masks(&view)), (vec![(dir.join("a"), false)], vec![]));
}

#[test]
fn a_denial_takes_from_what_a_grant_brings_from_above_and_not_at_the_same_place() {
    let (_guard, dir) = place();
    fs::create_dir_all(dir.join("lib/deep")).unwrap();
    let runtime = Grant { code: true, origin: Origin::Runtime, ..grant(&dir.join("lib"), false) };
    let denied_at = |path: &Path| {
        let policy = Policy { regions: vec![region(path, Rights::NONE, Rights::READ)], ..Policy::default() };
        build(&policy, std::slice::from_ref(&runtime), &with(&[], &[])).unwrap()
    };
    let exempt = denied_at(&dir.join("lib"));
    assert_eq!((binds(&exempt), masks(&exempt)), (vec![(dir.join("lib"), false)], vec![]));
    assert!(exempt.notes.iter().any(|note| note.contains("the interpreter needs it")), "{:?}", exempt.notes);
    assert_eq!(binds(&denied_at(&dir)), [(dir.join("lib"), false)]);
    assert_eq!(masks(&denied_at(&dir.join("lib/deep"))), [(dir.join("lib/deep"), true, false)]);
}

#[test]
fn a_right_over_content_is_carved_out_by_naming_what_lies_beside() {
    let (_guard, dir) = place();
    fs::create_dir_all(dir.join("sub/other")).unwrap();
    for name in ["sub/key", "sub/plain", "top"] {
        fs::write(dir.join(name), "").unwrap();
    }
    let key = dir.join("sub/key");
    let regions = [region(&dir, Rights::READ, Rights::NONE), region(&key, Rights::WRITE_FILE, Rights::READ)];
    let view = of(&regions).unwrap();
    assert_eq!(binds(&view), [(dir.clone(), false), (key.clone(), true)]);
    let expected = [
        (dir.clone(), Rights::READ_DIR),
        (key, Rights::WRITE_FILE),
        (dir.join("sub/other"), Rights::READ_FILE),
        (dir.join("sub/plain"), Rights::READ_FILE),
        (dir.join("top"), Rights::READ_FILE),
    ];
    assert_eq!(rules(&view, &dir), expected);
}

#[test]
fn what_no_layer_can_carve_out_is_an_error_that_names_both_places() {
    let (_guard, dir) = place();
    fs::create_dir_all(dir.join("sub")).unwrap();
    fs::write(dir.join("file"), "").unwrap();
    let (sub, file) = (dir.join("sub"), dir.join("file"));
    let refused = |outer: Rights, inner: &Path, allowed: Rights, expected: Rights| {
        let regions = [region(&dir, outer, Rights::NONE), region(inner, allowed, outer.without(allowed))];
        match of(&regions) {
            Err(ViewError::Uncarvable { at, above, right }) => {
                assert_eq!((&*at, above, right), (inner, dir.clone(), expected))
            }
            other => panic!("{other:?}"),
        }
    };
    refused(Rights::READ, &sub, Rights::READ_FILE, Rights::READ_DIR);
    refused(BOTH, &sub, BOTH.without(Rights::MAKE_DIR), Rights::MAKE_DIR);
    refused(BOTH, &sub, Rights::WRITE, Rights::READ_FILE);
    // A file that is made beside it would lack the right.
    refused(BOTH, &file, BOTH.without(Rights::READ_FILE), Rights::READ_FILE);
    // What a mount holds is no matter, nor what a file cannot have.
    let carved =
        [region(&dir, BOTH, Rights::NONE), region(&file, BOTH.without(Rights::REMOVE_FILE), Rights::REMOVE_FILE)];
    assert_eq!(binds(&of(&carved).unwrap()), [(dir.clone(), true), (file, true)], "a mount point cannot be removed");
    let read_only = [region(&dir, BOTH, Rights::NONE), region(&sub, Rights::READ, Rights::WRITE)];
    assert!(of(&read_only).is_ok());
}

#[test]
fn a_denied_name_that_does_not_exist_is_an_overlays_or_refused() {
    let (_guard, dir) = place();
    fs::create_dir_all(dir.join("a/b")).unwrap();
    let missing = |path: &str, allowed| Missing { path: dir.join(path), allowed, rule: "deny read x".into() };
    let built = |rights, missing| {
        let regions = vec![region(&dir.join("a"), rights, Rights::NONE)];
        let policy = Policy { regions, missing: vec![missing], ..Policy::default() };
        build(&policy, &[], &with(&[], &[]))
    };
    let error = built(BOTH, missing("a/x", Rights::NONE)).unwrap_err().to_string();
    assert!(error.contains("a/x does not exist") && error.contains("deny read x"), "{error}");
    let overlay = built(Rights::READ, missing("a/b/x", Rights::NONE)).unwrap();
    assert_eq!(overlays(&overlay), [(dir.join("a/b"), vec![Bytes::from("x")])]);
    assert_eq!(binds(&overlay), [(dir.join("a"), false), (dir.join("a/b"), false)]);
    for nothing in [missing("b", Rights::NONE), missing("a/x", Rights::READ)] {
        assert_eq!(
            overlays(&built(Rights::READ, nothing).unwrap()),
            [],
            "outside of every grant, denied for writing alone"
        );
    }
}

fn overlays(view: &View) -> Vec<(PathBuf, Vec<Bytes>)> {
    let overlays = view.tree.iter().filter_map(|node| match node {
        Node::Overlay { path, absent, .. } => Some((path.as_path().to_owned(), absent.clone())),
        _ => None,
    });
    overlays.collect()
}

#[test]
fn overlays_lie_over_the_smallest_read_only_directories_with_something_denied() {
    let (_guard, dir) = place();
    fs::create_dir_all(dir.join("in/open/deep")).unwrap();
    fs::create_dir_all(dir.join("write/hidden")).unwrap();
    for name in ["in/key", "in/other", "in/open/key"] {
        fs::write(dir.join(name), "").unwrap();
    }
    let hidden = |name: &str| region(&dir.join(name), Rights::NONE, Rights::READ);
    let regions = [
        region(&dir, Rights::READ, Rights::NONE),
        region(&dir.join("write"), BOTH, Rights::NONE),
        hidden("in/key"),
        hidden("in/other"),
        hidden("in/open/key"),
        hidden("write/hidden"),
    ];
    let view = of(&regions).unwrap();
    assert_eq!(overlays(&view), [(dir.join("in"), vec![]), (dir.join("in/open"), vec![])]);
    assert_eq!(masks(&view).len(), 4);
}

#[test]
fn a_file_with_no_right_of_its_own_is_a_mount_point_only_where_it_loses_one() {
    let (_guard, dir) = place();
    fs::write(dir.join("file"), "").unwrap();
    let file = dir.join("file");
    let remove = Rights::REMOVE_FILE.with(Rights::REMOVE_DIR);
    let built = |outer, inner: Region| {
        let view = of(&[region(&dir, outer, Rights::NONE), inner]).unwrap();
        (binds(&view).len(), masks(&view).len())
    };
    assert_eq!(built(remove, region(&file, Rights::REMOVE_FILE, Rights::NONE)), (1, 0));
    assert_eq!(built(remove, region(&file, remove.with(Rights::READ_FILE), Rights::NONE)), (1, 0));
    assert_eq!(built(remove, region(&file, Rights::NONE, Rights::REMOVE_FILE)), (1, 1), "it cannot be removed");
    assert_eq!(built(BOTH, region(&file, remove, Rights::READ)), (1, 1), "it cannot be read");
}

#[test]
fn no_more_overlays_than_a_message_holds() {
    let (_guard, dir) = place();
    let mut regions = vec![region(&dir, Rights::READ, Rights::NONE)];
    for number in 0..40 {
        let key = dir.join(format!("{number:02}/key"));
        fs::create_dir(key.parent().unwrap()).unwrap();
        fs::write(&key, "").unwrap();
        regions.push(region(&key, Rights::NONE, Rights::READ));
    }
    let missing = Missing { path: dir.join("39/missing"), allowed: Rights::NONE, rule: "deny read x".into() };
    let policy = Policy { regions, missing: vec![missing], ..Policy::default() };
    let view = build(&policy, &[], &with(&[], &[])).unwrap();
    assert_eq!((overlays(&view).len(), masks(&view).len()), (32, 40));
    assert!(overlays(&view).contains(&(dir.join("39"), vec![Bytes::from("missing")])), "{:?}", overlays(&view));
    assert!(view.notes.iter().any(|note| note.contains("in 8 of 40 directories")), "{:?}", view.notes);
}
