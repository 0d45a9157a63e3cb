//! One wrapper per system call. Each error carries the call, its arguments and errno: `chdir("/x") => ENOENT`.
//!
//! Numbers and structures that `libc` lacks are given here, from the kernel's headers, with the version that brought
//! them.

use std::ffi::{CStr, CString};
use std::fmt;
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::{null, null_mut};

use libc::{c_int, c_long, c_uint};

pub mod network;

use crate::mutation::{Layer, off};
pub use crate::seccomp::Instruction;

/// A system call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SysError {
    /// Its name.
    pub call: &'static str,
    /// What it was called with, as text.
    pub arguments: String,
    /// What the kernel answered.
    pub errno: i32,
}

impl SysError {
    /// From `errno` as it stands.
    fn last(call: &'static str, arguments: impl fmt::Display) -> Self {
        let errno = io::Error::last_os_error().raw_os_error().unwrap_or(0);
        Self { call, arguments: arguments.to_string(), errno }
    }
}

impl fmt::Display for SysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({}) => {}", self.call, self.arguments, errno_name(self.errno))
    }
}

impl std::error::Error for SysError {}

/// What a wrapper returns.
pub type Result<T> = std::result::Result<T, SysError>;

/// `EPERM` for 1, and so on; the number where it has no name here.
pub fn errno_name(errno: i32) -> String {
    macro_rules! names {
        ($($name:ident)*) => {
            match errno {
                $(libc::$name => stringify!($name).to_owned(),)*
                other => format!("errno {other}"),
            }
        };
    }
    names!(EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT EBUSY EEXIST
        EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC EROFS EMLINK EPIPE ERANGE
        ENAMETOOLONG ENOSYS ELOOP EPROTONOSUPPORT EAFNOSUPPORT EOPNOTSUPP EUSERS ESTALE EOVERFLOW ENOTEMPTY
        EADDRNOTAVAIL EADDRINUSE ENETUNREACH ENOBUFS EMSGSIZE ENOPROTOOPT)
}

fn check(result: c_long, call: &'static str, arguments: impl fmt::Display) -> Result<c_long> {
    if result < 0 { Err(SysError::last(call, arguments)) } else { Ok(result) }
}

fn owned(fd: c_long) -> OwnedFd {
    // SAFETY: only called with descriptors that the kernel just made for this process and that nobody else holds.
    unsafe { OwnedFd::from_raw_fd(fd as RawFd) }
}

fn c_path(path: &[u8], call: &'static str) -> Result<CString> {
    CString::new(path).map_err(|_| SysError {
        call,
        arguments: format!("{:?}", String::from_utf8_lossy(path)),
        errno: libc::EINVAL,
    })
}

fn show(path: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(path))
}

// ---- sockets --------------------------------------------------------------------------------------------------------

/// A connected pair that keeps packets whole, both ends close-on-exec.
pub fn seqpacket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    socket_pair(libc::SOCK_SEQPACKET)
}

/// A connected `AF_UNIX` pair of the given type, both ends close-on-exec.
pub fn socket_pair(kind: c_int) -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: the kernel writes two descriptors into the array.
    if unsafe { libc::socketpair(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0, fds.as_mut_ptr()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((owned(fds[0].into()), owned(fds[1].into())))
}

/// Most descriptors that one message carries here.
const MAX_FDS: usize = 32;
/// Room for the control message of that many (CMSG_SPACE is not const everywhere).
const CONTROL: usize = 16 + MAX_FDS * size_of::<RawFd>() + 16;

#[repr(C, align(8))]
struct Control([u8; CONTROL]);

/// Sends one packet with descriptors beside it (unix(7), SCM_RIGHTS).
/// `flags`: `MSG_DONTWAIT` where the receiver is not trusted to read.
pub fn send_packet(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>], flags: c_int) -> io::Result<()> {
    assert!(fds.len() <= MAX_FDS, "{} descriptors in one message", fds.len());
    let mut control = Control([0; CONTROL]);
    let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let payload = size_of::<RawFd>() * raw.len();
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: `msghdr` is plain data, and zero is a valid value of each field.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    if !raw.is_empty() {
        message.msg_control = control.0.as_mut_ptr().cast();
        // SAFETY: the buffer is aligned and large enough for MAX_FDS descriptors (asserted above); CMSG_FIRSTHDR points
        // into it.
        unsafe {
            message.msg_controllen = libc::CMSG_SPACE(payload as c_uint) as _;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(payload as c_uint) as _;
            std::ptr::copy_nonoverlapping(raw.as_ptr().cast::<u8>(), libc::CMSG_DATA(header), payload);
        }
    }
    // SAFETY: all pointers in `message` are valid for the call.
    match unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, flags | libc::MSG_NOSIGNAL) } {
        sent if sent < 0 => Err(io::Error::last_os_error()),
        sent if sent as usize != bytes.len() => Err(io::Error::new(io::ErrorKind::WriteZero, "half a packet was sent")),
        _ => Ok(()),
    }
}

/// What one packet held.
pub struct Received {
    /// Bytes; 0 is the end.
    pub length: usize,
    /// Close-on-exec.
    pub fds: Vec<OwnedFd>,
}

/// Receives one packet; one that was cut is an error.
pub fn receive_packet(socket: BorrowedFd<'_>, buffer: &mut [u8], flags: c_int) -> io::Result<Received> {
    let mut control = Control([0; CONTROL]);
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: as in `send_packet`.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = CONTROL as _;
    let length = loop {
        // SAFETY: all pointers in `message` are valid for the call.
        let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags | libc::MSG_CMSG_CLOEXEC) };
        if length >= 0 {
            break length as usize;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    };
    let mut fds = Vec::new();
    // SAFETY: the kernel filled the control buffer with well-formed messages; CMSG_NXTHDR stays inside it. Every
    // descriptor in an SCM_RIGHTS message is new and ours.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                let bytes = (*header).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                let data: *const RawFd = libc::CMSG_DATA(header).cast();
                for index in 0..bytes / size_of::<RawFd>() {
                    fds.push(owned(data.add(index).read_unaligned().into()));
                }
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
    }
    if message.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a packet longer than expected"));
    }
    Ok(Received { length, fds })
}

