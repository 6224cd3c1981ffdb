//! A token bucket, pure: bytes drip in at a rate, and who wants to move some draws a ticket and waits until they are there. Not who
//! waits, nor how.
//!
//! Tickets are places in one long row of bytes: how many were drawn, and how many have dripped in, only ever grow, and a ticket is good
//! when the second has come to its end. So everybody is served in turn, whoever gave up holds up nobody for longer than its one ticket,
//! and another rate counts at once for all that wait.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::Rate;

/// Bytes are counted in billionths, which is what one byte a second makes in a nanosecond: nothing is lost by rounding.
const UNIT: u128 = 1_000_000_000;
/// The most bytes in one ticket: one TLS record (RFC 8446 §5.1).
const MAX_STEP: u64 = 16 * 1024;
/// The fewest, for the sake of what a record and a packet cost.
const MIN_STEP: u64 = 1024;
/// A ticket is what comes in this part of a second. So each of 32 connections, which is the most, has its turn every two seconds, and
/// at the lowest rate every 32: no server takes that for a stall (vsftpd and pyftpdlib wait for 300 s).
const STEPS_A_SECOND: u64 = 16;
/// So much gathers while nobody draws any: a quarter of a second. Less, and timers, which know milliseconds only, could not keep up
/// with the rate; more would be a burst that others on the line notice. At the lowest rates it is what four tickets have.
const KEPT_A_SECOND: u64 = 4;
const MIN_KEPT: u64 = 4 * MIN_STEP;

/// How much may move by now.
#[derive(Debug)]
pub(super) struct Bucket {
    /// `None` lets everything through.
    rate: Option<Rate>,
    drawn: u128,
    dripped: u128,
    /// When that was so.
    at: Instant,
}

/// The right to move some bytes when it is good.
#[derive(Debug)]
pub(super) struct Ticket {
    end: u128,
    /// So many.
    pub(super) bytes: usize,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(rate: Option<Rate>, now: Instant) -> Self {
        Self { rate, drawn: 0, dripped: rate.map_or(0, burst), at: now }
    }

    /// What was drawn before drips at this rate, too.
    pub(super) fn set_rate(&mut self, rate: Option<Rate>, now: Instant) {
        self.drip(now);
        self.rate = rate;
        self.drip(now);
    }

    /// A ticket for some of `wanted` bytes.
    pub(super) fn draw(&mut self, wanted: usize, now: Instant) -> Ticket {
        self.drip(now);
        let bytes = self.rate.map_or(wanted, |rate| wanted.min(step(rate)));
        self.drawn += bytes as u128 * UNIT;
        Ticket { end: self.drawn, bytes }
    }

    /// How long until the ticket is good, should the rate stay as it is; `None` is now.
    pub(super) fn wait(&mut self, ticket: &Ticket, now: Instant) -> Option<Duration> {
        self.drip(now);
        let missing = ticket.end.checked_sub(self.dripped).filter(|missing| *missing > 0)?;
        let nanos = missing.div_ceil(u128::from(self.rate?.bytes()));
        Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    fn drip(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at);
        self.at += elapsed;
        self.dripped = match self.rate {
            None => self.dripped.max(self.drawn),
            Some(rate) => (self.dripped + elapsed.as_nanos() * u128::from(rate.bytes())).min(self.drawn + burst(rate)),
        };
    }
}

/// The most bytes in one ticket.
fn step(rate: Rate) -> usize {
    let step = (rate.bytes() / STEPS_A_SECOND).clamp(MIN_STEP, MAX_STEP);
    usize::try_from(step).unwrap_or(usize::MAX)
}

