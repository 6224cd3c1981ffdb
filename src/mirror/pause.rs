//! [`Pause`]: until when no job starts. A value; the engine keeps it in its index, so that a restart does not end it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    index::{Index, IndexError, Note},
    model::UnixMillis,
};

/// Nobody means more than that.
pub const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// Jobs do not start: the mirror watches and notes, and what it notes stays pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Since when.
    pub since: UnixMillis,
    /// Until when; nothing: until somebody says `resume`.
    pub until: Option<UnixMillis>,
}

impl Pause {
    /// One that begins now and takes `span`, [`LONGEST`] at most, or has no end.
    pub fn new(now: UnixMillis, span: Option<Duration>) -> Self {
        Self { since: now, until: span.map(|span| now.after(span.min(LONGEST))) }
    }

    /// Whether it goes on.
    pub fn holds(&self, now: UnixMillis) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// The one that goes on from `self` when another is said: it began when the first did.
    #[must_use]
    pub fn instead_of(self, earlier: Option<Self>) -> Self {
        Self { since: earlier.map_or(self.since, |earlier| earlier.since.min(self.since)), ..self }
    }
}

/// The pause of a mirror that does not run, as its index notes it.
///
/// # Errors
/// When the index cannot be read.
pub fn paused(index: &Index, now: UnixMillis) -> Result<Option<Pause>, IndexError> {
    Ok(index.note::<Pause>(Note::Pause)?.filter(|pause| pause.holds(now)))
}

/// Notes a pause in the index of a mirror that does not run, or with `None` its end; what was paused before.
///
/// # Errors
/// When the index cannot be written.
pub fn note_pause(index: &mut Index, pause: Option<Pause>, now: UnixMillis) -> Result<Option<Pause>, IndexError> {
    let before = paused(index, now)?;
    index.set_note(Note::Pause, pause.map(|pause| pause.instead_of(before)).as_ref())?;
    Ok(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_at_its_time_and_not_before() {
        let at = UnixMillis;
        let pause = Pause::new(at(1_000), Some(Duration::from_secs(2)));
        assert_eq!(pause.until, Some(at(3_000)));
        assert!(pause.holds(at(1_000)) && pause.holds(at(2_999)) && !pause.holds(at(3_000)));
        // A clock that was set back does not end it.
        assert!(pause.holds(at(0)));
        assert!(Pause::new(at(0), None).holds(at(i64::MAX)));
        assert_eq!(Pause::new(at(0), Some(Duration::MAX)).until, Some(at(0).after(LONGEST)));
    }

    #[test]
    fn a_pause_that_is_said_anew_began_when_the_first_did() {
        let first = Pause::new(UnixMillis(5), None);
        let second = Pause::new(UnixMillis(9), Some(Duration::from_millis(1)));
        assert_eq!(second.instead_of(Some(first)), Pause { since: UnixMillis(5), until: Some(UnixMillis(10)) });
        assert_eq!(second.instead_of(None), second);
    }
}