// ---- processes ------------------------------------------------------------------------------------------------------

/// The child's side, or the parent's with the child's pid.
pub enum Fork {
    /// This is the child.
    Child,
    /// This is the parent.
    Parent(libc::pid_t),
}

/// clone(2) with no stack of its own, as fork(2) with `flags` (`CLONE_NEW…`). Only for the helper, which has one
/// thread.
pub fn clone_process(flags: c_int) -> Result<Fork> {
    // The raw call, not clone3: old container profiles answer clone3 with EPERM or ENOSYS.
    // SAFETY: without CLONE_VM the child has a copy of everything, as after fork; this process has one thread, so that
    // no lock is held by somebody who does not exist in the child.
    let pid = unsafe { libc::syscall(libc::SYS_clone, (flags | libc::SIGCHLD) as c_long, 0, 0, 0, 0) };
    Ok(match check(pid, "clone", format_args!("{flags:#x}"))? {
        0 => Fork::Child,
        pid => Fork::Parent(pid as libc::pid_t),
    })
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// With this code.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
}

/// Waits for `pid` (-1: any child). `None` with `block: false` when nobody ended, or when there is no child.
pub fn wait(pid: libc::pid_t, block: bool) -> Result<Option<(libc::pid_t, Status)>> {
    let mut status = 0;
    let flags = libc::__WALL | if block { 0 } else { libc::WNOHANG };
    loop {
        // SAFETY: the kernel writes the status into the integer.
        let done = unsafe { libc::waitpid(pid, &raw mut status, flags) };
        if done > 0 {
            return Ok(Some((done, how_it_ended(status))));
        }
        if done == 0 {
            return Ok(None);
        }
        let error = SysError::last("waitpid", pid);
        match error.errno {
            libc::EINTR => {}
            libc::ECHILD => return Ok(None),
            _ => return Err(error),
        }
    }
}

/// Where a traced process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It has ended.
    Ended(Status),
    /// In front of a system call about which a filter asks its tracer.
    AtFilter,
    /// In front of a signal.
    Signal(c_int),
}

/// This process's parent is its tracer from now on (ptrace(2)).
pub fn trace_me() -> Result<()> {
    ptrace("PTRACE_TRACEME", libc::PTRACE_TRACEME as c_long, 0, 0)
}

/// The stopped child also stops where a filter asks its tracer.
pub fn trace_filters(pid: libc::pid_t) -> Result<()> {
    ptrace("PTRACE_SETOPTIONS", libc::PTRACE_SETOPTIONS as c_long, pid, libc::PTRACE_O_TRACESECCOMP as c_long)
}

/// The stopped child goes on, with this signal unless it is 0.
pub fn trace_continue(pid: libc::pid_t, signal: c_int) -> Result<()> {
    ptrace("PTRACE_CONT", libc::PTRACE_CONT as c_long, pid, signal.into())
}

/// The stopped child goes on without a tracer.
pub fn trace_end(pid: libc::pid_t) -> Result<()> {
    ptrace("PTRACE_DETACH", libc::PTRACE_DETACH as c_long, pid, 0)
}

fn ptrace(name: &'static str, request: c_long, pid: libc::pid_t, data: c_long) -> Result<()> {
    // SAFETY: only requests whose arguments are numbers come here.
    let done = unsafe { libc::syscall(libc::SYS_ptrace, request, c_long::from(pid), 0, data) };
    check(done, "ptrace", format_args!("{name}, {pid}, {data:#x}")).map(drop)
}

fn how_it_ended(status: c_int) -> Status {
    if libc::WIFSIGNALED(status) {
        Status::Signalled(libc::WTERMSIG(status))
    } else {
        Status::Exited(libc::WEXITSTATUS(status))
    }
}

/// Waits until a traced child stops or ends.
pub fn wait_traced(pid: libc::pid_t) -> Result<Stop> {
    let mut status = 0;
    loop {
        // SAFETY: the kernel writes the status into the integer.
        if unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) } >= 0 {
            return Ok(match libc::WIFSTOPPED(status) {
                false => Stop::Ended(how_it_ended(status)),
                true if status >> 16 == libc::PTRACE_EVENT_SECCOMP => Stop::AtFilter,
                true => Stop::Signal(libc::WSTOPSIG(status)),
            });
        }
        let error = SysError::last("waitpid", format_args!("{pid}, traced"));
        if error.errno != libc::EINTR {
            return Err(error);
        }
    }
}

/// This process's pid, as its own namespace numbers it.
pub fn own_pid() -> libc::pid_t {
    // SAFETY: a call that cannot fail and touches no memory.
    unsafe { libc::getpid() }
}

/// Sends a signal (kill(2)).
pub fn kill(pid: libc::pid_t, signal: c_int) -> Result<()> {
    // SAFETY: a call without pointers.
    check(unsafe { libc::kill(pid, signal) }.into(), "kill", format_args!("{pid}, {signal}")).map(drop)
}

/// A descriptor that means this process and never a later one with its number (pidfd_open(2), Linux 5.3).
pub fn open_process(pid: libc::pid_t) -> Result<OwnedFd> {
    // SAFETY: a call without pointers.
    check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) }, "pidfd_open", pid).map(owned)
}

/// A descriptor of the process behind one of [`open_process`], shared with it (pidfd_getfd(2), Linux 5.6). Takes the right
/// to trace it. Close-on-exec.
pub fn copy_descriptor(process: BorrowedFd<'_>, fd: RawFd) -> Result<OwnedFd> {
    // SAFETY: a call without pointers.
    let copy = unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), fd, 0) };
    check(copy, "pidfd_getfd", fd).map(owned)
}

/// Sends a signal to the process behind a descriptor of [`open_process`]; it is pending when the call returns
/// (pidfd_send_signal(2), Linux 5.1).
pub fn signal_process(process: BorrowedFd<'_>, signal: c_int) -> Result<()> {
    // SAFETY: a call without memory of ours: no siginfo is given.
    let sent = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), signal, null::<libc::siginfo_t>(), 0)
    };
    check(sent, "pidfd_send_signal", format_args!("{signal}")).map(drop)
}

