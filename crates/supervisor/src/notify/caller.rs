//! The process that made a call: what its arguments point to, and where its relative paths start.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Longest path that the kernel takes, its end included.
const PATH_MAX: usize = 4096;
const PAGE: u64 = 4096;

/// A thread of the sandbox that waits for its answer. Its memory is not to be trusted: other threads may change it at
/// any time, so that what is read here is what was asked for, and never a reason to let something through.
pub struct Caller {
    tid: u32,
    memory: Option<File>,
}

impl Caller {
    /// By its number in our pid namespace; 0 where it has none there.
    pub fn new(tid: u32) -> Self {
        let memory = (tid != 0).then(|| File::open(format!("/proc/{tid}/mem")).ok()).flatten();
        Self { tid, memory }
    }

    /// Opened for writing: a process that takes its number later is not the one that is written to.
    pub fn open_memory(&self) -> io::Result<File> {
        if self.tid == 0 {
            return Err(io::ErrorKind::NotFound.into());
        }
        File::options().read(true).write(true).open(format!("/proc/{}/mem", self.tid))
    }

    /// The file that is mapped at this address, by the name that the process has for it.
    pub fn mapped_file(&self, address: u64) -> Option<PathBuf> {
        let maps = BufReader::new(File::open(format!("/proc/{}/maps", self.tid)).ok()?);
        maps.split(b'\n').map_while(Result::ok).find_map(|line| mapped_by(&line, address))
    }

    /// The C string there, without its end.
    pub fn text(&self, address: u64) -> Option<Vec<u8>> {
        let memory = self.memory.as_ref()?;
        let mut text = Vec::new();
        while text.len() < PATH_MAX {
            // Never across a page's end, as the next page may not be there.
            let at = address.checked_add(text.len() as u64)?;
            let mut piece = [0; PAGE as usize];
            let piece = &mut piece[..(PAGE - at % PAGE).min((PATH_MAX - text.len()) as u64) as usize];
            let read = memory.read_at(piece, at).ok().filter(|read| *read > 0)?;
            match piece[..read].iter().position(|byte| *byte == 0) {
                Some(end) => {
                    text.extend_from_slice(&piece[..end]);
                    return Some(text);
                }
                None => text.extend_from_slice(&piece[..read]),
            }
        }
        None
    }

    /// An absolute path from what a call takes as a directory and a path there. An empty path is the directory itself.
    pub fn path(&self, directory: Option<u64>, path: &[u8]) -> Option<PathBuf> {
        let path = Path::new(std::ffi::OsStr::from_bytes(path));
        if path.is_absolute() {
            return Some(path.to_owned());
        }
        // The kernel reads descriptors as 32 bits.
        let place = match directory.map_or(libc::AT_FDCWD, |fd| fd as i32) {
            libc::AT_FDCWD => format!("/proc/{}/cwd", self.tid),
            fd => format!("/proc/{}/fd/{fd}", self.tid),
        };
        let base = fs::read_link(place).ok().filter(|_| self.tid != 0)?;
        if path.as_os_str().is_empty() { Some(base) } else { Some(base.join(path)) }
    }

    /// What a descriptor of it stands for.
    pub fn descriptor(&self, fd: u64) -> Option<PathBuf> {
        self.path(Some(fd), b"")
    }

    /// Where a message goes, by its `struct msghdr` at this address: address and length. `None` without one.
    pub fn destination(&self, message: u64) -> Option<(u64, u64)> {
        let mut header = [0; 12];
        self.memory.as_ref()?.read_exact_at(&mut header, message).ok()?;
        let (name, length) = header.split_at(8);
        let name = u64::from_ne_bytes(name.try_into().ok()?);
        (name != 0).then_some((name, u32::from_ne_bytes(length.try_into().ok()?).into()))
    }

    /// A socket address as text.
    pub fn address(&self, address: u64, length: u64) -> Option<String> {
        self.address_bytes(address, length).and_then(|bytes| address_text(&bytes))
    }

    /// A socket address of IP.
    pub fn socket_address(&self, address: u64, length: u64) -> Option<SocketAddr> {
        self.address_bytes(address, length).and_then(|bytes| ip_address(&bytes))
    }

    fn address_bytes(&self, address: u64, length: u64) -> Option<Vec<u8>> {
        // As long as the longest, sockaddr_un.
        let mut bytes = [0; 110];
        let length = usize::try_from(length as u32).ok()?.min(bytes.len());
        let read = self.memory.as_ref()?.read_at(&mut bytes[..length], address).ok()?;
        Some(bytes[..read].to_vec())
    }
}

/// The address in a `sockaddr_in` or `sockaddr_in6`.
fn ip_address(bytes: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes(*bytes.first_chunk()?);
    let ip = match i32::from(family) {
        libc::AF_INET => IpAddr::from(Ipv4Addr::from(*bytes.get(4..)?.first_chunk::<4>()?)),
        libc::AF_INET6 => IpAddr::from(Ipv6Addr::from(*bytes.get(8..)?.first_chunk::<16>()?)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes(*bytes.get(2..)?.first_chunk::<2>()?)))
}

