//! The way out.

use std::net::IpAddr;

use buntime_policy::{Decision, Name, Peer};
use tokio::net::TcpStream;

use crate::state::State;

pub(crate) struct Dialled {
    pub(crate) stream: TcpStream,
    pub(crate) name: Option<Name>,
    pub(crate) address: IpAddr,
    pub(crate) decision: Decision,
}

pub(crate) enum Refused {
    Denied { decision: Decision, address: Option<IpAddr> },
    Failed { errno: i32, problem: String },
}

pub(crate) async fn dial(_state: &State, _peer: &Peer, _port: u16) -> Result<Dialled, Refused> {
    todo!()
}
