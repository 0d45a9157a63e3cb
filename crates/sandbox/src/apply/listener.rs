//! The listener of a watched sandbox: the supervisor is asked about every call that the plan names.
//!
//! The worker loads this filter itself, so that PID 1, whose duties the supervisor waits for, is never asked about. The
//! kernel allows one listener in a chain of filters; where the host holds it already there is no watching, and no
//! start.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use super::{During, Result, failure, of_filter, sending};
use crate::message::{HelperEnd, Step};
use crate::mutation::{Layer, off};
use crate::seccomp;
use crate::sys;

/// How often the sending thread looks whether the filter is loaded.
const LOOK: Duration = Duration::from_micros(50);

/// Loads the filter of the list that asks about these calls, and hands its listener to the supervisor.
///
/// From the loading on any call of this thread may wait for an answer, which nobody gives before the supervisor has the
/// listener. So another thread sends it, for which the filter does not hold, and which is told without a call: nobody
/// waits in `OnceLock`, whose setting is then a store.
pub fn install(helper: &HelperEnd, watch: &[String], code: bool) -> Result<()> {
    let filter = if off(Layer::Seccomp) { seccomp::watch_alone(watch) } else { seccomp::list_and_watch(watch, code) }
        .map_err(of_filter)?;
    let loaded: OnceLock<Option<OwnedFd>> = OnceLock::new();
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            loop {
                match loaded.get() {
                    Some(Some(listener)) => return helper.send_listener(listener.as_fd()),
                    Some(None) => return Ok(()),
                    None => thread::sleep(LOOK),
                }
            }
        });
        let (listener, done) = match sys::load_filter(&filter, true) {
            Ok(listener) => (listener, Ok(())),
            Err(error) => (None, Err(error).during(Step::Watch)),
        };
        // Set once, here.
        let _ = loaded.set(listener);
        let sent = sender.join().map_err(|_| failure(Step::Watch, "the thread that sends the listener panicked"))?;
        done.and(sent.map_err(sending(Step::Watch, "the listener")))
    })
}
