//! How many sessions the mirrors of one remote may have together: learnt from the server, shared evenly. Not the sessions
//! themselves.
//!
//! A session has a seat from before it is opened until it is closed, idle or not. Who finds none free waits in line, and
//! the others are called to give up what they do not need, or have above their share. (Two mirrors once shared a server
//! with room for two by halves of the ceiling: the first kept both seats with idle sessions, the second starved.)

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};

/// So many jobs in a row that went well raise the number of sessions by one. Each time that the server turns one away it takes twice as
/// many: some count logins that fail.
const SUCCESSES_TO_GROW: u32 = 25;
/// But no more than these.
const MOST_TO_GROW: u32 = 6_400;
/// How long a mirror keeps a seat where there are more mirrors with work than seats.
const TURN: Duration = Duration::from_secs(10);

/// The sessions of one remote, to be shared by its mirrors. Clones are the same seats.
#[derive(Clone, Debug)]
pub struct Seats(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// As many permits as seats are free.
    free: Arc<Semaphore>,
    state: Mutex<State>,
    /// Somebody waits for a seat.
    calls: watch::Sender<()>,
}

#[derive(Debug)]
struct State {
    ceiling: usize,
    limit: usize,
    taken: usize,
    waiting: usize,
    successes: u32,
    to_grow: u32,
    /// How many jobs each mirror has under way.
    busy: BTreeMap<u64, usize>,
    next_member: u64,
}

/// One mirror's place among those that share the seats.
#[derive(Debug)]
pub(super) struct Member {
    shared: Arc<Shared>,
    id: u64,
    calls: watch::Receiver<()>,
}

/// The right to have one session.
#[derive(Debug)]
pub(super) struct Seat {
    shared: Arc<Shared>,
    since: Instant,
}

impl Seats {
    /// At most `ceiling` sessions together, at least one.
    pub fn new(ceiling: usize) -> Self {
        Self::of_known(ceiling, ceiling)
    }

    /// The same on a server that is known to have borne `limit` and no more: it is begun with so many.
    pub fn of_known(ceiling: usize, limit: usize) -> Self {
        let ceiling = ceiling.max(1);
        let limit = limit.clamp(1, ceiling);
        let (taken, waiting, successes, to_grow) = (0, 0, 0, SUCCESSES_TO_GROW);
        let state = State { ceiling, limit, taken, waiting, successes, to_grow, busy: BTreeMap::new(), next_member: 0 };
        let (calls, _) = watch::channel(());
        Self(Arc::new(Shared { free: Arc::new(Semaphore::new(limit)), state: Mutex::new(state), calls }))
    }

    pub(super) fn join(&self) -> Member {
        let mut state = self.0.lock();
        let id = state.next_member;
        state.next_member += 1;
        state.busy.insert(id, 0);
        Member { shared: Arc::clone(&self.0), id, calls: self.0.calls.subscribe() }
    }
}

impl Member {
    /// How many sessions all mirrors may have together, as far as is known.
    pub(super) fn limit(&self) -> usize {
        self.shared.lock().limit
    }

    /// How many of them are this mirror's: an even part among those that have work, at least one.
    pub(super) fn share(&self) -> usize {
        self.shared.lock().share(self.id)
    }

    /// This mirror has `jobs` under way.
    pub(super) fn busy_with(&self, jobs: usize) {
        self.shared.lock().busy.insert(self.id, jobs);
    }

    /// A seat, at once or in turn.
    pub(super) fn seat(&self) -> impl Future<Output = Option<Seat>> + Send + use<> {
        let shared = Arc::clone(&self.shared);
        async move {
            if let Ok(permit) = Arc::clone(&shared.free).try_acquire_owned() {
                permit.forget();
                return Some(Seat::take(shared));
            }
            let waiting = Waiting::new(&shared);
            // The semaphore is never closed.
            let permit = Arc::clone(&shared.free).acquire_owned().await.ok()?;
            permit.forget();
            drop(waiting);
            Some(Seat::take(shared))
        }
    }

    /// How many wait for a seat.
    pub(super) fn waiting(&self) -> usize {
        self.shared.lock().waiting
    }

    /// Returns when somebody has begun to wait for a seat since the last call. Cancel-safe.
    pub(super) async fn called(&mut self) {
        if self.calls.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// A job went well: after many of them one more session is tried.
    pub(super) fn worked(&self) {
        let mut state = self.shared.lock();
        state.successes += 1;
        if state.successes >= state.to_grow {
            state.successes = 0;
            if state.limit < state.ceiling {
                if state.taken < state.limit + 1 {
                    self.shared.free.add_permits(1);
                }
                state.limit += 1;
            }
        }
    }

    /// The server turned a session away whose seat was given back already. With others up, that is its limit: `true`, and no
    /// more are opened than it bore (half of them would be a guess where this is known). Without, it is not this remote's sessions that fill it: `false`.
    pub(super) fn turned_away(&self) -> bool {
        let mut state = self.shared.lock();
        state.successes = 0;
        if state.taken == 0 {
            return false;
        }
        if state.taken < state.limit {
            self.shared.free.forget_permits(state.limit - state.taken);
            state.limit = state.taken;
            state.to_grow = (2 * state.to_grow).min(MOST_TO_GROW);
        }
        true
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.shared.lock().busy.remove(&self.id);
    }
}

impl Seat {
    fn take(shared: Arc<Shared>) -> Self {
        shared.lock().taken += 1;
        Self { shared, since: Instant::now() }
    }

