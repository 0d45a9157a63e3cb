//! What all parts of one sandbox's network share.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use buntime_policy::{Cidr, Egress, Ports, Proto};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::pace::Pace;
use crate::parked::Parked;
use crate::report::Reports;
use crate::splice::Pipes;
use crate::{Bounds, Names, Sink, Upstream};

/// Flows of one sandbox that may move bulk data at the same time. The others wait in line for their share, so that a
/// sandbox with a thousand busy flows takes no more of the threads than one with this many.
const BULK: usize = 4;

/// One sandbox's network. Cheap to clone.
#[derive(Clone)]
pub(crate) struct State {
    inner: Arc<Inner>,
}

struct Inner {
    egress: Arc<Egress>,
    names: Names,
    upstream: Upstream,
    bounds: Bounds,
    reports: Reports,
    pace: Pace,
    parked: Parked,
    pipes: Pipes,
    flows: Arc<Semaphore>,
    bulk: Semaphore,
    loopback: Vec<(Cidr, Ports, Proto)>,
    runtime: Handle,
    ended: CancellationToken,
    tasks: TaskTracker,
}

impl State {
    /// To be called within the runtime that is to run it.
    pub(crate) fn new(egress: Arc<Egress>, upstream: Upstream, bounds: Bounds, sink: Arc<dyn Sink>) -> Self {
        let loopback = egress.host_loopback();
        let inner = Inner {
            egress,
            names: Names::new(),
            upstream,
            reports: Reports::new(sink),
            pace: Pace::new(&bounds),
            parked: Parked::default(),
            pipes: Pipes::default(),
            flows: Arc::new(Semaphore::new(bounds.flows.min(Semaphore::MAX_PERMITS))),
            bulk: Semaphore::new(BULK),
            loopback,
            runtime: Handle::current(),
            ended: CancellationToken::new(),
            tasks: TaskTracker::new(),
            bounds,
        };
        Self { inner: Arc::new(inner) }
    }

    pub(crate) fn egress(&self) -> &Egress {
        &self.inner.egress
    }

    pub(crate) fn names(&self) -> &Names {
        &self.inner.names
    }

    pub(crate) fn upstream(&self) -> &Upstream {
        &self.inner.upstream
    }

    pub(crate) fn bounds(&self) -> &Bounds {
        &self.inner.bounds
    }

    /// Where to tell of flows and decisions. Floods are cut short on the way.
    pub(crate) fn sink(&self) -> &dyn Sink {
        &self.inner.reports
    }

    /// The pace of new connections.
    pub(crate) fn pace(&self) -> &Pace {
        &self.inner.pace
    }

    /// Connections that were dialled for flows which are about to come.
    pub(crate) fn parked(&self) -> &Parked {
        &self.inner.parked
    }

    pub(crate) fn pipes(&self) -> &Pipes {
        &self.inner.pipes
    }

    /// One permit per flow.
    pub(crate) fn flows(&self) -> &Arc<Semaphore> {
        &self.inner.flows
    }

    /// Addresses and ports of the host's loopback that rules name.
    pub(crate) fn loopback(&self) -> &[(Cidr, Ports, Proto)] {
        &self.inner.loopback
    }

    /// Permits to move bulk data.
    pub(crate) fn bulk(&self) -> &Semaphore {
        &self.inner.bulk
    }

    /// Runs a part of the network until it is done, or the network is stopped: then it is dropped where it stands, and
    /// its sockets with it.
    pub(crate) fn spawn(&self, part: impl Future<Output = ()> + Send + 'static) {
        let ended = self.inner.ended.clone();
        let part = async move {
            ended.run_until_cancelled_owned(part).await;
        };
        self.inner.tasks.spawn_on(part, &self.inner.runtime);
    }

    /// Whether the network was stopped.
    pub(crate) fn is_ended(&self) -> bool {
        self.inner.ended.is_cancelled()
    }

    /// Ends all parts.
    pub(crate) fn end(&self) {
        self.inner.ended.cancel();
        self.inner.tasks.close();
        self.drop_parked(Duration::ZERO);
    }

    /// Closes connections that have waited for their flow so long, and tells of it.
    pub(crate) fn drop_parked(&self, age: Duration) {
        for (to, connection) in self.inner.parked.take_old(age) {
            let mut flow = connection.dialled.flow(to.port(), connection.since);
            flow.problem = Some("the worker did not use it".to_owned());
            self.sink().flow(flow);
        }
    }

    /// Until all parts have ended.
    pub(crate) fn all_ended(&self) -> impl Future<Output = ()> + Send + 'static {
        let tasks = self.inner.tasks.clone();
        let inner = self.inner.clone();
        async move {
            tasks.wait().await;
            inner.reports.finish();
        }
    }
}
