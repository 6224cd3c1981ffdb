//! Logging in: the order, the refusals, the waits, and whom to trust. In none of the failures may the account be heard.

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::support::{connected, refused, remote_knowing, remote_to, remote_with};
use crate::{
    ftps::{
        Profile, TlsSettings, Trust,
        testing::{Peer, Server},
    },
    remote::{Class, Remote, Session},
};

#[tokio::test(start_paused = true)]
async fn the_order_of_a_login() {
    let (remote, heard) = remote_to(Server::new(|peer| async { peer.log_in().await?.agree().await }));
    connected(&remote).await.close().await;
    let order = ["AUTH TLS", "PBSZ 0", "PROT P", "USER me", "PASS secret", "FEAT", "OPTS UTF8 ON", "TYPE I", "QUIT"];
    assert_eq!(heard.lines(), order);
}

/// What is known of a server that answers in order.
fn in_order() -> Profile {
    Profile { in_order: Some(true), ..Profile::default() }
}

#[tokio::test(start_paused = true)]
async fn what_must_follow_goes_ahead_but_never_the_password() {
    let server = Server::new(|peer| async {
        let mut peer = peer.encrypt().await?;
        for _ in 0..3 {
            peer.hear().await?;
        }
        for line in ["200 pbsz", "200 prot", "331 password"] {
            peer.say(line).await?;
        }
        peer.answer("230 welcome").await?;
        peer.answer("211-Features:\r\n UTF8\r\n211 End").await?;
        peer.hear().await?;
        peer.hear().await?;
        peer.say("200 utf8").await?;
        peer.say("200 type").await?;
        peer.agree().await
    });
    let (remote, heard) = remote_knowing(server, in_order());
    connected(&remote).await.close().await;
    let order = ["AUTH TLS", "PBSZ 0", "PROT P", "USER me", "PASS secret", "FEAT", "OPTS UTF8 ON", "TYPE I", "QUIT"];
    assert_eq!(heard.lines(), order);
}

/// Another server is there now, or it has another version: what was known of it does not keep anybody out.
#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_bear_it_any_more_is_asked_one_by_one() {
    for (confused, stays) in [("503 one at a time", false), ("", true)] {
        let logins = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&logins);
        let server = Server::new(move |peer| {
            let first = counted.fetch_add(1, Ordering::Relaxed) == 0;
            async move {
                if !first {
                    return peer.log_in().await?.agree().await;
                }
                let mut peer = peer.encrypt().await?;
                peer.answer("200 pbsz").await?;
                peer.hear().await?;
                // Where it says nothing it just goes.
                if confused.starts_with('5') {
                    peer.say(confused).await?;
                }
                None
            }
        });
        let (remote, heard) = remote_knowing(server, in_order());
        connected(&remote).await.close().await;
        assert_eq!(logins.load(Ordering::Relaxed), 2, "{confused}");
        assert_eq!(remote.profile().in_order, Some(stays), "{confused}: one that just goes may have been restarted");
        assert_eq!(heard.lines().iter().filter(|line| line.starts_with("PASS")).count(), 1, "{confused}");
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_behind_the_234_are_fatal() {
    for injected in ["234 go on\r\n200 pbsz\r\n", "234 go on\r\n2"] {
        let (remote, heard) = remote_to(Server::new(move |mut peer: Peer| async move {
            peer.say("220 hello").await?;
            peer.hear().await?;
            peer.say(injected.trim_end_matches("\r\n")).await?;
            peer.fall_silent().await
        }));
        let error = refused(&remote).await;
        assert_eq!(error.class, Class::Tls, "{error}");
        assert!(error.to_string().contains("behind the reply to AUTH TLS"), "{error}");
        assert_eq!(heard.lines(), ["AUTH TLS"]);
    }
}

#[tokio::test(start_paused = true)]
async fn no_encryption_no_account() {
    let (remote, heard) = remote_to(Server::new(|mut peer: Peer| async move {
        peer.say("220 hello").await?;
        peer.answer("502 what?").await?;
        peer.agree().await
    }));
    let error = refused(&remote).await;
    assert_eq!((error.class, error.to_string()), (Class::Tls, "the server refused AUTH TLS: 502 what?".to_owned()));
    assert_eq!(heard.lines(), ["AUTH TLS", "FEAT"], "whether it goes by another name");
}

