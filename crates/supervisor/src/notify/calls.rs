//! What system calls are about, as far as a policy has a word on it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use buntime_policy::FsPerm::{self, MakeDir, MakeReg, MakeSym, ReadFile, RemoveDir, RemoveFile, WriteFile};
use buntime_policy::{Proto, Query};
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

/// The calls that only look at a file.
pub const LOOKS: &[&str] =
    &["stat", "lstat", "access", "readlink", "newfstatat", "statx", "faccessat", "faccessat2", "readlinkat", "chdir"];

/// What a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    /// A file, which is opened with the flags of this argument.
    Open(Place, usize),
    /// A file, which is made where there is none, and written.
    Create(Place),
    /// A file, with which this is done.
    File(Place, FsPerm),
    /// A file or, by the flags of this argument, a directory, which is removed.
    Remove(Place, usize),
    /// A file, which is looked at.
    Look(Place),
    /// Two files.
    Files([(Place, FsPerm); 2]),
    /// An open directory.
    Listing,
    /// A program.
    Program(Place),
    /// Memory, which may show a file as code.
    Mapping,
    /// Memory that may become code, and show a file.
    Protecting,
    /// A socket address, by the arguments of address and length.
    Address(usize, usize),
    /// Where a message goes, by the arguments of address, length and flags.
    Sending(usize, usize, usize),
    /// Where a message goes, by the arguments of its header and of flags.
    Message(usize, usize),
}

/// The arguments that name a file: of a directory, if there is one, and of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place(Option<usize>, usize);

/// One thing that a call asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// This right to a file.
    File(PathBuf, FsPerm),
    /// To make a file where there is none, and to write it.
    Create(PathBuf),
    /// To see a file.
    Look(PathBuf),
    /// To start a program.
    Program(PathBuf),
    /// To load a library.
    Library(PathBuf),
    /// To connect, or to send there.
    Address(String, Proto),
}

impl Access {
    /// Whether the disk has what it takes, or where to make it. What cannot be seen from here may.
    pub fn may_succeed(&self) -> bool {
        match self {
            Self::Create(path) | Self::File(path, MakeReg | MakeDir | MakeSym) => {
                path.parent().is_some_and(Path::is_dir)
            }
            Self::File(path, _) | Self::Look(path) | Self::Program(path) | Self::Library(path) => {
                path.symlink_metadata().is_ok()
            }
            Self::Address(..) => true,
        }
    }

    /// The question to the policy; none where no rule is about it.
    pub fn query(&self) -> Option<Query> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        match self {
            Self::File(path, perm) => Query::fs(&text(path), *perm),
            Self::Create(path) => Query::write(&text(path)),
            Self::Look(path) => Query::read(&text(path)),
            Self::Program(path) => Query::run(&text(path)),
            Self::Library(path) => Query::ffi(&text(path)),
            Self::Address(address, proto) => {
                let address: std::net::SocketAddr = address.parse().ok()?;
                Query::net(&address.ip().to_string(), Some(address.port()), *proto)
            }
        }
        .ok()
    }
}

/// What a call asks for.
pub struct Target {
    /// As bytes: a file's name may be any.
    pub name: OsString,
    pub accesses: Vec<Access>,
}

