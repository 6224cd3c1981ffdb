//! Servers that answer without end: each wait has its limit whatever comes meanwhile, and each flood its bound. What goes over a
//! real wire is in the integration tests.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep},
};

use super::support::{connected, refused, remote_to, store_fails};
use crate::{
    ftps::{
        Error, Wait,
        proto::Pathname,
        testing::{Peer, Server},
    },
    remote::{Class, Session},
};

const SECOND: Duration = Duration::from_secs(1);

/// A byte a second, for ever.
async fn drip(stream: &mut (impl AsyncWriteExt + Unpin), bytes: &[u8]) -> Option<()> {
    for byte in bytes.iter().cycle() {
        stream.write_all(&[*byte]).await.ok()?;
        stream.flush().await.ok()?;
        sleep(SECOND).await;
    }
    None
}

#[tokio::test(start_paused = true)]
async fn a_reply_in_drips_ends_within_30_s() {
    let (remote, _) = remote_to(Server::new(|mut peer: Peer| async move {
        // The first byte is late, too.
        sleep(20 * SECOND).await;
        for line in std::iter::once("220-").chain(std::iter::repeat("slow")) {
            peer.say(line).await?;
            sleep(SECOND).await;
        }
        None
    }));
    let start = Instant::now();
    let error = refused(&remote).await;
    assert_eq!((start.elapsed().as_secs(), error.class), (25, Class::Transient), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_listing_in_drips_ends_within_30_s() {
    for replies in [false, true] {
        let (remote, _) = remote_to(Server::new(move |peer: Peer| async move {
            let mut peer = peer.log_in().await?;
            peer.answer("250 there").await?;
            peer.passive().await?;
            peer.hear().await?;
            peer.say("150 look").await?;
            let mut data = peer.accept_data().await?;
            if replies {
                // Nor do replies prolong it.
                for _ in 0..10 {
                    sleep(10 * SECOND).await;
                    peer.say("150 still there").await?;
                }
            }
            drip(&mut data, b"-rw-r--r-- 1 a b 5 Jan 01 2020 one\r\n").await
        }));
        let mut session = connected(&remote).await;
        let start = Instant::now();
        let listing = session.client.list(&Pathname::new("/dir").expect("sendable")).await;
        assert!(matches!(listing, Err(Error::Timeout(Wait::Stall))), "{listing:?}");
        assert_eq!(start.elapsed().as_secs(), 25);
    }
}

/// A server that takes an upload, and then says `150` each `pause` instead of an end.
fn never_done(pause: Duration) -> Server {
    Server::new(move |peer: Peer| async move {
        let mut peer = peer.log_in().await?;
        peer.passive().await?;
        peer.hear().await?;
        peer.say("150 send").await?;
        let mut data = peer.accept_data().await?;
        data.read_to_end(&mut Vec::new()).await.ok()?;
        drop(data);
        loop {
            peer.say("150 soon").await?;
            sleep(pause).await;
        }
    })
}

#[tokio::test(start_paused = true)]
async fn preliminary_replies_do_not_prolong_the_wait_for_the_last() {
    let (remote, _) = remote_to(never_done(7 * SECOND));
    let mut session = connected(&remote).await;
    let start = Instant::now();
    let error = store_fails(&mut session, 1_000).await;
    assert_eq!((start.elapsed().as_secs(), error.to_string().ends_with("final reply to a transfer")), (25, true), "{error}");
}

#[tokio::test(start_paused = true)]
async fn endless_preliminary_replies_are_bounded() {
    let (remote, _) = remote_to(never_done(Duration::ZERO));
    let error = store_fails(&mut connected(&remote).await, 1_000).await;
    assert_eq!((error.class, error.to_string().as_str()), (Class::Protocol, "STOR failed: 150 soon"));
}

#[tokio::test(start_paused = true)]
async fn data_against_an_upload_is_bounded() {
    let (remote, _) = remote_to(Server::new(|peer: Peer| async {
        let mut peer = peer.log_in().await?;
        peer.passive().await?;
        peer.hear().await?;
        peer.say("150 send").await?;
        let mut data = peer.accept_data().await?;
        while data.write_all(&[7; 4096]).await.is_ok() {}
        peer.fall_silent().await
    }));
    let error = store_fails(&mut connected(&remote).await, 10_000_000).await;
    assert_eq!(error.class, Class::Transient);
    assert!(error.to_string().ends_with("sends data where it should take some"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_nobody_asked_for_is_named() {
    let (remote, _) = remote_to(Server::new(|peer: Peer| async {
        let mut peer = peer.log_in().await?;
        peer.say("250 renamed, as you will wish").await?;
        peer.agree().await
    }));
    let mut session = connected(&remote).await;
    sleep(SECOND).await;
    let error = session.ping().await.expect_err("out of step");
    assert_eq!(error.class, Class::Transient);
    assert_eq!(error.to_string(), "the server sent a reply that no command had asked for: 250 renamed, as you will wish");
}

#[tokio::test(start_paused = true)]
async fn a_password_that_is_repeated_gets_no_further() {
    let (remote, _) = remote_to(Server::new(|peer: Peer| async {
        let mut peer = peer.encrypt().await?;
        for line in ["200 pbsz", "200 prot", "331 password", "530-you said secret\r\n530 PASS secret is wrong"] {
            peer.answer(line).await?;
        }
        peer.fall_silent().await
    }));
    let error = refused(&remote).await.to_string();
    assert_eq!(error, "the server refused the login: 530 you said *** / PASS *** is wrong");
}
