//! Which places could not be looked at, why, and when each is looked at again. Pure: no clock, no disk.
//!
//! That nothing was heard of a place does not mean that nothing has become of it: it is looked at again by itself, after a second
//! first and then after twice as long each time, up to the interval of full scans. Until a look has come to its end without meeting
//! the trouble again, it stays.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use super::status::UnseenStatus;
use crate::{model::RelPath, scan::Trouble, watch::Dirty};

/// So many places are kept; with more, everything is looked at again.
const MOST: usize = 100;
/// After this a place is looked at again for the first time.
const FIRST: Duration = Duration::from_secs(1);

/// The places that could not be looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Unseen {
    /// Why nothing could be looked at; who says so looks at everything again.
    all: Option<String>,
    /// By path, `None` is the root: that, or those that are too many.
    places: BTreeMap<Option<RelPath>, Place>,
}

#[derive(Clone, Debug)]
struct Place {
    why: String,
    /// How often it was looked at again in vain; what was looked at before its time does not count.
    tries: u32,
    /// When it is looked at again; `None`: when something was heard of it.
    again: Option<Instant>,
    /// A look that it is part of is under way, and has not met it yet.
    looked_for: bool,
}

impl Unseen {
    /// Nothing could be looked at.
    pub(super) fn fail(&mut self, why: String) {
        *self = Self { all: Some(why), places: BTreeMap::new() };
    }

    /// A look at what is `dirty` begins.
    pub(super) fn begin(&mut self, dirty: &Dirty) {
        if *dirty == Dirty::Everything {
            self.all = None;
        }
        for (path, place) in &mut self.places {
            place.looked_for |= match (dirty, path) {
                (Dirty::Everything, _) => true,
                (Dirty::Paths(dirty), Some(path)) => dirty.iter().any(|dirty| path.is_at_or_below(dirty)),
                (Dirty::Paths(_), None) => false,
            };
        }
    }

    /// The look that is under way has met this, at `now`; it is `most` until everything is looked at anyway. Whether that is new.
    pub(super) fn meet(&mut self, path: Option<RelPath>, trouble: &Trouble, most: Duration, now: Instant) -> bool {
        let (path, why) = if self.places.len() < MOST || self.places.contains_key(&path) {
            (path, trouble.to_string())
        } else {
            (None, format!("more than {MOST} places could not be looked at"))
        };
        let is_new = !self.places.contains_key(&path);
        let new = Place { why: String::new(), tries: 0, again: None, looked_for: true };
        let place = self.places.entry(path).or_insert(new);
        // There may be more than one trouble with a place; the first is told.
        if std::mem::take(&mut place.looked_for) {
            place.why = why;
            if place.again.is_some_and(|again| again <= now) {
                place.tries = place.tries.saturating_add(1);
                place.again = None;
            }
        }
        if trouble.leaves_out() {
            let wait = FIRST.saturating_mul(1 << place.tries.min(30)).min(most);
            place.again.get_or_insert(now + wait);
        }
        is_new
    }

    /// The look has come to its end: what it has not met is no trouble any more. Where that was; `None` is the root.
    pub(super) fn end(&mut self) -> Vec<Option<RelPath>> {
        self.places.extract_if(.., |_, place| place.looked_for).map(|(path, _)| path).collect()
    }

    /// What is to be looked at again at `now`.
    pub(super) fn due(&self, now: Instant) -> Option<Dirty> {
        let due = self.places.iter().filter(|(_, place)| place.again.is_some_and(|again| again <= now));
        let paths: Option<Vec<RelPath>> = due.map(|(path, _)| path.clone()).collect();
        match paths {
            None => Some(Dirty::Everything),
            Some(paths) if paths.is_empty() => None,
            Some(paths) => Some(Dirty::Paths(paths)),
        }
    }

    /// When [`Self::due`] will have something; `None` if never.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        self.places.values().filter_map(|place| place.again).min()
    }

    /// Whether everything could be looked at.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_none() && self.places.is_empty()
    }

    /// As it is shown.
    pub(super) fn shown(&self) -> impl Iterator<Item = UnseenStatus> {
        let all = self.all.iter().map(|why| (String::new(), why));
        let name = |path: &Option<RelPath>| path.as_ref().map(ToString::to_string).unwrap_or_default();
        let places = self.places.iter().map(move |(path, place)| (name(path), &place.why));
        all.chain(places).map(|(path, why)| UnseenStatus { path, why: why.clone() })
    }

    /// What concerns `path`: why it, or something below or above it, could not be looked at. `None` is the root.
    pub(super) fn at(&self, path: Option<&RelPath>) -> Option<String> {
        if let Some(why) = &self.all {
            return Some(why.clone());
        }
        let concerns = |place: &Option<RelPath>| match (path, place) {
            (Some(path), Some(place)) => path.is_at_or_below(place) || place.is_at_or_below(path),
            _ => true,
        };
        let (place, Place { why, .. }) = self.places.iter().find(|(place, _)| concerns(place))?;
        Some(place.as_ref().map_or_else(|| why.clone(), |place| format!("{place}: {why}")))
    }
}

#[cfg(test)]
mod tests;
