//! Connections that were dialled while the worker's `connect()` waited, for the flows that follow.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::dial::Dialled;

/// Most of one sandbox. Each is taken within moments: the kernel goes on with the `connect()` as soon as it is there.
const MOST: usize = 64;
/// How long one is kept for a flow that does not come, since its process died in between.
pub(crate) const KEPT: Duration = Duration::from_secs(5);

/// One sandbox's.
#[derive(Default)]
pub(crate) struct Parked {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    by_destination: HashMap<SocketAddr, Vec<(Instant, Connection)>>,
    count: usize,
}

/// A connection to outside, with its place among the flows.
pub(crate) struct Connection {
    pub(crate) dialled: Dialled,
    /// When the worker asked for it.
    pub(crate) since: Instant,
    pub(crate) place: OwnedSemaphorePermit,
}

impl Parked {
    /// Keeps a connection for the flow to `to`. False, and closed, where there are too many.
    pub(crate) fn put(&self, to: SocketAddr, connection: Connection) -> bool {
        let table = &mut *self.lock();
        if table.count >= MOST {
            return false;
        }
        table.count += 1;
        table.by_destination.entry(to).or_default().push((Instant::now(), connection));
        true
    }

    /// The connection that has waited longest for a flow to `to`.
    pub(crate) fn take(&self, to: SocketAddr) -> Option<Connection> {
        let table = &mut *self.lock();
        let waiting = table.by_destination.get_mut(&to)?;
        let connection = (!waiting.is_empty()).then(|| waiting.remove(0).1);
        if waiting.is_empty() {
            table.by_destination.remove(&to);
        }
        table.count -= usize::from(connection.is_some());
        connection
    }

    /// Those that have waited for so long, with where they lead.
    pub(crate) fn take_old(&self, age: Duration) -> Vec<(SocketAddr, Connection)> {
        let table = &mut *self.lock();
        let mut old = Vec::new();
        for (to, waiting) in &mut table.by_destination {
            let found = waiting.extract_if(.., |(since, _)| since.elapsed() >= age);
            old.extend(found.map(|(_, connection)| (*to, connection)));
        }
        table.by_destination.retain(|_, waiting| !waiting.is_empty());
        table.count -= old.len();
        old
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // No change below can panic half-way.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
