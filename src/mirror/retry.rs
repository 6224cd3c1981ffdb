//! When to try again: the backoff of a path and the state of the link to the server. Pure: time and chance are arguments.

use std::time::Duration;

use tokio::time::Instant;

use crate::{model::UnixMillis, remote::Class};

/// The first backoff's ceiling.
const FIRST: Duration = Duration::from_secs(1);
/// No backoff is longer.
const LONGEST: Duration = Duration::from_secs(300);
/// No backoff is shorter: a server that refuses at once is not hammered.
const SHORTEST: Duration = Duration::from_millis(100);

/// Exponential backoff with full jitter: evenly between nothing and a ceiling that doubles with each attempt, within bounds.
/// `attempts` counts the failures so far (at least 1), `chance` lies in 0..1.
pub fn backoff(attempts: u32, chance: f64) -> Duration {
    let ceiling = FIRST.saturating_mul(1_u32.checked_shl(attempts.saturating_sub(1).min(20)).unwrap_or(u32::MAX)).min(LONGEST);
    ceiling.mul_f64(chance.clamp(0.0, 1.0)).max(SHORTEST)
}

/// What is kept of the link across a restart.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LinkNote {
    /// Failures in a row.
    pub attempts: u32,
    /// When to try again.
    pub not_before: UnixMillis,
    /// What the last failure was.
    pub why: String,
}

/// Whether and how hard the server may be used now.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// It answers.
    Up,
    /// It failed as a whole (unreachable, full, TLS): nothing is tried before `until`.
    Waiting {
        /// When to try again.
        until: Instant,
        /// The last failure's class.
        class: Class,
        /// The last failure, in words.
        why: String,
        /// What an operator can do.
        hint: Option<&'static str>,
    },
    /// Nobody knows yet, or a wait is over: one job goes out and shows whether it works. So a wrong password is tried once.
    Probing,
    /// The account was refused: nothing is tried again before a restart.
    Stopped {
        /// The class: [`Class::Auth`].
        class: Class,
        /// What the server said.
        why: String,
        /// What an operator can do.
        hint: Option<&'static str>,
    },
}

/// The state of one mirror's link to its server, which backs off as a whole.
#[derive(Debug, PartialEq)]
pub struct Link {
    state: State,
    attempts: u32,
    /// A probe is on its way.
    probed: bool,
    /// The server was full: only a job that succeeds proves that it is not any more.
    full: bool,
}

impl Default for Link {
    fn default() -> Self {
        Self::new()
    }
}

impl Link {
    /// A link that was not used yet.
    pub fn new() -> Self {
        Self { state: State::Probing, attempts: 0, probed: false, full: false }
    }

    /// Goes on where an earlier process stopped.
    pub fn restore(&mut self, note: LinkNote, wall: UnixMillis, now: Instant) {
        let wait = note.not_before.since(wall).min(LONGEST);
        self.attempts = note.attempts;
        self.state = State::Waiting { until: now + wait, class: Class::Transient, why: note.why, hint: None };
    }

    /// What to keep across a restart; `None` while all is well.
    pub fn note(&self, wall: UnixMillis, now: Instant) -> Option<LinkNote> {
        match &self.state {
            State::Waiting { until, why, .. } => Some(LinkNote {
                attempts: self.attempts,
                not_before: wall.after(until.saturating_duration_since(now)),
                why: why.clone(),
            }),
            _ => None,
        }
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Failures of the link in a row.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// How many more jobs may be started while `running` run and there may be `share`. Ends a wait that is over.
    pub fn allowance(&mut self, running: usize, share: usize, now: Instant) -> usize {
        if let State::Waiting { until, .. } = self.state
            && until <= now
        {
            self.state = State::Probing;
            self.probed = false;
        }
        match self.state {
            State::Up => share.saturating_sub(running),
            // Whatever still runs on sessions of before: a long upload does not put the probe off.
            State::Probing => usize::from(!self.probed),
            State::Waiting { .. } | State::Stopped { .. } => 0,
        }
    }

    /// Whether nothing speaks against the server now.
    pub fn is_up(&self) -> bool {
        self.state == State::Up
    }

    /// A job was started.
    pub fn started(&mut self) {
        self.probed = true;
    }

    /// Whether the last failure was a full server, and nothing has succeeded since.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// A session is open: the probe need not end before others follow, it may be a long upload. Failures still count until
    /// a job succeeds.
    pub fn opened(&mut self) {
        if self.state == State::Probing && !self.full {
            self.state = State::Up;
        }
    }

    /// When a wait ends.
    pub fn wakes_at(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { until, .. } => Some(until),
            _ => None,
        }
    }

    /// Somebody wants it tried now: a wait is over. An account that was refused is not tried again for that.
    pub fn hurry(&mut self, now: Instant) {
        if let State::Waiting { until, .. } = &mut self.state {
            *until = now.min(*until);
        }
    }

    /// A job reached the server and came back, well or refused: the link works. Returns whether it had not. While it waits,
    /// that was a job of before: it proves nothing, the probe does.
    pub fn works(&mut self) -> bool {
        if matches!(self.state, State::Waiting { .. }) {
            return false;
        }
        let recovered = self.attempts > 0;
        self.attempts = 0;
        self.full = false;
        if !matches!(self.state, State::Stopped { .. }) {
            self.state = State::Up;
        }
        recovered
    }