/// The effective user and group id.
pub fn effective_ids() -> (u32, u32) {
    // SAFETY: calls that cannot fail and touch no memory.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// Ends this process at once, without any handler.
pub fn exit_now(code: c_int) -> ! {
    // SAFETY: does not return.
    unsafe { libc::_exit(code) }
}

/// The parent's death kills this process (prctl(2)). Cleared by each credential change. It follows the parent's
/// *thread*.
pub fn die_with_parent() -> Result<()> {
    if off(Layer::ParentDeath) {
        return Ok(());
    }
    prctl("PR_SET_PDEATHSIG", libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64, 0)
}

/// Whether others of this user may read and write this process's memory, and open its `/proc` files; nobody without
/// privilege over it may otherwise.
pub fn set_dumpable(dumpable: bool) -> Result<()> {
    prctl("PR_SET_DUMPABLE", libc::PR_SET_DUMPABLE, dumpable.into(), 0)
}

/// No `execve` gives privilege any more, and filters may be loaded without any (prctl(2)).
pub fn set_no_new_privileges() -> Result<()> {
    prctl("PR_SET_NO_NEW_PRIVS", libc::PR_SET_NO_NEW_PRIVS, 1, 0)
}

fn prctl(name: &'static str, option: c_int, second: u64, third: u64) -> Result<()> {
    // SAFETY: only options whose arguments are numbers come here.
    check(unsafe { libc::prctl(option, second, third, 0, 0) }.into(), "prctl", format_args!("{name}, {second}"))
        .map(drop)
}

/// Becomes these ids, real, effective and saved: this thread alone. (libc's own functions interrupt every other thread
/// for it, and the one that makes the network is at work.)
pub fn set_ids(uid: u32, gid: u32) -> Result<()> {
    // SAFETY: calls without pointers.
    unsafe {
        check(libc::syscall(libc::SYS_setresgid, gid, gid, gid), "setresgid", gid)?;
        check(libc::syscall(libc::SYS_setresuid, uid, uid, uid), "setresuid", uid)?;
    }
    Ok(())
}

/// No capability in any set, the bounding set included (capabilities(7)).
pub fn drop_capabilities() -> Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: c_int,
    }
    /// _LINUX_CAPABILITY_VERSION_3, <linux/capability.h>.
    const VERSION_3: u32 = 0x2008_0522;
    for capability in 0..64 {
        // SAFETY: a call without pointers; EINVAL ends the list of the capabilities that this kernel knows.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } < 0 {
            let error = SysError::last("prctl", format_args!("PR_CAPBSET_DROP, {capability}"));
            if error.errno == libc::EINVAL {
                break;
            }
            return Err(error);
        }
    }
    prctl("PR_CAP_AMBIENT", libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as u64, 0)?;
    let header = Header { version: VERSION_3, pid: 0 };
    let none = [0_u32; 6];
    // SAFETY: version 3 takes a header and two triples of u32, which both outlive the call.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) }, "capset", "none").map(drop)
}

/// Every capability of this user namespace, across `execve` too (capabilities(7), ambient set): what a mutant has.
#[cfg(feature = "mutations")]
pub fn keep_capabilities() -> Result<()> {
    let mut header = [0x2008_0522_u32, 0]; // _LINUX_CAPABILITY_VERSION_3, this process
    let mut sets = [0_u32; 6]; // effective, permitted, inheritable; twice
    // SAFETY: version 3 takes a header and two triples of u32, which both outlive the calls.
    unsafe {
        check(libc::syscall(libc::SYS_capget, header.as_mut_ptr(), sets.as_mut_ptr()), "capget", "")?;
        (sets[2], sets[5]) = (sets[1], sets[4]);
        check(libc::syscall(libc::SYS_capset, header.as_mut_ptr(), sets.as_ptr()), "capset", "inheritable")?;
    }
    let permitted = u64::from(sets[1]) | u64::from(sets[4]) << 32;
    for capability in (0..64).filter(|capability| permitted >> capability & 1 == 1) {
        prctl("PR_CAP_AMBIENT", libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as u64, capability)?;
    }
    Ok(())
}

/// A session of its own, without a controlling terminal (setsid(2)).
pub fn new_session() -> Result<()> {
    // SAFETY: a call without pointers.
    check(unsafe { libc::setsid() }.into(), "setsid", "").map(drop)
}

/// Sets the host name, and no domain name (sethostname(2)).
pub fn set_hostname(name: &str) -> Result<()> {
    // SAFETY: pointer and length are of the same string.
    unsafe {
        check(libc::sethostname(name.as_ptr().cast(), name.len()).into(), "sethostname", name)?;
        check(libc::setdomainname(c"(none)".as_ptr(), 6).into(), "setdomainname", "(none)")?;
    }
    Ok(())
}

/// Sets a resource limit, soft and hard (setrlimit(2)).
pub fn set_limit(name: &'static str, resource: libc::__rlimit_resource_t, value: u64) -> Result<()> {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: the structure outlives the call.
    check(unsafe { libc::setrlimit(resource, &raw const limit) }.into(), "setrlimit", format_args!("{name}, {value}"))
        .map(drop)
}

