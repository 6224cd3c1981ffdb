//! Time values of RFC 3659 §2.3 (`YYYYMMDDHHMMSS[.sss]`, always UTC); only the arithmetic, no clock.

/// `seconds` since the Unix epoch as a time value; `None` outside the years 1 to 9999.
pub fn format(seconds: i64) -> Option<String> {
    let at = jiff::Timestamp::from_second(seconds).ok()?.to_zoned(jiff::tz::TimeZone::UTC);
    if at.year() < 1 {
        return None;
    }
    Some(format!("{:04}{:02}{:02}{:02}{:02}{:02}", at.year(), at.month(), at.day(), at.hour(), at.minute(), at.second()))
}

/// A time value as whole seconds since the Unix epoch; a leap second is the last second of its minute.
pub fn parse(text: &[u8]) -> Option<i64> {
    let (whole, fraction) = text.split_at_checked(14)?;
    let fraction_is_fine =
        fraction.is_empty() || (fraction.len() > 1 && fraction[0] == b'.' && fraction[1..].iter().all(u8::is_ascii_digit));
    if !fraction_is_fine || !whole.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |from: usize, to: usize| whole[from..to].iter().fold(0i16, |n, d| n * 10 + i16::from(d - b'0'));
    let small = |from: usize| i8::try_from(number(from, from + 2)).ok();
    let second = small(12)?;
    let at = jiff::civil::DateTime::new(
        number(0, 4),
        small(4)?,
        small(6)?,
        small(8)?,
        small(10)?,
        if second == 60 { 59 } else { second },
        0,
    );
    Some(at.ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_values() {
        assert_eq!(format(0).as_deref(), Some("19700101000000"));
        assert_eq!(format(1_700_000_000).as_deref(), Some("20231114221320"));
        assert_eq!(format(-1).as_deref(), Some("19691231235959"));
        assert_eq!(format(i64::MAX), None);
        assert_eq!(parse(b"20231114221320.123"), Some(1_700_000_000));
        assert_eq!(parse(b"20161231235960"), parse(b"20161231235959"));
        for bad in [&b""[..], b"2023111422132", b"20231114221320.", b"20231114221320x", b"20231314221320", b"19231114221379"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn there_and_back(seconds in -62_000_000_000i64..250_000_000_000) {
            prop_assert_eq!(format(seconds).and_then(|text| parse(text.as_bytes())), Some(seconds));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..20), digits in "[0-9]{14}") {
            let _ = parse(&bytes);
            let _ = parse(digits.as_bytes());
        }
    }
}