/// How much gathers at most, in [`UNIT`]s.
fn burst(rate: Rate) -> u128 {
    u128::from((rate.bytes() / KEPT_A_SECOND).max(MIN_KEPT)) * UNIT
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    fn rate(bytes: u64) -> Rate {
        Rate::new(bytes).unwrap()
    }

    #[test]
    fn a_full_bucket_gives_its_burst_at_once_and_the_rest_in_time() {
        let now = Instant::now();
        let mut bucket = Bucket::new(Some(rate(256 * 1024)), now);
        for _ in 0..4 {
            let ticket = bucket.draw(1 << 20, now);
            assert_eq!((ticket.bytes, bucket.wait(&ticket, now)), (16 * 1024, None));
        }
        let ticket = bucket.draw(1 << 20, now);
        assert_eq!(bucket.wait(&ticket, now), Some(Duration::from_micros(62_500)));
        assert_eq!(bucket.wait(&ticket, now + Duration::from_micros(62_499)), Some(Duration::from_micros(1)));
        assert_eq!(bucket.wait(&ticket, now + Duration::from_micros(62_500)), None);
    }

    #[test]
    fn what_waits_goes_on_at_another_rate() {
        let now = Instant::now();
        let mut bucket = Bucket::new(Some(rate(1024)), now);
        let tickets: Vec<_> = (0..8).map(|_| bucket.draw(9999, now)).collect();
        let waits =
            |bucket: &mut Bucket| tickets.iter().map(|t| bucket.wait(t, now).unwrap_or_default().as_millis()).collect::<Vec<_>>();
        assert_eq!(waits(&mut bucket), [0, 0, 0, 0, 1000, 2000, 3000, 4000]);
        bucket.set_rate(Some(rate(2048)), now);
        assert_eq!(waits(&mut bucket), [0, 0, 0, 0, 500, 1000, 1500, 2000]);
        bucket.set_rate(None, now);
        assert_eq!(waits(&mut bucket), [0; 8]);
        // Nothing is owed for what went without a limit.
        assert_eq!(bucket.draw(1 << 30, now).bytes, 1 << 30);
        bucket.set_rate(Some(rate(1024)), now);
        let ticket = bucket.draw(1, now + Duration::from_secs(1));
        assert_eq!(bucket.wait(&ticket, now + Duration::from_secs(1)), None);
    }

    /// What happens to a bucket.
    #[derive(Clone, Debug)]
    enum Event {
        /// One of the connections wants so many bytes.
        Want(usize, usize),
        /// One of those that wait gives up.
        GiveUp(usize),
        /// The rate is another now.
        Rate(u64),
        /// So many microseconds pass.
        Pass(u64),
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let rate = prop_oneof![1024u64..65_536, 1024u64..1 << 32];
        let event = prop_oneof![
            6 => (0usize..8, 1usize..300_000).prop_map(|(who, bytes)| Event::Want(who, bytes)),
            1 => (0usize..8).prop_map(Event::GiveUp),
            1 => rate.prop_map(Event::Rate),
            6 => (0u64..2_000_000).prop_map(Event::Pass),
        ];
        prop::collection::vec(event, 1..80)
    }

    /// What went through, and at which rates.
    struct World {
        bucket: Bucket,
        now: Instant,
        rate: Rate,
        /// Tickets that wait, by connection, in the order in which they were drawn.
        waiting: VecDeque<(usize, Ticket)>,
        /// How much went when.
        gone: Vec<(Instant, usize)>,
        /// Since when which rate held.
        rates: Vec<(Instant, Rate)>,
    }

    impl World {
        fn new(first: Rate) -> Self {
            let now = Instant::now();
            let bucket = Bucket::new(Some(first), now);
            Self { bucket, now, rate: first, waiting: VecDeque::new(), gone: Vec::new(), rates: vec![(now, first)] }
        }

        fn meet(&mut self, event: &Event) {
            match *event {
                Event::Want(who, bytes) => {
                    // A connection waits for one ticket at a time.
                    if self.waiting.iter().all(|(waits, _)| *waits != who) {
                        let ticket = self.bucket.draw(bytes, self.now);
                        assert!((1..=step(self.rate)).contains(&ticket.bytes) && ticket.bytes <= bytes);
                        self.waiting.push_back((who, ticket));
                    }
                }
                Event::GiveUp(who) => self.waiting.retain(|(waits, _)| *waits != who),
                Event::Rate(bytes) => {
                    self.rate = rate(bytes);
                    self.rates.push((self.now, self.rate));
                    self.bucket.set_rate(Some(self.rate), self.now);
                }
                Event::Pass(micros) => self.pass(self.now + Duration::from_micros(micros)),
            }
            self.serve();
        }

        /// Goes from one ticket to the next, as those who wait for them do.
        fn pass(&mut self, until: Instant) {
            loop {
                let soonest = self.waiting.iter().filter_map(|(_, ticket)| self.bucket.wait(ticket, self.now)).min();
                match soonest.map(|wait| self.now + wait).filter(|at| *at < until) {
                    Some(at) => self.now = at,
                    None => break,
                }
                self.serve();
            }
            self.now = until;
        }

        fn serve(&mut self) {
            // In turn: nobody behind one that waits is let through.
            let ready: Vec<_> = self.waiting.iter().map(|(_, ticket)| self.bucket.wait(ticket, self.now).is_none()).collect();
            assert!(ready.is_sorted_by(|a, b| a >= b), "{ready:?}");
            for _ in 0..ready.iter().filter(|ready| **ready).count() {
                let (_, ticket) = self.waiting.pop_front().unwrap();
                self.gone.push((self.now, ticket.bytes));
            }
        }

        /// The most that may go between these moments, both included: what drips in, and what gathered before; or a ticket that was
        /// drawn at another rate, and what drips within a nanosecond, since waits end on one.
        fn most(&self, from: Instant, to: Instant) -> u128 {
            let ends = self.rates.iter().skip(1).map(|(at, _)| *at).chain([self.now.max(to)]);
            let held = || self.rates.iter().zip(ends.clone()).filter(|((since, _), until)| *since <= to && *until >= from);
            let dripped: u128 = held()
                .map(|((since, rate), until)| {
                    u128::from(rate.bytes()) * until.min(to).saturating_duration_since((*since).max(from)).as_nanos()
                })
                .sum();
            let highest = self.rates.iter().map(|(_, rate)| rate.bytes()).max().unwrap_or_default();
            let ticket = if self.rates.len() > 1 { u128::from(MAX_STEP) * UNIT + u128::from(highest) } else { 0 };
            dripped + held().map(|((_, rate), _)| burst(*rate)).fold(ticket, u128::max)
        }
    }

    proptest! {
        /// In no stretch of time goes more than its rates let drip in, and what was gathered before; and whoever waits is served.
        #[test]
        fn no_more_than_the_rate_and_nobody_starves(first in 1024u64..1 << 24, events in events()) {
            let mut world = World::new(rate(first));
            for event in &events {
                world.meet(event);
            }
            for (i, (from, _)) in world.gone.iter().enumerate() {
                let mut bytes = 0;
                for (to, more) in &world.gone[i..] {
                    bytes += *more as u128 * UNIT;
                    prop_assert!(bytes <= world.most(*from, *to), "{} in {:?}", bytes / UNIT, to.duration_since(*from));
                }
            }
            // One ticket each, of at most 16 KiB, even at the lowest rate, and those that were given up.
            world.pass(world.now + Duration::from_secs(16 * (8 + events.len() as u64)));
            prop_assert!(world.waiting.is_empty());
        }

        /// Where somebody always wants more, the rate is used up.
        #[test]
        fn no_less_than_the_rate(bytes in 1024u64..1 << 26, millis in 1u64..2000) {
            let mut world = World::new(rate(bytes));
            let born = world.now;
            let end = born + Duration::from_millis(millis);
            loop {
                for who in 0..3 {
                    world.meet(&Event::Want(who, usize::MAX));
                }
                let Some(wait) = world.waiting.iter().filter_map(|(_, ticket)| world.bucket.wait(ticket, world.now)).min() else {
                    continue;
                };
                if world.now + wait > end {
                    break;
                }
                world.pass(world.now + wait);
            }
            let gone: u128 = world.gone.iter().map(|(_, bytes)| *bytes as u128 * UNIT).sum();
            let dripped = u128::from(bytes) * (end - born).as_nanos() + burst(rate(bytes));
            prop_assert!(gone + step(rate(bytes)) as u128 * UNIT >= dripped, "{gone} of {dripped}");
        }
    }
}
