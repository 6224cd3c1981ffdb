//! Certificates as the mirror meets them: one that is wanted of us, one that is looked at, one that expires.

use std::sync::Arc;

use super::support::{Body, connected, refused, remote_to};
use crate::{
    ftps::{
        TlsVersion,
        testing::{Peer, Server, for_strangers},
    },
    model::{RelPath, UnixMillis},
    remote::{Class, Remote, Session},
};

#[tokio::test(start_paused = true)]
async fn a_client_certificate_that_is_wanted_is_named_before_the_account() {
    for version in [TlsVersion::V12, TlsVersion::V13] {
        let server = Server::new(|peer| async { peer.log_in().await?.agree().await });
        let (remote, heard) = remote_to(server.encrypting_with(|tls| for_strangers(tls, version)));
        let error = refused(&remote).await;
        assert_eq!((error.class, error.to_string()), (Class::Tls, "the server requires a client certificate".to_owned()));
        assert!(error.hint.is_some_and(|hint| hint.contains("tls.client_cert")));
        assert!(!heard.account());
    }
}

#[tokio::test(start_paused = true)]
async fn and_so_is_one_that_only_data_connections_want() {
    for version in [TlsVersion::V12, TlsVersion::V13] {
        let server = Server::with_versions(&[version], move |peer: Peer| async move {
            let mut peer = peer.log_in().await?;
            peer.passive().await?;
            peer.hear().await?;
            peer.say("150 send").await?;
            let strict = Arc::new(for_strangers(&peer.tls, version));
            // It fails, and the server has nothing to say.
            peer.accept_data_with(strict).await;
            peer.fall_silent().await
        });
        let (remote, _) = remote_to(server);
        let mut session = connected(&remote).await;
        let path = RelPath::new(".tmp").expect("valid");
        let error = session.store(&path, &mut Body::new(vec![7; 100_000])).await.expect_err("no upload");
        assert_eq!(error.class, Class::Tls, "{version:?}: {error}");
        assert_eq!(error.to_string(), "the server requires a client certificate");
    }
}

#[tokio::test(start_paused = true)]
async fn looking_at_a_certificate_ends_before_the_account() {
    let server = Server::new(|peer| async { peer.encrypt().await?.fall_silent().await });
    let pin = server.pin();
    let (remote, heard) = remote_to(server);
    let shown = remote.inspect().await.expect("a certificate");
    assert_eq!((shown.pin, shown.names.as_slice()), (pin, &["ftp.test".to_owned()][..]));
    assert_eq!(shown.verification.expect_err("self-signed").why(), "it is self-signed: its issuer is unknown");
    assert_eq!(heard.lines(), ["AUTH TLS"]);

    let (remote, heard) = remote_to(Server::new(|mut peer: Peer| async move {
        peer.say("220 hello").await?;
        peer.answer("234 go on\r\n230 welcome").await?;
        peer.fall_silent().await
    }));
    let error = remote.inspect().await.expect_err("injected");
    assert!(error.to_string().contains("behind the reply to AUTH TLS"), "{error}");
    assert_eq!(heard.lines(), ["AUTH TLS"]);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_expires_is_known_from_the_first_login_on() {
    let (remote, _) = remote_to(Server::new(|peer| async { peer.log_in().await?.agree().await }));
    // rcgen's certificates are valid until the year 4096.
    let late = UnixMillis(67_090_000_000_000);
    assert_eq!(remote.warnings(late), Vec::<String>::new());
    connected(&remote).await.close().await;
    let warnings = remote.warnings(late);
    assert!(warnings[0].starts_with("the server's certificate expires in") && warnings.len() == 1, "{warnings:?}");
    assert_eq!(remote.warnings(UnixMillis(0)), Vec::<String>::new());
}
