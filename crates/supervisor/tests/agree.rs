//! What `explain` says of a policy and what the kernel does are the same: random policies, each tried on everything
//! that its rules could be about, past every hook of the harness. Needs the helper, as `run.rs` does.
//!
//! `AGREE_CASES` is the number of policies in each of four sequences (260), `AGREE_SEED` makes others of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buntime_policy::{PermissionKind, Permissions, READ_PERMS, WRITE_PERMS};
use buntime_supervisor::{Error, Event, EventSink, Flow, Options, Run, Supervisor, explain};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

/// What is read and changed: in every file of the tree, and nowhere else.
const CONTENT: &str = "of the host";
/// In every directory, and in no rule: who sees it has listed the directory.
const MARKER: &str = "marker";

const DIRS: [&str; 6] = ["a", "a/b", "a/b/c", "d", "d/e", "odd \u{e4}"];
const FILES: [&str; 8] =
    ["a/one", "a/x.key", "a/b/two", "a/b/y.key", "a/b/c/three", "d/four", "d/e/x.key", "odd \u{e4}/five"];
const PROGRAMS: [&str; 3] = ["bin/first", "bin/second", "bin/deep/third"];
const LIBRARIES: [&str; 2] = ["lib/first.so", "lib/deep/second.so"];
const VARIABLES: [&str; 3] = ["AGREE_ONE", "AGREE_ONE_MORE", "AGREE_OTHER"];

/// What rules name, by kind, below the tree where they are paths.
const FS_PATTERNS: [&str; 17] = [
    "",
    "a",
    "a/b",
    "a/b/c",
    "d",
    "d/e",
    "odd \u{e4}",
    "a/one",
    "a/b/two",
    "a/b/c/three",
    "d/four",
    "d/e/x.key",
    "a/*.key",
    "**/*.key",
    "a/b/*",
    "d/e/**",
    "link",
];
const RUN_PATTERNS: [&str; 6] = ["bin", "bin/first", "bin/second", "bin/deep", "bin/deep/third", "bin/*"];
const FFI_PATTERNS: [&str; 5] = ["lib", "lib/first.so", "lib/deep", "lib/deep/second.so", "lib/*.so"];
const ENV_PATTERNS: [&str; 5] = ["AGREE_ONE", "AGREE_ONE*", "AGREE_*", "AGREE_OTHER", "AGREE_ONE_MORE"];

/// Tries each line of `kind path` and prints a `y` or an `n` for each: by plain calls of the C library, past the
/// harness.
const ATTEMPTS: &str = r#"
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def opened(path, flags):
    return libc.open(os.fsencode(path), flags | os.O_CLOEXEC)
def read(path):
    fd = opened(path, os.O_RDONLY)
    return fd >= 0 and os.read(fd, 11) == b"of the host"
def list(path):
    fd = opened(path, os.O_RDONLY | os.O_DIRECTORY)
    return fd >= 0 and "marker" in os.listdir(fd)
def write(path):
    fd = opened(path, os.O_WRONLY | os.O_APPEND)
    return fd >= 0 and os.write(fd, b".") == 1
def run(path):
    arguments = (ctypes.c_char_p * 2)(os.fsencode(path), None)
    child = libc.fork()
    if child == 0:
        libc.execve(arguments[0], arguments, (ctypes.c_char_p * 1)(None))
        os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
def ffi(path):
    libc.dlopen.restype = ctypes.c_void_p
    return libc.dlopen(os.fsencode(path), os.RTLD_NOW) is not None
def env(name):
    return name in os.environ
print("".join("y" if globals()[kind](target) else "n" for kind, target in questions), flush=True)
"#;

/// One rule: does it allow, of which kind, the pattern's number.
type Drawn = (bool, u8, usize);

/// The rules of one policy, by source.
#[derive(Clone, Debug)]
struct Sources {
    file: Vec<Drawn>,
    variables: Vec<Drawn>,
    flags: Vec<Drawn>,
}

fn sources() -> impl Strategy<Value = Sources> {
    // Files are what most can be said about.
    let kind = prop_oneof![4 => Just(0u8), 3 => Just(1), 2 => Just(2), 1 => Just(3), 1 => Just(4)];
    let rules = |most| prop::collection::vec((prop::bool::weighted(0.6), kind.clone(), any::<usize>()), 0..=most);
    (rules(6), rules(2), rules(3)).prop_map(|(file, variables, flags)| Sources { file, variables, flags })
}

const KINDS: [PermissionKind; 5] =
    [PermissionKind::Read, PermissionKind::Write, PermissionKind::Run, PermissionKind::Ffi, PermissionKind::Env];

/// The kind and the text of a rule's target.
fn target(tree: &Path, &(_, kind, number): &Drawn) -> (PermissionKind, String) {
    let kind = KINDS[usize::from(kind)];
    let patterns: &[&str] = match kind {
        PermissionKind::Run => &RUN_PATTERNS,
        PermissionKind::Ffi => &FFI_PATTERNS,
        PermissionKind::Env => &ENV_PATTERNS,
        _ => &FS_PATTERNS,
    };
    let pattern = patterns[number % patterns.len()];
    let text = match kind {
        PermissionKind::Env => pattern.to_owned(),
        _ => format!("{}/{pattern}", tree.display()).trim_end_matches('/').to_owned(),
    };
    (kind, text)
}

