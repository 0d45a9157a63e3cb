//! One run of a program that is not trusted to end, or to say little: for the reader thread, which goes on meanwhile.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use buntime_sandbox::sys;
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::readable::Readable;

/// Most bytes of an answer, and of complaints.
const MAX_SAID: usize = 1 << 20;
/// Between looks whether a program that has closed its output has ended.
const END_WAIT: Duration = Duration::from_millis(1);

/// What a probe sees of the caller's environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Env {
    /// All of it: it decides what a shim picks.
    Caller,
    /// Nothing, as a worker: what starts only by grace of a variable is to fail here, where it can be told why.
    Worker,
}

/// A running program, in a process group of its own. Dropped before its end, it is killed with its group.
pub struct Probe {
    child: Child,
    ended: bool,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

impl Probe {
    /// Starts it. Its input is a file, which nobody has to feed.
    pub fn start(
        program: &Path,
        args: &[impl AsRef<OsStr>],
        input: &[u8],
        cwd: &Path,
        env: Env,
    ) -> Result<Self, String> {
        let input = sys::sealed_memfd(c"buntime-probe", input).map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        if env == Env::Worker {
            command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LANG", "C.UTF-8");
        }
        let mut child = command
            .args(args)
            .current_dir(cwd)
            .process_group(0)
            .stdin(Stdio::from(File::from(input)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let stdout = child.stdout.take().map(OwnedFd::from);
        let stderr = child.stderr.take().map(OwnedFd::from);
        Ok(Self { child, ended: false, stdout, stderr })
    }

    /// What it printed, if it succeeded; else what it said is wrong.
    pub async fn answer(mut self) -> Result<Vec<u8>, String> {
        let (stdout, stderr) = tokio::try_join!(read(self.stdout.take()), read(self.stderr.take()))?;
        let status = self.end().await.map_err(|error| error.to_string())?;
        if status.success() {
            return Ok(stdout);
        }
        Err(format!("{status}: {}", reason(&String::from_utf8_lossy(&stderr))))
    }

    /// A program whose output is at its end is about to exit, and nothing else tells of that without a signal handler.
    async fn end(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.ended = true;
                return Ok(status);
            }
            tokio::time::sleep(END_WAIT).await;
        }
    }
}

/// The line that names an error: the last one of Python's and the loader's words, the first one of a shim's.
fn reason(said: &str) -> &str {
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    lines.rfind(|line| line.contains("rror")).unwrap_or(first)
}

async fn read(pipe: Option<OwnedFd>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let Some(pipe) = pipe else { return Ok(bytes) };
    crate::launch::nonblocking(&pipe).map_err(|error| error.to_string())?;
    let pipe = Readable::new(pipe).map_err(|error| error.to_string())?;
    let mut buffer = [0; 16 * 1024];
    loop {
        match nix::unistd::read(pipe.get(), &mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(length) if bytes.len() + length > MAX_SAID => {
                return Err(format!("it printed more than {MAX_SAID} bytes when it was probed"));
            }
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
            Err(Errno::EAGAIN) => pipe.wait().await,
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // It has not been waited for, so that the number is still its own.
        if let Ok(group) = i32::try_from(self.child.id()) {
            // It may have ended by itself.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        if let Ok(Some(_)) = self.child.try_wait() {
            return;
        }
        // A process in the middle of a disk's or a server's work dies late: nobody of ours waits for that.
        let pid = Pid::from_raw(self.child.id().cast_signed());
        let reap = move || {
            // Without a thread for this it stays a zombie.
            let _ = nix::sys::wait::waitpid(pid, None);
        };
        let _ = std::thread::Builder::new().name("buntime-reaper".into()).spawn(reap);
    }
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn the_line_that_names_the_error() {
        for (said, expected) in [
            ("", ""),
            ("Traceback:\n  x\nKeyError: 'x'\n", "KeyError: 'x'"),
            (
                "p: error while loading shared libraries: l.so: no\n",
                "p: error while loading shared libraries: l.so: no",
            ),
            (
                "\npyenv: python3: command not found\n\nThe command exists in:\n  3.9\n",
                "pyenv: python3: command not found",
            ),
            (
                "Fatal Python error: x\nModuleNotFoundError: No module named 'encodings'\n\n  <no Python frame>\n",
                "ModuleNotFoundError: No module named 'encodings'",
            ),
        ] {
            assert_eq!(reason(said), expected);
        }
    }
}
