//! The host side of a sandbox: spawn, state machine, rings, events.
//!
//! Knows nothing of Node: whoever embeds it implements [`EventSink`] and drives [`Supervisor`].

#![deny(unsafe_code)]
#![warn(missing_docs)]

mod change;
mod closure;
mod code;
mod config;
mod denials;
mod elf;
mod error;
mod event;
mod executions;
mod explain;
mod files;
mod generation;
mod inbound;
mod interpreter;
mod kept;
mod launch;
mod learn;
mod libraries;
mod network;
mod notify;
mod options;
mod output;
mod overlays;
mod policies;
mod probe;
mod process;
mod programs;
mod queue;
#[allow(unsafe_code, reason = "registering a descriptor asks for a promise about its owner")]
mod readable;
mod search;
mod setup_error;
mod supervisor;
mod threads;
mod tree;
mod watch;
mod worker;

pub use config::{Filesystem, Network, Resources, SandboxConfig, Security, load_config};
pub use error::{Error, ErrorClass};
pub use event::*;
pub use explain::{Explanation, Origins, explain, origins};
pub use launch::set_init_path;
pub use learn::Learned;
pub use options::*;
pub use policies::{PolicySet, load_policy};
pub use supervisor::{Ended, Interrupted, Snapshot, Supervisor};
pub use watch::Watch;
