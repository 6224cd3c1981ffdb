//! What is asked right behind the last byte of an upload: believed when it is answered after that, and never before.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::support::{Body, connected, remote_knowing};
use crate::{
    ftps::{
        Profile,
        testing::{Heard, Peer, Pipe, Server},
    },
    model::RelPath,
    remote::{Change, Class, Concluded, Session, Stored, Wanted, ftps::FtpsRemote},
};

/// How the server takes up what comes behind a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    /// In turn.
    InTurn,
    /// It refuses it while the transfer runs (ProFTPD).
    Refuses,
    /// It answers at once: how much was there by then.
    Hastes,
    /// In turn, after an upload that failed.
    Fails,
}

fn path(text: &str) -> RelPath {
    RelPath::new(text).expect("valid")
}

fn answer(line: &str) -> &'static str {
    match line.split_once(' ').unwrap_or((line, "")) {
        ("SIZE", "/.new") => "213 5",
        ("MFMT", _) => "213 set",
        ("EPSV", _) => "229 go to (|||40001|)",
        ("RNFR", _) => "350 to what?",
        ("RNTO", _) => "250 renamed",
        _ => "550 nothing there",
    }
}

async fn serve(peer: Peer, mood: Mood) -> Option<()> {
    let mut peer = peer.log_in().await?;
    loop {
        let line = peer.hear().await?;
        if !line.starts_with("STOR") {
            peer.say(answer(&line)).await?;
            continue;
        }
        peer.say("150 send").await?;
        let mut data = peer.accept_data().await?;
        data.read_to_end(&mut Vec::new()).await.ok()?;
        let _ = data.shutdown().await;
        let mut behind = Vec::new();
        if matches!(mood, Mood::Refuses | Mood::Hastes) {
            // So many as there are: four, and the port of the next.
            for _ in 0..4 {
                behind.push(peer.hear().await?);
            }
        }
        for line in behind {
            let early = if line.starts_with("SIZE /.new") { "213 0" } else { answer(&line) };
            peer.say(if mood == Mood::Refuses { "450 a transfer is in progress" } else { early }).await?;
        }
        peer.say(if mood == Mood::Fails { "451 it could not be written" } else { "226 done" }).await?;
    }
}

fn server(mood: Mood) -> (FtpsRemote<Pipe>, Heard) {
    let known = Profile { in_order: Some(true), behind: Some(true), rename_replaces: Some(true), ..Profile::default() };
    remote_knowing(Server::new(move |peer| serve(peer, mood)), known)
}

fn wanted<'p>(fresh: &'p RelPath, path: &'p RelPath, bytes: u64) -> Wanted<'p> {
    Wanted { fresh, path, modified: Some(1_700_000_000), mode: None, more: false, bytes }
}

const DONE: Concluded = Concluded { size: Some(5), found: None, mode_unset: false };

#[tokio::test(start_paused = true)]
async fn what_is_answered_in_turn_is_believed() {
    let (remote, heard) = server(Mood::InTurn);
    let mut session = connected(&remote).await;
    let (fresh, live) = (path(".new"), path("live"));
    let begun = heard.lines().len();
    let (renamed, stored) = session.store_next(None, wanted(&fresh, &live, 5), &mut Body::new("whole")).await;
    assert!(renamed.is_none());
    assert_eq!(stored.expect("begun").expect("stored"), Stored { bytes: 5, concluded: Some(DONE) });
    // The port of the next comes with it, and is not asked for again.
    let more = Wanted { more: true, ..wanted(&fresh, &live, 5) };
    let (_, stored) = session.store_next(None, more, &mut Body::new("whole")).await;
    assert_eq!(stored.expect("begun").expect("stored").concluded, Some(DONE));
    let names = Some((&fresh, &live));
    let (renamed, stored) = session.store_next(names, wanted(&fresh, &live, 5), &mut Body::new("whole")).await;
    renamed.expect("asked for").expect("renamed");
    assert_eq!(stored.expect("begun").expect("stored").concluded, Some(DONE));
    let verbs: Vec<String> = heard.lines()[begun..].iter().map(|line| line.split(' ').next().unwrap_or("").to_owned()).collect();
    let asked = ["SIZE", "SIZE", "MFMT"];
    let expected = [&["EPSV", "STOR"][..], &asked, &["EPSV", "STOR"], &asked, &["EPSV", "RNFR", "RNTO", "STOR"], &asked].concat();
    let seen: Vec<&str> = verbs.iter().map(String::as_str).filter(|verb| *verb != "MDTM").collect();
    assert_eq!(seen, expected);
}