#[tokio::test(start_paused = true)]
async fn no_protected_data_no_account() {
    for (reply, words) in [("536 no", "refused PROT P"), ("503 log in first", "wants a login before PROT P")] {
        let (remote, heard) = remote_to(Server::new(move |peer: Peer| async move {
            let mut peer = peer.encrypt().await?;
            peer.answer("200 pbsz").await?;
            peer.answer(reply).await?;
            peer.agree().await
        }));
        let error = refused(&remote).await;
        assert_eq!(error.class, Class::Tls);
        assert!(error.to_string().contains(words), "{error}");
        assert!(!heard.account());
    }
}

/// How long a login takes to fail, and with which words.
async fn fails_after<F>(script: impl Fn(Peer) -> F + Send + Sync + 'static) -> (Duration, String)
where
    F: Future<Output = Option<()>> + Send + 'static,
{
    let (remote, _) = remote_to(Server::new(script));
    let start = Instant::now();
    let error = refused(&remote).await;
    assert_eq!(error.class, Class::Transient, "{error}");
    (start.elapsed(), error.to_string())
}

#[tokio::test(start_paused = true)]
async fn each_wait_has_its_name_and_limit() {
    let (after, words) = fails_after(Peer::fall_silent).await;
    assert_eq!((after.as_secs(), words.ends_with("in time: greeting")), (25, true), "{words}");

    let (after, words) = fails_after(|mut peer: Peer| async move {
        peer.say("220 hello").await?;
        peer.answer("234 go on").await?;
        peer.fall_silent().await
    })
    .await;
    assert_eq!((after.as_secs(), words.ends_with("in time: TLS handshake")), (25, true), "{words}");

    let (after, words) = fails_after(|peer: Peer| async { peer.encrypt().await?.fall_silent().await }).await;
    assert_eq!((after.as_secs(), words.ends_with("in time: reply")), (25, true), "{words}");

    let (after, words) = fails_after(|mut peer: Peer| async move {
        for line in std::iter::once("220-").chain(std::iter::repeat("x")) {
            peer.say(line).await?;
            sleep(Duration::from_secs(1)).await;
        }
        None
    })
    .await;
    assert_eq!((after.as_secs(), words.ends_with("end of a reply that had begun")), (25, true), "{words}");
}

#[tokio::test(start_paused = true)]
async fn an_endless_banner_is_bounded() {
    let (remote, _) = remote_to(Server::new(|mut peer: Peer| async move {
        peer.say("220-").await?;
        loop {
            peer.say(&"spam ".repeat(100)).await?;
        }
    }));
    assert_eq!(refused(&remote).await.class, Class::Protocol);
    let (remote, _) = remote_to(Server::new(|mut peer: Peer| async move { peer.say(&"2".repeat(1 << 20)).await }));
    assert_eq!(refused(&remote).await.class, Class::Protocol);
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_not_a_wrong_password() {
    let (remote, _) = remote_to(Server::new(|mut peer: Peer| async move { peer.say("421 too many").await }));
    assert_eq!(refused(&remote).await.class, Class::Busy);

    let (remote, heard) = remote_to(Server::new(|peer: Peer| async move {
        let mut peer = peer.encrypt().await?;
        for line in ["200 pbsz", "200 prot", "331 password", "530 no"] {
            peer.answer(line).await?;
        }
        None
    }));
    assert_eq!(refused(&remote).await.class, Class::Auth);
    assert_eq!(heard.lines().iter().filter(|line| line.starts_with("PASS")).count(), 1, "one attempt");
}

#[tokio::test(start_paused = true)]
async fn a_530_while_another_login_is_up_is_a_limit() {
    let first = std::sync::atomic::AtomicBool::new(true);
    let (remote, _) = remote_to(Server::new(move |peer: Peer| {
        let first = first.swap(false, std::sync::atomic::Ordering::Relaxed);
        async move {
            if first {
                return peer.log_in().await?.agree().await;
            }
            let mut peer = peer.encrypt().await?;
            for line in ["200 pbsz", "200 prot", "331 password", "530 no"] {
                peer.answer(line).await?;
            }
            None
        }
    }));
    let session = connected(&remote).await;
    assert_eq!(refused(&remote).await.class, Class::Busy);
    session.close().await;
    assert_eq!(refused(&remote).await.class, Class::Busy, "the server may still count the one that has just ended");
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(refused(&remote).await.class, Class::Auth);
}

/// Three mirrors on a server with room for one: it counted all three, let none of them in, and the last to be answered was alone.
#[tokio::test(start_paused = true)]
async fn a_530_to_logins_at_the_same_time_is_a_limit_to_each() {
    let count = std::sync::atomic::AtomicU32::new(0);
    let (remote, _) = remote_to(Server::new(move |peer: Peer| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        async move {
            let mut peer = peer.encrypt().await?;
            for line in ["200 pbsz", "200 prot", "331 password"] {
                peer.answer(line).await?;
            }
            peer.hear().await?;
            tokio::time::sleep(Duration::from_secs(number.into())).await;
            peer.say("530 no").await
        }
    }));
    let (one, two, three) = tokio::join!(refused(&remote), refused(&remote), refused(&remote));
    assert_eq!([one.class, two.class, three.class], [Class::Busy; 3]);
    assert_eq!(refused(&remote).await.class, Class::Auth, "alone it is the password");
}

#[tokio::test(start_paused = true)]
async fn whom_to_trust() {
    let server = || Server::new(|peer| async { peer.log_in().await?.agree().await });
    let other = server().pin();

    let tls = TlsSettings { trust: Trust::Pin, pins: vec![other], ..TlsSettings::default() };
    let (remote, heard) = remote_with(server(), tls);
    let error = refused(&remote).await;
    assert_eq!(error.class, Class::Tls);
    assert!(error.to_string().contains("not the pinned one (its public key is sha256/"), "{error}");
    assert!(!heard.account());

    // A chain is wanted, and the issuer is unknown. (A file of certificates, so that the system needs none.)
    let mut ca = tempfile::NamedTempFile::new().expect("a file");
    let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    authority.distinguished_name.push(rcgen::DnType::CommonName, "another authority");
    let authority = authority.self_signed(&rcgen::KeyPair::generate().expect("a key")).expect("a certificate");
    ca.write_all(authority.pem().as_bytes()).expect("written");
    let tls = TlsSettings { ca: Some(ca.path().to_owned()), ..TlsSettings::default() };
    let (remote, heard) = remote_with(server(), tls);
    let error = refused(&remote).await;
    assert_eq!(error.class, Class::Tls);
    assert!(error.to_string().contains("issuer is unknown (its public key is sha256/"), "{error}");
    assert!(error.hint.is_some_and(|hint| hint.contains("tls.ca")));
    assert!(!heard.account());

    // The right root, but another name.
    let server = server();
    let pem = to_pem(server.certificate());
    let mut ca = tempfile::NamedTempFile::new().expect("a file");
    ca.write_all(pem.as_bytes()).expect("written");
    let tls =
        TlsSettings { ca: Some(ca.path().to_owned()), server_name: Some("other.test".to_owned()), ..TlsSettings::default() };
    let (remote, heard) = remote_with(server, tls);
    let error = refused(&remote).await;
    assert!(error.to_string().contains("it is not for other.test but for"), "{error}");
    assert!(!heard.account());
}

fn to_pem(certificate: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(certificate))
}

#[tokio::test(start_paused = true)]
async fn the_right_root_and_name_are_enough() {
    let server = Server::new(|peer| async { peer.log_in().await?.agree().await });
    let mut ca = tempfile::NamedTempFile::new().expect("a file");
    ca.write_all(to_pem(server.certificate()).as_bytes()).expect("written");
    let tls = TlsSettings { ca: Some(ca.path().to_owned()), ..TlsSettings::default() };
    let (remote, _) = remote_with(server, tls);
    remote.connect().await.expect("a login");
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_that_died_says_so() {
    let (remote, _) = remote_to(Server::new(|peer| async {
        let mut peer = peer.log_in().await?;
        peer.say("421 idle for too long").await
    }));
    let mut session = connected(&remote).await;
    sleep(Duration::from_secs(1)).await;
    let error = session.ping().await.expect_err("closed");
    assert_eq!(error.class, Class::Transient);
    assert_eq!(error.to_string(), "the server closed the control connection while it was idle: 421 idle for too long");
}
