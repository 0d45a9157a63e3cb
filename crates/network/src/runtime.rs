//! The threads that serve the networks of all sandboxes of this process.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, OnceLock, PoisonError};

use nix::sys::signal::{SigSet, Signal};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::{Sources, Upstream};

/// Relays are work for the kernel, so a few threads serve many sandboxes.
const THREADS: usize = 2;

/// Started with the first network, and never ended: threads that only wait keep no process alive.
static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);

/// The way to the host's resolvers, whose cache all sandboxes share.
pub(crate) fn upstream() -> &'static Upstream {
    static UPSTREAM: OnceLock<Upstream> = OnceLock::new();
    UPSTREAM.get_or_init(|| Upstream::new(&Sources::default()))
}

/// The runtime.
pub(crate) fn handle() -> io::Result<Handle> {
    let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    match &*runtime {
        Some(runtime) => Ok(runtime.handle().clone()),
        None => Ok(runtime.insert(start()?).handle().clone()),
    }
}

fn start() -> io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(THREADS).max_blocking_threads(THREADS).thread_name("buntime-net").enable_all();
    builder.on_thread_start(|| {
        // `splice` to a closed connection raises it. The host may not ignore it.
        let mut pipe = SigSet::empty();
        pipe.add(Signal::SIGPIPE);
        // It cannot fail with a set that is valid.
        let _ = pipe.thread_block();
    });
    // Where the system gives no more threads, tokio panics.
    catch_unwind(AssertUnwindSafe(|| builder.build()))
        .unwrap_or_else(|_| Err(io::Error::other("no threads for the network")))
}
