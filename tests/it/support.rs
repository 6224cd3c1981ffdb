//! What every integration test needs: trials around async code, temporary folders, waiting for a condition. Not the servers.

use std::fmt::Write as _;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use libtest_mimic::{Completion, Failed, Trial};
use tempfile::TempDir;
use tokio::time::Instant;

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(10);

static IGNORED: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// A trial that runs `test` on a multi-threaded runtime. It fails by panicking.
pub fn trial<F, R>(name: impl Into<String>, test: F) -> Trial
where
    F: FnOnce() -> R + Send + 'static,
    R: Future<Output = ()>,
{
    trial_where(name, || Ok(()), test)
}

/// Like [`trial`], for a test that may be impossible here: where `possible` says why, the test is ignored.
pub fn trial_where<P, F, R>(name: impl Into<String>, possible: P, test: F) -> Trial
where
    P: FnOnce() -> Result<(), Impossible> + Send + 'static,
    F: FnOnce() -> R + Send + 'static,
    R: Future<Output = ()>,
{
    let name = name.into();
    Trial::ignorable_test(name.clone(), move || match possible() {
        Ok(()) => {
            block_on(test());
            Ok(Completion::Completed)
        }
        Err(Impossible::Missing(reason)) if ci() => Err(Failed::from(format!("this must not be missing in CI: {reason}"))),
        Err(Impossible::Missing(reason) | Impossible::NotAllowed(reason)) => {
            IGNORED.lock().unwrap_or_else(PoisonError::into_inner).push((name, reason.clone()));
            Ok(Completion::ignored_with(reason))
        }
    })
}

/// Why a test cannot run on this machine.
#[derive(Clone, Debug)]
pub enum Impossible {
    /// Something is not there that could be: in CI that is a failure.
    Missing(String),
    /// This user may not do what the test has to.
    NotAllowed(String),
}

/// Names the tests that did not run, on stderr. For the end of the run.
pub fn print_ignored() {
    let mut ignored = std::mem::take(&mut *IGNORED.lock().unwrap_or_else(PoisonError::into_inner));
    if ignored.is_empty() {
        return;
    }
    ignored.sort();
    let mut text = format!("\nNOT RUN, {} of the tests above:\n", ignored.len());
    for (name, reason) in ignored {
        let _ = writeln!(text, "  {name}: {reason}");
    }
    eprintln!("{text}");
}

/// How much to do: `small` as a rule, `full` where `TOWLINE_FULL` is set.
pub fn scaled(small: u64, full: u64) -> u64 {
    if std::env::var_os("TOWLINE_FULL").is_some() { full } else { small }
}

/// A seed for a random test, printed so that the run can be repeated: from the variable `name`, else from the clock.
pub fn seed(name: &str) -> u64 {
    let given = std::env::var(name).ok().and_then(|value| value.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..1 << 32));
    eprintln!("seed: {name}={seed}");
    seed
}

/// A temporary folder that every user can enter: a server reads it under another account.
pub fn temp_dir() -> TempDir {
    tempfile::Builder::new().prefix("towline-").permissions(PermissionsExt::from_mode(0o755)).tempdir().unwrap()
}

/// Waits until `condition` holds.
///
/// # Panics
/// After `timeout`, with `what`.
pub async fn eventually(what: &str, timeout: Duration, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + timeout;
    while !condition() {
        assert!(Instant::now() < end, "not within {timeout:?}: {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// [`eventually`] for code that is not async. Says whether the condition came to hold.
pub fn wait_until(timeout: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + timeout;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(POLL);
    }
}

fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(test);
    // A test that failed may have left a blocking thread behind; it must not hold up the others.
    runtime.shutdown_timeout(Duration::from_secs(1));
}

fn ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true" || value == "1")
}
