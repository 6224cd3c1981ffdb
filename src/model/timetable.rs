//! How much may be sent at which hour of the week: values alone. What time it is, [`crate::clock`] says; what follows from a limit,
//! the FTPS engine's throttle.

use std::num::NonZeroU64;

/// Bytes a second, at least [`Rate::MIN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(NonZeroU64);

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weekday {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

/// Some days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days(u8);

/// Minutes since midnight, 0 to 1440.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DayMinute(u16);

/// A moment as the clock on the wall shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// Which day it is.
    pub day: Weekday,
    /// How late it is; never 24:00.
    pub minute: DayMinute,
}

/// Some hours of some days, and the limit that holds then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    days: Days,
    from: DayMinute,
    to: DayMinute,
    limit: Option<Rate>,
}

/// Which limit holds when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timetable {
    /// The limit at all hours that are not in `hours`; `None` is none.
    pub limit: Option<Rate>,
    /// The first of these that fits counts.
    pub hours: Vec<Hours>,
}

impl Rate {
    /// The lowest: 1 KiB a second.
    pub const MIN: u64 = 1024;

    /// So many bytes a second; `None` if that is too few.
    pub fn new(bytes: u64) -> Option<Self> {
        NonZeroU64::new(bytes).filter(|bytes| bytes.get() >= Self::MIN).map(Self)
    }

    /// Bytes a second.
    pub fn bytes(self) -> u64 {
        self.0.get()
    }
}

impl Weekday {
    /// All of them, Monday first.
    pub const ALL: [Self; 7] = [Self::Mon, Self::Tue, Self::Wed, Self::Thu, Self::Fri, Self::Sat, Self::Sun];

    /// The word for it: `mon`.
    pub fn as_str(self) -> &'static str {
        ["mon", "tue", "wed", "thu", "fri", "sat", "sun"][self as usize]
    }

    /// The day of which this is the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|day| day.as_str() == word)
    }

    fn before(self) -> Self {
        Self::ALL[(self as usize + 6) % 7]
    }
}

impl Days {
    /// Every day.
    pub const ALL: Self = Self(0b111_1111);
    /// No day.
    pub const NONE: Self = Self(0);

    /// These, and those from `first` to `last`, over the end of the week where that is earlier.
    #[must_use]
    pub fn and(self, first: Weekday, last: Weekday) -> Self {
        let many = (last as usize + 7 - first as usize) % 7;
        Self((0..=many).fold(self.0, |days, more| days | 1 << ((first as usize + more) % 7)))
    }

    /// Whether `day` is one of them.
    pub fn has(self, day: Weekday) -> bool {
        self.0 & (1 << day as usize) != 0
    }
}

impl DayMinute {
    /// 00:00.
    pub const START: Self = Self(0);
    /// 24:00.
    pub const END: Self = Self(24 * 60);

    /// This hour and minute, 24:00 being the last; `None` if there is none such.
    pub fn new(hour: u16, minute: u16) -> Option<Self> {
        let fits = hour < 24 && minute < 60 || (hour, minute) == (24, 0);
        fits.then_some(Self(hour * 60 + minute))
    }
}

impl Hours {
    /// From `from` to `to`, without that minute itself, on `days`. Where `to` is the earlier one, this goes over midnight into the
    /// next day. `None` if there is nothing in between.
    pub fn new(days: Days, from: DayMinute, to: DayMinute, limit: Option<Rate>) -> Option<Self> {
        (from != to && from != DayMinute::END).then_some(Self { days, from, to, limit })
    }

    fn has(&self, now: LocalTime) -> bool {
        if self.from < self.to {
            return self.days.has(now.day) && (self.from..self.to).contains(&now.minute);
        }
        self.days.has(now.day) && now.minute >= self.from || self.days.has(now.day.before()) && now.minute < self.to
    }
}

impl Timetable {
    /// What holds at this moment; `None` is no limit.
    pub fn at(&self, now: LocalTime) -> Option<Rate> {
        self.hours.iter().find(|hours| hours.has(now)).map_or(self.limit, |hours| hours.limit)
    }

