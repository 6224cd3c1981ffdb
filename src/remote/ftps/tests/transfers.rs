//! Uploads and listings: in order, refused, broken off, and cut short.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};

use super::support::{Body, connected, remote_to, store_fails};
use crate::{
    ftps::{
        Passive, Target, TlsVersion,
        proto::{
            Pathname,
            listing::{Completeness, Doubt},
        },
        testing::{PEER, Peer, Server, identity},
    },
    model::RelPath,
    remote::{Class, Session},
};

fn path(text: &str) -> RelPath {
    RelPath::new(text).expect("valid")
}

#[tokio::test(start_paused = true)]
async fn a_whole_upload() {
    let (sender, mut bodies) = tokio::sync::mpsc::unbounded_channel();
    let (remote, heard) = remote_to(Server::new(move |peer: Peer| {
        let sender = sender.clone();
        async move {
            let mut peer = peer.log_in().await?;
            for _ in 0..3 {
                sender.send(peer.take_upload().await).ok()?;
            }
            peer.agree().await
        }
    }));
    let mut session = connected(&remote).await;
    for length in [0, 1, 300_000] {
        let mut body = Body::new((0..length).map(|i| i as u8).collect::<Vec<_>>());
        assert_eq!(session.store(&path("a b"), &mut body).await.expect("stored"), length as u64);
        assert_eq!(bodies.recv().await.flatten(), Some(body.bytes), "with close_notify at its end");
    }
    session.ping().await.expect("still in step");
    assert_eq!(heard.lines()[8..10], ["EPSV", "STOR /a b"]);
    let stats = remote.stats().summary();
    assert_eq!(stats, "control 1, data full 0, data resumed 3, data refused 0, reconnects 0");
}