    /// Whether it was had for so long that it should pass on, where there are fewer seats than mirrors.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= TURN && {
            let state = self.shared.lock();
            state.waiting > 0 && state.limit < state.busy.values().filter(|jobs| **jobs > 0).count()
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.taken -= 1;
        // Above a limit that was lowered meanwhile, the seat goes.
        if state.taken < state.limit {
            self.shared.free.add_permits(1);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn share(&self, id: u64) -> usize {
        let working = |(other, jobs): &(&u64, &usize)| **other == id || **jobs > 0;
        let mirrors = self.busy.iter().filter(working).count().max(1);
        let before = self.busy.iter().filter(working).take_while(|(other, _)| **other != id).count();
        (self.limit / mirrors + usize::from(before < self.limit % mirrors)).max(1)
    }
}

/// Counts somebody who waits in line.
struct Waiting<'a>(&'a Shared);

impl<'a> Waiting<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.lock().waiting += 1;
        shared.calls.send_replace(());
        Self(shared)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().waiting -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_check::now;

    /// Polls once.
    mod futures_check {
        use std::{
            future::Future,
            pin::pin,
            task::{Context, Poll, Waker},
        };

        pub(super) fn now<T>(future: impl Future<Output = T>) -> Option<T> {
            match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(value) => Some(value),
                Poll::Pending => None,
            }
        }
    }

    fn taken(member: &Member) -> Option<Seat> {
        now(member.seat()).flatten()
    }

    #[test]
    fn a_share_is_an_even_part_among_those_that_work() {
        let seats = Seats::new(5);
        let (a, b, c) = (seats.join(), seats.join(), seats.join());
        assert_eq!(a.share(), 5);
        a.busy_with(3);
        b.busy_with(1);
        assert_eq!((a.share(), b.share()), (3, 2));
        assert_eq!(c.share(), 1, "a third of five, rounded down, the rest is taken");
        drop(a);
        assert_eq!(b.share(), 5);
        let tight = Seats::new(1);
        let (a, b) = (tight.join(), tight.join());
        a.busy_with(1);
        b.busy_with(1);
        assert_eq!((a.share(), b.share()), (1, 1), "nobody is left without");
    }

    #[tokio::test]
    async fn who_finds_no_seat_calls_the_others_and_comes_in_turn() {
        let seats = Seats::new(1);
        let (a, mut b) = (seats.join(), seats.join());
        let seat = taken(&a).expect("a seat");
        let waits = tokio::spawn(a.seat());
        b.called().await;
        assert_eq!(b.waiting(), 1);
        assert!(now(b.called()).is_none());
        drop(seat);
        let second = waits.await.expect("no panic").expect("a seat");
        assert_eq!(a.waiting(), 0);
        assert!(taken(&b).is_none());
        drop(second);
        assert!(taken(&b).is_some());
    }

    /// One seat and two mirrors that never run out of work: neither is left out.
    #[tokio::test(start_paused = true)]
    async fn a_seat_that_others_need_passes_on() {
        let seats = Seats::new(1);
        let (a, b) = (seats.join(), seats.join());
        let seat = taken(&a).expect("a seat");
        a.busy_with(1);
        tokio::time::advance(TURN).await;
        assert!(!seat.is_due(Instant::now()), "nobody waits");
        let _waits = tokio::spawn(b.seat());
        b.busy_with(1);
        tokio::task::yield_now().await;
        assert!(seat.is_due(Instant::now()));
    }

    #[test]
    fn the_limit_is_what_the_server_bore_and_grows_again() {
        let seats = Seats::new(4);
        let (a, b) = (seats.join(), seats.join());
        assert!(!a.turned_away(), "no session of ours was up");
        let held: Vec<_> = (0..3).filter_map(|_| taken(&a)).collect();
        assert!(b.turned_away());
        assert_eq!((a.limit(), b.limit()), (3, 3));
        assert!(taken(&b).is_none());
        (0..2 * SUCCESSES_TO_GROW - 1).for_each(|_| a.worked());
        assert_eq!(a.limit(), 3);
        a.worked();
        assert_eq!(a.limit(), 4);
        let fourth = taken(&b).expect("one more is tried");
        drop(fourth);
        assert!(b.turned_away());
        (0..3 * SUCCESSES_TO_GROW).for_each(|_| a.worked());
        assert_eq!(a.limit(), 3, "it was turned away twice");
        drop(held);
        let again: Vec<_> = std::iter::from_fn(|| taken(&b)).take(9).collect();
        assert_eq!(again.len(), 3);
    }

    #[test]
    fn what_is_known_of_a_server_is_begun_with() {
        let seats = Seats::of_known(8, 2);
        let member = seats.join();
        let held: Vec<_> = std::iter::from_fn(|| taken(&member)).take(9).collect();
        assert_eq!((member.limit(), held.len()), (2, 2));
        (0..SUCCESSES_TO_GROW).for_each(|_| member.worked());
        assert!(taken(&member).is_some(), "it may bear more by now");
        assert_eq!((Seats::of_known(4, 0).join().limit(), Seats::of_known(4, 9).join().limit()), (1, 4));
    }

    /// Random takes, drops, refusals and growth keep the count of free seats and the limit in step.
    #[test]
    fn seats_neither_vanish_nor_multiply() {
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            let seats = Seats::of_known(random.usize(1..6), random.usize(1..6));
            let member = seats.join();
            let mut held = Vec::new();
            for _ in 0..200 {
                match random.u8(0..5) {
                    0 | 1 => held.extend(taken(&member)),
                    2 => drop(held.pop()),
                    3 => _ = member.turned_away(),
                    _ => (0..random.u32(1..=MOST_TO_GROW)).for_each(|_| member.worked()),
                }
                let state = seats.0.lock();
                assert_eq!(state.taken, held.len());
                assert_eq!(seats.0.free.available_permits(), state.limit.saturating_sub(state.taken), "seed {seed}");
            }
        }
    }
}