    /// One session too many was tried: the next attempt waits for another one to end.
    pub fn turned_away(&mut self) {
        self.probed = false;
    }

    /// A failure of the whole link.
    pub fn failed(&mut self, class: Class, why: impl Into<String>, hint: Option<&'static str>, now: Instant, chance: f64) {
        if matches!(self.state, State::Stopped { .. }) {
            return;
        }
        // A failure while the wait for an earlier one goes on is the same failure on another session.
        if !matches!(self.state, State::Waiting { .. }) {
            self.attempts = self.attempts.saturating_add(1);
        }
        self.full = class == Class::Full;
        let why = why.into();
        self.state = if class == Class::Auth {
            State::Stopped { class, why, hint }
        } else {
            State::Waiting { until: now + backoff(self.attempts, chance), class, why, hint }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_backoff_stays_within_its_bounds(attempts in 0_u32.., chance in 0.0..1.0_f64) {
            let wait = backoff(attempts, chance);
            prop_assert!((SHORTEST..=LONGEST).contains(&wait));
            prop_assert!(wait <= backoff(attempts.saturating_add(1), chance));
            prop_assert!(wait < crate::index::FURTHEST_RETRY, "the index would take it for the work of another clock");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_link_waits_then_probes_with_one_job_then_is_up() {
        let mut link = Link::new();
        let now = Instant::now();
        assert_eq!(link.allowance(0, 8, now), 1, "one login shows whether the others may follow");
        link.started();
        assert_eq!(link.allowance(1, 8, now), 0);
        link.opened();
        assert_eq!(link.allowance(1, 8, now), 7);
        link.works();
        link.failed(Class::Transient, "connection refused", None, now, 0.5);
        assert_eq!(link.allowance(0, 8, now), 0);
        let until = link.wakes_at().expect("it waits");
        assert_eq!(link.allowance(5, 8, until), 1, "jobs that still run do not put the probe off");
        assert!(link.works());
        assert_eq!(link.allowance(0, 8, until), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_in_a_hurry_need_not_wait() {
        let mut link = Link::new();
        let now = Instant::now();
        link.hurry(now);
        assert_eq!(link, Link::new());
        link.failed(Class::Transient, "connection refused", None, now, 1.0);
        link.hurry(now);
        assert_eq!((link.allowance(0, 8, now), link.attempts()), (1, 1), "one job shows whether it works");
        link.failed(Class::Auth, "530", None, now, 1.0);
        link.hurry(now);
        assert_eq!(link.allowance(0, 8, now), 0);
    }

    /// Jobs that were running when the server said that it is full once ended the pause.
    #[tokio::test(start_paused = true)]
    async fn a_job_of_before_does_not_end_a_wait() {
        let mut link = Link::new();
        link.works();
        link.failed(Class::Full, "452", None, Instant::now(), 1.0);
        assert!(!link.works());
        assert_eq!((link.allowance(0, 8, Instant::now()), link.attempts()), (0, 1));
        let until = link.wakes_at().expect("it waits");
        assert_eq!(link.allowance(0, 8, until), 1);
        link.started();
        link.opened();
        assert_eq!(link.allowance(1, 8, until), 0, "a login does not prove that there is space again");
    }

    #[tokio::test(start_paused = true)]
    async fn eight_sessions_that_fail_together_are_one_failure() {
        let mut link = Link::new();
        for _ in 0..8 {
            link.failed(Class::Transient, "reset", None, Instant::now(), 0.5);
        }
        assert_eq!(link.attempts(), 1);
    }

    /// A first login that met the limit while another mirror's sessions were up left the link without a probe.
    #[tokio::test(start_paused = true)]
    async fn one_session_too_many_does_not_stop_the_others() {
        let mut link = Link::new();
        link.started();
        link.turned_away();
        assert_eq!(link.allowance(0, 8, Instant::now()), 1);
        link.works();
        link.turned_away();
        assert_eq!(link.allowance(1, 3, Instant::now()), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_account_stops_after_one_attempt() {
        let mut link = Link::new();
        link.failed(Class::Auth, "530 no", None, Instant::now(), 0.5);
        assert!(matches!(link.state(), State::Stopped { .. }));
        assert_eq!(link.allowance(0, 8, Instant::now() + Duration::from_secs(86_400)), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_survives_a_restart_but_not_a_clock_jump() {
        let (now, wall) = (Instant::now(), UnixMillis(1_000_000));
        let mut link = Link::new();
        link.failed(Class::Transient, "down", None, now, 1.0);
        let note = link.note(wall, now).expect("something to keep");
        let mut again = Link::new();
        again.restore(note.clone(), wall, now);
        assert_eq!(again.wakes_at(), Some(now + Duration::from_secs(1)));
        let mut jumped = Link::new();
        jumped.restore(note, UnixMillis(-1_000_000_000), now);
        assert_eq!(jumped.wakes_at(), Some(now + LONGEST));
    }
}
