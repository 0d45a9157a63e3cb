//! What all parts of one sandbox's network share.

use std::sync::Arc;

use buntime_policy::Egress;

use crate::{Bounds, Names, Sink, Upstream};

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
    sink: Arc<dyn Sink>,
}

impl State {
    pub(crate) fn new(egress: Arc<Egress>, upstream: Upstream, bounds: Bounds, sink: Arc<dyn Sink>) -> Self {
        Self { inner: Arc::new(Inner { egress, names: Names::new(), upstream, bounds, sink }) }
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

    pub(crate) fn sink(&self) -> &dyn Sink {
        &*self.inner.sink
    }
}
