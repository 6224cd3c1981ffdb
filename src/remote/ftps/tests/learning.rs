//! What a remote learns about a server's TLS 1.3, and that no upload is lost meanwhile.

use tokio::io::AsyncReadExt;

use super::support::{Body, connected, remote_to};
use crate::{
    ftps::{
        Tls13, TlsVersion,
        testing::{Peer, Pipe, Server, resumed_and_13, without_tickets},
    },
    model::RelPath,
    remote::{Session, ftps::FtpsSession},
};

/// Takes uploads as ProFTPD 1.3.8 does: no ticket on a resumed data connection, and a 425 for one that was not resumed. The
/// refused handshake brings tickets.
async fn like_proftpd(peer: Peer) -> Option<()> {
    let mut peer = peer.log_in().await?;
    let with_tickets = peer.tls.clone();
    let without = without_tickets(&with_tickets);
    let mut tickets = 2;
    loop {
        let line = peer.hear().await?;
        if line != "EPSV" {
            peer.say("221 bye").await?;
            continue;
        }
        peer.say("229 go to (|||40000|)").await?;
        peer.hear().await?;
        peer.say("150 send").await?;
        let tls = if tickets > 0 { without.clone() } else { with_tickets.clone() };
        let mut data = peer.accept_data_with(tls).await?;
        let (resumed, is_13) = resumed_and_13(&data);
        if !resumed {
            tickets = 2;
            drop(data);
            peer.say("425 cannot open data connection").await?;
            continue;
        }
        if is_13 {
            tickets -= 1;
        }
        data.read_to_end(&mut Vec::new()).await.ok()?;
        drop(data);
        peer.say("226 got it").await?;
    }
}

async fn store(session: &mut FtpsSession<Pipe>, body: &mut Body) -> u64 {
    session.store(&RelPath::new(".tmp").expect("valid"), body).await.expect("stored")
}

#[tokio::test(start_paused = true)]
async fn one_reconnect_with_12_where_uploads_bring_no_tickets() {
    let (remote, _) = remote_to(Server::new(like_proftpd));
    let mut session = connected(&remote).await;
    for _ in 0..10 {
        assert_eq!(store(&mut session, &mut Body::new(vec![1; 50_000])).await, 50_000);
    }
    assert_eq!(remote.profile().tls13, Tls13::UploadsDoNotResume);
    let stats = remote.stats().summary();
    assert_eq!(stats, "control 2, data full 0, data resumed 10, data refused 0, reconnects 1");
}

#[tokio::test(start_paused = true)]
async fn a_server_without_12_gets_every_upload_at_the_second_attempt() {
    let (remote, _) = remote_to(Server::with_versions(&[TlsVersion::V13], like_proftpd));
    let mut session = connected(&remote).await;
    let mut opened = 0;
    for _ in 0..10 {
        let mut body = Body::new(vec![1; 50_000]);
        assert_eq!(store(&mut session, &mut body).await, 50_000);
        opened = opened.max(body.opened);
    }
    assert_eq!(remote.profile().tls13, Tls13::Only);
    assert_eq!(opened, 2, "the body is started anew for the second attempt");
}

#[tokio::test(start_paused = true)]
async fn tls_12_sessions_serve_for_ever() {
    let (remote, _) = remote_to(Server::with_versions(&[TlsVersion::V12], like_proftpd));
    let mut session = connected(&remote).await;
    for _ in 0..10 {
        store(&mut session, &mut Body::new(vec![1; 10])).await;
    }
    assert_eq!(remote.profile().tls13, Tls13::Untried);
    assert_eq!(remote.stats().summary(), "control 1, data full 0, data resumed 10, data refused 0, reconnects 0");
}
