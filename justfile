# Shortcuts; CI uses none of them (.ci/run).

# Every test. As root nothing is skipped.
test *ARGS:
    cargo test {{ARGS}}

# All that has to hold before a change is merged.
ci:
    .ci/run

# Licences, second versions, sources and advisories, by cargo-deny itself.
deny:
    cargo deny --locked check

# Towline, lftp and rclone side by side; `just bench --help` tells of the options.
bench *ARGS:
    tests/bench/run {{ARGS}}

# An embedded server, a sample directory, and what happens to it.
demo *ARGS:
    cargo run --release -- demo {{ARGS}}

# kill -9 at 100 random moments; `TOWLINE_SEED=n just kill` repeats one run.
kill:
    TOWLINE_FULL=1 cargo test --test it -- kill_9 --nocapture

# Thousands of random histories of the whole engine, with faults, crashes and lost events.
chaos:
    TOWLINE_FULL=1 cargo test --test it -- convergence --nocapture

# Fuzzing: one target, or all in turn; 1,000,000 inputs each unless told otherwise. `just fuzz reply 5000`
fuzz *ARGS:
    fuzz/run {{ARGS}}
