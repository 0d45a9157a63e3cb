//! Bytes to and from descriptors as they are. The standard library's handles keep back what follows the last line
//! break, and give up on a descriptor that does not block.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd;

/// Writes all of `bytes`, waiting as long as it takes: whoever shares a terminal or a pipe with us may have set it to
/// not block.
pub fn write_all(fd: impl AsFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match unistd::write(&fd, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(errno) => wait_or_fail(&fd, errno, PollFlags::POLLOUT)?,
        }
    }
    Ok(())
}

/// Reads what is there, waiting for something to be; 0 is the end.
pub fn read(fd: impl AsFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    loop {
        match unistd::read(&fd, buffer) {
            Ok(length) => return Ok(length),
            Err(errno) => wait_or_fail(&fd, errno, PollFlags::POLLIN)?,
        }
    }
}

/// Returns when the call that failed so is worth another try.
fn wait_or_fail(fd: impl AsFd, errno: Errno, ready: PollFlags) -> Result<(), Errno> {
    match errno {
        Errno::EINTR => Ok(()),
        Errno::EAGAIN => match poll(&mut [PollFd::new(fd.as_fd(), ready)], PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno),
        },
        errno => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::OFlag;

    #[test]
    fn a_full_descriptor_that_does_not_block_is_waited_for() {
        let (reader, writer) = unistd::pipe2(OFlag::O_NONBLOCK).unwrap();
        let sent: Vec<u8> = (0..1_000_000u32).map(|n| n as u8).collect();
        let copy = sent.clone();
        let writing = std::thread::spawn(move || write_all(writer, &copy));
        let (mut received, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            match read(&reader, &mut buffer).unwrap() {
                0 => break,
                length => received.extend_from_slice(&buffer[..length]),
            }
        }
        writing.join().unwrap().unwrap();
        assert!(received == sent);
    }

    #[test]
    fn nobody_at_the_other_end() {
        let (reader, writer) = unistd::pipe().unwrap();
        drop(reader);
        assert_eq!(write_all(writer, b"x"), Err(Errno::EPIPE));
    }
}