    /// Whether there is never any limit.
    pub fn is_unlimited(&self) -> bool {
        self.limit.is_none() && self.hours.iter().all(|hours| hours.limit.is_none())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use Weekday::*;

    fn minute(hour: u16, minute: u16) -> DayMinute {
        DayMinute::new(hour, minute).unwrap()
    }

    fn at(day: Weekday, hour: u16, minutes: u16) -> LocalTime {
        LocalTime { day, minute: minute(hour, minutes) }
    }

    fn rate(bytes: u64) -> Option<Rate> {
        Some(Rate::new(bytes).unwrap())
    }

    #[test]
    fn the_first_hours_that_fit_count() {
        let work = Days::NONE.and(Mon, Fri);
        let hours = |days, from, to, limit| Hours::new(days, from, to, limit).unwrap();
        let table = Timetable {
            limit: rate(5000),
            hours: vec![
                hours(work, minute(12, 0), minute(13, 0), None),
                hours(work, minute(8, 0), minute(18, 30), rate(2000)),
                hours(Days::NONE.and(Sat, Sat), minute(22, 0), minute(6, 0), rate(3000)),
            ],
        };
        for (now, limit) in [
            (at(Mon, 7, 59), rate(5000)),
            (at(Mon, 8, 0), rate(2000)),
            (at(Mon, 11, 59), rate(2000)),
            (at(Mon, 12, 0), None),
            (at(Fri, 13, 0), rate(2000)),
            (at(Fri, 18, 29), rate(2000)),
            (at(Fri, 18, 30), rate(5000)),
            (at(Sat, 9, 0), rate(5000)),
            // Over midnight: the day is the one on which it begins.
            (at(Sat, 0, 0), rate(5000)),
            (at(Sat, 21, 59), rate(5000)),
            (at(Sat, 22, 0), rate(3000)),
            (at(Sun, 0, 0), rate(3000)),
            (at(Sun, 5, 59), rate(3000)),
            (at(Sun, 6, 0), rate(5000)),
            (at(Sun, 22, 0), rate(5000)),
        ] {
            assert_eq!(table.at(now), limit, "{now:?}");
        }
        assert!(!table.is_unlimited() && Timetable::default().is_unlimited());
    }

    #[test]
    fn over_the_end_of_the_week() {
        let night = Hours::new(Days::NONE.and(Sun, Sun), minute(23, 0), minute(1, 0), None).unwrap();
        assert!(night.has(at(Sun, 23, 0)) && night.has(at(Mon, 0, 59)) && !night.has(at(Sun, 0, 0)) && !night.has(at(Mon, 1, 0)));
        let days = Days::NONE.and(Fri, Mon);
        let has: Vec<_> = Weekday::ALL.into_iter().filter(|day| days.has(*day)).collect();
        assert_eq!(has, [Mon, Fri, Sat, Sun]);
        assert_eq!(Days::NONE.and(Mon, Sun), Days::ALL);
        assert_eq!(Days::NONE.and(Wed, Tue), Days::ALL);
        assert_eq!(Weekday::ALL.map(|day| Weekday::parse(day.as_str())), Weekday::ALL.map(Some));
    }

    #[test]
    fn what_is_no_time_cannot_be_built() {
        assert_eq!(DayMinute::new(24, 0), Some(DayMinute::END));
        assert_eq!((DayMinute::new(24, 1), DayMinute::new(23, 60), DayMinute::new(25, 0)), (None, None, None));
        assert_eq!(Hours::new(Days::ALL, minute(8, 0), minute(8, 0), None), None);
        assert_eq!(Hours::new(Days::ALL, DayMinute::END, minute(8, 0), None), None);
        assert_eq!((Rate::new(1023), Rate::new(1024).map(Rate::bytes)), (None, Some(1024)));
    }

    proptest! {
        /// Hours are just as long as they are written, whatever midnights are in between, on each of their days.
        #[test]
        fn hours_are_as_long_as_written(from in 0u16..1440, to in 0u16..=1440, days in 0u8..128) {
            prop_assume!(from != to);
            let hours = Hours::new(Days(days), DayMinute(from), DayMinute(to), None).unwrap();
            let each = if from < to { to - from } else { to + 1440 - from };
            let week = Weekday::ALL.into_iter().flat_map(|day| (0..1440).map(move |m| LocalTime { day, minute: DayMinute(m) }));
            prop_assert_eq!(week.filter(|now| hours.has(*now)).count(), usize::from(each) * days.count_ones() as usize);
        }
    }
}
