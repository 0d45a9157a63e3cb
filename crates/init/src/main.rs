//! `buntime-init`: builds one sandbox, and is its PID 1.
//!
//! Started by the supervisor with a socket as standard input, over which it gets the plan and the worker's descriptors.
//! It takes no arguments and reads no environment. What it does, in order, is `buntime_sandbox::apply`.

#![deny(unsafe_code)]

use buntime_sandbox::{apply, sys};

fn main() {
    // Whatever the caller left open is not the worker's.
    if let Err(error) = sys::close_from(3) {
        eprintln!("buntime-init: {error}");
        std::process::exit(1);
    }
    std::process::exit(apply::run(sys::take_standard_input()));
}
