//! The addon: what JavaScript sees of the supervisor.
//!
//! Nothing is decided here. JavaScript values become Rust ones and back; the work is done by `buntime-supervisor`,
//! which knows nothing of Node. The public face is `index.js`, a facade over the binding that is generated from this
//! crate.

mod error;
mod event;
mod listeners;
mod options;
mod paths;
mod policy;
mod supervisor;
mod value;

// The binding's exports.
pub use policy::{load_config, load_policy, merge_policies};
pub use supervisor::Supervisor;
