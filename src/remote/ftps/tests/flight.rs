//! Many changes at once: a refused one among them, a server that is not known to answer in order, and one that dies.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex},
};

use super::support::{connected, remote_knowing};
use crate::{
    ftps::{
        Profile,
        testing::{Heard, Peer, Pipe, Server},
    },
    model::{Mode, RelPath},
    remote::{
        Change, Class, RemoteError, Session,
        ftps::{FtpsRemote, FtpsSession},
    },
};

/// A server's names. It reads a few commands before it answers any, where it is to be asked like this.
struct Names {
    names: Mutex<BTreeSet<String>>,
    /// It answers nothing before it has heard so many commands,
    holds: usize,
    /// and goes after so many answers.
    until: usize,
}

impl Names {
    async fn serve(self: Arc<Self>, peer: Peer) -> Option<()> {
        let mut peer = peer.log_in().await?;
        let mut source: Option<String> = None;
        let mut held = VecDeque::new();
        while held.len() < self.holds {
            held.push_back(peer.hear().await?);
        }
        for _ in 0..self.until {
            let line = match held.pop_front() {
                Some(line) => line,
                None => peer.hear().await?,
            };
            let answer = self.answer(&line, &mut source);
            peer.say(answer).await?;
        }
        None
    }

    fn answer(&self, line: &str, source: &mut Option<String>) -> &'static str {
        let (verb, name) = line.split_once(" /").unwrap_or((line, ""));
        let mut names = self.names.lock().expect("unpoisoned");
        match (verb, source.take()) {
            ("RNFR", _) if names.contains(name) => {
                *source = Some(name.to_owned());
                "350 to what?"
            }
            ("RNTO", None) => "503 from what?",
            ("RNTO", Some(_)) if name.starts_with("no") => "553 not here",
            ("RNTO", Some(from)) => {
                names.remove(&from);
                names.insert(name.to_owned());
                "250 renamed"
            }
            ("MKD", _) if names.contains(name) => "550 it is there",
            ("MKD", _) => {
                names.insert(name.to_owned());
                "257 made"
            }
            ("DELE" | "RMD", _) if names.remove(name) => "250 gone",
            (verb, _) if names.contains(name) && (verb.starts_with("MFMT ") || verb.starts_with("SITE CHMOD ")) => "200 set",
            ("SIZE", _) if names.contains(name) => "213 1",
            ("MDTM", _) if names.contains(name) => "213 20261123000000",
            ("NOOP", _) => "200 here",
            _ => "550 no such file",
        }
    }

    fn all(&self) -> Vec<String> {
        self.names.lock().expect("unpoisoned").iter().cloned().collect()
    }
}

fn server(count: usize, until: usize, in_order: Option<bool>) -> (Arc<Names>, FtpsRemote<Pipe>, Heard) {
    holding(count, 0, until, in_order)
}

fn holding(count: usize, holds: usize, until: usize, in_order: Option<bool>) -> (Arc<Names>, FtpsRemote<Pipe>, Heard) {
    let names = Arc::new(Names { names: Mutex::new((0..count).map(|n| format!("t{n:02}")).collect()), holds, until });
    let served = Arc::clone(&names);
    let server = Server::new(move |peer: Peer| Arc::clone(&served).serve(peer));
    let (remote, heard) = remote_knowing(server, Profile { in_order, ..Profile::default() });
    (names, remote, heard)
}

fn path(text: impl AsRef<str>) -> RelPath {
    RelPath::new(text.as_ref()).expect("valid")
}

fn pairs(count: usize, to: impl Fn(usize) -> String) -> Vec<(RelPath, RelPath)> {
    (0..count).map(|n| (path(format!("t{n:02}")), path(to(n)))).collect()
}

