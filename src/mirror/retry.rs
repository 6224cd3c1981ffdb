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
/// So many successes in a row raise the number of connections by one.
const SUCCESSES_TO_GROW: u32 = 100;

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

/// The state of one mirror's link to its server: backs off as a whole, learns how many connections are allowed.
#[derive(Debug)]
pub struct Link {
    state: State,
    attempts: u32,
    ceiling: usize,
    limit: usize,
    successes: u32,
    /// A probe is on its way.
    probed: bool,
    /// The server was full: only a job that succeeds proves that it is not any more.
    full: bool,
}

impl Link {
    /// A link that was not used yet, with at most `ceiling` connections.
    pub fn new(ceiling: usize) -> Self {
        let ceiling = ceiling.max(1);
        Self { state: State::Probing, attempts: 0, ceiling, limit: ceiling, successes: 0, probed: false, full: false }
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

    /// How many connections may be used, as far as is known.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// How many more jobs may be started while `running` run. Ends a wait that is over.
    pub fn allowance(&mut self, running: usize, now: Instant) -> usize {
        if let State::Waiting { until, .. } = self.state
            && until <= now
        {
            self.state = State::Probing;
            self.probed = false;
        }
        match self.state {
            State::Up => self.limit.saturating_sub(running),
            // Whatever still runs on sessions of before: a long upload does not put the probe off.
            State::Probing => usize::from(!self.probed),
            State::Waiting { .. } | State::Stopped { .. } => 0,
        }
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
        self.successes += 1;
        if self.successes >= SUCCESSES_TO_GROW {
            self.successes = 0;
            self.limit = (self.limit + 1).min(self.ceiling);
        }
        recovered
    }

    /// A failure of the whole link. `others` counts the jobs that run on other sessions now: with any of them up, a server
    /// that has enough of us only lowers the limit.
    pub fn failed(
        &mut self,
        class: Class,
        why: impl Into<String>,
        hint: Option<&'static str>,
        others: usize,
        now: Instant,
        chance: f64,
    ) {
        self.successes = 0;
        if class == Class::Busy && others > 0 {
            self.limit = others.min(self.limit).max(1);
            return;
        }
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
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_link_waits_then_probes_with_one_job_then_is_up() {
        let mut link = Link::new(8);
        let now = Instant::now();
        assert_eq!(link.allowance(0, now), 1, "one login shows whether the others may follow");
        link.started();
        assert_eq!(link.allowance(1, now), 0);
        link.opened();
        assert_eq!(link.allowance(1, now), 7);
        link.works();
        link.failed(Class::Transient, "connection refused", None, 0, now, 0.5);
        assert_eq!(link.allowance(0, now), 0);
        let until = link.wakes_at().expect("it waits");
        assert_eq!(link.allowance(5, until), 1, "jobs that still run do not put the probe off");
        assert!(link.works());
        assert_eq!(link.allowance(0, until), 8);
    }

    /// Jobs that were running when the server said that it is full once ended the pause.
    #[tokio::test(start_paused = true)]
    async fn a_job_of_before_does_not_end_a_wait() {
        let mut link = Link::new(8);
        link.works();
        link.failed(Class::Full, "452", None, 3, Instant::now(), 1.0);
        assert!(!link.works());
        assert_eq!((link.allowance(0, Instant::now()), link.attempts()), (0, 1));
        let until = link.wakes_at().expect("it waits");
        assert_eq!(link.allowance(0, until), 1);
        link.started();
        link.opened();
        assert_eq!(link.allowance(1, until), 0, "a login does not prove that there is space again");
    }

    #[tokio::test(start_paused = true)]
    async fn eight_sessions_that_fail_together_are_one_failure() {
        let mut link = Link::new(8);
        for _ in 0..8 {
            link.failed(Class::Transient, "reset", None, 3, Instant::now(), 0.5);
        }
        assert_eq!(link.attempts(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_server_gets_as_many_connections_as_it_bore() {
        let mut link = Link::new(8);
        link.works();
        link.failed(Class::Busy, "421", None, 3, Instant::now(), 0.5);
        assert_eq!(link.allowance(0, Instant::now()), 3);
        for _ in 0..SUCCESSES_TO_GROW {
            link.works();
        }
        assert_eq!(link.limit(), 4);
        link.failed(Class::Busy, "421", None, 0, Instant::now(), 0.5);
        assert_eq!(link.allowance(0, Instant::now()), 0, "nobody else is connected: wait");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_account_stops_after_one_attempt() {
        let mut link = Link::new(8);
        link.failed(Class::Auth, "530 no", None, 0, Instant::now(), 0.5);
        assert!(matches!(link.state(), State::Stopped { .. }));
        assert_eq!(link.allowance(0, Instant::now() + Duration::from_secs(86_400)), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_survives_a_restart_but_not_a_clock_jump() {
        let (now, wall) = (Instant::now(), UnixMillis(1_000_000));
        let mut link = Link::new(8);
        link.failed(Class::Transient, "down", None, 0, now, 1.0);
        let note = link.note(wall, now).expect("something to keep");
        let mut again = Link::new(8);
        again.restore(note.clone(), wall, now);
        assert_eq!(again.wakes_at(), Some(now + Duration::from_secs(1)));
        let mut jumped = Link::new(8);
        jumped.restore(note, UnixMillis(-1_000_000_000), now);
        assert_eq!(jumped.wakes_at(), Some(now + LONGEST));
    }
}