impl Sources {
    fn permissions(tree: &Path, rules: &[Drawn]) -> Permissions {
        let mut permissions = Permissions::default();
        for rule in rules {
            let (kind, target) = target(tree, rule);
            let grants = permissions.grants_mut(kind);
            if rule.0 { &mut grants.allow } else { &mut grants.deny }.add(Some(&target));
        }
        permissions
    }

    /// The file in the form of rule lists.
    fn file(&self, tree: &Path) -> String {
        let mut lists: BTreeMap<&str, Vec<serde_json::Value>> = BTreeMap::new();
        for rule in &self.file {
            let (kind, target) = target(tree, rule);
            let action = if rule.0 { "allow" } else { "deny" };
            let (list, json) = match kind {
                PermissionKind::Read => ("fs", serde_json::json!({ "path": target, "perms": READ_PERMS })),
                PermissionKind::Write => ("fs", serde_json::json!({ "path": target, "perms": WRITE_PERMS })),
                PermissionKind::Run => ("exec", serde_json::json!({ "path": target })),
                PermissionKind::Ffi => ("ffi", serde_json::json!({ "path": target })),
                _ => ("env", serde_json::json!({ "name": target })),
            };
            let mut json = json;
            json["action"] = action.into();
            lists.entry(list).or_default().push(json);
        }
        let mut policy = serde_json::json!({ "version": 1 });
        for (list, rules) in lists {
            policy[list] = serde_json::json!({ "rules": rules });
        }
        policy.to_string()
    }

    /// As a reader would write it.
    fn describe(&self, tree: &Path) -> String {
        let mut text = String::new();
        for (source, rules) in [("file", &self.file), ("variable", &self.variables), ("flag", &self.flags)] {
            for rule in rules {
                let (kind, target) = target(tree, rule);
                let _ = writeln!(text, "  {source}: {} {kind} {target}", if rule.0 { "allow" } else { "deny" });
            }
        }
        text
    }
}

/// Makes the tree, open to every user.
fn plant(tree: &Path) {
    let open = |path: &Path, mode| fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("its mode");
    for dir in DIRS.iter().copied().chain(["", "bin", "bin/deep", "lib", "lib/deep"]) {
        fs::create_dir_all(tree.join(dir)).expect("a directory");
        open(&tree.join(dir), 0o777);
        fs::write(tree.join(dir).join(MARKER), "").expect("a marker");
    }
    for file in FILES {
        fs::write(tree.join(file), CONTENT).expect("a file");
        open(&tree.join(file), 0o666);
    }
    for program in PROGRAMS {
        fs::copy("/bin/true", tree.join(program)).expect("a program");
    }
    let library = ["libutil.so.1", "libBrokenLocale.so.1", "libm.so.6"].into_iter().flat_map(|name| {
        ["/lib/x86_64-linux-gnu", "/lib64", "/usr/lib", "/lib/aarch64-linux-gnu"].map(|dir| Path::new(dir).join(name))
    });
    let library: PathBuf = library.into_iter().find(|path| path.exists()).expect("a library");
    for name in LIBRARIES {
        fs::copy(&library, tree.join(name)).expect("a library");
    }
    symlink("a/b", tree.join("link")).expect("a link");
}

/// Everything that is asked and tried: a word of [`ATTEMPTS`], the kind of permission, the target.
fn questions(tree: &Path) -> Vec<(&'static str, PermissionKind, String)> {
    let at = |name: &str| tree.join(name).to_str().expect("the name of a temporary directory").to_owned();
    let mut questions = Vec::new();
    for dir in DIRS {
        questions.push(("list", PermissionKind::Read, at(dir)));
    }
    for file in FILES {
        questions.push(("read", PermissionKind::Read, at(file)));
        questions.push(("write", PermissionKind::Write, at(file)));
    }
    questions.extend(PROGRAMS.map(|name| ("run", PermissionKind::Run, at(name))));
    questions.extend(LIBRARIES.map(|name| ("ffi", PermissionKind::Ffi, at(name))));
    questions.extend(VARIABLES.map(|name| ("env", PermissionKind::Env, name.to_owned())));
    questions
}

#[derive(Default)]
struct Seen(Mutex<Vec<Event>>);

impl EventSink for Seen {
    fn emit(&self, batch: Vec<Event>) -> Flow {
        self.0.lock().expect("no test panics while it holds this").extend(batch);
        Flow::Continue
    }
}

