//! The two threads that serve every sandbox of this process, and live as long as it does.
//!
//! The *reader* drains all rings, pipes and sockets. The *launcher* does what blocks, and starts the helpers: a helper
//! dies with the thread that started it (`PR_SET_PDEATHSIG`), so that thread must be one that never ends.

use std::future::Future;
use std::io;
use std::sync::mpsc;
use std::sync::{LazyLock, Mutex};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::error::Error;

type Job = Box<dyn FnOnce() + Send>;

static READER: LazyLock<Result<Handle, String>> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let handle = runtime.handle().clone();
    spawn("buntime-reader", move || runtime.block_on(std::future::pending()))?;
    Ok(handle)
});

static LAUNCHER: LazyLock<Result<Mutex<mpsc::Sender<Job>>, String>> = LazyLock::new(|| {
    let (sender, jobs) = mpsc::channel::<Job>();
    spawn("buntime-launcher", move || {
        // The sender is a static: this loop never ends.
        for job in jobs {
            // A job that panics takes its own sandbox with it (its answer is never sent), not the others' thread.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
        }
    })?;
    Ok(Mutex::new(sender))
});

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let thread = std::thread::Builder::new().name(name.into()).spawn(body);
    thread.map(drop).map_err(|error: io::Error| format!("thread {name}: {error}"))
}

fn failed(message: &str) -> Error {
    Error::setup("ERR_BUNTIME_RESOURCES", message.to_owned())
}

/// Runs a future on the reader thread.
pub fn on_reader(future: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
    READER.as_ref().map_err(|message| failed(message))?.spawn(future);
    Ok(())
}

/// Runs blocking work on the launcher thread and gives its result.
pub async fn on_launcher<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let (answer, result) = oneshot::channel();
    let job: Job = Box::new(move || {
        // Nobody waits any more: the caller was dropped.
        let _ = answer.send(work());
    });
    let sender = LAUNCHER.as_ref().map_err(|message| failed(message))?;
    let sent = sender.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).send(job);
    sent.map_err(|_| failed("the launcher thread is gone"))?;
    result.await.map_err(|_| failed("the launch panicked; this is a bug"))
}
