//! What a sandbox is made of, and the kernel steps that make it.
//!
//! *Say* and *do* are apart: [`plan`] is plain data, built by [`view`] from what the policy grants and what the host's
//! file tree looks like; [`apply`] runs in the helper `buntime-init` and turns a plan into a sandbox. Between
//! supervisor and helper go the messages of [`message`].

#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod apply;
mod bytes;
pub mod message;
pub mod mutation;
pub mod plan;
pub mod seccomp;
#[allow(unsafe_code, reason = "one wrapper per system call; the only unsafe code of this crate")]
pub mod sys;
pub mod view;

pub use bytes::Bytes;
