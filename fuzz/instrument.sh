#!/bin/sh
# Cargo calls this in place of the compiler (RUSTC_WRAPPER). Crates that read what comes from outside are built with counters
# of the paths that an input takes, which libFuzzer looks at; all others are not: with fewer counters an execution is faster.
# These are options of the stable compiler.
for word in "$@"; do
    if [ "$before" = "--crate-name" ]; then
        name=$word
        break
    fi
    before=$word
done
case $name in
    flott | flott_core | flott_connector | flott_format | flott_state | flott_function | flott_runtime | flott_cluster | \
    flott_sql | flott_wasm | flott_fuzz | flott_connector_kafka | flott_connector_nats | \
    parquet | arrow_ipc | sqlparser | p12_keystore | protox_parse | prost_reflect | roaring | wasmparser)
        exec "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
            -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
            -Cllvm-args=-sanitizer-coverage-trace-compares
        ;;
    *) exec "$@" ;;
esac
