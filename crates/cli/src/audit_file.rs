//! The file of `--audit`: one line of JSON for each recorded system call.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use buntime_policy::Action;
use buntime_supervisor::AuditEvent;
use serde::Serialize;

use crate::escape::json_line;
use crate::failure::{Failure, OURS};

/// A file that is only ever added to.
pub struct AuditFile {
    file: Mutex<File>,
    /// Tells the lines of this run from those of others in the same file.
    session: String,
}

#[derive(Serialize)]
struct Call<'a> {
    time: u64,
    session: &'a str,
    syscall: &'static str,
    target: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<&'a str>,
    pid: i32,
    decision: Action,
    rule: Option<&'a str>,
    source: &'a str,
}

/// Calls that were made and could not be kept.
#[derive(Serialize)]
struct Gap<'a> {
    time: u64,
    session: &'a str,
    dropped: u64,
}

impl AuditFile {
    /// Makes the file where there is none. A symbolic link is refused, as whoever may write in the directory could lead
    /// the record elsewhere; so is what blocks.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let failed = |why: String| {
            Failure::new(OURS, format!("--audit: cannot write {}: {why}", path.display()))
                .with_hint("name a regular file, or one that does not exist yet in a directory that does")
        };
        let file = File::options()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open(path)
            .map_err(|error| match error.raw_os_error() {
                Some(libc::ELOOP) => failed("it is a symbolic link".to_owned()),
                _ => failed(error.to_string()),
            })?;
        let kind = file.metadata().map_err(|error| failed(error.to_string()))?.file_type();
        // /dev/null is as good a place as any for who wants only the events.
        if !kind.is_file() && !kind.is_char_device() {
            return Err(failed("it is no regular file".to_owned()));
        }
        Ok(Self { file: Mutex::new(file), session: format!("{}-{}", std::process::id(), now()) })
    }

    /// Adds these, in one write, so that the lines of two runs do not run into each other.
    pub fn add(&self, events: &[AuditEvent], dropped: u64) -> io::Result<()> {
        let session = &self.session;
        let mut text = String::new();
        for event in events {
            let AuditEvent { time, syscall, target, pid, action, rule, source, raw } = event;
            text += &json_line(&Call {
                time: *time,
                session,
                syscall,
                target,
                raw: raw.as_deref(),
                pid: *pid,
                decision: *action,
                rule: rule.as_deref(),
                source,
            })?;
        }
        if dropped > 0 {
            text += &json_line(&Gap { time: now(), session, dropped })?;
        }
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.write_all(text.as_bytes())
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(target: &str) -> AuditEvent {
        AuditEvent {
            time: 1,
            syscall: "openat",
            target: target.to_owned(),
            pid: 7,
            action: Action::Deny,
            rule: None,
            source: "default".to_owned(),
            raw: None,
        }
    }

    #[test]
    fn a_name_forges_no_line_and_no_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let hostile =
            ["/a\n{\"time\":1}", "/x\",\"decision\":\"allow", "/\u{2028}\u{85}\u{202e}\x1b[2J", "/\\", "/\r\0"];
        for _ in 0..2 {
            AuditFile::open(&path).unwrap().add(&hostile.map(call), 3).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(['\u{2028}', '\u{85}', '\u{202e}', '\x1b', '\r', '\0']), "{text:?}");
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2 * (hostile.len() + 1), "the second run adds to the first's");
        for (line, target) in lines.iter().zip(hostile) {
            assert_eq!((line["target"].as_str(), line["decision"].as_str()), (Some(target), Some("deny")));
        }
        assert_eq!(lines[hostile.len()]["dropped"], 3);
    }

    #[test]
    fn no_link_is_followed_and_nothing_that_blocks_is_opened() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::os::unix::fs::symlink(at("elsewhere"), at("link")).unwrap();
        nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR).unwrap();
        for name in ["link", "fifo", "missing/log", "."] {
            assert!(AuditFile::open(&at(name)).is_err(), "{name}");
        }
        assert!(!at("elsewhere").exists());
    }
}
