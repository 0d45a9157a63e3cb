//! What system calls are about, as far as a policy has a word on it.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use buntime_policy::{FsPerm, Proto, Query};
use buntime_sandbox::sys::Notification;

use super::caller::Caller;

/// The calls that need a right to a file. Those that only look at one need none.
pub const FILE_CALLS: &[&str] = &[
    "open",
    "openat",
    "creat",
    "getdents",
    "getdents64",
    "truncate",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "rmdir",
    "unlink",
    "unlinkat",
    "symlink",
    "symlinkat",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
];

/// What a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    /// A file, which is opened with the flags of this argument.
    Open(Place, usize),
    /// A file, with which this is done.
    File(Place, FsPerm),
    /// Two files.
    Files([(Place, FsPerm); 2]),
    /// An open file.
    Descriptor(FsPerm),
    /// A program.
    Program(Place),
    /// A socket address, by the arguments of address and length.
    Address(usize, usize),
}

/// The arguments that name a file: of a directory, if there is one, and of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place(Option<usize>, usize);

/// What a call asks for.
pub struct Target {
    /// As bytes: a file's name may be any.
    pub name: OsString,
    /// The questions to the policy. None where no rule is about such calls.
    pub queries: Vec<Query>,
}

/// What the call asks for. What cannot be read of its caller is told as `?`.
pub fn target(name: &str, call: &Notification, caller: &Caller) -> Target {
    let about = about(name);
    let argument = |index: usize| call.arguments[index];
    let path = |Place(directory, path): Place| {
        let named = caller.text(argument(path))?;
        let full = caller.path(directory.map(argument), &named);
        Some(full.map_or_else(|| OsString::from_vec(named), |path| path.into_os_string()))
    };
    let unknown = || OsString::from("?");
    let one = |name: Option<OsString>, query: &dyn Fn(&str) -> Vec<Query>| match name {
        Some(name) => Target { queries: query(&name.to_string_lossy()), name },
        None => Target { name: unknown(), queries: Vec::new() },
    };
    match about {
        Some(About::Open(place, flags)) => one(path(place), &|path| open_queries(path, argument(flags))),
        Some(About::File(place, perm)) => one(path(place), &|path| Query::fs(path, perm).into_iter().collect()),
        Some(About::Files(both)) => {
            let names = both.map(|(place, perm)| (path(place).unwrap_or_else(unknown), perm));
            let queries = names.iter().flat_map(|(name, perm)| Query::fs(&name.to_string_lossy(), *perm)).collect();
            let [(mut name, _), (second, _)] = names;
            name.push(" -> ");
            name.push(second);
            Target { name, queries }
        }
        Some(About::Descriptor(perm)) => {
            one(caller.descriptor(argument(0)).map(Into::into), &|path| Query::fs(path, perm).into_iter().collect())
        }
        Some(About::Program(place)) => one(path(place), &|path| Query::run(path).into_iter().collect()),
        Some(About::Address(address, length)) => {
            let text = caller.address(argument(address), argument(length));
            one(text.map(OsString::from), &|text| net_query(text).into_iter().collect())
        }
        None => {
            let arguments: Vec<String> = call.arguments.iter().map(|argument| format!("{argument:#x}")).collect();
            Target { name: arguments.join(", ").into(), queries: Vec::new() }
        }
    }
}

fn open_queries(path: &str, flags: u64) -> Vec<Query> {
    let flags = flags as i32;
    let mut perms = Vec::new();
    if flags & libc::O_ACCMODE != libc::O_WRONLY {
        let directory = flags & libc::O_DIRECTORY != 0 || Path::new(path).as_os_str().as_bytes().ends_with(b"/");
        perms.push(if directory { FsPerm::ReadDir } else { FsPerm::ReadFile });
    }
    if flags & libc::O_ACCMODE != libc::O_RDONLY || flags & (libc::O_CREAT | libc::O_TRUNC) != 0 {
        perms.push(FsPerm::WriteFile);
    }
    perms.into_iter().flat_map(|perm| Query::fs(path, perm)).collect()
}

fn net_query(text: &str) -> Option<Query> {
    let address: std::net::SocketAddr = text.parse().ok()?;
    Query::net(&address.ip().to_string(), Some(address.port()), Proto::Tcp).ok()
}