#[tokio::test(start_paused = true)]
async fn an_early_no_to_the_path_cancels() {
    let (remote, _) = remote_to(Server::new(|peer: Peer| async {
        let mut peer = peer.log_in().await?;
        peer.passive().await?;
        peer.hear().await?;
        peer.say("553 not that name").await?;
        // The data connection is there and nobody ever speaks TLS on it.
        let _data = peer.take_data().await?;
        peer.agree().await
    }));
    let mut session = connected(&remote).await;
    let error = store_fails(&mut session, 100_000).await;
    assert_eq!(error.class, Class::Refused, "{error}");
    assert!(error.session_survives());
    session.ping().await.expect("still in step");
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_in_the_middle() {
    for closes in [true, false] {
        let (remote, _) = remote_to(Server::new(move |peer: Peer| async move {
            let mut peer = peer.log_in().await?;
            peer.passive().await?;
            peer.hear().await?;
            peer.say("150 send").await?;
            let mut data = peer.accept_data().await?;
            data.read_exact(&mut [0; 10_000]).await.ok()?;
            if closes {
                drop(data);
                peer.say("452 disk full").await?;
                peer.agree().await
            } else {
                peer.say("452 disk full").await?;
                let result = peer.agree().await;
                drop(data);
                result
            }
        }));
        let mut session = connected(&remote).await;
        let error = store_fails(&mut session, 1_000_000).await;
        assert_eq!(error.class, Class::Full, "{error}");
        session.ping().await.expect("still in step");
    }
}

#[tokio::test(start_paused = true)]
async fn no_last_reply() {
    let (remote, _) = remote_to(Server::new(|peer: Peer| async {
        let mut peer = peer.log_in().await?;
        peer.passive().await?;
        peer.hear().await?;
        peer.say("150 send").await?;
        let mut data = peer.accept_data().await?;
        data.read_to_end(&mut Vec::new()).await.ok()?;
        peer.fall_silent().await
    }));
    let error = store_fails(&mut connected(&remote).await, 1_000).await;
    assert_eq!((error.class, error.to_string().ends_with("final reply to a transfer")), (Class::Transient, true), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_226_before_the_end_is_no_success() {
    let (remote, _) = remote_to(Server::new(|peer: Peer| async {
        let mut peer = peer.log_in().await?;
        peer.passive().await?;
        peer.hear().await?;
        peer.say("150 send").await?;
        let _data = peer.accept_data().await?;
        peer.say("226 fine").await?;
        peer.fall_silent().await
    }));
    let error = store_fails(&mut connected(&remote).await, 1_000_000).await;
    assert_eq!(error.class, Class::Protocol, "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_broken_upload_is_no_success_even_with_a_226() {
    let (remote, _) = remote_to(Server::new(|peer: Peer| async {
        let mut peer = peer.log_in().await?;
        peer.passive().await?;
        peer.hear().await?;
        peer.say("150 send").await?;
        let mut data = peer.accept_data().await?;
        data.read_exact(&mut [0; 10_000]).await.ok()?;
        drop(data);
        // Long enough for the client to notice.
        sleep(Duration::from_secs(1)).await;
        peer.say("226 fine").await?;
        peer.agree().await
    }));
    let error = store_fails(&mut connected(&remote).await, 1_000_000).await;
    assert_eq!(error.class, Class::Transient, "{error}");
    assert!(error.to_string().starts_with("the data connection broke"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_transfer_that_stalls() {
    let (remote, _) = remote_to(Server::new(|peer: Peer| async {
        let mut peer = peer.log_in().await?;
        peer.passive().await?;
        peer.hear().await?;
        peer.say("150 send").await?;
        let _data = peer.accept_data().await?;
        peer.fall_silent().await
    }));
    let error = store_fails(&mut connected(&remote).await, 10_000_000).await;
    assert_eq!((error.class, error.to_string().ends_with("transfer stalled")), (Class::Transient, true), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_address_in_a_pasv_reply_is_ignored() {
    let (remote, heard) = remote_to(Server::new(|peer: Peer| async {
        let mut peer = peer.log_in().await?;
        peer.answer("500 no EPSV here").await?;
        peer.answer("227 go to (10,9,8,7,156,64)").await?;
        peer.answer("553 enough").await?;
        peer.agree().await
    }));
    store_fails(&mut connected(&remote).await, 1).await;
    assert_eq!(heard.targets()[1..], [Target::Data { peer: PEER, port: 40_000 }]);
    assert_eq!(remote.profile().passive, Passive::Pasv);
}

#[tokio::test(start_paused = true)]
async fn pasv_where_epsv_ports_are_out_of_reach() {
    let mut server = Server::new(|peer: Peer| async {
        let mut peer = peer.log_in().await?;
        peer.passive().await?;
        peer.answer("227 go to (10,9,8,7,156,65)").await?;
        peer.answer("553 enough").await?;
        peer.agree().await
    });
    server.blocked = vec![40_000];
    let (remote, heard) = remote_to(server);
    assert_eq!(store_fails(&mut connected(&remote).await, 1).await.class, Class::Refused);
    assert_eq!(remote.profile().passive, Passive::Pasv);
    assert_eq!(heard.lines()[8..], ["EPSV", "PASV", "STOR /.tmp"], "no STOR before there is a connection");
}

#[tokio::test(start_paused = true)]
async fn another_certificate_on_the_data_connection() {
    let (remote, _) = remote_to(Server::new(|peer: Peer| async {
        let mut peer = peer.log_in().await?;
        peer.passive().await?;
        peer.hear().await?;
        peer.say("150 send").await?;
        let (other, _) = identity("ftp.test", &[TlsVersion::V13]);
        peer.accept_data_with(other).await;
        peer.fall_silent().await
    }));
    let error = store_fails(&mut connected(&remote).await, 1).await;
    assert_eq!(error.class, Class::Tls, "{error}");
}

#[tokio::test(start_paused = true)]
async fn listings_whole_and_cut_short() {
    for whole in [true, false] {
        let (remote, _) = remote_to(Server::new(move |peer: Peer| async move {
            let mut peer = peer.log_in().await?;
            peer.answer("250 there").await?;
            peer.passive().await?;
            peer.hear().await?;
            peer.say("150 look").await?;
            let mut data = peer.accept_data().await?;
            data.write_all(b"-rw-r--r-- 1 a b 5 Jan 01 2020 one\r\n-rw-r--r-- 1 a b 5 Jan 01 2020 .two\r\n").await.ok()?;
            data.flush().await.ok()?;
            if whole {
                data.shutdown().await.ok()?;
                // As vsftpd and ProFTPD do: the 226 waits for the client's close.
                data.read_to_end(&mut Vec::new()).await.ok()?;
            }
            drop(data);
            peer.say("226 that was it").await?;
            peer.agree().await
        }));
        let mut session = connected(&remote).await;
        let listing = session.client.list(&Pathname::new("/dir").expect("sendable")).await.expect("a listing");
        let completeness = if whole { Completeness::Complete } else { Completeness::Unknown(Doubt::Unclosed) };
        assert_eq!((listing.entries.len(), listing.completeness), (2, completeness));
        session.ping().await.expect("still in step");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_operation_leaves_no_usable_conversation() {
    let (remote, heard) = remote_to(Server::new(|peer: Peer| async { peer.log_in().await?.fall_silent().await }));
    let mut session = connected(&remote).await;
    timeout(Duration::from_secs(1), session.ping()).await.expect_err("no answer");
    let error = session.ping().await.expect_err("out of step");
    assert_eq!(error.class, Class::Transient);
    assert_eq!(heard.lines().iter().filter(|line| *line == "NOOP").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_name_with_a_line_break_never_leaves() {
    let (remote, heard) = remote_to(Server::new(|peer| async { peer.log_in().await?.agree().await }));
    let mut session = connected(&remote).await;
    let error = session.remove_file(&path("a\r\nDELE b")).await.expect_err("refused here");
    assert_eq!((error.class, error.session_survives()), (Class::Name, true));
    assert_eq!(heard.lines().len(), 8);
}

#[tokio::test(start_paused = true)]
async fn after_a_refusal_the_state_decides() {
    let (remote, _) = remote_to(Server::new(|peer: Peer| async {
        let mut peer = peer.log_in().await?;
        // DELE of what is gone; MKD of what is there; both 550, as servers have it. SIZE and CWD tell.
        for line in ["550 no", "550 none", "550 none", "550 no", "550 none", "250 there"] {
            peer.answer(line).await?;
        }
        // DELE of what is there.
        for line in ["550 no", "213 5"] {
            peer.answer(line).await?;
        }
        // RNTO never follows a refused RNFR.
        peer.answer("550 no").await?;
        peer.agree().await
    }));
    let mut session = connected(&remote).await;
    session.remove_file(&path("gone")).await.expect("gone is gone");
    session.make_dir(&path("there")).await.expect("there is there");
    assert_eq!(session.remove_file(&path("kept")).await.expect_err("kept").class, Class::Refused);
    assert_eq!(session.rename(&path("a"), &path("b")).await.expect_err("refused").class, Class::Refused);
    session.ping().await.expect("still in step");
}
