//! The scrub over a server in memory: what it proves, what it finds, and that it gives way.

use std::{fs, time::Duration};

use bytes::Bytes;

use super::super::truth::{Life, path};
use crate::{
    mirror::{Drift, MirrorStatus, PathState, Phase, Scrub, marker::MARKER},
    model::ProofWay,
    remote::memory::{Fault, Faults, Options, Primitive, tree::Manners},
};

/// Often enough that no test waits for it.
const OFTEN: Scrub = Scrub { every: Some(Duration::from_millis(50)), read_back: 0 };

/// A mirror with the files `a` and `d/b` that is scrubbed.
fn scrubbed(scrub: Scrub, sums: bool, drift: Drift) -> Life {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("source/d")).unwrap();
    fs::write(dir.path().join("source/a"), "a").unwrap();
    fs::write(dir.path().join("source/d/b"), "b").unwrap();
    let server = Options { strict: true, manners: Manners { sums, ..Manners::default() }, ..Options::default() };
    Life::start_as(dir, Duration::from_millis(20), None, server, |settings| {
        (settings.scrub, settings.drift) = (scrub, drift);
        settings.budget.percent = 100;
        settings.budget.files = 100;
    })
}

fn proven(status: &MirrorStatus) -> (u64, u64, u64) {
    let proofs = status.scrub.unwrap().proofs;
    (proofs.by_size, proofs.by_checksum, proofs.by_reading)
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_proven_by_the_best_way_that_costs_nothing() {
    for (sums, expected, way) in [(false, (2, 0, 0), ProofWay::Size), (true, (0, 2, 0), ProofWay::Checksum)] {
        let mut life = scrubbed(OFTEN, sums, Drift::default());
        let status = life.until(|status| status.scrub.is_some_and(|scrub| scrub.proofs.files() == 2)).await;
        assert_eq!(proven(&status), expected);
        assert!(status.scrub.unwrap().proofs.oldest.is_some());
        let account = life.ask(Some("d/b"), false).await;
        assert_eq!(account.proof.map(|proof| proof.way), Some(way));
        let read = |path: &Option<_>| path.as_ref().is_some_and(|path| *path != super::super::truth::path(MARKER));
        let reads = life.remote.log().iter().filter(|call| call.primitive == Primitive::Fetch && read(&call.path)).count();
        assert_eq!(reads, 0, "nothing is read back");
        // And again: a later round.
        let oldest = status.scrub.unwrap().proofs.oldest;
        life.until(|status| status.scrub.is_some_and(|scrub| scrub.proofs.oldest > oldest)).await;
        let status = life.until(|status| status.phase == Phase::InSync).await;
        assert_eq!((status.scrub.unwrap().wrong, status.counters.puts), (0, 2), "and nothing is sent again");
        life.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_sent_again() {
    let mut life = scrubbed(OFTEN, false, Drift::default());
    life.until(|status| status.scrub.is_some_and(|scrub| scrub.proofs.files() == 2)).await;
    life.remote.edit(|tree| {
        tree.remove_file(&path("a")).unwrap();
        tree.remove_file(&path("d/b")).unwrap();
        tree.remove_dir(&path("d")).unwrap();
    });
    life.until(|status| status.counters.puts == 4 && status.phase == Phase::InSync).await;
    assert_eq!((life.on_server("a").unwrap(), life.on_server("d/b").unwrap()), (b"a".to_vec(), b"b".to_vec()));
    life.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_changed_is_drift() {
    for drift in [Drift::KeepRemote, Drift::Overwrite, Drift::KeepBoth] {
        let mut life = scrubbed(OFTEN, true, drift);
        life.until(|status| status.scrub.is_some_and(|scrub| scrub.proofs.files() == 2)).await;
        let modified = life.remote.edit(|tree| tree.copy(&path("a"))).unwrap().modified.unwrap();
        life.remote.edit(|tree| {
            // The same size and time: a checksum alone tells.
            tree.store(&path("a"), Bytes::from_static(b"X")).unwrap();
            tree.set_modified(&path("a"), modified).unwrap();
            tree.store(&path("d/b"), Bytes::from_static(b"longer")).unwrap();
        });
        if drift == Drift::Overwrite {
            life.until(|status| status.counters.puts == 4 && status.phase == Phase::InSync).await;
            assert_eq!((life.on_server("a").unwrap(), life.on_server("d/b").unwrap()), (b"a".to_vec(), b"b".to_vec()));
        } else {
            let parked = if drift == Drift::KeepBoth { 1 } else { 2 };
            life.until(|status| status.phase == Phase::Parked && status.tally.parked == parked).await;
            assert_eq!(life.on_server("a").unwrap(), b"X");
            let kept = if drift == Drift::KeepBoth { b"b".to_vec() } else { b"longer".to_vec() };
            assert_eq!(life.on_server("d/b").unwrap(), kept);
            assert_eq!(life.ask(Some("a"), false).await.state, PathState::Parked);
        }
        life.end().await;
    }
}

/// A day's budget is not there at once, so a file waits for it as long as there is time.
#[tokio::test(flavor = "multi_thread")]
async fn files_are_read_back_within_the_budget() {
    let day = Duration::from_secs(86_400);
    let mut life = scrubbed(Scrub { every: Some(day * 30), read_back: 1 }, false, Drift::default());
    let status = life.until(|status| status.phase == Phase::InSync).await;
    assert_eq!(proven(&status), (0, 0, 0));
    life.end().await;
    // One byte a millisecond and more.
    let plenty = Scrub { every: Some(Duration::from_millis(50)), read_back: 1 << 40 };
    let mut life = scrubbed(plenty, false, Drift::default());
    life.until(|status| status.scrub.is_some() && proven(status) == (0, 0, 2)).await;
    life.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_session_is_no_finding() {
    let mut life = scrubbed(OFTEN, false, Drift::default());
    life.until(|status| status.scrub.is_some_and(|scrub| scrub.proofs.files() == 2)).await;
    life.remote.set_faults(Faults::script(|_, asked| if asked == Primitive::Stat { Fault::Cut } else { Fault::None }));
    let asked = life.remote.log().len();
    let patience = tokio::time::timeout(Duration::from_secs(60), async {
        while life.remote.log().iter().skip(asked).all(|call| call.primitive != Primitive::Stat) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    patience.await.unwrap();
    life.remote.set_faults(Faults::none());
    life.write("new", "new");
    life.hint("new").await;
    let status = life.until(|status| status.counters.puts == 3 && status.phase == Phase::InSync).await;
    assert_eq!((status.scrub.unwrap().wrong, status.scrub.unwrap().unproven), (0, 0));
    life.end().await;
}
