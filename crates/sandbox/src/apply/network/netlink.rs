//! Netlink messages, several in one datagram, and the kernel's answer to each (netlink(7), rtnetlink(7)).

use std::borrow::Cow;
use std::os::fd::BorrowedFd;

use crate::sys::network::{kernel_answer, send_to_kernel};
use crate::sys::{Result, SysError};

/// Each part of a message begins at a multiple of this.
const ALIGNMENT: usize = 4;
/// `struct nlmsghdr`.
const HEADER: usize = 16;
/// `NLA_F_NESTED`: the attribute holds attributes.
const NESTED: u16 = 1 << 15;

/// Messages that go to the kernel together.
#[derive(Default)]
pub struct Batch {
    bytes: Vec<u8>,
    /// What each message is, by its number.
    shown: Vec<Cow<'static, str>>,
}

/// The inside of a message or of a nested attribute.
pub struct Body<'a>(&'a mut Vec<u8>);

impl Batch {
    /// Adds a request. `flags` besides `NLM_F_REQUEST`; with `NLM_F_ACK` the kernel answers it also when it succeeds.
    pub fn add(
        &mut self,
        kind: u16,
        flags: i32,
        shown: impl Into<Cow<'static, str>>,
        fill: impl FnOnce(&mut Body<'_>),
    ) {
        let start = self.bytes.len();
        let number = self.shown.len() as u32;
        self.bytes.extend(0_u32.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(((flags | libc::NLM_F_REQUEST) as u16).to_ne_bytes());
        self.bytes.extend(number.to_ne_bytes());
        self.bytes.extend(0_u32.to_ne_bytes());
        fill(&mut Body(&mut self.bytes));
        let length = (self.bytes.len() - start) as u32;
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        self.shown.push(shown.into());
    }

    /// Sends all, and reads answers until the one to the last message that asked for one, which is number `last`. The
    /// first error ends it.
    pub fn commit(&self, netlink: BorrowedFd<'_>, name: &'static str, last: usize) -> Result<()> {
        send_to_kernel(netlink, &self.bytes, name)?;
        // An error's answer repeats the message that it is about, the longest of which is a rule.
        let mut buffer = [0_u8; 8192];
        // The kernel answers before the call that sent the request returns.
        while let Some(length) = kernel_answer(netlink, &mut buffer)? {
            let Some(answer) = buffer.get(..length).and_then(Answer::read) else {
                return Err(unexpected(name, &format!("{length} bytes")));
            };
            if answer.errno != 0 {
                let shown = self.shown.get(answer.number).map_or(name, |shown| shown);
                return Err(SysError { call: "netlink", arguments: shown.into(), errno: answer.errno });
            }
            if answer.number == last {
                return Ok(());
            }
        }
        Err(unexpected(name, "no answer"))
    }

    /// The number of the message that was added last.
    pub fn last(&self) -> usize {
        self.shown.len().saturating_sub(1)
    }
}

fn unexpected(name: &str, what: &str) -> SysError {
    SysError { call: "recv", arguments: format!("netlink, {name}: {what}"), errno: libc::EPROTO }
}

/// `NLMSG_ERROR`: to which message, and 0 or what went wrong.
struct Answer {
    number: usize,
    errno: i32,
}

impl Answer {
    fn read(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(i32::from_ne_bytes);
        let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
        let number = usize::try_from(word(8)?).ok()?;
        let errno = word(HEADER)?.checked_neg()?;
        (i32::from(kind) == libc::NLMSG_ERROR).then_some(Self { number, errno })
    }
}

impl Body<'_> {
    /// A fixed header or value, as it is.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
        self.0.resize(self.0.len().next_multiple_of(ALIGNMENT), 0);
    }

    /// An attribute.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.0.extend(((value.len() + 4) as u16).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.raw(value);
    }

    /// A number in network order, as nf_tables has them all.
    pub fn number(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_be_bytes());
    }

    /// A C string.
    pub fn text(&mut self, kind: u16, text: &str) {
        self.attribute(kind, &[text.as_bytes(), b"\0"].concat());
    }

    /// An attribute of attributes.
    pub fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Body<'_>)) {
        let start = self.0.len();
        self.0.extend(0_u16.to_ne_bytes());
        self.0.extend((kind | NESTED).to_ne_bytes());
        fill(&mut Body(self.0));
        let length = (self.0.len() - start) as u16;
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }
}