/// What the call asks for. What cannot be read of its caller is told as `?`.
pub fn target(name: &str, call: &Notification, caller: &Caller) -> Target {
    let argument = |index: usize| call.arguments[index];
    let path = |Place(directory, path): Place| {
        let named = caller.text(argument(path))?;
        Some(caller.path(directory.map(argument), &named).unwrap_or_else(|| OsString::from_vec(named).into()))
    };
    let accesses = match about(name) {
        Some(About::Open(place, flags)) => path(place).map(|path| opened(path, argument(flags) as i32)),
        Some(About::Create(place)) => path(place).map(|path| vec![Access::Create(path)]),
        Some(About::File(place, perm)) => path(place).map(|path| vec![Access::File(path, perm)]),
        Some(About::Remove(place, flags)) => {
            let perm = if argument(flags) as i32 & libc::AT_REMOVEDIR != 0 { RemoveDir } else { RemoveFile };
            path(place).map(|path| vec![Access::File(path, perm)])
        }
        // Without a name it is the descriptor that is looked at, which takes no right.
        Some(About::Look(Place(Some(directory), at)))
            if caller.text(argument(at)).is_some_and(|name| name.is_empty()) =>
        {
            let name = caller.descriptor(argument(directory)).map_or_else(|| "?".into(), PathBuf::into_os_string);
            return Target { name, accesses: Vec::new() };
        }
        Some(About::Look(place)) => path(place).map(|path| vec![Access::Look(path)]),
        Some(About::Files(both)) => {
            let paths = both.map(|(place, perm)| (path(place).unwrap_or_else(|| "?".into()), perm));
            let name = paths.iter().map(|(path, _)| path.as_os_str()).collect::<Vec<_>>().join(OsStr::new(" -> "));
            return Target { name, accesses: paths.map(|(path, perm)| Access::File(path, perm)).into() };
        }
        Some(About::Listing) => caller.descriptor(argument(0)).map(|path| vec![Access::File(path, FsPerm::ReadDir)]),
        Some(About::Program(place)) => path(place).map(|path| vec![Access::Program(path)]),
        Some(About::Mapping)
            if argument(2) as i32 & libc::PROT_EXEC != 0 && argument(3) as i32 & libc::MAP_ANONYMOUS == 0 =>
        {
            caller.descriptor(argument(4)).map(|path| vec![Access::Library(path)])
        }
        Some(About::Address(address, length)) => {
            caller.address(argument(address), argument(length)).map(|text| vec![Access::Address(text, Proto::Tcp)])
        }
        // What belongs to a connection names nobody.
        Some(About::Sending(address, length, flags)) if argument(address) != 0 => {
            let proto = sent_by(argument(flags));
            caller.address(argument(address), argument(length)).map(|text| vec![Access::Address(text, proto)])
        }
        Some(About::Message(message, flags)) => {
            let Some((address, length)) = caller.destination(argument(message)) else {
                return Target { name: plain_arguments(call), accesses: Vec::new() };
            };
            caller.address(address, length).map(|text| vec![Access::Address(text, sent_by(argument(flags)))])
        }
        Some(About::Protecting) if argument(2) as i32 & libc::PROT_EXEC != 0 => {
            // Of memory that shows no file nothing is to be told.
            let Some(path) = caller.mapped_file(argument(0)) else {
                return Target { name: plain_arguments(call), accesses: Vec::new() };
            };
            Some(vec![Access::Library(path)])
        }
        Some(About::Mapping | About::Protecting | About::Sending(..)) | None => {
            return Target { name: plain_arguments(call), accesses: Vec::new() };
        }
    };
    let accesses = accesses.unwrap_or_default();
    let name = match accesses.first() {
        Some(
            Access::File(path, _)
            | Access::Create(path)
            | Access::Look(path)
            | Access::Program(path)
            | Access::Library(path),
        ) => path.clone().into_os_string(),
        Some(Access::Address(text, _)) => text.into(),
        None => "?".into(),
    };
    Target { name, accesses }
}

fn plain_arguments(call: &Notification) -> OsString {
    let arguments: Vec<String> = call.arguments.iter().map(|argument| format!("{argument:#x}")).collect();
    arguments.join(", ").into()
}

/// A message with an address is a datagram; or the first of a TCP connection, which it opens (tcp(7), TCP Fast Open).
fn sent_by(flags: u64) -> Proto {
    if flags as i32 & libc::MSG_FASTOPEN != 0 { Proto::Tcp } else { Proto::Udp }
}

/// By which names of `sys` rules a policy speaks of what a call tells of the host.
pub fn told_of_system(call: &str) -> &'static [&'static str] {
    match call {
        "uname" => &["hostname", "osRelease"],
        "sysinfo" => &["osUptime", "loadavg", "systemMemoryInfo"],
        "sched_getaffinity" => &["cpus"],
        _ => &[],
    }
}

fn opened(path: PathBuf, flags: i32) -> Vec<Access> {
    let mut accesses = Vec::new();
    // O_TMPFILE makes a file without a name in the directory that is named.
    if flags & libc::O_TMPFILE == libc::O_TMPFILE {
        return vec![Access::Create(path.join("unnamed"))];
    }
    if flags & libc::O_ACCMODE != libc::O_WRONLY {
        let directory = flags & libc::O_DIRECTORY != 0 || path.as_os_str().as_bytes().ends_with(b"/");
        accesses.push(Access::File(path.clone(), if directory { FsPerm::ReadDir } else { FsPerm::ReadFile }));
    }
    if flags & libc::O_CREAT != 0 {
        accesses.push(Access::Create(path));
    } else if flags & libc::O_ACCMODE != libc::O_RDONLY || flags & libc::O_TRUNC != 0 {
        accesses.push(Access::File(path, FsPerm::WriteFile));
    }
    accesses
}

