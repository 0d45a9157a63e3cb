//! What the tests of the command share.

#![allow(dead_code, reason = "each test binary has its own copy and uses a part")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The command under test.
pub const COMMAND: &str = env!("CARGO_BIN_EXE_python-ipc-bun");

/// Cases whose output does not depend on who runs them, and where.
pub fn transcripts(cases: &str, helper: &Path) {
    trycmd::TestCases::new()
        .register_bin("python-ipc-bun", Path::new(COMMAND))
        .env("NO_COLOR", "1")
        .env("COLUMNS", "100")
        .env("BUNTIME_INIT_PATH", helper.to_string_lossy())
        .case(cases)
        .run();
}

/// The command, ready to run a sandbox.
pub fn command() -> Command {
    let mut command = Command::new(COMMAND);
    command.env("NO_COLOR", "1").env("BUNTIME_INIT_PATH", helper());
    command
}

/// The static helper. A test of the sandbox without one fails: skipped, it would look as if it had passed.
pub fn helper() -> PathBuf {
    let named = ["BUNTIME_TEST_INIT", "BUNTIME_INIT_PATH"].into_iter().find_map(std::env::var_os);
    let helper = named.map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../npm/linux-x64-gnu/buntime-init"),
        PathBuf::from,
    );
    assert!(
        helper.exists(),
        "{} does not exist: these tests need the static helper, which `npm install` builds and BUNTIME_TEST_INIT names",
        helper.display()
    );
    helper
}
