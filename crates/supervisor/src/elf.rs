//! What an ELF file says of how it is loaded (elf(5)), for 64-bit little-endian files: enough to name a program's
//! closure. Every offset comes from the file, and none is trusted.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Most program headers, and most bytes of a table, that are looked at: more is no program that anybody starts.
const MAX_HEADERS: usize = 256;
const MAX_TABLE: usize = 1 << 20;

const EXECUTABLE: u16 = 2;
const SHARED: u16 = 3;
const LOAD: u32 = 1;
const DYNAMIC: u32 = 2;
const INTERPRETER: u32 = 3;
const NEEDED: u64 = 1;
const STRINGS: u64 = 5;
const STRINGS_SIZE: u64 = 10;
const SONAME: u64 = 14;
const RPATH: u64 = 15;
const RUNPATH: u64 = 29;
const FLAGS_1: u64 = 0x6fff_fffb;
const IS_PIE: u64 = 0x0800_0000;

/// What was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Elf {
    /// `PT_INTERP`.
    pub interpreter: Option<PathBuf>,
    /// `DT_NEEDED`.
    pub needed: Vec<String>,
    /// `DT_RPATH` and `DT_RUNPATH`, as they are written.
    pub search: Vec<String>,
    /// It is a program and not only a library: the loader, told its name, would run it as one.
    pub program: bool,
    /// It can be loaded, and is no program.
    pub library: bool,
}

struct Header {
    kind: u32,
    offset: u64,
    address: u64,
    size: u64,
}

/// `None` for what is no 64-bit ELF file. Errors are those of reading.
pub fn read(path: &Path) -> io::Result<Option<Elf>> {
    read_open(&crate::files::open(path, true)?)
}

fn read_open(file: &File) -> io::Result<Option<Elf>> {
    let head = bytes(file, 0, 64)?;
    if head.len() < 64 || head[..6] != *b"\x7fELF\x02\x01" {
        return Ok(None);
    }
    let (kind, start) = (u16_at(&head, 16), u64_at(&head, 32));
    let (size, count) = (usize::from(u16_at(&head, 54)), usize::from(u16_at(&head, 56)).min(MAX_HEADERS));
    if size < 56 {
        return Ok(None);
    }
    let table = bytes(file, start, size * count)?;
    let headers: Vec<Header> = table
        .chunks_exact(size)
        .map(|entry| Header {
            kind: u32_at(entry, 0),
            offset: u64_at(entry, 8),
            address: u64_at(entry, 16),
            size: u64_at(entry, 32),
        })
        .collect();
    let mut elf = Elf::default();
    if let Some(header) = headers.iter().find(|header| header.kind == INTERPRETER) {
        let name = bytes(file, header.offset, length(header.size, 4096))?;
        elf.interpreter = Some(PathBuf::from(text(&name, 0)));
    }
    let (mut named, mut pie) = (false, false);
    if let Some(header) = headers.iter().find(|header| header.kind == DYNAMIC) {
        let dynamic = bytes(file, header.offset, length(header.size, MAX_TABLE))?;
        let entries: Vec<(u64, u64)> = dynamic
            .chunks_exact(16)
            .map(|entry| (u64_at(entry, 0), u64_at(entry, 8)))
            .take_while(|(tag, _)| *tag != 0)
            .collect();
        let value = |wanted| entries.iter().find(|(tag, _)| *tag == wanted).map(|(_, value)| *value);
        let strings = value(STRINGS).and_then(|address| {
            let within = |header: &&Header| {
                header.kind == LOAD && address >= header.address && address - header.address < header.size
            };
            let header = headers.iter().find(within)?;
            header.offset.checked_add(address - header.address)
        });
        let size = length(value(STRINGS_SIZE).unwrap_or_default(), MAX_TABLE);
        let strings = strings.map(|at| bytes(file, at, size)).transpose()?.unwrap_or_default();
        let string = |at: u64| text(&strings, usize::try_from(at).unwrap_or(usize::MAX));
        for (tag, value) in entries {
            match tag {
                NEEDED => elf.needed.push(string(value)),
                RPATH | RUNPATH => elf.search.extend(string(value).split(':').map(str::to_owned)),
                SONAME => named = true,
                FLAGS_1 => pie = value & IS_PIE != 0,
                _ => {}
            }
        }
    }
    // The C library and the loader have an interpreter or an entry, too, and a name as libraries.
    elf.program = kind == EXECUTABLE || pie || elf.interpreter.is_some() && !named;
    elf.library = kind == SHARED && !elf.program;
    Ok(Some(elf))
}

fn length(size: u64, most: usize) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX).min(most)
}

/// Up to `length` bytes at `offset`; fewer where the file ends.
fn bytes(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        let Some(at) = offset.checked_add(filled as u64) else { break };
        match file.read_at(&mut bytes[filled..], at) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // An offset beyond what a file can have.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => break,
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn text(bytes: &[u8], at: usize) -> String {
    let rest = bytes.get(at..).unwrap_or_default();
    let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
    String::from_utf8_lossy(&rest[..end]).into_owned()
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// Where the loader's cache (ldconfig(8), format 1.1) says that libraries lie.
pub fn cached(cache: &[u8], name: &str) -> Vec<PathBuf> {
    if !cache.starts_with(b"glibc-ld.so.cache1.1") || cache.len() < 48 {
        return Vec::new();
    }
    let entries = cache[48..].chunks_exact(24).take(u32_at(cache, 20) as usize);
    let named = entries.filter(|entry| text(cache, u32_at(entry, 4) as usize) == name);
    named.map(|entry| PathBuf::from(text(cache, u32_at(entry, 8) as usize))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_libraries_of_the_system() {
        let echo = read(Path::new("/bin/echo")).unwrap().unwrap();
        assert!(echo.program && echo.interpreter.is_some(), "{echo:?}");
        assert!(echo.needed.iter().any(|name| name == "libc.so.6"), "{echo:?}");
        let cache = std::fs::read("/etc/ld.so.cache").unwrap();
        let libc = cached(&cache, "libc.so.6").into_iter().find(|path| path.exists()).unwrap();
        for library in [libc.as_path(), echo.interpreter.as_deref().unwrap()] {
            let library = read(library).unwrap().unwrap();
            assert!(library.library && !library.program, "{library:?}");
        }
        assert!(cached(&cache, "no-such-library").is_empty());
    }

    #[test]
    fn what_lies_about_its_tables_is_no_panic() {
        let whole = std::fs::read("/bin/echo").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("broken");
        for at in (16..64).chain(64..400) {
            let mut broken = whole.clone();
            broken[at] = 0xff;
            std::fs::write(&path, &broken[..at.max(200)]).unwrap();
            let _ = read(&path);
            std::fs::write(&path, &broken).unwrap();
            let _ = read(&path);
        }
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        assert_eq!(read(&path).unwrap(), None);
    }
}
