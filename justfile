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

# A package, below target/package: `just package deb`, `just package rpm`.
package *ARGS:
    packaging/build {{ARGS}}

# Towline, lftp and rclone side by side; `just bench --help` tells of the options.
bench *ARGS:
    tests/bench/run {{ARGS}}

# An embedded server, a sample directory, and what happens to it.
demo *ARGS:
    cargo run --release -- demo {{ARGS}}

# kill -9 at 1,000 random moments, and before each system call of a sync that writes; `TOWLINE_SEED=n just kill` repeats one run.
kill:
    TOWLINE_FULL=1 cargo test --test it -- kill_9 --nocapture

# Thousands of random histories of the whole engine, with faults, crashes and lost events.
histories:
    TOWLINE_FULL=1 cargo test --test it -- convergence --nocapture

# Three writers at once, the kernel's events, faults, kills, lost events: 51 seeds of 2,000 operations. `TOWLINE_SEED=n just writers`
writers:
    TOWLINE_FULL=1 cargo test --test it -- writers:: --nocapture

# 5,000 of them on one thread, each twice: the same seed has to live the same.
simulation:
    TOWLINE_FULL=1 cargo test --test it -- the_same_seed --nocapture

# 10,000,000 random pairs of trees through the planner and the schedule: eight properties, 1,250,000 each.
planner:
    TOWLINE_CASES=1250000 cargo test --release --lib -- mirror::properties

# Faults on the wire to each real server, 400 seeds; `TOWLINE_SEED=n just chaos` starts at another one.
chaos:
    TOWLINE_FULL=1 cargo test --test it -- chaos:: --nocapture

# Files that change while they are sent: 1,000 uploads.
mixed:
    TOWLINE_FULL=1 cargo test --test it -- mixed:: --nocapture

# How editors save: 50 saves each.
saves:
    TOWLINE_FULL=1 cargo test --test it -- saves:: --nocapture

# What can befall a source, a configuration and a database, at every moment: nothing is deleted on the server.
deletes:
    TOWLINE_FULL=1 cargo test --test it -- deletes:: --nocapture

# 200 power cuts. Needs root and loop devices.
power:
    TOWLINE_FULL=1 cargo test --test it -- power_cuts --nocapture

# Full disks, here and on the servers. Needs root.
full:
    TOWLINE_FULL=1 cargo test --test it -- a_full --nocapture

# Fuzzing: one target, or all in turn; 1,000,000 inputs each unless told otherwise. `just fuzz reply 5000`
fuzz *ARGS:
    fuzz/run {{ARGS}}
