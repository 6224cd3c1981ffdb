//! Whether a server is still the one that was probed, by its greeting and features; and when to probe. Decisions only.

use std::time::Duration;

use crate::{
    ftps::{
        profile::{Probed, Verdict},
        proto::{Features, Reply},
    },
    model::UnixMillis,
};

/// A server whose greeting never repeats is not probed at every login.
const CALM: Duration = Duration::from_secs(10 * 60);
/// When a probe that was cut short is tried again.
const CUT_SHORT: Duration = Duration::from_secs(60 * 60);
/// When a probe that could not write is tried again.
const NO_DIRECTORY: Duration = Duration::from_secs(24 * 60 * 60);

/// Whether to probe now.
pub(super) fn is_due(last: Option<Probed>, fingerprint: u64, now: UnixMillis) -> bool {
    let Some(last) = last else { return true };
    let wait = match last.verdict {
        _ if last.fingerprint != fingerprint => CALM,
        Verdict::Complete | Verdict::Begun => return false,
        Verdict::CutShort => CUT_SHORT,
        Verdict::NoDirectory => NO_DIRECTORY,
    };
    now.since(last.at) >= wait
}

/// Whether something was left for later, on this very server.
pub(super) fn is_begun(last: Option<Probed>, fingerprint: u64) -> bool {
    last.is_some_and(|last| last.verdict == Verdict::Begun && last.fingerprint == fingerprint)
}

/// A number for what the server says of itself. Equal for two greetings that differ in what counts or tells the time: Pure-FTPd
/// greets with the number of users and the hour.
pub(super) fn fingerprint(greeting: &Reply, features: &Features) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for line in &greeting.lines {
        for word in String::from_utf8_lossy(line).split_whitespace().filter(|word| lasts(word)) {
            hasher.update(word.as_bytes()).update(b" ");
        }
    }
    hasher.update(format!("{features:?}").as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(first)
}

/// Whether a word of a greeting is the same tomorrow: no number, time, date, or token. `1.3.8` is a version, and stays.
fn lasts(word: &str) -> bool {
    const CALENDAR: [&str; 19] = [
        "mon", "tue", "wed", "thu", "fri", "sat", "sun", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct",
        "nov", "dec",
    ];
    let bare = word.trim_matches(|c: char| c.is_ascii_punctuation());
    let counts = bare.chars().all(|c| c.is_ascii_digit() || matches!(c, ':' | '/' | '-' | ','));
    !counts && !word.contains('@') && !CALENDAR.iter().any(|name| bare.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn greeting(lines: &[&str]) -> Reply {
        Reply { code: 220, lines: lines.iter().map(|line| line.as_bytes().to_vec()).collect() }
    }

    fn of(lines: &[&str]) -> u64 {
        fingerprint(&greeting(lines), &Features::default())
    }

    #[test]
    fn what_changes_by_itself_does_not_count() {
        let pure = |user: &str, time: &str| {
            of(&[
                "Welcome to Pure-FTPd [TLS]",
                &format!("You are user number {user} of 100 allowed."),
                &format!("Local time is now {time}. Server port: 21."),
            ])
        };
        assert_eq!(pure("1", "09:05"), pure("73", "23:59"));
        assert_eq!(of(&["ready Mon Nov 22 18:14:00 2026 <17.5@x>"]), of(&["ready Tue Dec 1 8:00:59 2027 <9.99@x>"]));
        assert_ne!(of(&["(vsFTPd 3.0.3)"]), of(&["(vsFTPd 3.0.5)"]));
        assert_ne!(of(&["ProFTPD Server"]), of(&["FileZilla Server"]));
        let more = Features { mfmt: true, ..Features::default() };
        assert_ne!(fingerprint(&greeting(&["a"]), &more), of(&["a"]));
    }

    #[test]
    fn when_a_probe_is_due() {
        let day = |n: i64| UnixMillis(n * 86_400_000);
        let last = |verdict| Some(Probed { at: day(1), fingerprint: 7, verdict });
        assert!(is_due(None, 7, day(1)));
        assert!(!is_due(last(Verdict::Complete), 7, day(1_000)));
        assert!(is_due(last(Verdict::Complete), 8, day(2)));
        assert!(!is_due(last(Verdict::Begun), 7, day(1_000)));
        assert!(is_begun(last(Verdict::Begun), 7) && !is_begun(last(Verdict::Begun), 8) && !is_begun(last(Verdict::Complete), 7));
        assert!(!is_due(last(Verdict::Complete), 8, UnixMillis(day(1).0 + 1_000)), "not at every login");
        assert!(!is_due(last(Verdict::NoDirectory), 7, UnixMillis(day(2).0 - 1)));
        assert!(is_due(last(Verdict::NoDirectory), 7, day(2)));
        assert!(!is_due(last(Verdict::CutShort), 7, UnixMillis(day(1).0 + 60_000)));
        assert!(is_due(last(Verdict::CutShort), 7, UnixMillis(day(1).0 + 3_600_000)));
    }

    proptest! {
        #[test]
        fn numbers_and_hours_never_count(user in 0u32.., hour in 0u8..24, minute in 0u8..60) {
            prop_assert_eq!(of(&[&format!("user {user} at {hour:02}:{minute:02}.")]), of(&["user 1 at 00:00."]));
        }
    }
}