/// The file of a line of proc_pid_maps(5) whose range holds this address.
fn mapped_by(line: &[u8], address: u64) -> Option<PathBuf> {
    let number = |text: &[u8]| u64::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok();
    let mut words = line.splitn(6, |byte| *byte == b' ');
    let mut range = words.next()?.splitn(2, |byte| *byte == b'-');
    let (start, end) = (number(range.next()?)?, number(range.next()?)?);
    let name = words.nth(4)?.trim_ascii_start();
    let is_file = name.starts_with(b"/") && (start..end).contains(&address);
    is_file.then(|| OsString::from_vec(name.to_vec()).into())
}

/// `127.0.0.1:80`, `[::1]:80`, `unix:/path`, `unix:@abstract`, or the family's number.
fn address_text(bytes: &[u8]) -> Option<String> {
    let family = u16::from_ne_bytes(*bytes.first_chunk()?);
    match i32::from(family) {
        libc::AF_INET | libc::AF_INET6 => ip_address(bytes).map(|address| address.to_string()),
        libc::AF_UNIX => {
            let name = &bytes[2..];
            let (mark, name) = match name {
                [0, rest @ ..] => ("@", rest),
                name => ("", name.split(|byte| *byte == 0).next().unwrap_or_default()),
            };
            Some(format!("unix:{mark}{}", OsString::from_vec(name.to_vec()).to_string_lossy()))
        }
        family => Some(format!("family {family}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Caller {
        Caller::new(std::process::id())
    }

    #[test]
    fn texts_end_at_their_end_and_not_at_a_pages() {
        let mut memory = vec![b'x'; 3 * PAGE as usize];
        memory[2 * PAGE as usize] = 0;
        let address = |offset: usize| memory.as_ptr() as u64 + offset as u64;
        let short = own().text(address(2 * PAGE as usize - 5));
        assert_eq!(short.as_deref(), Some(&b"xxxxx"[..]));
        assert_eq!(own().text(address(0)), None, "longer than any path");
        assert_eq!(own().text(0), None, "not mapped");
        assert_eq!(Caller::new(0).text(address(0)), None);
    }

    #[test]
    fn paths_start_where_the_caller_is() {
        let cwd = std::env::current_dir().unwrap();
        assert_eq!(own().path(None, b"a/../b"), Some(cwd.join("a/../b")));
        assert_eq!(own().path(Some(0xffff_ffff_ffff_ff9c), b"x"), Some(cwd.join("x")), "AT_FDCWD");
        assert_eq!(own().path(Some(3), b"/etc"), Some("/etc".into()));
        let directory = File::open("/usr").unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&directory) as u64;
        assert_eq!(own().path(Some(fd), b"bin"), Some("/usr/bin".into()));
        assert_eq!(own().descriptor(fd), Some("/usr".into()));
        assert_eq!(own().path(Some(999_999), b"x"), None);
    }

    #[test]
    fn the_file_behind_an_address() {
        let line = b"7f00aa000000-7f00aa002000 r-xp 00001000 fe:00 4242                       /usr/lib/lib x.so";
        assert_eq!(mapped_by(line, 0x7f00_aa00_1fff), Some("/usr/lib/lib x.so".into()));
        assert_eq!(mapped_by(line, 0x7f00_aa00_2000), None, "behind it");
        assert_eq!(mapped_by(b"7f00aa000000-7f00aa002000 rw-p 00000000 00:00 0 ", 0x7f00_aa00_0000), None);
        assert_eq!(mapped_by(b"7f00aa000000-7f00aa002000 rw-p 00000000 00:00 0    [stack]", 0x7f00_aa00_0000), None);
        assert_eq!(mapped_by(b"", 0), None);
        let function: fn() = the_file_behind_an_address;
        let code = function as usize as u64;
        assert_eq!(own().mapped_file(code), Some(std::env::current_exe().unwrap()));
    }

    #[test]
    fn messages_with_and_without_a_destination() {
        let inet = [2, 0, 0, 53, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0_u8];
        let message = |name: u64, length: u32| {
            let mut header = name.to_ne_bytes().to_vec();
            header.extend(length.to_ne_bytes());
            header
        };
        let sent = message(inet.as_ptr() as u64, 16);
        let (address, length) = own().destination(sent.as_ptr() as u64).unwrap();
        assert_eq!(own().address(address, length).as_deref(), Some("127.0.0.1:53"));
        assert_eq!(own().destination(message(0, 0).as_ptr() as u64), None);
        assert_eq!(own().destination(0), None);
    }

    #[test]
    fn addresses() {
        let inet = [2, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(address_text(&inet).as_deref(), Some("127.0.0.1:8080"));
        let mut inet6 = [0; 28];
        inet6[..4].copy_from_slice(&[10, 0, 0, 80]);
        inet6[23] = 1;
        assert_eq!(address_text(&inet6).as_deref(), Some("[::1]:80"));
        assert_eq!(address_text(b"\x01\0/run/x\0junk").as_deref(), Some("unix:/run/x"));
        assert_eq!(address_text(b"\x01\0\0name").as_deref(), Some("unix:@name"));
        assert_eq!(address_text(&[40, 0, 1]).as_deref(), Some("family 40"));
        assert_eq!(address_text(&[2, 0, 1]), None);
        assert_eq!(address_text(&[]), None);
    }
}
