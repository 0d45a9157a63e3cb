//! The host side of a sandbox: spawn, state machine, rings, events.
//!
//! Knows nothing of Node: whoever embeds it implements [`EventSink`] and drives [`Supervisor`].

#![deny(unsafe_code)]
#![warn(missing_docs)]

mod config;
mod denials;
mod error;
mod event;
mod executions;
mod explain;
mod files;
mod inbound;
mod interpreter;
mod launch;
mod learn;
mod notify;
mod options;
mod output;
mod policies;
mod probe;
mod process;
mod queue;
#[allow(unsafe_code, reason = "registering a descriptor asks for a promise about its owner")]
mod readable;
mod setup_error;
mod supervisor;
mod threads;
mod watch;
mod worker;

pub use config::{Filesystem, Network, Resources, SandboxConfig, Security, load_config};
pub use error::{Error, ErrorClass};
pub use event::*;
pub use explain::{Explanation, Origins, explain, origins};
pub use launch::set_init_path;
pub use learn::Learned;
pub use options::*;
pub use policies::load_policy;
pub use supervisor::{Ended, Interrupted, Snapshot, Supervisor};
pub use watch::Watch;