/// Blocks every signal and returns a descriptor that becomes readable at `SIGCHLD`.
pub fn child_signal_fd() -> Result<OwnedFd> {
    // SAFETY: the sets are plain data that the calls fill and read.
    unsafe {
        let mut all: libc::sigset_t = zeroed();
        libc::sigfillset(&raw mut all);
        check(libc::sigprocmask(libc::SIG_SETMASK, &raw const all, null_mut()).into(), "sigprocmask", "all")?;
        let mut child: libc::sigset_t = zeroed();
        libc::sigemptyset(&raw mut child);
        libc::sigaddset(&raw mut child, libc::SIGCHLD);
        let fd = libc::signalfd(-1, &raw const child, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        Ok(owned(check(fd.into(), "signalfd", "SIGCHLD")?))
    }
}

/// Writing to what nobody reads any more is an error, and no signal.
pub fn ignore_broken_pipes() -> Result<()> {
    // SAFETY: SIG_IGN is a valid action.
    let before = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    check(if before == libc::SIG_ERR { -1 } else { 0 }, "signal", "SIGPIPE, SIG_IGN").map(drop)
}

/// Unblocks every signal and gives each its default action: what a program expects to start with.
pub fn reset_signals() -> Result<()> {
    // SAFETY: SIG_DFL is a valid action; KILL and STOP answer EINVAL, which changes nothing.
    unsafe {
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none: libc::sigset_t = zeroed();
        libc::sigemptyset(&raw mut none);
        check(libc::sigprocmask(libc::SIG_SETMASK, &raw const none, null_mut()).into(), "sigprocmask", "none").map(drop)
    }
}

/// Waits until one of the descriptors is readable or at its end; says of each whether it is.
pub fn poll_readable<const N: usize>(fds: [BorrowedFd<'_>; N]) -> Result<[bool; N]> {
    let mut polled = fds.map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 });
    loop {
        // SAFETY: an array of N structures that outlives the call.
        if unsafe { libc::poll(polled.as_mut_ptr(), N as libc::nfds_t, -1) } >= 0 {
            return Ok(polled.map(|one| one.revents != 0));
        }
        let error = SysError::last("poll", N);
        if error.errno != libc::EINTR {
            return Err(error);
        }
    }
}

/// Makes `fds` the descriptors 0, 1, 2, … of this process, open across exec, and closes everything else save `keep`,
/// which ends up close-on-exec behind them. It is given back on failure, too, to tell of it.
pub fn arrange_descriptors(fds: &[BorrowedFd<'_>], keep: OwnedFd) -> std::result::Result<OwnedFd, (SysError, OwnedFd)> {
    let count = fds.len() as c_int;
    let dup_above = |fd: RawFd| {
        // SAFETY: F_DUPFD_CLOEXEC makes a descriptor of ours, at or above the floor.
        let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, count + 1) };
        check(copy.into(), "fcntl", format_args!("{fd}, F_DUPFD_CLOEXEC")).map(owned)
    };
    // First out of the way, since a source may stand where a target belongs.
    let (sources, kept) =
        match (fds.iter().map(|fd| dup_above(fd.as_raw_fd())).collect::<Result<Vec<_>>>(), dup_above(keep.as_raw_fd()))
        {
            (Ok(sources), Ok(kept)) => (sources, kept),
            (Err(error), _) | (_, Err(error)) => return Err((error, keep)),
        };
    let place = |source: RawFd, target: c_int, flags: c_int| {
        // SAFETY: whatever stood at `target` is closed by this; the helper holds no owner for those numbers any more
        // that it would still use: it is about to exec.
        check(unsafe { libc::dup3(source, target, flags) }.into(), "dup3", format_args!("{source}, {target}"))
    };
    // From here on the old numbers may be another's: dropping their owners would close it. The range call closes what
    // is left.
    std::mem::forget(keep);
    let arrange = || {
        for (target, source) in (0..).zip(&sources) {
            place(source.as_raw_fd(), target, 0)?;
        }
        place(kept.as_raw_fd(), count, libc::O_CLOEXEC)
    };
    if let Err(error) = arrange() {
        return Err((error, kept));
    }
    std::mem::forget(kept);
    std::mem::forget(sources);
    let kept = owned(count.into());
    match close_from(count + 1) {
        Ok(()) => Ok(kept),
        Err(error) => Err((error, kept)),
    }
}

/// Closes every descriptor from `first` up.
pub fn close_from(first: c_int) -> Result<()> {
    if off(Layer::Descriptors) {
        return Ok(());
    }
    // SAFETY: closes descriptors that no owner in the helper uses afterwards (callers see to it).
    check(unsafe { libc::syscall(libc::SYS_close_range, first, c_uint::MAX, 0) }, "close_range", first).map(drop)
}

/// Gives the calling *thread* a descriptor table of its own, which holds nothing from `first` up (close_range(2), Linux
/// 5.9). The process keeps all of its descriptors, and the thread can name none of them.
pub fn leave_descriptors(first: c_int) -> Result<()> {
    const CLOSE_RANGE_UNSHARE: c_uint = 1 << 1;
    // SAFETY: a call without pointers; what other threads own stays open in their table.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, c_uint::MAX, CLOSE_RANGE_UNSHARE) };
    check(done, "close_range", format_args!("{first}, CLOSE_RANGE_UNSHARE")).map(drop)
}

/// Changes the working directory (chdir(2)).
pub fn change_dir(path: &[u8]) -> Result<()> {
    let c = c_path(path, "chdir")?;
    // SAFETY: a valid C string.
    check(unsafe { libc::chdir(c.as_ptr()) }.into(), "chdir", show(path)).map(drop)
}

/// Replaces this process; returns only when it could not.
pub fn execute(program: &CStr, argv: &[CString], env: &[CString]) -> SysError {
    let pointers = |list: &[CString]| list.iter().map(|item| item.as_ptr()).chain([null()]).collect::<Vec<_>>();
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: both arrays end with a null pointer and outlive the call.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    SysError::last("execve", format_args!("{program:?}"))
}

/// A pipe, both ends close-on-exec: for reading, for writing.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: the kernel writes two descriptors into the array.
    check(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) }.into(), "pipe2", "O_CLOEXEC")?;
    Ok((owned(fds[0].into()), owned(fds[1].into())))
}

// ---- files ----------------------------------------------------------------------------------------------------------

/// `struct open_how`, openat2(2), Linux 5.6.
#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
const RESOLVE_NO_SYMLINKS: u64 = 0x04;
const RESOLVE_IN_ROOT: u64 = 0x10;

