//! Progress bars, with rate and time left: on standard error where that is a terminal, and else nothing.

use std::{sync::Arc, time::Duration};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use tokio::{sync::watch, task::AbortHandle};
use towline::mirror::{Amount, MirrorStatus, Progress};

use super::show;

/// A bar is drawn this often.
const TICK: Duration = Duration::from_millis(200);

/// What a bar measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// Bytes of a known number of them.
    Bytes,
    /// Files of a known number of them.
    Files,
    /// Bytes, and nobody knows of how many.
    Unknown,
}

impl Measure {
    fn template(self) -> &'static str {
        match self {
            Self::Bytes => "{prefix} {bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta} {msg}",
            Self::Files => "{prefix} {bar:30} {pos}/{len} files {rate} {eta} {msg}",
            Self::Unknown => "{prefix} {spinner} {bytes} {binary_bytes_per_sec} {msg}",
        }
    }

    /// How long a bar is, and how much of it is full.
    fn position(self, all: Option<Amount>, so_far: Amount) -> (Option<u64>, u64) {
        match self {
            Self::Bytes => (all.map(|all| all.bytes.max(so_far.bytes)), so_far.bytes),
            Self::Files => (all.map(|all| all.files.max(so_far.files)), so_far.files),
            Self::Unknown => (None, so_far.bytes),
        }
    }

    /// What stands behind the bar.
    fn message(self, all: Option<Amount>, so_far: Amount) -> String {
        let files = |n| show::count(n, "file", "files");
        match (self, all) {
            (Self::Bytes, Some(all)) => format!("{} left", files(all.files.saturating_sub(so_far.files))),
            (Self::Files, _) => String::new(),
            _ => format!("{} so far", files(so_far.files)),
        }
    }
}

fn bar(name: &str, measure: Measure) -> ProgressBar {
    let bar = if measure == Measure::Unknown { ProgressBar::no_length() } else { ProgressBar::new(0) };
    if let Ok(style) = ProgressStyle::with_template(measure.template()) {
        // Writing to a bar does not fail.
        let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = write!(out, "{:.0}/s", state.per_sec());
        };
        bar.set_style(style.with_key("rate", rate));
    }
    bar.set_prefix(name.to_owned());
    bar.enable_steady_tick(TICK);
    bar
}

/// Draws how a pass goes until its mirror ends.
pub(super) async fn of_pass(name: String, mut status: watch::Receiver<Arc<MirrorStatus>>) {
    let bar = bar(&name, Measure::Bytes);
    while status.changed().await.is_ok() {
        let now = status.borrow_and_update().clone();
        let flying: u64 = now.in_flight.iter().map(|job| job.sent).sum();
        let sent = now.counters.bytes_sent;
        bar.set_length(sent + now.tally.pending_bytes.max(flying));
        bar.set_position(sent + flying);
        bar.set_message(format!("{} left", show::count(now.tally.pending_files, "file", "files")));
    }
    bar.finish_and_clear();
}

/// A bar that follows a [`Progress`] as long as this lives.
pub(super) struct Shown {
    bar: ProgressBar,
    follows: AbortHandle,
}

impl Shown {
    pub(super) fn of(name: &str, progress: Arc<Progress>, measure: Measure) -> Self {
        let bar = bar(name, measure);
        let drawn = bar.clone();
        let follow = async move {
            loop {
                let (all, so_far) = (progress.all(), progress.so_far());
                let (length, position) = measure.position(all, so_far);
                length.into_iter().for_each(|length| drawn.set_length(length));
                drawn.set_position(position);
                drawn.set_message(measure.message(all, so_far));
                tokio::time::sleep(TICK).await;
            }
        };
        Self { bar, follows: tokio::spawn(follow).abort_handle() }
    }

    /// Prints something while the bar is out of the way.
    pub(super) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.follows.abort();
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_never_more_than_full() {
        let amount = |files, bytes| Amount { files, bytes };
        let so_far = amount(3, 40);
        assert_eq!(Measure::Bytes.position(Some(amount(9, 100)), so_far), (Some(100), 40));
        assert_eq!(Measure::Bytes.position(Some(amount(9, 10)), so_far), (Some(40), 40), "more came than was recorded");
        assert_eq!(Measure::Files.position(Some(amount(9, 100)), so_far), (Some(9), 3));
        assert_eq!(Measure::Files.position(None, so_far), (None, 3));
        assert_eq!(Measure::Unknown.position(Some(amount(9, 100)), so_far), (None, 40));
    }

    #[test]
    fn what_is_left_is_said_where_it_is_known() {
        let so_far = Amount { files: 1, bytes: 4 };
        let all = Some(Amount { files: 3, bytes: 9 });
        assert_eq!(Measure::Bytes.message(all, so_far), "2 files left");
        assert_eq!(Measure::Bytes.message(None, so_far), "1 file so far");
        assert_eq!(Measure::Unknown.message(None, so_far), "1 file so far");
        assert_eq!(Measure::Files.message(all, so_far), "");
    }

    #[test]
    fn every_template_is_one() {
        for measure in [Measure::Bytes, Measure::Files, Measure::Unknown] {
            assert!(ProgressStyle::with_template(measure.template()).is_ok(), "{measure:?}");
        }
    }
}
