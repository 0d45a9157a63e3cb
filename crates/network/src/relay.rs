//! Relays.
use tokio::net::TcpStream;

use crate::Flow;
use crate::state::State;

pub(crate) async fn relay(_state: &State, _flow: Flow, _client: TcpStream, _upstream: TcpStream, _early: &[u8]) {
    todo!()
}