fn about(name: &str) -> Option<About> {
    let first = Place(None, 0);
    let at = Place(Some(0), 1);
    Some(match name {
        "open" => About::Open(first, 1),
        "openat" => About::Open(at, 2),
        "creat" => About::Create(first),
        "stat" | "lstat" | "access" | "readlink" | "statfs" | "getxattr" | "lgetxattr" | "listxattr" | "chdir" => {
            About::Look(first)
        }
        "newfstatat" | "statx" | "faccessat" | "faccessat2" | "readlinkat" => About::Look(at),
        "getdents" | "getdents64" => About::Listing,
        "mmap" => About::Mapping,
        "mprotect" => About::Protecting,
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
        "unlinkat" => About::Remove(at, 2),
        "symlink" => About::File(Place(None, 1), MakeSym),
        "symlinkat" => About::File(Place(Some(1), 2), MakeSym),
        "rename" => About::Files([(first, RemoveFile), (Place(None, 1), MakeReg)]),
        "renameat" | "renameat2" => About::Files([(at, RemoveFile), (Place(Some(2), 3), MakeReg)]),
        "link" => About::Files([(first, ReadFile), (Place(None, 1), MakeReg)]),
        "linkat" => About::Files([(at, ReadFile), (Place(Some(2), 3), MakeReg)]),
        "execve" => About::Program(first),
        "execveat" => About::Program(at),
        "connect" | "bind" => About::Address(1, 2),
        "sendto" => About::Sending(4, 5, 3),
        "sendmsg" => About::Message(1, 2),
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
        (found.name.to_string_lossy().into_owned(), found.accesses.iter().filter_map(Access::query).count())
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
    fn opening_asks_for_what_its_flags_say() {
        let ask = |flags: i32| opened("/x".into(), flags);
        let file = |perm| Access::File("/x".into(), perm);
        let create = Access::Create("/x".into());
        assert_eq!(ask(libc::O_RDONLY), [file(FsPerm::ReadFile)]);
        assert_eq!(ask(libc::O_RDONLY | libc::O_DIRECTORY), [file(FsPerm::ReadDir)]);
        assert_eq!(ask(libc::O_WRONLY), [file(FsPerm::WriteFile)]);
        assert_eq!(ask(libc::O_RDWR | libc::O_CREAT), [file(FsPerm::ReadFile), create.clone()]);
        assert_eq!(ask(libc::O_WRONLY | libc::O_CREAT), [create]);
        assert_eq!(ask(libc::O_RDWR | libc::O_TMPFILE), [Access::Create("/x/unnamed".into())]);
    }

    #[test]
    fn what_no_rule_is_about_shows_its_arguments() {
        assert_eq!(told("getpid", [1, 0xff, 0, 0, 0, 0]), ("0x1, 0xff, 0x0, 0x0, 0x0, 0x0".into(), 0));
    }

    #[test]
    fn what_is_made_and_what_is_removed_go_by_the_call() {
        let path = CString::new("/nowhere/x").unwrap();
        let (address, own) = (path.as_ptr() as u64, Caller::new(std::process::id()));
        let first = |name: &str, arguments: [u64; 6]| target(name, &call(arguments), &own).accesses.remove(0);
        assert_eq!(first("creat", [address, 0, 0, 0, 0, 0]), Access::Create("/nowhere/x".into()));
        let removed = |flags: i32| first("unlinkat", [libc::AT_FDCWD as u64, address, flags as u64, 0, 0, 0]);
        assert_eq!(removed(0), Access::File("/nowhere/x".into(), RemoveFile));
        assert_eq!(removed(libc::AT_REMOVEDIR), Access::File("/nowhere/x".into(), RemoveDir));
        assert!(!Access::Create("/nowhere/x".into()).may_succeed());
        assert!(
            Access::Create("/tmp/x".into()).may_succeed()
                && Access::Address("127.0.0.1:1".into(), Proto::Tcp).may_succeed()
        );
    }

    #[test]
    fn datagrams_are_udp_and_the_first_of_a_connection_tcp() {
        let inet = [2, 0, 0, 53, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0_u8];
        let address = inet.as_ptr() as u64;
        let mut header = address.to_ne_bytes().to_vec();
        header.extend([16, 0, 0, 0, 0, 0, 0, 0]);
        let (header, fast, own) = (header.as_ptr() as u64, libc::MSG_FASTOPEN as u64, Caller::new(std::process::id()));
        let asked = |name: &str, arguments: [u64; 6]| target(name, &call(arguments), &own).accesses.pop();
        let to = |proto| Some(Access::Address("10.0.0.1:53".into(), proto));
        assert_eq!(asked("sendto", [3, 0, 0, 0, address, 16]), to(Proto::Udp));
        assert_eq!(asked("sendto", [3, 0, 0, fast, address, 16]), to(Proto::Tcp));
        assert_eq!(asked("sendmsg", [3, header, 0, 0, 0, 0]), to(Proto::Udp));
        assert_eq!(asked("sendmsg", [3, header, fast, 0, 0, 0]), to(Proto::Tcp));
        assert_eq!(asked("connect", [3, address, 16, 0, 0, 0]), to(Proto::Tcp));
        assert_eq!(asked("sendto", [3, 0, 0, 0, 0, 0]), None, "on a connection");
        assert_eq!(asked("sendmsg", [3, 0, 0, 0, 0, 0]), None);
    }

    #[test]
    fn files_that_become_code() {
        let function: fn() = files_that_become_code;
        let code = function as usize as u64;
        let own = Caller::new(std::process::id());
        let asked = |protection: i32| target("mprotect", &call([code, 1, protection as u64, 0, 0, 0]), &own).accesses;
        let this = std::env::current_exe().unwrap();
        assert_eq!(asked(libc::PROT_READ | libc::PROT_EXEC), [Access::Library(this)]);
        assert_eq!(asked(libc::PROT_READ), []);
    }

    #[test]
    fn every_name_is_a_call() {
        for name in FILE_CALLS.iter().chain(LOOKS).copied().chain(["execve", "execveat", "connect", "mmap"]) {
            assert!(buntime_sandbox::seccomp::number(name).is_ok() && about(name).is_some(), "{name}");
        }
    }
}
