//! Transcripts that need no sandbox: help, mistakes, refusals.

mod common;

use std::path::Path;

#[test]
fn transcripts() {
    let none = Path::new("/nonexistent/buntime-init");
    common::transcripts("tests/cli/*.trycmd", none);
}