/// Opens a path as a place only (`O_PATH`), refusing every symlink in it. With a `root`, `/` and `..` stay inside.
pub fn open_place(root: Option<BorrowedFd<'_>>, path: &[u8]) -> Result<OwnedFd> {
    let c = c_path(path, "openat2")?;
    let how = OpenHow {
        flags: (libc::O_PATH | libc::O_CLOEXEC | libc::O_NOFOLLOW) as u64,
        mode: 0,
        resolve: RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | if root.is_some() { RESOLVE_IN_ROOT } else { 0 },
    };
    let at = root.map_or(libc::AT_FDCWD, |fd| fd.as_raw_fd());
    // SAFETY: string and structure outlive the call; the size given is the structure's.
    let fd = unsafe { libc::syscall(libc::SYS_openat2, at, c.as_ptr(), &raw const how, size_of::<OpenHow>()) };
    check(fd, "openat2", show(path)).map(owned)
}

/// open(2) for reading or writing an existing file.
pub fn open_file(path: &[u8], flags: c_int) -> Result<OwnedFd> {
    let c = c_path(path, "open")?;
    // SAFETY: a valid C string.
    check(unsafe { libc::open(c.as_ptr(), flags | libc::O_CLOEXEC) }.into(), "open", show(path)).map(owned)
}

/// A new file below `root`, which must not exist yet.
pub fn create_file(root: BorrowedFd<'_>, path: &[u8], mode: u32) -> Result<OwnedFd> {
    let relative = c_path(below_root(path), "openat")?;
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: a valid C string.
    let fd = unsafe { libc::openat(root.as_raw_fd(), relative.as_ptr(), flags, mode) };
    check(fd.into(), "openat", show(path)).map(owned)
}

/// A new directory below `root`; one that is there already is fine.
pub fn make_dir(root: BorrowedFd<'_>, path: &[u8]) -> Result<()> {
    let relative = c_path(below_root(path), "mkdirat")?;
    // SAFETY: a valid C string.
    match check(unsafe { libc::mkdirat(root.as_raw_fd(), relative.as_ptr(), 0o755) }.into(), "mkdirat", show(path)) {
        Err(error) if error.errno == libc::EEXIST => Ok(()),
        other => other.map(drop),
    }
}

/// A new symbolic link below `root`.
pub fn make_symlink(root: BorrowedFd<'_>, path: &[u8], target: &[u8]) -> Result<()> {
    let (at, to) = (c_path(below_root(path), "symlinkat")?, c_path(target, "symlinkat")?);
    // SAFETY: valid C strings.
    let done = unsafe { libc::symlinkat(to.as_ptr(), root.as_raw_fd(), at.as_ptr()) };
    check(done.into(), "symlinkat", format_args!("{}, {}", show(target), show(path))).map(drop)
}

/// What hides a name of the layers below in an overlay: a character device 0, 0, which needs no privilege.
pub fn make_whiteout(root: BorrowedFd<'_>, path: &[u8]) -> Result<()> {
    let relative = c_path(below_root(path), "mknodat")?;
    // SAFETY: a valid C string.
    let done = unsafe { libc::mknodat(root.as_raw_fd(), relative.as_ptr(), libc::S_IFCHR, 0) };
    check(done.into(), "mknodat", show(path)).map(drop)
}

/// fchmodat(2).
pub fn set_mode(root: BorrowedFd<'_>, path: &[u8], mode: u32) -> Result<()> {
    let relative = c_path(below_root(path), "fchmodat")?;
    // SAFETY: a valid C string.
    let done = unsafe { libc::fchmodat(root.as_raw_fd(), relative.as_ptr(), mode, 0) };
    check(done.into(), "fchmodat", format_args!("{}, {mode:o}", show(path))).map(drop)
}

/// Whether the ids of this process alone, without its capabilities, may do this with a place (faccessat2(2)).
pub fn may(place: BorrowedFd<'_>, what: c_int) -> bool {
    // SAFETY: a valid C string.
    unsafe { libc::syscall(libc::SYS_faccessat2, place.as_raw_fd(), c"".as_ptr(), what, libc::AT_EMPTY_PATH) == 0 }
}

/// A path inside the sandbox, relative to its root: calls with a directory descriptor ignore it for absolute paths.
fn below_root(path: &[u8]) -> &[u8] {
    let relative = path.strip_prefix(b"/").unwrap_or(path);
    if relative.is_empty() { b"." } else { relative }
}

/// Writes everything; `what` names the file in the error.
pub fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8], what: &'static str) -> Result<()> {
    while !bytes.is_empty() {
        // SAFETY: pointer and length are of the same slice.
        let written = unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
        if written < 0 {
            let error = SysError::last("write", what);
            if error.errno == libc::EINTR {
                continue;
            }
            return Err(error);
        }
        bytes = &bytes[written as usize..];
    }
    Ok(())
}

/// Reads a file descriptor from its start to its end, wherever its own position is.
pub fn read_whole(fd: BorrowedFd<'_>) -> Result<Vec<u8>> {
    // A plan fits, and no page is touched for nothing.
    const CHUNK: usize = 16 * 1024;
    let mut bytes = Vec::new();
    loop {
        let start = bytes.len();
        bytes.resize(start + CHUNK, 0);
        // SAFETY: the kernel writes at most the bytes that were just added.
        let read = unsafe { libc::pread(fd.as_raw_fd(), bytes[start..].as_mut_ptr().cast(), CHUNK, start as i64) };
        let read = check(read as c_long, "pread", fd.as_raw_fd())? as usize;
        bytes.truncate(start + read);
        if read == 0 {
            return Ok(bytes);
        }
    }
}

/// Reads one byte; `None` at the end.
pub fn read_byte(fd: BorrowedFd<'_>) -> Result<Option<u8>> {
    let mut byte = 0_u8;
    loop {
        // SAFETY: the kernel writes at most one byte.
        let read = unsafe { libc::read(fd.as_raw_fd(), (&raw mut byte).cast(), 1) };
        if read >= 0 {
            return Ok((read == 1).then_some(byte));
        }
        let error = SysError::last("read", fd.as_raw_fd());
        if error.errno != libc::EINTR {
            return Err(error);
        }
    }
}

