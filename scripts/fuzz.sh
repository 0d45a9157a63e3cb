#!/usr/bin/env bash
# Fuzzes what reads a worker's bytes: `bash scripts/fuzz.sh [dns|http] [SECONDS]`, by default both, 600 seconds each, one after
# the other. A finding ends the run with an error and leaves its input in the folder that is named.
#
# It needs a C++ compiler for libFuzzer and no nightly toolchain: coverage is a pass of LLVM's, and there is no unsafe code
# here that an address sanitizer would have to watch. A short run with a fixed seed is part of `cargo nextest run`.
set -euo pipefail
cd "$(dirname "$0")/.."

targets=(dns http)
case "${1:-}" in
  dns | http) targets=("$1"); shift ;;
esac
seconds=${1:-600}
case $seconds in
  *[!0-9]* | '') echo "error: found seconds '$seconds', expected a number" >&2; exit 2 ;;
esac

triple=$(rustc -vV | sed -n 's/^host: //p')
out=${BUNTIME_FUZZ_DIR:-${CARGO_TARGET_DIR:-target}/fuzz}
mkdir -p "$out"
out=$(cd "$out" && pwd)

# With --target the flags are for the target alone, not for build scripts and macros.
RUSTFLAGS="-Cpasses=sancov-module -Ccodegen-units=1 \
  -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
  -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares" \
  cargo build --quiet --release --manifest-path crates/network/fuzz/Cargo.toml --target "$triple" --target-dir "$out/target"

for target in "${targets[@]}"; do
  mkdir -p "$out/corpus/$target" "$out/findings/$target"
  # The seeds of the ordinary tests are the first corpus.
  "$out/target/$triple/release/seeds" "$target" "$out/corpus/$target"
  echo "==> $target, $seconds s; findings go to $out/findings/$target"
  "$out/target/$triple/release/$target" "$out/corpus/$target" -max_total_time="$seconds" -max_len=4096 -timeout=10 \
    -rss_limit_mb=1024 -print_final_stats=1 -verbosity=0 -artifact_prefix="$out/findings/$target/"
done
