//! How much a remote may carry, and at which hours.

use toml::Spanned;

use super::Reader;
use crate::{
    config::{
        Fault,
        file::{BandwidthTable, Field, HoursTable, Table, WordOr},
        value::bandwidth as value,
    },
    model::{DayMinute, Days, Hours, Timetable},
};

const HOURS_HINT: &str = "{ days = \"mon-fri\", from = \"08:00\", to = \"18:00\", limit = \"1MiB\" }";

impl Reader<'_> {
    pub(super) fn bandwidth(&mut self, field: Field<WordOr<BandwidthTable>>) -> Option<Timetable> {
        let Some(field) = field else { return Some(Timetable::default()) };
        let span = field.span();
        match field.into_inner() {
            WordOr::Word(word) => {
                let limit = self.check("bandwidth", Spanned::new(span, word), |text| value::limit(&text))?;
                Some(Timetable { limit, hours: Vec::new() })
            }
            WordOr::Table(BandwidthTable { limit, at }) => {
                let limit = self.optional("limit", limit, None, |text| value::limit(&text));
                let written = at.len();
                let hours: Vec<_> = at.into_iter().filter_map(|hours| self.hours(hours)).collect();
                (hours.len() == written).then_some(Timetable { limit: limit?, hours })
            }
        }
    }

    fn hours(&mut self, table: Spanned<Table<HoursTable>>) -> Option<Hours> {
        let at = table.span();
        let HoursTable { days, from, to, limit } = table.into_inner().0;
        let days = self.optional("days", days, Days::ALL, |text| value::days(&text));
        let ends = match (from, to) {
            (None, None) => Some((DayMinute::START, DayMinute::END, at.clone())),
            (Some(from), Some(to)) => {
                let to_at = to.span();
                let from = self.check("from", from, |text| value::from(&text));
                let to = self.check("to", to, |text| value::to(&text));
                from.zip(to).map(|(from, to)| (from, to, to_at))
            }
            _ => {
                let fault = Fault::new(&self.place(&at), "at: `from` and `to` go together; without them it is the whole day");
                self.part.faults.push(fault.with_hint(HOURS_HINT));
                None
            }
        };
        let limit = self.required("limit", limit, &at, |text| value::limit(&text));
        let (from, to, to_at) = ends?;
        let hours = Hours::new(days?, from, to, limit?);
        if hours.is_none() {
            let fault = Fault::new(&self.place(&to_at), "to: expected another time than `from`");
            self.part.faults.push(fault.with_hint("for the whole day leave both out; until midnight is to = \"24:00\""));
        }
        hours
    }
}