#[tokio::test(start_paused = true)]
async fn what_is_answered_too_soon_is_asked_again_and_left_after_a_while() {
    for mood in [Mood::Refuses, Mood::Hastes] {
        let (remote, heard) = server(mood);
        let mut session = connected(&remote).await;
        let (fresh, live) = (path(".new"), path("live"));
        for round in 0..4 {
            let (_, stored) = session.store_next(None, wanted(&fresh, &live, 5), &mut Body::new("whole")).await;
            let stored = stored.expect("begun").expect("stored");
            assert_eq!(stored, Stored { bytes: 5, concluded: None }, "{mood:?} {round}");
            let concluded = session.conclude(wanted(&fresh, &live, 5)).await.expect("asked");
            assert_eq!(concluded, DONE);
        }
        let before = heard.lines().len();
        // Not any more. (This server waits for it.)
        let mut body = Body::new("whole");
        let stored = timeout(Duration::from_secs(1), session.store_next(None, wanted(&fresh, &live, 5), &mut body)).await;
        assert!(stored.is_err());
        assert_eq!(heard.lines()[before..].len(), 2, "EPSV and STOR alone: {:?}", &heard.lines()[before..]);
    }
}

#[tokio::test(start_paused = true)]
async fn no_answer_makes_an_upload_good_that_failed() {
    let (remote, _) = server(Mood::Fails);
    let mut session = connected(&remote).await;
    let (fresh, live) = (path(".new"), path("live"));
    let (_, stored) = session.store_next(None, wanted(&fresh, &live, 5), &mut Body::new("whole")).await;
    let error = stored.expect("begun").expect_err("it failed");
    assert!(error.to_string().contains("451"), "{error}");
    assert_eq!(error.class, Class::Transient);
}

#[tokio::test(start_paused = true)]
async fn a_long_body_is_asked_about_when_it_is_there() {
    let (remote, heard) = server(Mood::InTurn);
    let mut session = connected(&remote).await;
    let (fresh, live) = (path(".new"), path("live"));
    let (_, stored) = session.store_next(None, wanted(&fresh, &live, 100_000), &mut Body::new(vec![7; 100_000])).await;
    assert_eq!(stored.expect("begun").expect("stored"), Stored { bytes: 100_000, concluded: None });
    assert!(heard.lines().last().is_some_and(|line| line.starts_with("STOR")));
}

/// Telnet finds a command in the name (RFC 854): it cannot be sent, and was found out when half of a flight was.
#[tokio::test(start_paused = true)]
async fn a_name_that_cannot_be_sent_leaves_the_conversation_in_step() {
    let (remote, heard) = server(Mood::InTurn);
    let mut session = connected(&remote).await;
    let (fresh, live, odd) = (path(".new"), path("live"), RelPath::new(b"one\xff\xfftwo").expect("valid"));
    let (_, stored) = session.store_next(None, wanted(&fresh, &odd, 5), &mut Body::new("whole")).await;
    assert_eq!(stored.expect("told").expect_err("no such name").class, Class::Name);
    assert!(!heard.lines().iter().any(|line| line.starts_with("STOR")), "no body is sent for a name that cannot be");
    let error = session.rename(&fresh, &odd).await.expect_err("no such name");
    assert_eq!(error.class, Class::Name);
    let names = Some((&fresh, &live));
    let (renamed, stored) = session.store_next(names, wanted(&fresh, &odd, 5), &mut Body::new("whole")).await;
    renamed.expect("asked for").expect("renamed");
    assert_eq!(stored.expect("told").expect_err("no such name").class, Class::Name);
    let pairs = [(path("a"), path("b")), (path("c"), odd), (path("e"), path("f"))];
    let renames: Vec<_> = pairs.iter().map(|(from, to)| Change::Rename(from, to)).collect();
    let classes: Vec<_> = session.change_all(&renames).await.into_iter().map(|result| result.err().map(|e| e.class)).collect();
    assert_eq!(classes, [None, Some(Class::Name), None]);
    let (_, stored) = session.store_next(None, wanted(&fresh, &live, 5), &mut Body::new("whole")).await;
    assert_eq!(stored.expect("begun").expect("stored"), Stored { bytes: 5, concluded: Some(DONE) });
}
