//! The one place that reads the wall clock. Elapsed time is `tokio::time::Instant`, so that tests can pause it.

use jiff::{Timestamp, tz::TimeZone};

use crate::model::{DayMinute, LocalTime, UnixMillis, Weekday};

/// Now, by the wall clock.
#[expect(clippy::disallowed_methods, reason = "this is its one home")]
pub fn now() -> UnixMillis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Now, as the clocks on this machine's walls show it: by `$TZ`, else `/etc/localtime`, else in UTC. The zone is read anew every few
/// minutes at most.
pub fn local() -> LocalTime {
    local_at(now(), TimeZone::system())
}

/// A moment with its date, to the second, as the clocks on this machine's walls show it.
pub fn shown(at: UnixMillis) -> String {
    shown_at(at, TimeZone::system())
}

fn shown_at(at: UnixMillis, zone: TimeZone) -> String {
    Timestamp::from_millisecond(at.0).unwrap_or_default().to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn local_at(now: UnixMillis, zone: TimeZone) -> LocalTime {
    let shown = Timestamp::from_millisecond(now.0).unwrap_or_default().to_zoned(zone);
    let unsigned = |n: i8| u16::try_from(n).unwrap_or_default();
    LocalTime {
        day: Weekday::ALL[usize::from(shown.weekday().to_monday_zero_offset().unsigned_abs()) % 7],
        minute: DayMinute::new(unsigned(shown.hour()), unsigned(shown.minute())).unwrap_or(DayMinute::START),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zone_shifts_hour_and_day() {
        let local = |millis, hours| local_at(UnixMillis(millis), TimeZone::fixed(jiff::tz::Offset::constant(hours)));
        let at = |day, hour, minute| LocalTime { day, minute: DayMinute::new(hour, minute).unwrap() };
        // 1 January 1970 was a Thursday.
        assert_eq!(local(0, 0), at(Weekday::Thu, 0, 0));
        assert_eq!(local(0, -1), at(Weekday::Wed, 23, 0));
        assert_eq!(local(90_000_000, 2), at(Weekday::Fri, 3, 0));
        assert_eq!(local(3 * 86_400_000 + 59_999, 0), at(Weekday::Sun, 0, 0));
        assert_eq!(local(3 * 86_400_000 + 60_000, 0), at(Weekday::Sun, 0, 1));
    }

    #[test]
    fn a_moment_is_shown_with_its_date() {
        let zone = TimeZone::fixed(jiff::tz::Offset::constant(2));
        assert_eq!(shown_at(UnixMillis(90_000_999), zone.clone()), "1970-01-02 03:00:00");
        assert_eq!(shown_at(UnixMillis(i64::MAX), zone), "1970-01-01 02:00:00", "no moment");
    }

    #[test]
    fn summer_counts() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let at = |hour| LocalTime { day: Weekday::Thu, minute: DayMinute::new(hour, 0).unwrap() };
        assert_eq!(local_at(UnixMillis(0), zone.clone()), at(1));
        // 1 July 1976 was a Thursday, too.
        assert_eq!(local_at(UnixMillis(205_027_200_000), zone), at(2));
    }

    /// The machine's zone once was UTC whatever it was, for want of a feature of the library.
    #[test]
    fn the_zone_of_the_environment_counts() {
        const ZONE: &str = "XXX-5";
        if std::env::var("TZ").as_deref() == Ok(ZONE) {
            let offset = TimeZone::system().to_offset(Timestamp::UNIX_EPOCH);
            assert_eq!(offset.seconds(), 5 * 3600);
            return;
        }
        // The environment cannot be changed in here.
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", "clock::tests::the_zone_of_the_environment_counts"]).env("TZ", ZONE);
        let output = again.output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("1 passed"), "{told}");
    }
}