/// Owner of what a place-descriptor names.
pub fn owner_of(fd: BorrowedFd<'_>) -> Result<(u32, u32, u32)> {
    // SAFETY: `stat` is plain data, which the kernel fills.
    unsafe {
        let mut stat: libc::stat = zeroed();
        let done = libc::fstatat(fd.as_raw_fd(), c"".as_ptr(), &raw mut stat, libc::AT_EMPTY_PATH);
        check(done.into(), "fstatat", fd.as_raw_fd())?;
        Ok((stat.st_uid, stat.st_gid, stat.st_mode))
    }
}

// ---- mounts ---------------------------------------------------------------------------------------------------------

const OPEN_TREE_CLONE: c_uint = 1;
const AT_RECURSIVE: c_uint = 0x8000;
const MOVE_MOUNT_F_EMPTY_PATH: c_uint = 0x04;
const MOVE_MOUNT_T_EMPTY_PATH: c_uint = 0x40;
const FSCONFIG_SET_FLAG: c_uint = 0;
const FSCONFIG_SET_STRING: c_uint = 1;
const FSCONFIG_CMD_CREATE: c_uint = 6;
const FSCONFIG_CMD_RECONFIGURE: c_uint = 7;
const FSPICK_CLOEXEC: c_uint = 0x1;
const FSPICK_EMPTY_PATH: c_uint = 0x8;

/// Nothing can be written through the mount.
pub const MOUNT_RDONLY: u64 = 0x01;
/// Set-user-ID and set-group-ID bits have no effect.
pub const MOUNT_NOSUID: u64 = 0x02;
/// Device nodes cannot be opened.
pub const MOUNT_NODEV: u64 = 0x04;
/// Nothing can be executed, or mapped as code.
pub const MOUNT_NOEXEC: u64 = 0x08;
const MOUNT_IDMAP: u64 = 0x0010_0000;

/// `struct mount_attr`, mount_setattr(2), Linux 5.12.
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

/// A detached copy of the mount at a place, with the mounts below it (open_tree(2), Linux 5.2).
pub fn clone_tree(place: BorrowedFd<'_>, shown: &[u8]) -> Result<OwnedFd> {
    let flags = OPEN_TREE_CLONE | AT_RECURSIVE | libc::O_CLOEXEC as c_uint | libc::AT_EMPTY_PATH as c_uint;
    // SAFETY: a valid C string.
    let fd = unsafe { libc::syscall(libc::SYS_open_tree, place.as_raw_fd(), c"".as_ptr(), flags) };
    check(fd, "open_tree", show(shown)).map(owned)
}

/// Sets mount flags; `recursive`: on every mount below too, which the old remount cannot. Flags are only ever added.
///
/// The mount becomes private. A copy of a shared mount is its peer (mount_namespaces(7)), and systemd shares all mounts
/// of a host: whatever is mounted below the copy would be mounted on the host as well.
pub fn set_mount_flags(mount: BorrowedFd<'_>, set: u64, recursive: bool, shown: &[u8]) -> Result<()> {
    let attr = MountAttr { set, clear: 0, propagation: libc::MS_PRIVATE, userns: 0 };
    mount_setattr(mount, attr, recursive, shown)
}

/// Shows the files of a detached mount with other owners: those of `userns`'s map (user_namespaces(7), idmapped
/// mounts).
pub fn set_mount_ids(mount: BorrowedFd<'_>, userns: BorrowedFd<'_>, shown: &[u8]) -> Result<()> {
    let attr = MountAttr { set: MOUNT_IDMAP, clear: 0, propagation: 0, userns: userns.as_raw_fd() as u64 };
    mount_setattr(mount, attr, true, shown)
}

fn mount_setattr(mount: BorrowedFd<'_>, attr: MountAttr, recursive: bool, shown: &[u8]) -> Result<()> {
    let flags = libc::AT_EMPTY_PATH as c_uint | if recursive { AT_RECURSIVE } else { 0 };
    // SAFETY: string and structure outlive the call; the size given is the structure's.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    };
    check(done, "mount_setattr", format_args!("{}, {:#x}", show(shown), attr.set)).map(drop)
}

/// Attaches a detached mount on a place.
pub fn move_mount(mount: BorrowedFd<'_>, target: BorrowedFd<'_>, shown: &[u8]) -> Result<()> {
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    let empty = c"".as_ptr();
    // SAFETY: valid C strings.
    let done =
        unsafe { libc::syscall(libc::SYS_move_mount, mount.as_raw_fd(), empty, target.as_raw_fd(), empty, flags) };
    check(done, "move_mount", show(shown)).map(drop)
}

/// A new, detached file system (fsopen(2), fsconfig(2), fsmount(2), Linux 5.2) with `options`, of which those without a
/// value are switches, and mount flags.
pub fn new_filesystem(kind: &'static CStr, options: &[(&CStr, Option<CString>)], flags: u64) -> Result<OwnedFd> {
    let name = kind.to_str().unwrap_or("?");
    // SAFETY: valid C strings throughout; the kernel copies what it keeps.
    unsafe {
        let context = libc::syscall(libc::SYS_fsopen, kind.as_ptr(), 1 /* FSOPEN_CLOEXEC */);
        let context = owned(check(context, "fsopen", name)?);
        let configure = |command: c_uint, key: *const libc::c_char, value: *const libc::c_char| {
            libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, key, value, 0)
        };
        for (key, value) in options {
            let done = match value {
                Some(value) => configure(FSCONFIG_SET_STRING, key.as_ptr(), value.as_ptr()),
                None => configure(FSCONFIG_SET_FLAG, key.as_ptr(), null()),
            };
            check(done, "fsconfig", format_args!("{name}, {key:?}={value:?}"))?;
        }
        check(configure(FSCONFIG_CMD_CREATE, null(), null()), "fsconfig", format_args!("{name}, FSCONFIG_CMD_CREATE"))?;
        let mount =
            libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), 1 /* FSMOUNT_CLOEXEC */, flags as c_uint);
        check(mount, "fsmount", name).map(owned)
    }
}

/// A handle on the file system of a mount, for [`refresh`] (fspick(2)).
pub fn pick_filesystem(mount: BorrowedFd<'_>, shown: &[u8]) -> Result<OwnedFd> {
    let flags = FSPICK_CLOEXEC | FSPICK_EMPTY_PATH;
    // SAFETY: a valid C string.
    let fd = unsafe { libc::syscall(libc::SYS_fspick, mount.as_raw_fd(), c"".as_ptr(), flags) };
    check(fd, "fspick", show(shown)).map(owned)
}

