//! The integration tests: one binary, one list of trials. Not the place for what a unit test can show.
//!
//! A trial that cannot run on this machine (it needs root, or a server that could not be fetched) is reported as ignored, and named once
//! more at the end with its reason. Under `CI=true` a missing server is a failure instead.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a test program: it may panic, print, and is nobody's library"
)]

mod appends;
mod audit;
mod booted;
mod browser;
mod canary;
mod chaos;
mod check;
mod cli;
mod convergence;
mod copies;
mod daemon;
mod deletes;
mod doctor;
mod documents;
mod drift;
mod fleet;
mod flights;
mod ftps;
mod fuzz_corpus;
mod hostile;
mod init;
mod invariants;
mod layers;
mod listing;
mod lost;
mod matrix;
mod mirror;
mod mixed;
mod moves;
mod names;
mod network;
mod outputs;
mod proxies;
mod pty;
mod release;
mod reload;
mod resume;
mod rig;
mod saves;
mod seen;
mod servers;
mod service;
mod shortcuts;
mod support;
mod told;
mod tools;
mod transcripts;
mod trash;
mod trust;
mod truth;
mod turns;
mod writers;

use libtest_mimic::{Arguments, Trial};

fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    trials.extend(layers::trials());
    trials.extend(transcripts::trials());
    trials.extend(fuzz_corpus::trials());
    trials.extend(convergence::trials());
    trials.extend(copies::trials());
    trials.extend(servers::trials());
    trials.extend(ftps::trials());
    trials.extend(flights::trials());
    trials.extend(fleet::trials());
    trials.extend(matrix::trials());
    trials.extend(proxies::trials());
    trials.extend(hostile::trials());
    trials.extend(doctor::trials());
    trials.extend(documents::trials());
    trials.extend(drift::trials());
    trials.extend(listing::trials());
    trials.extend(daemon::trials());
    trials.extend(network::trials());
    trials.extend(names::trials());
    trials.extend(cli::trials());
    trials.extend(canary::trials());
    trials.extend(init::trials());
    trials.extend(check::trials());
    trials.extend(service::trials());
    trials.extend(booted::trials());
    trials.extend(trust::trials());
    trials.extend(truth::trials());
    trials.extend(turns::trials());
    trials.extend(mirror::trials());
    trials.extend(appends::trials());
    trials.extend(audit::trials());
    trials.extend(saves::trials());
    trials.extend(seen::trials());
    trials.extend(browser::trials());
    trials.extend(told::trials());
    trials.extend(outputs::trials());
    trials.extend(deletes::trials());
    trials.extend(lost::trials());
    trials.extend(mixed::trials());
    trials.extend(chaos::trials());
    trials.extend(trash::trials());
    trials.extend(release::trials());
    trials.extend(moves::trials());
    trials.extend(shortcuts::trials());
    trials.extend(resume::trials());
    trials.extend(reload::trials());
    trials.extend(writers::trials());
    trials
}

fn main() -> std::process::ExitCode {
    let mut arguments = Arguments::from_args();
    // Most trials wait for servers, not for processors.
    arguments.test_threads.get_or_insert(6);
    let conclusion = libtest_mimic::run(&arguments, trials());
    support::print_ignored();
    conclusion.exit_code()
}
