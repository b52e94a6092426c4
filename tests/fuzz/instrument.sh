#!/bin/sh
# Cargo's RUSTC_WORKSPACE_WRAPPER for fuzzing: what we wrote tells libFuzzer which code an input reaches, and what it
# compares. Libraries from outside are those that every other build has, and build scripts are left as they are.
case " $* " in
*" --crate-name wasmlx"*)
    exec "$@" \
        -Cpasses=sancov-module \
        -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
        -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares \
        -Cllvm-args=-simplifycfg-branch-fold-threshold=0
    ;;
*) exec "$@" ;;
esac