async fn rename_all(session: &mut FtpsSession<Pipe>, pairs: &[(RelPath, RelPath)]) -> Vec<Result<bool, RemoteError>> {
    let renames: Vec<Change<'_>> = pairs.iter().map(|(from, to)| Change::Rename(from, to)).collect();
    session.change_all(&renames).await
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_does_not_shift_its_neighbours() {
    for in_order in [Some(true), None, Some(false)] {
        let (names, remote, _) = server(40, usize::MAX, in_order);
        let mut session = connected(&remote).await;
        let mut pairs = pairs(40, |n| if n == 17 { "no".to_owned() } else { format!("live{n:02}") });
        pairs.insert(5, (path("missing"), path("liveless")));
        pairs.insert(40, (path("lost"), path("liveless")));
        let results = rename_all(&mut session, &pairs).await;
        assert_eq!(results.len(), 42);
        let refused: Vec<(usize, String)> =
            results.iter().enumerate().filter_map(|(at, result)| Some((at, result.as_ref().err()?.to_string()))).collect();
        let verbs: Vec<(usize, &str)> = refused.iter().map(|(at, why)| (*at, &why[..4])).collect();
        assert_eq!(verbs, [(5, "RNFR"), (18, "RNTO"), (40, "RNFR")], "{in_order:?}");
        assert!(results.iter().all(|result| result.as_ref().err().is_none_or(|e| e.class == Class::Refused)));
        session.ping().await.expect("still in step");
        let expected: Vec<String> = (0..40)
            .map(|n| if n == 17 { "t17".to_owned() } else { format!("live{n:02}") })
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        assert_eq!(names.all(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_death_nobody_knows_of_the_rest_of_its_flight() {
    let all = pairs(40, |n| format!("live{n:02}"));
    // Logging in takes commands, too: they are not counted.
    for until in [0, 1, 2, 7, 32, 33, 64] {
        let (names, remote, _) = server(40, until, Some(true));
        let mut session = connected(&remote).await;
        let results = rename_all(&mut session, &all).await;
        let (last, done) = results.split_last().expect("at least one");
        assert!(done.iter().all(Result::is_ok) && last.as_ref().is_err_and(|e| !e.session_survives()), "{until}: {results:?}");
        // Whole flights of sixteen pairs are known to be done.
        assert_eq!(done.len(), until / 32 * 16, "{until}");
        assert!(names.all().iter().filter(|name| name.starts_with("live")).count() >= done.len());
    }
}

#[tokio::test(start_paused = true)]
async fn one_at_a_time_where_replies_may_be_out_of_order() {
    let together = |in_order| async move {
        let (_, remote, heard) = server(4, usize::MAX, in_order);
        let mut session = connected(&remote).await;
        let results = rename_all(&mut session, &pairs(4, |n| format!("live{n:02}"))).await;
        assert!(results.iter().all(Result::is_ok));
        heard.lines().into_iter().filter(|line| line.starts_with("RN")).count()
    };
    assert_eq!((together(Some(true)).await, together(Some(false)).await), (8, 8));
}

#[tokio::test(start_paused = true)]
async fn many_copies_are_looked_at_in_their_order() {
    for in_order in [Some(true), None] {
        let (_, remote, _) = server(30, usize::MAX, in_order);
        let mut session = connected(&remote).await;
        let paths: Vec<RelPath> = (0..60).map(|n| path(format!("t{n:02}"))).collect();
        let found = session.examine_all(&paths).await.expect("answers");
        assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [[true; 30], [false; 30]].concat(), "{in_order:?}");
        assert!(found[..30].iter().flatten().all(|copy| copy.size == Some(1) && copy.modified == Some(1_795_392_000)));
    }
}

#[tokio::test(start_paused = true)]
async fn changes_of_every_kind_go_out_together() {
    for (in_order, holds) in [(Some(true), 11), (Some(false), 0), (None, 0)] {
        let (names, remote, _) = holding(5, holds, usize::MAX, in_order);
        let mut session = connected(&remote).await;
        let [t0, t1, t2, t3, missing, new] = ["t00", "t01", "t02", "t03", "missing", "new"].map(path);
        let changes = [
            Change::SetModified(&t0, 7),
            Change::SetMode(&t0, Mode::of(0o640)),
            Change::Rename(&t0, &new),
            Change::RemoveFile(&t1),
            Change::SetModified(&missing, 7),
            Change::SetMode(&missing, Mode::of(0o640)),
            Change::RemoveDir(&t2),
            Change::MakeDir(&t1),
            Change::MakeDir(&t3),
            Change::RemoveFile(&t3),
        ];
        let made: Vec<Option<bool>> = session.change_all(&changes).await.into_iter().map(Result::ok).collect();
        let expected = [true, true, true, true, false, false, true, true].map(Some).into_iter().chain([None, Some(true)]);
        assert_eq!(made, expected.collect::<Vec<_>>(), "{in_order:?}");
        assert_eq!(names.all(), ["new", "t01", "t04"]);
    }
}
