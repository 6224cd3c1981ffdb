//! Limits and timetables.

use super::*;
use crate::model::{DayMinute, Days, Hours, Rate, Timetable, Weekday};

fn bandwidth(written: &str) -> Timetable {
    parse(&format!("{REMOTE}bandwidth = {written}")).unwrap().remotes.remove("web").unwrap().bandwidth
}

fn rate(bytes: u64) -> Option<Rate> {
    Some(Rate::new(bytes).unwrap())
}

#[test]
fn one_limit_or_many() {
    let time = |hour, minute| DayMinute::new(hour, minute).unwrap();
    let hours = |days, from, to, limit| Hours::new(days, from, to, limit).unwrap();
    let work = Days::NONE.and(Weekday::Mon, Weekday::Fri);
    let (start, end) = (DayMinute::START, DayMinute::END);
    for (written, limit, hours) in [
        ("\"unlimited\"", None, vec![]),
        ("\"2MiB\"", rate(2 << 20), vec![]),
        ("{}", None, vec![]),
        ("{ limit = \"2MB/s\" }", rate(2_000_000), vec![]),
        (
            "{ limit = \"unlimited\", at = [{ days = \"mon-fri\", from = \"08:00\", to = \"18:30\", limit = \"1MiB\" }] }",
            None,
            vec![hours(work, time(8, 0), time(18, 30), rate(1 << 20))],
        ),
        (
            "{ limit = \"1MiB\", at = [{ from = \"22:00\", to = \"6:00\", limit = \"unlimited\" }, { days = \"sat,sun\", limit = \"5MiB\" }] }",
            rate(1 << 20),
            vec![
                hours(Days::ALL, time(22, 0), time(6, 0), None),
                hours(Days::NONE.and(Weekday::Sat, Weekday::Sun), start, end, rate(5 << 20)),
            ],
        ),
    ] {
        assert_eq!(bandwidth(written), Timetable { limit, hours }, "{written}");
    }
    assert_eq!(parse(REMOTE).unwrap().remotes["web"].bandwidth, Timetable::default());
}

#[test]
fn what_is_said_of_wrong_ones() {
    let limit = "bytes a second, as in \"2MiB\", or \"unlimited\"";
    let form = "\"unlimited\", \"2MiB\" or { limit = \"unlimited\", at = [{ days = \"mon-fri\", from = \"08:00\", to = \"18:00\", limit = \"1MiB\" }] }";
    let at = |entry: &str| format!("{{ at = [{{ {entry} }}] }}");
    for (written, said) in [
        ("\"2\"", &format!("5:13: bandwidth: expected {limit}")[..]),
        ("\"none\"", &format!("5:13: bandwidth: expected {limit}")),
        ("\"8Mbit\"", "5:13: bandwidth: expected bytes a second, not bits: 8 Mbit/s are \"1MB\""),
        ("\"1000B\"", "5:13: bandwidth: expected at least 1KiB a second, or \"unlimited\""),
        ("\"0MiB\"", "5:13: bandwidth: expected at least 1KiB a second, or \"unlimited\""),
        ("2000000", &format!("5:13: found a whole number, expected {form}")),
        ("[\"2MiB\"]", &format!("5:13: found a list, expected {form}")),
        ("{ limit = 5 }", "5:23: found a whole number, expected a string"),
        ("{ limt = \"5MiB\" }", "5:15: unknown key `limt`; did you mean `limit`?"),
        ("{ at = { limit = \"5MiB\" } }", "5:20: found a table or a date, expected a list"),
        ("{ at = [\"08:00\"] }", "5:21: found a string, expected a table"),
        (&at("from = \"08:00\", to = \"18:00\""), "5:21: `limit` is missing"),
        (&at("til = \"08:00\""), "5:23: unknown key; expected one of `days`, `from`, `to`, `limit`"),
        (&at("frm = \"08:00\""), "5:23: unknown key `frm`; did you mean `from`?"),
        (&at("limit = \"fast\""), &format!("5:31: limit: expected {limit}")),
        (&at("from = \"08:00\", limit = \"1MiB\""), "5:21: at: `from` and `to` go together; without them it is the whole day"),
        (
            &at("from = \"8\", to = \"24:01\", limit = \"1MiB\""),
            "5:30: from: expected a time of day from \"00:00\" to \"23:59\"\n\
             5:40: to: expected a time of day from \"00:00\" to \"24:00\"",
        ),
        (
            &at("from = \"24:00\", to = \"8:00\", limit = \"1MiB\""),
            "5:30: from: expected a time of day from \"00:00\" to \"23:59\"",
        ),
        (&at("from = \"08:00\", to = \"8:00\", limit = \"1MiB\""), "5:44: to: expected another time than `from`"),
        (&at("days = \"workdays\", limit = \"1MiB\""), "5:30: days: expected days such as \"mon-fri\" or \"sat,sun\""),
        (
            &at("days = \"Monday-fri\", limit = \"1MiB\""),
            "5:30: days: expected days such as \"mon-fri\" or \"sat,sun\"; monday is \"mon\"",
        ),
    ] {
        assert_eq!(complaint(&format!("{REMOTE}bandwidth = {written}")), said, "{written}");
    }
}
