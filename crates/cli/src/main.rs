//! `python-ipc-bun`: runs untrusted Python in a kernel-level Linux sandbox.

#![deny(unsafe_code)]

mod args;
mod audit_file;
mod command_line;
mod denials;
mod entry;
mod escape;
mod failure;
mod fd;
mod learn;
mod permissions;
mod policy;
mod run;
mod say;
mod session;
mod signals;
mod sink;
mod size;
mod stdin;
mod variables;

use args::{Command, PolicyCommand};

fn main() {
    let done = match args::parse().command {
        Command::Run(args) => run::run(*args),
        Command::Learn(args) => learn::learn(*args),
        Command::InitPolicy(args) => policy::init(*args),
        Command::Policy(PolicyCommand::Explain(args)) => policy::explain(*args),
    };
    // Leaves at once: the thread that reads stdin may sit in a read for ever.
    std::process::exit(match done {
        Ok(code) => code.into(),
        Err(failure) => {
            failure.report();
            failure.code.into()
        }
    })
}
