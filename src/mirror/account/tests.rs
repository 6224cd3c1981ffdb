use super::*;
use crate::model::{Fingerprint, Problem, Reason};

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

fn file(size: u64) -> Entry {
    Entry::file(Fingerprint { size, mtime_ns: 1, ctime_ns: 1, inode: 7 }, None)
}

/// A file that is on the server as it is here, and nothing that speaks against it.
fn settled() -> Evidence {
    Evidence {
        mirror: "site".into(),
        path: Some(path("a/b")),
        at: UnixMillis(0),
        ledger: Ledger { observed: Some(file(1)), recorded: Some(file(1)), ..Ledger::default() },
        live: Some(Live { looked: true, ..Live::default() }),
        sighting: Some(Sighting::Mirrored(file(1))),
    }
}

fn trouble(at: &str, retry_at: Option<UnixMillis>) -> Trouble {
    Trouble { path: path(at), problem: Problem::new(Reason::Refused, "550 no"), attempts: 2, retry_at }
}

fn state(change: impl FnOnce(&mut Evidence)) -> PathState {
    let mut evidence = settled();
    change(&mut evidence);
    judge(evidence).state
}

fn live(change: impl FnOnce(&mut Live)) -> PathState {
    state(|evidence| change(evidence.live.as_mut().unwrap()))
}

#[test]
fn in_sync_is_said_when_nothing_speaks_against_it_and_only_then() {
    assert_eq!(state(|_| {}), PathState::InSync);
    let said = "why".to_owned();
    assert_eq!(live(|live| live.unlooked = Some(said.clone())), PathState::Unlooked);
    assert_eq!(live(|live| live.unseen = Some(said.clone())), PathState::Unseen);
    assert_eq!(live(|live| live.doubtful = true), PathState::InDoubt);
    assert_eq!(live(|live| live.promised = true), PathState::InSync, "what is done elsewhere does not concern it");
    let job = InFlight { verb: "put".into(), path: "a/b".into(), size: None, sent: 0 };
    assert_eq!(live(|live| live.in_flight.push(job)), PathState::InFlight);
    assert_eq!(state(|e| e.ledger.pending = true), PathState::Pending);
    assert_eq!(state(|e| e.ledger.pending_below = 1), PathState::Pending);
    assert_eq!(state(|e| e.ledger.promised = true), PathState::Pending);
    assert_eq!(state(|e| e.sighting = Some(Sighting::Mirrored(file(2)))), PathState::Unlooked);
    assert_eq!(state(|e| e.sighting = Some(Sighting::Nothing)), PathState::Unlooked);
    let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    let closed = Sighting::Unreadable { at: None, trouble: denied.into() };
    assert_eq!(state(|e| e.sighting = Some(closed)), PathState::Unseen);
}

#[test]
fn a_halt_or_a_dead_link_keeps_only_what_is_pending() {
    let halt = Some(("halted".to_owned(), "approve".to_owned()));
    assert_eq!(live(|live| live.halt = halt.clone()), PathState::InSync);
    let gone = |e: &mut Evidence| {
        (e.ledger.observed, e.ledger.pending, e.sighting) = (None, true, Some(Sighting::Nothing));
        e.live.as_mut().unwrap().halt = halt.clone();
    };
    assert_eq!(state(gone), PathState::Held);
    let link = |stopped| Some(LinkTrouble { why: "530".into(), hint: None, stopped });
    assert_eq!(live(|live| live.link = link(true)), PathState::InSync);
    for (stopped, expected) in [(true, PathState::Parked), (false, PathState::Waiting)] {
        let down = |e: &mut Evidence| {
            e.ledger.pending = true;
            e.live.as_mut().unwrap().link = link(stopped);
        };
        assert_eq!(state(down), expected);
    }
}

#[test]
fn what_keeps_a_path_is_told_with_the_place_where_it_is() {
    let mut evidence = settled();
    evidence.ledger.pending = true;
    evidence.ledger.trouble = Some(trouble("a", None));
    let account = judge(evidence);
    assert_eq!((account.state, account.attempts), (PathState::Parked, 2));
    assert!(account.why.unwrap().starts_with("a: "), "the directory above is what keeps it");
    assert!(account.hint.is_some());
    let waits = |e: &mut Evidence| {
        e.ledger.pending_below = 2;
        e.ledger.trouble_below = Some(trouble("a/b/c", Some(UnixMillis(5))));
    };
    assert_eq!(state(waits), PathState::Waiting);
    // Others below it are on their way: it is not stuck.
    let parked = |e: &mut Evidence| {
        e.ledger.pending_below = 2;
        e.ledger.trouble_below = Some(trouble("a/b/c", None));
        e.live.as_mut().unwrap().promised = true;
    };
    assert_eq!(state(parked), PathState::Pending);
}

#[test]
fn what_is_ignored_is_so_only_when_nothing_of_it_is_left() {
    let rule = crate::scan::Rule { pattern: "*.tmp".into(), file: None, line: None };
    let ignored = || Some(Sighting::Ignored { at: path("a"), rule: rule.clone() });
    assert_eq!(state(|e| (e.ledger, e.sighting) = (Ledger::default(), ignored())), PathState::Ignored);
    assert_eq!(state(|e| e.sighting = ignored()), PathState::Unlooked, "the rule is newer than the last look");
    let skipped = Some(Sighting::Skipped { at: path("a/b"), why: "a socket" });
    assert_eq!(state(|e| (e.ledger, e.sighting) = (Ledger::default(), skipped)), PathState::Skipped);
    assert_eq!(state(|e| (e.ledger, e.sighting) = (Ledger::default(), Some(Sighting::Nothing))), PathState::Absent);
}

#[test]
fn without_a_daemon_a_file_can_be_known_and_a_directory_cannot() {
    let rest = |change: &dyn Fn(&mut Evidence)| {
        state(|e| {
            e.live = None;
            change(e);
        })
    };
    assert_eq!(rest(&|_| {}), PathState::InSync);
    assert_eq!(rest(&|e| e.ledger.pending = true), PathState::Pending);
    assert_eq!(rest(&|e| e.ledger.promised = true), PathState::InDoubt);
    let dir = |e: &mut Evidence| {
        let dir = Entry::dir(3);
        (e.ledger.observed, e.ledger.recorded, e.sighting) = (Some(dir), Some(dir), Some(Sighting::Mirrored(dir)));
    };
    assert_eq!(rest(&dir), PathState::Unlooked);
    assert_eq!(rest(&|e| (e.path, e.sighting) = (None, None)), PathState::Unlooked);
}
