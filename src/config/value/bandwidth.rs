//! Limits, days and times of day of a bandwidth's timetable.

use super::{Expected, size};
use crate::model::{DayMinute, Days, Rate, Weekday};

/// Bytes a second, as in `2MiB` or `2MiB/s`; `"unlimited"` is `None`.
pub(in crate::config) fn limit(text: &str) -> Result<Option<Rate>, Expected> {
    if text == "unlimited" {
        return Ok(None);
    }
    let bytes = size(text.strip_suffix("/s").unwrap_or(text));
    if let Ok(bytes) = bytes {
        return Rate::new(bytes).map(Some).ok_or("at least 1KiB a second, or \"unlimited\"".into());
    }
    let lower = text.to_ascii_lowercase();
    Err(if lower.contains("bit") || lower.contains("bps") {
        "bytes a second, not bits: 8 Mbit/s are \"1MB\"".into()
    } else {
        "bytes a second, as in \"2MiB\", or \"unlimited\"".into()
    })
}

/// Days as in `mon-fri`, `sat,sun` or `wed`.
pub(in crate::config) fn days(text: &str) -> Result<Days, Expected> {
    text.split(',').try_fold(Days::NONE, |days, part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Ok(days.and(day(first.trim())?, day(last.trim())?))
    })
}

fn day(word: &str) -> Result<Weekday, Expected> {
    let lower = word.to_ascii_lowercase();
    Weekday::parse(&lower).ok_or_else(|| {
        const EXPECTED: &str = "days such as \"mon-fri\" or \"sat,sun\"";
        // The only words of the user's that are said again are names of days.
        let longer = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
        let short = longer.into_iter().find(|long| *long == lower).and_then(|long| long.get(..3));
        Expected(short.map_or(EXPECTED.into(), |short| format!("{EXPECTED}; {lower} is \"{short}\"").into()))
    })
}

/// The beginning of some hours: `08:00`.
pub(in crate::config) fn from(text: &str) -> Result<DayMinute, Expected> {
    let before_end = |time: &DayMinute| *time != DayMinute::END;
    time(text).filter(before_end).ok_or("a time of day from \"00:00\" to \"23:59\"".into())
}

/// The end of some hours: `18:00`, or `24:00`.
pub(in crate::config) fn to(text: &str) -> Result<DayMinute, Expected> {
    time(text).ok_or("a time of day from \"00:00\" to \"24:00\"".into())
}

fn time(text: &str) -> Option<DayMinute> {
    let number = |text: &str, digits: &[usize]| {
        let fits = digits.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| fits)
    };
    let (hour, minute) = text.split_once(':')?;
    DayMinute::new(number(hour, &[1, 2])?, number(minute, &[2])?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn limits() {
        let bytes = |text| limit(text).map(|rate| rate.map(Rate::bytes));
        for (text, is) in [
            ("unlimited", None),
            ("1KiB", Some(1024)),
            ("1024 B", Some(1024)),
            ("2MiB", Some(2 << 20)),
            ("2 MB/s", Some(2_000_000)),
            ("10GiB", Some(10 << 30)),
        ] {
            assert_eq!(bytes(text), Ok(is), "{text}");
        }
        for bad in ["", "0", "2", "none", "1023B", "0MiB", "-1MiB", "1.5MiB", "2MiB/min", "/s", "8Mbit", "8 Mbps", "2mib/s/s"] {
            assert!(limit(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn days_of_the_week() {
        use Weekday::*;
        let of = |parts: &[(Weekday, Weekday)]| parts.iter().fold(Days::NONE, |days, (first, last)| days.and(*first, *last));
        for (text, parts) in [
            ("mon", &[(Mon, Mon)][..]),
            ("mon-fri", &[(Mon, Fri)]),
            ("sat,sun", &[(Sat, Sun)]),
            ("Sat, SUN", &[(Sat, Sun)]),
            ("mon , wed - thu", &[(Mon, Mon), (Wed, Thu)]),
            ("sat-mon", &[(Sat, Mon)]),
        ] {
            assert_eq!(days(text), Ok(of(parts)), "{text}");
        }
        for bad in ["", ",", "mon,", "mon-", "-", "mon-wed-fri", "monday", "mo", "1-5", "mon;tue", "daily"] {
            assert!(days(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_of_day() {
        let at = |hour, minute| DayMinute::new(hour, minute).unwrap();
        for (text, is) in [("00:00", at(0, 0)), ("8:05", at(8, 5)), ("08:05", at(8, 5)), ("23:59", at(23, 59))] {
            assert_eq!((from(text), to(text)), (Ok(is), Ok(is)), "{text}");
        }
        assert_eq!((from("24:00").is_err(), to("24:00")), (true, Ok(DayMinute::END)));
        for bad in
            ["", ":", "8", "08", "8:5", "008:00", "08:000", "24:01", "25:00", "12:60", "+8:00", "8:00pm", "08:00:00", "8.00"]
        {
            assert!(from(bad).is_err() && to(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_value_panics(text in "\\PC*|[0-9:]{0,6}|[a-z,-]{0,12}|[0-9]{1,30}[KMGT]?i?B(/s)?") {
            let _ = (limit(&text), days(&text), from(&text), to(&text));
        }
    }
}
