//! A file of the host's configuration that may change while we run: a laptop that moves, a VPN that comes up.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Most bytes of a file that count: lists that block advertisements by `/etc/hosts` have a few megabytes.
const MOST_BYTES: u64 = 16 << 20;

/// Tells when a file has changed. Looking costs one `stat`, about a microsecond, so it is done at every question.
#[derive(Debug)]
pub(super) struct Watched {
    path: PathBuf,
    seen: Option<Option<Stamp>>,
}

/// What changes when a file is written or replaced.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

impl Watched {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), seen: None }
    }

    /// The content, if it is not what it was at the last call. A file that cannot be read counts as empty.
    pub(super) fn changed(&mut self) -> Option<Vec<u8>> {
        let now = std::fs::metadata(&self.path).ok().as_ref().map(Stamp::of);
        if self.seen.as_ref() == Some(&now) {
            return None;
        }
        // The stamp is of before the reading: what changes in between is seen at the next call.
        self.seen = Some(now);
        Some(self.read().unwrap_or_default())
    }

    fn read(&self) -> std::io::Result<Vec<u8>> {
        let mut content = Vec::new();
        File::open(&self.path)?.take(MOST_BYTES).read_to_end(&mut content)?;
        Ok(content)
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_content_is_told_once() {
        let path = std::env::temp_dir().join(format!("buntime-watched-{}", std::process::id()));
        let mut file = Watched::new(&path);
        assert_eq!(file.changed().as_deref(), Some(&b""[..]), "missing");
        assert_eq!(file.changed(), None);
        std::fs::write(&path, "one").unwrap();
        assert_eq!(file.changed().as_deref(), Some(&b"one"[..]));
        assert_eq!(file.changed(), None);
        std::fs::write(&path, "three").unwrap();
        assert_eq!(file.changed().as_deref(), Some(&b"three"[..]));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(file.changed().as_deref(), Some(&b""[..]));
        assert_eq!(file.changed(), None);
    }
}