/// What the code prints in a sandbox with these options.
async fn run(options: Options, code: String) -> Result<String, Error> {
    let seen = Arc::new(Seen::default());
    let supervisor = Supervisor::new(options, seen.clone())?;
    supervisor.start(None).await?;
    assert!(supervisor.run(Run::Code(code)).expect("run"), "it has just started");
    supervisor.stop(Some(Duration::from_secs(20))).await;
    let events = seen.0.lock().expect("no test panics while it holds this");
    let text = events.iter().filter_map(|event| match event {
        Event::Output(output) => Some(output.text().into_owned()),
        _ => None,
    });
    Ok(text.collect())
}

/// A process of its own, for the variables that the host has.
fn isolated(test: &str, inner: impl FnOnce()) {
    const MARK: &str = "BUNTIME_TEST_ISOLATED";
    if std::env::var_os(MARK).is_some() {
        return inner();
    }
    assert!(std::env::var_os("BUNTIME_INIT_PATH").is_some(), "BUNTIME_INIT_PATH must name a built buntime-init");
    let this = std::env::current_exe().expect("this program");
    let mut command = Command::new(this);
    command.args([test, "--exact", "--nocapture"]).env(MARK, "1").envs(VARIABLES.map(|name| (name, "value")));
    let output = command.output().expect("itself");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
    print!("{text}");
}

fn number(variable: &str, otherwise: u32) -> u32 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

// Four sequences, for as many processors.

#[test]
fn what_is_explained_is_what_the_kernel_does_1() {
    agree("what_is_explained_is_what_the_kernel_does_1", 1);
}

#[test]
fn what_is_explained_is_what_the_kernel_does_2() {
    agree("what_is_explained_is_what_the_kernel_does_2", 2);
}

#[test]
fn what_is_explained_is_what_the_kernel_does_3() {
    agree("what_is_explained_is_what_the_kernel_does_3", 3);
}

#[test]
fn what_is_explained_is_what_the_kernel_does_4() {
    agree("what_is_explained_is_what_the_kernel_does_4", 4);
}

fn agree(test: &str, sequence: u8) {
    isolated(test, || {
        let place = tempfile::tempdir().expect("a temporary directory");
        fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755)).expect("its mode");
        let tree = place.path().canonicalize().expect("its name").join("tree");
        plant(&tree);
        let policy = place.path().join("policy.json");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let questions = questions(&tree);
        let asked: Vec<_> = questions.iter().map(|(word, _, target)| (word, target)).collect();
        let code = format!("questions = {}\n{ATTEMPTS}", serde_json::to_string(&asked).expect("text"));

        let config = Config { cases: number("AGREE_CASES", 260), failure_persistence: None, ..Config::default() };
        let mut seed = [0; 32];
        seed[..4].copy_from_slice(&number("AGREE_SEED", 0).to_le_bytes());
        seed[4] = sequence;
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
        let tally = Mutex::new((BTreeMap::<String, u32>::new(), 0, 0));
        let result = runner.run(&sources(), |sources| {
            fs::write(&policy, sources.file(&tree)).expect("the policy");
            let options = Options {
                policy_path: Some(policy.display().to_string()),
                permissions: Sources::permissions(&tree, &sources.flags),
                variables: Sources::permissions(&tree, &sources.variables),
                cwd: Some("/".into()),
                ..Options::default()
            };
            let said: Result<String, Error> = questions
                .iter()
                .map(|(_, kind, target)| {
                    explain(&options, *kind, target).map(|said| if said.decision.allowed { 'y' } else { 'n' })
                })
                .collect();
            match runtime.block_on(run(options, code.clone())) {
                Ok(done) => {
                    let said =
                        said.map_err(|error| TestCaseError::fail(format!("it starts, and explain says {error}")))?;
                    let mut tally = tally.lock().expect("one thread");
                    tally.1 += 1;
                    tally.2 += said.matches('y').count();
                    let done = done.trim();
                    let mut differences = String::new();
                    for (((word, _, target), said), done) in questions.iter().zip(said.chars()).zip(done.chars()) {
                        if said != done {
                            let _ = writeln!(differences, "  {word} {target}: explained {said}, done {done}");
                        }
                    }
                    if done.len() == said.len() && differences.is_empty() {
                        Ok(())
                    } else {
                        let policy = sources.describe(&tree);
                        Err(TestCaseError::fail(format!("under\n{policy}{differences}output: {done}")))
                    }
                }
                Err(error) => {
                    let place = tree.display().to_string();
                    *tally.lock().expect("one thread").0.entry(error.to_string().replace(&place, "")).or_default() += 1;
                    Ok(())
                }
            }
        });
        let (refused, judged, allowed) = tally.into_inner().expect("one thread");
        let refusals: u32 = refused.values().sum();
        let mut refused: Vec<_> = refused.into_iter().collect();
        refused.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
        for (error, times) in refused.iter().take(10) {
            println!("refused {times} times: {error}");
        }
        println!("{judged} policies, {} questions each, {allowed} allowed; {refusals} refused", questions.len());
        if let Err(error) = result {
            panic!("{error}");
        }
        // A policy that cannot be enforced is refused, which is right, and shows nothing here.
        assert!(judged > 2 * refusals, "too few policies were judged");
    });
}
