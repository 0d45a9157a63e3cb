//! Payloads: what a frame says. `docs/PROTOCOL.md` has the tables; `vectors/frames.json` the golden bytes.

use crate::Lie;

/// Bytes of `[u8 type][u32 req_id]`.
const PAYLOAD_HEADER: usize = 5;

const STDOUT: u8 = 0x00;
const CODE: u8 = 0x20;
const OUTPUT: u8 = 0x40;
const EXEC_START: u8 = 0x41;
const EXEC_END: u8 = 0x42;
const DENIED: u8 = 0x43;
const CODE_PART: u8 = 0x50;
const RUN: u8 = 0x52;
const SHUTDOWN: u8 = 0x53;

/// Bytes ever written to the worker's stdout and stderr pipes, modulo 2^32, when a frame was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    pub stdout: u32,
    pub stderr: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameStream {
    Stdout,
    Stderr,
}

/// A policy question that a worker puts by ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    FsRead,
    FsWrite,
    NetConnect,
    Exec,
    ListDir,
}

/// How the harness says that an execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Ok,
    Exception,
    Exit,
    Interrupted,
}

/// What a denial is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeniedKind {
    Read,
    Write,
    Net,
    Run,
    Env,
    Ffi,
    Sys,
}

/// A payload from a worker. Text is as the worker wrote it, not yet known to be UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromWorker<'a> {
    Stdout { text: &'a [u8] },
    Check { check: Check, req_id: u32, target: &'a [u8] },
    Output { stream: FrameStream, more: bool, marks: Marks, text: &'a [u8] },
    ExecStart { number: u32, marks: Marks },
    ExecEnd { number: u32, marks: Marks, exit_code: i32, how: How, error: &'a [u8] },
    Denied { kind: DeniedKind, operation: &'a [u8], target: &'a [u8] },
}

impl<'a> FromWorker<'a> {
    /// Reads a payload that was copied out of the ring.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Lie> {
        let Some((header, body)) = payload.split_at_checked(PAYLOAD_HEADER) else {
            return Err(Lie::Short { kind: payload.first().copied().unwrap_or(0), length: payload.len() });
        };
        let kind = header[0];
        let number = u32::from_le_bytes([header[1], header[2], header[3], header[4]]);
        let mut body = Body { kind, length: payload.len(), rest: body };
        Ok(match kind {
            STDOUT => Self::Stdout { text: body.rest },
            0x01..=0x05 => {
                let checks = [Check::FsRead, Check::FsWrite, Check::NetConnect, Check::Exec, Check::ListDir];
                Self::Check { check: checks[usize::from(kind) - 1], req_id: number, target: body.rest }
            }
            OUTPUT => {
                let stream = body.byte()?;
                let marks = body.marks()?;
                let more = stream & 0x80 != 0;
                let stream = match stream & 0x7f {
                    1 => FrameStream::Stdout,
                    2 => FrameStream::Stderr,
                    found => return Err(value("stream", found, "1 or 2")),
                };
                Self::Output { stream, more, marks, text: body.rest }
            }
            EXEC_START => Self::ExecStart { number, marks: body.marks()? },
            EXEC_END => {
                let marks = body.marks()?;
                let exit_code = body.word()? as i32;
                let how = match body.byte()? {
                    0 => How::Ok,
                    1 => How::Exception,
                    2 => How::Exit,
                    3 => How::Interrupted,
                    found => return Err(value("how", found, "0 to 3")),
                };
                Self::ExecEnd { number, marks, exit_code, how, error: body.rest }
            }
            DENIED => {
                let kind = match body.byte()? {
                    1 => DeniedKind::Read,
                    2 => DeniedKind::Write,
                    3 => DeniedKind::Net,
                    4 => DeniedKind::Run,
                    5 => DeniedKind::Env,
                    6 => DeniedKind::Ffi,
                    7 => DeniedKind::Sys,
                    found => return Err(value("kind", found, "1 to 7")),
                };
                let length = usize::from(body.byte()?);
                Self::Denied { kind, operation: body.take(length)?, target: body.rest }
            }
            kind => return Err(Lie::Type(kind)),
        })
    }
}

fn value(field: &'static str, found: u8, expected: &'static str) -> Lie {
    Lie::Value { field, found: u32::from(found), expected }
}

/// What is left of a payload's body.
struct Body<'a> {
    kind: u8,
    length: usize,
    rest: &'a [u8],
}

impl<'a> Body<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Lie> {
        let short = Lie::Short { kind: self.kind, length: self.length };
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Lie> {
        Ok(self.take(1)?[0])
    }

    fn word(&mut self) -> Result<u32, Lie> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn marks(&mut self) -> Result<Marks, Lie> {
        Ok(Marks { stdout: self.word()?, stderr: self.word()? })
    }
}

/// Where the text of a `RUN` comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunWhat {
    /// A path, to be opened inside the sandbox.
    File,
    Command,
    Stdin,
}

