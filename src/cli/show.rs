//! Words for figures: sizes, counts, ages.

use std::time::Duration;

use indicatif::{HumanBytes, HumanCount};
use towline::{clock, mirror::Pause, model::UnixMillis};

pub(super) fn bytes(n: u64) -> String {
    HumanBytes(n).to_string()
}

pub(super) fn count(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", HumanCount(n), if n == 1 { one } else { many })
}

/// A figure with its thousands.
pub(super) fn figure(n: u64) -> String {
    HumanCount(n).to_string()
}

/// A moment, as the clocks on this machine's walls show it.
pub(super) fn time(at: UnixMillis) -> String {
    clock::shown(at)
}

/// Until when a mirror is paused.
pub(super) fn paused(mirror: &str, pause: &Pause, now: UnixMillis) -> String {
    match pause.until {
        Some(until) => {
            // Two hours that have just begun are two hours.
            let left = span(until.since(now) + Duration::from_millis(999));
            format!("until {}, for {left}; `towline resume {mirror}` ends it", time(until))
        }
        None => format!("until `towline resume {mirror}`"),
    }
}

/// A duration in its two largest units.
pub(super) fn span(duration: Duration) -> String {
    let s = duration.as_secs();
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        3600..86_400 => format!("{} h {} min", s / 3600, s % 3600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3600),
    }
}

pub(super) fn ago(at: UnixMillis, now: UnixMillis) -> String {
    format!("{} ago", span(now.since(at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_shown_in_two_units() {
        for (seconds, shown) in [(0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3_660, "1 h 1 min"), (90_000, "1 d 1 h")] {
            assert_eq!(span(Duration::from_secs(seconds)), shown);
        }
    }

    #[test]
    fn a_pause_says_when_it_ends_and_how() {
        let at = UnixMillis;
        let open = Pause { since: at(0), until: None };
        assert_eq!(paused("site", &open, at(0)), "until `towline resume site`");
        let two = Pause { since: at(0), until: Some(at(7_200_000)) };
        let shown = format!("until {}, for 1 h 0 min; `towline resume site` ends it", time(at(7_200_000)));
        assert_eq!(paused("site", &two, at(3_600_000)), shown);
    }

    #[test]
    fn counts_know_their_plural() {
        assert_eq!(count(1, "file", "files"), "1 file");
        assert_eq!(count(1234, "file", "files"), "1,234 files");
    }
}