/// Makes a read-only file system forget the names that it remembers. Works from outside of the mount namespace, for who
/// has the privilege over it.
pub fn refresh(picked: BorrowedFd<'_>) -> Result<()> {
    let configure = |command: c_uint, key: *const libc::c_char| {
        // SAFETY: a valid C string or null; there is no value.
        unsafe { libc::syscall(libc::SYS_fsconfig, picked.as_raw_fd(), command, key, null::<libc::c_char>(), 0) }
    };
    // Each time: without it the kernel would try to make it writable.
    check(configure(FSCONFIG_SET_FLAG, c"ro".as_ptr()), "fsconfig", "ro")?;
    check(configure(FSCONFIG_CMD_RECONFIGURE, null()), "fsconfig", "FSCONFIG_CMD_RECONFIGURE").map(drop)
}

/// No mount event passes between this mount namespace and any other.
pub fn make_mounts_private() -> Result<()> {
    // SAFETY: valid C strings; source, type and data are ignored for a propagation change.
    let done = unsafe { libc::mount(null(), c"/".as_ptr(), null(), libc::MS_REC | libc::MS_PRIVATE, null()) };
    check(done.into(), "mount", "\"/\", MS_REC|MS_PRIVATE").map(drop)
}

/// Makes `root` the root of this mount namespace and detaches the old one, with all that hangs on it (pivot_root(2):
/// with "." twice the old root ends up under the new one's top).
pub fn pivot_into(root: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: valid C strings and a descriptor of ours.
    unsafe {
        check(libc::fchdir(root.as_raw_fd()).into(), "fchdir", "new root")?;
        check(libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()), "pivot_root", "\".\", \".\"")?;
        check(libc::umount2(c".".as_ptr(), libc::MNT_DETACH).into(), "umount2", "old root, MNT_DETACH")?;
        check(libc::chdir(c"/".as_ptr()).into(), "chdir", "\"/\"").map(drop)
    }
}

// ---- seccomp --------------------------------------------------------------------------------------------------------

const SECCOMP_SET_MODE_FILTER: c_uint = 1;
const SECCOMP_FILTER_FLAG_NEW_LISTENER: c_uint = 1 << 3;
/// Linux 5.19: a signal does not abort a call that the supervisor has received.
const SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: c_uint = 1 << 5;

/// `SECCOMP_IOW(4, __u64)`, Linux 6.6.
const SECCOMP_IOCTL_NOTIF_SET_FLAGS: libc::Ioctl = 0x4008_2104;
/// Who asks and who answers take turns on one processor, which is sooner than to wake another.
const SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP: u64 = 1;

#[repr(C)]
struct Program {
    length: u16,
    instructions: *const Instruction,
}

/// Loads a filter for this process and all that it starts (seccomp(2)). With `listener`, returns the notification
/// descriptor.
pub fn load_filter(program: &[Instruction], listener: bool) -> Result<Option<OwnedFd>> {
    let length = u16::try_from(program.len()).map_err(|_| SysError {
        call: "seccomp",
        arguments: format!("{} instructions", program.len()),
        errno: libc::E2BIG,
    })?;
    let program = Program { length, instructions: program.as_ptr() };
    let load = |flags: c_uint| {
        // SAFETY: the program and its instructions outlive the call, which copies them.
        unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &raw const program) }
    };
    let shown = |flags: c_uint| format!("SECCOMP_SET_MODE_FILTER, {flags:#x}, {length} instructions");
    if !listener {
        return check(load(0), "seccomp", shown(0)).map(|_| None);
    }
    let with = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let fd = match check(load(with), "seccomp", shown(with)) {
        Err(error) if error.errno == libc::EINVAL => {
            let plain = SECCOMP_FILTER_FLAG_NEW_LISTENER;
            check(load(plain), "seccomp", shown(plain))?
        }
        loaded => loaded?,
    };
    let listener = owned(fd);
    // SAFETY: the request takes its number by value. An older kernel refuses it, and is slower.
    let _ =
        unsafe { libc::ioctl(listener.as_raw_fd(), SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP) };
    Ok(Some(listener))
}

/// `struct seccomp_notif`, <linux/seccomp.h>: a system call that waits for an answer.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Notification {
    /// What the answer refers to.
    pub id: u64,
    /// Who calls, in the receiver's pid namespace; 0 where it has no number there.
    pub pid: u32,
    /// None yet.
    pub flags: u32,
    /// The system call.
    pub number: c_int,
    /// The architecture that it was made for.
    pub arch: u32,
    /// Where it was made.
    pub instruction_pointer: u64,
    /// Its arguments. What pointers lead to is the caller's to change.
    pub arguments: [u64; 6],
}

