//! Implicit mode, AUTH by its other name, and servers that speak the other mode. The account is heard by none that refuses.

use std::time::Duration;

use tokio::time::sleep;

use super::support::{Body, connected, refused, remote_by, remote_to};
use crate::{
    ftps::{
        DataMode, Mode,
        testing::{Peer, Server},
    },
    model::RelPath,
    remote::{Class, Session, ftps::FtpsRemote},
};

fn implicit(server: Server) -> (FtpsRemote<crate::ftps::testing::Pipe>, crate::ftps::testing::Heard) {
    remote_by(server, Mode::Implicit, DataMode::default())
}

#[tokio::test(start_paused = true)]
async fn implicit_is_tls_first_and_no_auth() {
    let (remote, heard) = implicit(Server::new(|peer: Peer| async {
        let mut peer = peer.start_tls().await?;
        peer.say("120 in a minute").await?;
        peer.say("220 hello").await?;
        let mut peer = peer.welcome().await?;
        peer.take_upload().await?;
        peer.agree().await
    }));
    let mut session = connected(&remote).await;
    let path = RelPath::new("x").expect("valid");
    assert_eq!(session.store(&path, &mut Body::new(vec![1; 5000])).await.expect("stored"), 5000);
    let order = ["PBSZ 0", "PROT P", "USER me", "PASS secret", "FEAT", "OPTS UTF8 ON", "TYPE I", "EPSV", "STOR /x"];
    assert_eq!(heard.lines(), order);
    assert_eq!(remote.stats().summary(), "control 1, data full 0, data resumed 1, data refused 0, reconnects 0");
}

#[tokio::test(start_paused = true)]
async fn implicit_where_the_server_is_explicit() {
    for greeting in ["220 hello", "220-hello\r\n220 you"] {
        let (remote, heard) = implicit(Server::new(move |mut peer: Peer| async move {
            peer.say(greeting).await?;
            peer.fall_silent().await
        }));
        let error = refused(&remote).await;
        assert_eq!(error.class, Class::Tls, "{error}");
        assert_eq!(error.to_string(), "the server does not speak TLS at once on this port, but greets in clear: 220 hello");
        assert_eq!(error.hint, Some("set `mode = \"explicit\"`"));
        assert!(!heard.account());
    }
}

#[tokio::test(start_paused = true)]
async fn explicit_where_the_server_is_implicit() {
    // It waits for TLS, or loses patience; its alert, if it sends one, is no greeting either.
    let silent = Server::new(Peer::fall_silent);
    let impatient = Server::new(|_: Peer| async { None });
    let alert = Server::new(|mut peer: Peer| async move {
        peer.say("\u{15}\u{3}\u{3}").await?;
        None
    });
    for server in [silent, impatient, alert] {
        let (remote, heard) = remote_to(server);
        let error = refused(&remote).await;
        let says = error.hint.is_some_and(|hint| hint.contains("`mode = \"implicit\"`"));
        assert!(says || error.class == Class::Protocol, "{error}");
        assert!(!heard.account());
    }
}

/// ProFTPD: what it says in clear behind the alert is about the handshake, and no limit.
#[tokio::test(start_paused = true)]
async fn an_alert_counts_for_more_than_what_is_said_in_clear_behind_it() {
    let (remote, _) = implicit(Server::new(|mut peer: Peer| async move {
        // Fatal, protocol_version.
        peer.say("\u{15}\u{3}\u{1}\u{0}\u{2}\u{2}\u{46}421 TLS handshake failed").await?;
        peer.fall_silent().await
    }));
    let error = refused(&remote).await;
    assert_eq!(error.class, Class::Tls, "{error}");
}

/// vsftpd at its limit, in implicit mode.
#[tokio::test(start_paused = true)]
async fn a_421_in_clear_is_a_limit() {
    let (remote, heard) = implicit(Server::new(|mut peer: Peer| async move {
        peer.say("421 There are too many connected users, please try later.").await?;
        peer.fall_silent().await
    }));
    let error = refused(&remote).await;
    assert_eq!(error.class, Class::Busy, "{error}");
    assert!(error.to_string().contains("too many connected users"), "{error}");
    assert!(!heard.account());
}

#[tokio::test(start_paused = true)]
async fn a_close_instead_of_tls_is_a_limit_while_another_login_is_up() {
    let first = std::sync::atomic::AtomicBool::new(true);
    let (remote, _) = implicit(Server::new(move |peer: Peer| {
        let first = first.swap(false, std::sync::atomic::Ordering::Relaxed);
        async move {
            if !first {
                return None;
            }
            let mut peer = peer.start_tls().await?;
            peer.say("220 hello").await?;
            peer.welcome().await?.agree().await
        }
    }));
    let session = connected(&remote).await;
    assert_eq!(refused(&remote).await.class, Class::Busy);
    session.close().await;
    tokio::time::advance(std::time::Duration::from_secs(5)).await;
    assert_eq!(refused(&remote).await.class, Class::Transient);
}

#[tokio::test(start_paused = true)]
async fn auth_ssl_where_nothing_else_is_offered() {
    let (remote, heard) = remote_to(Server::new(|mut peer: Peer| async move {
        peer.say("220 hello").await?;
        peer.answer("504 what?").await?;
        peer.answer("211-Features:\r\n AUTH SSL\r\n PBSZ\r\n PROT\r\n211 End").await?;
        peer.answer("334 go on").await?;
        peer.start_tls().await?.welcome().await?.agree().await
    }));
    connected(&remote).await.close().await;
    let order = ["AUTH TLS", "FEAT", "AUTH SSL", "PBSZ 0", "PROT P", "USER me", "PASS secret"];
    assert_eq!(heard.lines()[..7], order);
}

#[tokio::test(start_paused = true)]
async fn bytes_behind_the_consent_to_auth_ssl_are_fatal_too() {
    let (remote, heard) = remote_to(Server::new(|mut peer: Peer| async move {
        peer.say("220 hello").await?;
        peer.answer("500 what?").await?;
        peer.answer("211-Features:\r\n AUTH SSL\r\n211 End").await?;
        peer.answer("234 go on\r\n200 pbsz").await?;
        sleep(Duration::from_secs(1)).await;
        peer.fall_silent().await
    }));
    let error = refused(&remote).await;
    assert!(error.to_string().contains("tampering"), "{error}");
    assert!(!heard.account());
}
