//! Idle sessions on a server in memory, under a clock that is told to go on.

use std::path::PathBuf;

use tokio::{task::yield_now, time::advance};

use super::*;
use crate::{
    clock,
    mirror::{Drift, siblings::Digests},
    model::{Abilities, Versions},
    remote::memory::{Fault, Faults, MemoryRemote, Options, Primitive},
    scan::{Place, View},
};

fn care() -> Care {
    Care {
        place: Place { path: PathBuf::from("nowhere"), view: View::default() },
        digests: Digests::default(),
        abilities: Abilities::UNKNOWN,
        drift: Drift::default(),
        recorded: Vec::new(),
        former: None,
        witnesses: Vec::new(),
        in_place: false,
        now: clock::now(),
        versions: Versions::default(),
        goes_on: true,
        stages: false,
    }
}

/// A crew with two sessions that have just become idle.
async fn idle() -> (Crew<MemoryRemote>, MemoryRemote) {
    let remote = MemoryRemote::new(Options::default());
    let (mut crew, _) = Crew::new(Arc::new(remote.clone()), &Seats::new(2));
    for _ in 0..2 {
        crew.start(Task::Study, care(), Vec::new());
    }
    for _ in 0..2 {
        crew.next().await;
    }
    assert_eq!((crew.sessions(), remote.sessions()), (2, 2));
    (crew, remote)
}

/// What the engine does when a minute is over.
async fn minute(crew: &mut Crew<MemoryRemote>) {
    advance(KEEP_IDLE).await;
    assert!(crew.trims_at().is_none_or(|at| at <= Instant::now()), "it is waited for");
    crew.trim(Instant::now());
    crew.keep_warm(Instant::now());
    if crew.len() > 0 {
        crew.next().await;
    }
    // Farewells are said beside that.
    for _ in 0..20 {
        yield_now().await;
    }
}

fn pings(remote: &MemoryRemote) -> usize {
    remote.log().iter().filter(|call| call.primitive == Primitive::Ping).count()
}

#[tokio::test(start_paused = true)]
async fn the_last_session_is_kept_warm_for_a_while() {
    let (mut crew, remote) = idle().await;
    for past in 1..15 {
        minute(&mut crew).await;
        assert_eq!((crew.sessions(), remote.sessions(), pings(&remote)), (1, 1, past));
    }
    minute(&mut crew).await;
    assert_eq!((crew.sessions(), remote.sessions(), pings(&remote)), (0, 0, 14));
    assert_eq!(crew.trims_at(), None);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_does_not_answer_is_not_replaced() {
    let (mut crew, remote) = idle().await;
    remote.set_faults(Faults::script(|_, primitive| if primitive == Primitive::Ping { Fault::Cut } else { Fault::None }));
    minute(&mut crew).await;
    assert_eq!((crew.sessions(), remote.sessions(), pings(&remote)), (0, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_used_again_stays_for_as_long_again() {
    let (mut crew, remote) = idle().await;
    for _ in 0..10 {
        minute(&mut crew).await;
    }
    let connects = || remote.log().iter().filter(|call| call.primitive == Primitive::Connect).count();
    let before = connects();
    crew.start(Task::Study, care(), Vec::new());
    crew.next().await;
    assert_eq!(connects(), before, "nobody logs in for it");
    for _ in 0..14 {
        minute(&mut crew).await;
        assert_eq!(remote.sessions(), 1);
    }
    minute(&mut crew).await;
    assert_eq!(remote.sessions(), 0);
}