fn about(name: &str) -> Option<About> {
    use FsPerm::{MakeDir, MakeReg, MakeSym, ReadDir, ReadFile, RemoveDir, RemoveFile, WriteFile};
    let first = Place(None, 0);
    let at = Place(Some(0), 1);
    Some(match name {
        "open" => About::Open(first, 1),
        "openat" => About::Open(at, 2),
        "creat" => About::File(first, WriteFile),
        "stat" | "lstat" | "access" | "readlink" | "statfs" | "getxattr" | "lgetxattr" | "listxattr" => {
            About::File(first, ReadFile)
        }
        "newfstatat" | "statx" | "faccessat" | "faccessat2" | "readlinkat" => About::File(at, ReadFile),
        "chdir" => About::File(first, ReadDir),
        "getdents" | "getdents64" => About::Descriptor(ReadDir),
        "truncate" | "chmod" | "chown" | "lchown" | "utime" | "utimes" | "setxattr" | "lsetxattr" => {
            About::File(first, WriteFile)
        }
        "fchmodat" | "fchownat" | "utimensat" | "futimesat" => About::File(at, WriteFile),
        "mkdir" => About::File(first, MakeDir),
        "mkdirat" => About::File(at, MakeDir),
        "mknod" => About::File(first, MakeReg),
        "mknodat" => About::File(at, MakeReg),
        "rmdir" => About::File(first, RemoveDir),
        "unlink" => About::File(first, RemoveFile),
        "unlinkat" => About::File(at, RemoveFile),
        "symlink" => About::File(Place(None, 1), MakeSym),
        "symlinkat" => About::File(Place(Some(1), 2), MakeSym),
        "rename" => About::Files([(first, RemoveFile), (Place(None, 1), MakeReg)]),
        "renameat" | "renameat2" => About::Files([(at, RemoveFile), (Place(Some(2), 3), MakeReg)]),
        "link" => About::Files([(first, ReadFile), (Place(None, 1), MakeReg)]),
        "linkat" => About::Files([(at, ReadFile), (Place(Some(2), 3), MakeReg)]),
        "execve" => About::Program(first),
        "execveat" => About::Program(at),
        "connect" | "bind" => About::Address(1, 2),
        "sendto" => About::Address(4, 5),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;

    fn call(arguments: [u64; 6]) -> Notification {
        Notification { pid: std::process::id(), arguments, ..Notification::default() }
    }

    fn told(name: &str, arguments: [u64; 6]) -> (String, usize) {
        let found = target(name, &call(arguments), &Caller::new(std::process::id()));
        (found.name.to_string_lossy().into_owned(), found.queries.len())
    }

    #[test]
    fn files_by_their_whole_names() {
        let (absolute, relative) = (CString::new("/etc/passwd").unwrap(), CString::new("x").unwrap());
        let (absolute, relative) = (absolute.as_ptr() as u64, relative.as_ptr() as u64);
        let here = std::env::current_dir().unwrap().join("x").to_string_lossy().into_owned();
        let cwd = libc::AT_FDCWD as u64;
        assert_eq!(told("openat", [cwd, absolute, 0, 0, 0, 0]), ("/etc/passwd".into(), 1));
        assert_eq!(told("openat", [cwd, relative, libc::O_RDWR as u64, 0, 0, 0]), (here.clone(), 2));
        assert_eq!(told("unlink", [relative, 0, 0, 0, 0, 0]), (here.clone(), 1));
        assert_eq!(told("rename", [absolute, relative, 0, 0, 0, 0]), (format!("/etc/passwd -> {here}"), 2));
        assert_eq!(told("openat", [cwd, 0, 0, 0, 0, 0]), ("?".into(), 0));
    }

    #[test]
    fn what_no_rule_is_about_shows_its_arguments() {
        assert_eq!(told("getpid", [1, 0xff, 0, 0, 0, 0]), ("0x1, 0xff, 0x0, 0x0, 0x0, 0x0".into(), 0));
    }

    #[test]
    fn every_name_is_a_call() {
        for name in FILE_CALLS.iter().copied().chain(["newfstatat", "execve", "execveat", "connect"]) {
            assert!(buntime_sandbox::seccomp::number(name).is_ok() && about(name).is_some(), "{name}");
        }
    }
}
