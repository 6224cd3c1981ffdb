//! Downloads: whole, cut short, too long, refused, stalled, and not wanted any more.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
};

use super::support::{connected, counted, remote_to};
use crate::{
    ftps::{
        proto::Pathname,
        testing::{Peer, Server},
    },
    model::RelPath,
    remote::{Class, RemoteError, Session},
};

/// How the server ends a download of 300,000 bytes.
#[derive(Clone, Copy)]
struct Ending {
    /// Bytes that it sends.
    sends: usize,
    /// Whether TLS is closed in order.
    closes: bool,
    /// What it says then.
    says: &'static str,
}

const SIZE: u64 = 300_000;

fn server(ending: Ending) -> Server {
    Server::new(move |peer: Peer| async move {
        let mut peer = peer.log_in().await?;
        peer.passive().await?;
        peer.hear().await?;
        peer.say("150 here it comes").await?;
        let mut data = peer.accept_data().await?;
        // Nobody may want all of it.
        let _ = data.write_all(&vec![7; ending.sends]).await;
        let _ = data.flush().await;
        if ending.closes {
            let _ = data.shutdown().await;
            let _ = data.read_to_end(&mut Vec::new()).await;
        }
        drop(data);
        peer.say(ending.says).await?;
        peer.agree().await
    })
}

/// What came, and how it ended; the session is asked for a sign of life if it should have one.
async fn fetch(ending: Ending) -> (usize, Result<(), RemoteError>, Vec<String>) {
    let (remote, heard) = remote_to(server(ending));
    let mut session = connected(&remote).await;
    let (into, receiving) = counted();
    let path = RelPath::new("a b").expect("valid");
    let result = session.fetch(&path, SIZE, into).await;
    if result.as_ref().err().is_none_or(RemoteError::session_survives) {
        session.ping().await.expect("still in step");
    }
    (receiving.await.expect("received"), result, heard.lines())
}

#[tokio::test(start_paused = true)]
async fn a_whole_download() {
    let (came, result, heard) = fetch(Ending { sends: 300_000, closes: true, says: "226 fine" }).await;
    result.expect("a whole file");
    assert_eq!(came, 300_000);
    assert_eq!(heard[8..10], ["EPSV", "RETR /a b"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_whole_is_an_error() {
    for (sends, closes, says, why) in [
        (300_000, false, "226 fine", "the data connection broke"),
        (200_000, false, "226 fine", "the data connection broke"),
        (200_000, true, "226 fine", "200000 bytes came of a file that is said to have 300000"),
        (0, true, "226 fine", "0 bytes came"),
        (300_000, true, "426 something went wrong", "RETR failed: 426"),
        (200_000, true, "451 cannot read on", "RETR failed: 451"),
    ] {
        let (_, result, _) = fetch(Ending { sends, closes, says }).await;
        let error = result.expect_err("no file");
        assert!(error.to_string().contains(why), "{sends} {closes} {says}: {error}");
        assert_eq!(error.class, Class::Transient);
    }
}

#[tokio::test(start_paused = true)]
async fn more_than_promised_is_not_taken() {
    let (came, result, _) = fetch(Ending { sends: 3_000_000, closes: true, says: "226 fine" }).await;
    let error = result.expect_err("no file");
    assert!(error.to_string().ends_with("of a file that is said to have 300000"), "{error}");
    assert!(came <= 300_000, "{came}");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_not_there() {
    let (remote, _) = remote_to(Server::new(|peer: Peer| async {
        let mut peer = peer.log_in().await?;
        peer.passive().await?;
        peer.hear().await?;
        peer.say("550 no such file").await?;
        let _data = peer.take_data().await?;
        peer.agree().await
    }));
    let mut session = connected(&remote).await;
    let (into, _pieces) = mpsc::channel(1);
    let error = session.fetch(&RelPath::new("a").expect("valid"), 5, into).await.expect_err("no file");
    assert_eq!(error.class, Class::Refused, "{error}");
    session.ping().await.expect("still in step");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_sending_and_one_that_nobody_listens_to() {
    let stalls = || {
        Server::new(|peer: Peer| async {
            let mut peer = peer.log_in().await?;
            peer.passive().await?;
            peer.hear().await?;
            peer.say("150 here it comes").await?;
            let mut data = peer.accept_data().await?;
            data.write_all(&[7; 100_000]).await.ok()?;
            data.flush().await.ok()?;
            let _data = data;
            peer.fall_silent().await
        })
    };
    for (reads, why) in [(true, "transfer stalled"), (false, "the local file was not written on")] {
        let (remote, _) = remote_to(stalls());
        let mut session = connected(&remote).await;
        let (into, mut pieces) = mpsc::channel(1);
        let reader = tokio::spawn(async move {
            while reads && pieces.recv().await.is_some() {}
            std::future::pending::<()>().await;
        });
        let path = Pathname::new("/a").expect("sendable");
        let error = session.client.fetch(&path, SIZE, &into).await.expect_err("no file");
        assert!(error.to_string().ends_with(why), "{error}");
        reader.abort();
    }
    let (remote, _) = remote_to(stalls());
    let mut session = connected(&remote).await;
    let (into, pieces) = mpsc::channel(1);
    drop(pieces);
    let error = session.fetch(&RelPath::new("a").expect("valid"), SIZE, into).await.expect_err("nobody wants it");
    assert!(!error.session_survives(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_time_is_told_or_not() {
    let (remote, heard) = remote_to(Server::new(|peer: Peer| async {
        let mut peer = peer.log_in().await?;
        for reply in ["213 20200102030405", "213 20200102030405.678", "213 yesterday", "550 no such file", "500 what?"] {
            peer.answer("213 5").await?;
            peer.answer(reply).await?;
        }
        peer.agree().await
    }));
    let mut session = connected(&remote).await;
    let path = RelPath::new("a").expect("valid");
    for told in [Some(1_577_934_245), Some(1_577_934_245), None, None, None] {
        let copy = session.examine(&path).await.expect("an answer").expect("a file");
        assert_eq!((copy.size, copy.modified), (Some(5), told));
    }
    assert_eq!(heard.lines()[8..10], ["SIZE /a", "MDTM /a"]);
    assert_eq!(session.checksum(&path, None).await.expect("an answer"), None, "no way to is known");
    assert_eq!(heard.lines().len(), 18, "and none is tried");
}
