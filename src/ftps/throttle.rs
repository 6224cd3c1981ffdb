//! The bandwidth of one server: what all data connections to it may send, and what they may receive, each by a token bucket of its
//! own. Bodies of files count; listings, replies and what TLS adds to them do not.
//!
//! A transfer waits for leave inside its own future, with a timer of its own, and holds nothing while it does: one that is not polled
//! for a while, or is dropped, does not hold up the others.

mod bucket;

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::model::{LocalTime, Rate, Timetable};
use bucket::{Bucket, Ticket};

/// So often it is looked which limit the timetable has now. A limit that is over is waited for no longer than this.
const LOOK: Duration = Duration::from_secs(2);

/// The bandwidth of one server.
#[derive(Debug)]
pub struct Throttle {
    sending: Lane,
    receiving: Lane,
}

/// What holds for both directions.
struct Rules {
    timetable: Timetable,
    clock: Box<dyn Fn() -> LocalTime + Send + Sync>,
    born: Instant,
}

/// One direction.
#[derive(Debug)]
struct Lane {
    rules: Arc<Rules>,
    /// Until then, in milliseconds since `born`, there is known to be no limit.
    open_until: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    bucket: Bucket,
    /// When the timetable is to be looked at again.
    look_at: Instant,
}

/// One transfer's way through the throttle, or past it.
#[derive(Debug)]
pub(super) struct Pace<'t> {
    lane: Option<&'t Lane>,
    granted: usize,
    ticket: Option<Ticket>,
    nap: Option<Pin<Box<Sleep>>>,
}

/// What is to be said to somebody who wants to move bytes.
enum Leave {
    /// There is no limit.
    All,
    /// So many may go.
    Some(usize),
    /// Not yet.
    Wait(Duration),
}

impl Throttle {
    /// Holds to `timetable`, at the hours that `clock` shows; `None` where there is no limit at any hour.
    pub fn new(timetable: Timetable, clock: impl Fn() -> LocalTime + Send + Sync + 'static) -> Option<Arc<Self>> {
        if timetable.is_unlimited() {
            return None;
        }
        let rules = Arc::new(Rules { timetable, clock: Box::new(clock), born: Instant::now() });
        Some(Arc::new(Self { sending: Lane::new(Arc::clone(&rules)), receiving: Lane::new(rules) }))
    }
}

impl<'t> Pace<'t> {
    /// For a transfer that sends.
    pub(super) fn sending(throttle: Option<&'t Throttle>) -> Self {
        Self::in_lane(throttle.map(|throttle| &throttle.sending))
    }

    /// For a transfer that receives.
    pub(super) fn receiving(throttle: Option<&'t Throttle>) -> Self {
        Self::in_lane(throttle.map(|throttle| &throttle.receiving))
    }

    fn in_lane(lane: Option<&'t Lane>) -> Self {
        Self { lane, granted: 0, ticket: None, nap: None }
    }

    /// How many of `wanted` bytes, of which there is one at least, may go now. What goes is to be told to [`Self::moved`].
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<usize> {
        let Some(lane) = self.lane else { return Poll::Ready(wanted) };
        while self.granted == 0 {
            let now = Instant::now();
            match lane.ask(&mut self.ticket, wanted, now) {
                Leave::All => return Poll::Ready(wanted),
                Leave::Some(bytes) => self.granted = bytes,
                Leave::Wait(wait) => {
                    let at = now + wait.min(LOOK);
                    let nap = self.nap.get_or_insert_with(|| Box::pin(sleep_until(at)));
                    nap.as_mut().reset(at);
                    ready!(nap.as_mut().poll(cx));
                }
            }
        }
        Poll::Ready(self.granted.min(wanted))
    }

    /// So many bytes went.
    pub(super) fn moved(&mut self, bytes: usize) {
        self.granted = self.granted.saturating_sub(bytes);
    }

    /// Waits until `bytes` that came are within the limit, so that no more is taken from the server before; whether there was
    /// anything to wait for.
    pub(super) async fn made_up_for(&mut self, mut bytes: usize) -> bool {
        let mut waited = false;
        while bytes > 0 {
            let some = poll_fn(|cx| {
                let polled = self.poll(cx, bytes);
                waited |= polled.is_pending();
                polled
            });
            let some = some.await;
            self.moved(some);
            bytes -= some;
        }
        waited
    }
}

impl Lane {
    fn new(rules: Arc<Rules>) -> Self {
        let now = rules.born;
        let bucket = Bucket::new(rules.rate(), now);
        Self { rules, open_until: AtomicU64::new(0), state: Mutex::new(State { bucket, look_at: now }) }
    }

    /// Whether `wanted` bytes may go, by this ticket or a new one. While there is no limit this takes no lock.
    fn ask(&self, ticket: &mut Option<Ticket>, wanted: usize, now: Instant) -> Leave {
        if self.rules.millis(now) < self.open_until.load(Ordering::Relaxed) {
            *ticket = None;
            return Leave::All;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= state.look_at {
            let rate = self.rules.rate();
            state.bucket.set_rate(rate, now);
            state.look_at = now + LOOK;
            if rate.is_none() {
                self.open_until.store(self.rules.millis(state.look_at), Ordering::Relaxed);
                *ticket = None;
                return Leave::All;
            }
        }
        let held = ticket.get_or_insert_with(|| state.bucket.draw(wanted, now));
        match state.bucket.wait(held, now) {
            Some(wait) => Leave::Wait(wait),
            None => Leave::Some(ticket.take().map_or(0, |ticket| ticket.bytes)),
        }
    }
}

impl Rules {
    fn rate(&self) -> Option<Rate> {
        self.timetable.at((self.clock)())
    }

    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.born).as_millis()).unwrap_or(u64::MAX)
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules").field("timetable", &self.timetable).finish_non_exhaustive()
    }
}