/// `struct seccomp_notif_resp`.
#[repr(C)]
struct NotificationReply {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

const SECCOMP_USER_NOTIF_FLAG_CONTINUE: u32 = 1;
/// _IOWR('!', 0, struct seccomp_notif) and _IOWR('!', 1, struct seccomp_notif_resp).
const SECCOMP_IOCTL_NOTIF_RECV: libc::c_ulong = 0xc050_2100;
const SECCOMP_IOCTL_NOTIF_SEND: libc::c_ulong = 0xc018_2101;
/// _IOW('!', 2, __u64).
const SECCOMP_IOCTL_NOTIF_ID_VALID: libc::c_ulong = 0x4008_2102;

const _: () = assert!(size_of::<Notification>() == 0x50 && size_of::<NotificationReply>() == 0x18);

/// Takes a waiting notification, never blocking. `None`: none waits, since its process died meanwhile or all have: the
/// listener is then at its end, at which older kernels would let the request below wait for ever.
pub fn receive_notification(listener: BorrowedFd<'_>) -> Result<Option<Notification>> {
    loop {
        let mut polled = libc::pollfd { fd: listener.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one structure, which outlives the call.
        check(unsafe { libc::poll(&raw mut polled, 1, 0) }.into(), "poll", "listener")?;
        if polled.revents & libc::POLLIN == 0 {
            return Ok(None);
        }
        // The kernel demands zeroed memory.
        let mut notification = Notification::default();
        // SAFETY: the structure has the size that the request number encodes.
        let done = unsafe { libc::ioctl(listener.as_raw_fd(), SECCOMP_IOCTL_NOTIF_RECV as _, &raw mut notification) };
        match check(done.into(), "ioctl", "SECCOMP_IOCTL_NOTIF_RECV") {
            Ok(_) => return Ok(Some(notification)),
            Err(error) if error.errno == libc::EINTR => {}
            Err(error) if error.errno == libc::ENOENT => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// The answer to a notified call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The kernel carries the call out.
    Continue,
    /// The call fails with this errno.
    Errno(i32),
    /// The call returns this, and the kernel does nothing for it.
    Value(i64),
}

/// Answers a notification. One whose process died meanwhile is fine.
pub fn answer_notification(listener: BorrowedFd<'_>, id: u64, reply: Reply) -> Result<()> {
    let (value, error, flags) = match reply {
        Reply::Continue => (0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE),
        Reply::Errno(errno) => (0, -errno, 0),
        Reply::Value(value) => (value, 0, 0),
    };
    let reply = NotificationReply { id, value, error, flags };
    // SAFETY: the structure has the size that the request number encodes.
    let done = unsafe { libc::ioctl(listener.as_raw_fd(), SECCOMP_IOCTL_NOTIF_SEND as _, &raw const reply) };
    match check(done.into(), "ioctl", "SECCOMP_IOCTL_NOTIF_SEND") {
        Err(error) if error.errno != libc::ENOENT => Err(error),
        _ => Ok(()),
    }
}

/// Whether the caller of a notified system call still waits for its answer: what was read by its pid until now was then
/// its own, and not that of another process with the same number.
pub fn still_waits(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the request reads one u64.
    unsafe { libc::ioctl(listener.as_raw_fd(), SECCOMP_IOCTL_NOTIF_ID_VALID as _, &raw const id) == 0 }
}

/// `struct sysinfo`, sysinfo(2), of a 64-bit kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SystemInfo {
    /// Seconds since the host's start.
    pub uptime: i64,
    /// Of 1, 5 and 15 minutes, times 65,536.
    pub loads: [u64; 3],
    /// In units of `memory_unit` bytes, as all of these.
    pub total_memory: u64,
    /// Not in use.
    pub free_memory: u64,
    /// Shared.
    pub shared_memory: u64,
    /// In buffers.
    pub buffer_memory: u64,
    /// Swap space.
    pub total_swap: u64,
    /// Swap space not in use.
    pub free_swap: u64,
    /// Threads of the host.
    pub processes: u16,
    /// Nothing.
    pub padding: [u16; 3],
    /// High memory, of which a 64-bit kernel has none.
    pub total_high: u64,
    /// As `total_high`.
    pub free_high: u64,
    /// Bytes.
    pub memory_unit: u32,
    /// Nothing.
    pub padding_end: u32,
}

const _: () = assert!(size_of::<SystemInfo>() == size_of::<libc::sysinfo>());

impl SystemInfo {
    /// As it lies in memory.
    pub fn to_bytes(self) -> Vec<u8> {
        // SAFETY: plain numbers, whose padding has names and values.
        let bytes: [u8; size_of::<Self>()] = unsafe { std::mem::transmute(self) };
        bytes.into()
    }
}

/// What the kernel says of the system.
pub fn system_info() -> Result<SystemInfo> {
    let mut info = SystemInfo::default();
    // SAFETY: one structure, of the size and layout that the kernel fills in.
    check(unsafe { libc::syscall(libc::SYS_sysinfo, &raw mut info) }, "sysinfo", "").map(|_| info)
}

/// The standard descriptor 0, which the supervisor made the helper's socket.
pub fn take_standard_input() -> OwnedFd {
    owned(0)
}

/// A memfd with `bytes` in it, sealed against every change, at position 0.
pub fn sealed_memfd(name: &CStr, bytes: &[u8]) -> Result<OwnedFd> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: a valid C string; then calls on our own descriptor without pointers.
    unsafe {
        let fd = [flags | libc::MFD_NOEXEC_SEAL, flags]
            .into_iter()
            .map(|flags| libc::memfd_create(name.as_ptr(), flags))
            .find(|fd| *fd >= 0)
            .unwrap_or(-1);
        let file = owned(check(fd.into(), "memfd_create", format_args!("{name:?}"))?);
        write_all(file.as_fd(), bytes, "memfd")?;
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE | libc::F_SEAL_SEAL;
        check(libc::fcntl(fd, libc::F_ADD_SEALS, seals).into(), "fcntl", "F_ADD_SEALS")?;
        check(libc::lseek(fd, 0, libc::SEEK_SET), "lseek", "0")?;
        Ok(file)
    }
}

/// The Landlock ABI of this kernel (landlock_create_ruleset(2) with LANDLOCK_CREATE_RULESET_VERSION).
pub fn landlock_abi() -> Result<i32> {
    // SAFETY: with this flag, attributes are null and of size 0.
    let abi = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, null::<u8>(), 0, 1) };
    check(abi, "landlock_create_ruleset", "LANDLOCK_CREATE_RULESET_VERSION").map(|abi| abi as i32)
}

/// Leaves every supplementary group. Needs privilege in the user namespace, and `setgroups` not denied there.
pub fn drop_groups() -> Result<()> {
    // SAFETY: a count of 0 reads no memory.
    check(unsafe { libc::syscall(libc::SYS_setgroups, 0, null::<libc::gid_t>()) }, "setgroups", "0").map(drop)
}

/// Takes what a signalfd holds; nothing waiting is fine.
pub fn drain_signal_fd(fd: BorrowedFd<'_>) {
    let mut buffer = [0_u8; 1024];
    // SAFETY: the kernel writes at most the buffer's length; the descriptor does not block.
    while unsafe { libc::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) } > 0 {}
}
