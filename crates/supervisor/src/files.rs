//! Files that are replaced, never half-written.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use buntime_sandbox::sys;

/// Most bytes of a configuration or policy file.
const MAX_TEXT: u64 = 16 << 20;

/// Opens a regular file. A worker may have put something else in its place: a fifo, that blocks; a device, that never
/// ends; and, where the name was only found and nobody's choice (`follow: false`), a symlink.
pub fn open(path: &Path, follow: bool) -> io::Result<File> {
    let nofollow = if follow { 0 } else { libc::O_NOFOLLOW };
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK | nofollow).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(file)
}

/// Reads a small text file, opened as by [`open`].
pub fn read_text(path: &Path, follow: bool) -> io::Result<String> {
    let file = open(path, follow)?;
    let length = file.metadata()?.len();
    if length > MAX_TEXT {
        let message = format!("{length} bytes, expected at most {MAX_TEXT}");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    let mut text = String::new();
    file.take(MAX_TEXT).read_to_string(&mut text)?;
    Ok(text)
}

/// [`replace`], in a directory that no symlink leads to any more.
pub fn replace_in(directory: &Path, name: &OsStr, bytes: &[u8]) -> io::Result<()> {
    let opened = sys::open_place(None, directory.as_os_str().as_bytes()).map_err(io::Error::other)?;
    replace(&Path::new("/proc/self/fd").join(opened.as_raw_fd().to_string()).join(name), bytes)
}

/// Puts `bytes` in the place of `path`, at once: a reader sees the old file or the new one.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".buntime-").tempfile_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}
