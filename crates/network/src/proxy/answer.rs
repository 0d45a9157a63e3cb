//! Answers of our own, for people to read.

use buntime_policy::{Egress, Peer};
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;

use super::request::Endpoint;
use crate::dial::Refused;

/// What a response holds: the server's, or a text of ours.
pub(super) type Body = Either<Incoming, Full<Bytes>>;

/// A text; none where it is empty.
pub(super) fn text(status: StatusCode, text: &str) -> Response<Body> {
    let content = if text.is_empty() { Bytes::new() } else { Bytes::from(format!("{text}\n")) };
    let mut response = Response::new(Either::Right(Full::new(content)));
    *response.status_mut() = status;
    if !text.is_empty() {
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
    }
    if status == StatusCode::BAD_REQUEST {
        // What follows on this connection may be the rest of what was not understood.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Why a peer was not reached, and what would help.
pub(super) fn refused(egress: &Egress, refused: &Refused, to: &Endpoint) -> Response<Body> {
    let target = to.shown();
    match refused {
        Refused::Denied { decision, address } => {
            // Where the rule was written is a path of the host's.
            let by = decision.rule.as_ref().map_or_else(|| "by default".to_owned(), |rule| format!("by {rule}"));
            let name = match &to.peer {
                Peer::Name(name) => Some(name),
                Peer::Address(_) => None,
            };
            let hint = egress.hint(name, *address, to.port);
            let remedy = hint.map_or_else(String::new, |flag| format!("; run again with {flag}"));
            text(StatusCode::FORBIDDEN, &format!("net access to {target:?} is denied {by}{remedy}"))
        }
        Refused::Failed { errno, problem } => {
            let status = if *errno == libc::ETIMEDOUT { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::BAD_GATEWAY };
            text(status, &format!("{target:?} cannot be reached: {problem}"))
        }
    }
}
