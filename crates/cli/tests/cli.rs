//! Transcripts that need no sandbox: help, mistakes, refusals.

mod common;

#[test]
fn transcripts() {
    common::transcripts("tests/cli/*.trycmd");
}