/// The payload types that the supervisor sends. Each gives the payload's head; the text follows it as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToWorker {
    Code,
    CodePart,
    Run(RunWhat),
    Shutdown,
}

impl ToWorker {
    /// `[u8 type][u32 req_id 0]` and, for `RUN`, what it runs; as many bytes as `len` says.
    pub fn head(self) -> ([u8; PAYLOAD_HEADER + 1], usize) {
        let (kind, what) = match self {
            Self::Code => (CODE, None),
            Self::CodePart => (CODE_PART, None),
            Self::Run(RunWhat::File) => (RUN, Some(0)),
            Self::Run(RunWhat::Command) => (RUN, Some(1)),
            Self::Run(RunWhat::Stdin) => (RUN, Some(2)),
            Self::Shutdown => (SHUTDOWN, None),
        };
        let length = PAYLOAD_HEADER + usize::from(what.is_some());
        ([kind, 0, 0, 0, 0, what.unwrap_or(0)], length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parsing_never_panics(payload in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = FromWorker::parse(&payload);
        }
    }

    #[derive(serde::Deserialize)]
    struct Vector {
        name: String,
        #[serde(rename = "type")]
        kind: u8,
        req_id: u32,
        body_hex: String,
        payload_hex: String,
        fields: serde_json::Value,
    }

    /// What the vectors call the fields of a payload, as this side reads them.
    fn fields(payload: &[u8]) -> serde_json::Value {
        use serde_json::json;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        match FromWorker::parse(payload).unwrap() {
            FromWorker::Stdout { text: written } => json!({"text": text(written)}),
            FromWorker::Check { target, .. } => json!({"text": text(target)}),
            FromWorker::Output { stream, more, marks, text: written } => json!({
                "stream": stream as u8 + 1, "more": more, "stdout_at": marks.stdout, "stderr_at": marks.stderr,
                "text": text(written),
            }),
            FromWorker::ExecStart { marks, .. } => json!({"stdout_at": marks.stdout, "stderr_at": marks.stderr}),
            FromWorker::ExecEnd { marks, exit_code, how, error, .. } => json!({
                "stdout_at": marks.stdout, "stderr_at": marks.stderr, "exit_code": exit_code, "how": how as u8,
                "error": text(error),
            }),
            FromWorker::Denied { kind, operation, target } => {
                json!({"kind": kind as u8 + 1, "operation": text(operation), "target": text(target)})
            }
        }
    }

    #[test]
    fn the_golden_vectors_hold() {
        let vectors: Vec<Vector> = serde_json::from_str(include_str!("../vectors/frames.json")).unwrap();
        assert!(vectors.len() > 50);
        for vector in vectors {
            let payload = crate::unhex(&vector.payload_hex);
            let body = crate::unhex(&vector.body_hex);
            let mut whole = vec![vector.kind];
            whole.extend(vector.req_id.to_le_bytes());
            whole.extend(&body);
            assert_eq!(whole, payload, "{}", vector.name);
            let sent = match (vector.kind, vector.fields.get("what").and_then(serde_json::Value::as_u64)) {
                (CODE, _) => Some(ToWorker::Code),
                (CODE_PART, _) => Some(ToWorker::CodePart),
                (RUN, Some(0)) => Some(ToWorker::Run(RunWhat::File)),
                (RUN, Some(1)) => Some(ToWorker::Run(RunWhat::Command)),
                (RUN, Some(2)) => Some(ToWorker::Run(RunWhat::Stdin)),
                (SHUTDOWN, _) => Some(ToWorker::Shutdown),
                _ => None,
            };
            if let Some(sent) = sent {
                let (head, length) = sent.head();
                assert_eq!(head[..length], payload[..length], "{}", vector.name);
            } else if vector.kind != 0x10 && vector.kind != 0x11 {
                assert_eq!(fields(&payload), vector.fields, "{}", vector.name);
            }
        }
    }

    #[test]
    fn short_and_unknown_payloads_are_lies() {
        assert_eq!(FromWorker::parse(b""), Err(Lie::Short { kind: 0, length: 0 }));
        assert_eq!(FromWorker::parse(&[OUTPUT, 0, 0, 0, 0, 1]), Err(Lie::Short { kind: OUTPUT, length: 6 }));
        assert_eq!(FromWorker::parse(&[0x7f, 0, 0, 0, 0]), Err(Lie::Type(0x7f)));
        assert_eq!(FromWorker::parse(&[CODE, 0, 0, 0, 0]), Err(Lie::Type(CODE)), "not a worker's to send");
        let stream_3 = [OUTPUT, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0];
        assert!(matches!(FromWorker::parse(&stream_3), Err(Lie::Value { field: "stream", found: 3, .. })));
        let operation_past_the_end = [DENIED, 0, 0, 0, 0, 1, 9, b'x'];
        assert_eq!(FromWorker::parse(&operation_past_the_end), Err(Lie::Short { kind: DENIED, length: 8 }));
    }
}
