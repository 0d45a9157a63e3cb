//! `buntime-init`: builds one sandbox, and is its PID 1.
//!
//! Started by the supervisor with a socket as standard input, over which it gets the plan and the worker's descriptors.
//! It takes no arguments and reads no environment. What it does, in order, is `buntime_sandbox::apply`.

#![deny(unsafe_code)]
#![no_main]

use std::ffi::c_int;

use buntime_sandbox::{apply, sys};

/// C's own `main`. What the standard library does before Rust's (it reads `/proc/self/maps` for a stack that no signal
/// handler of ours will ever need) takes as long as ten mounts.
#[expect(unsafe_code, reason = "the one symbol of this name in the program")]
#[unsafe(no_mangle)]
extern "C" fn main() -> c_int {
    // A supervisor that is gone is an error of the call, not a signal.
    if let Err(error) = sys::ignore_broken_pipes().and_then(|()| sys::close_from(3)) {
        // Whatever the caller left open is not the worker's.
        eprintln!("buntime-init: {error}");
        return 1;
    }
    apply::run(sys::take_standard_input())
}
