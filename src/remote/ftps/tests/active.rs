//! Active mode: what the server is told, whom we let in, and what is said when nobody comes.

use std::{net::IpAddr, sync::atomic::Ordering};

use tokio::sync::mpsc;

use super::support::{Body, connected, remote_by, store_fails};
use crate::{
    ftps::{
        Active, DataMode, Mode, Tls13,
        testing::{Heard, PEER, Peer, Pipe, Server},
    },
    model::RelPath,
    remote::{
        Class, Session,
        ftps::{FtpsRemote, FtpsSession},
    },
};

fn active(server: Server, active: Active) -> (FtpsRemote<Pipe>, Heard) {
    remote_by(server, Mode::Explicit, DataMode::Active(active))
}

fn peer() -> IpAddr {
    PEER.expect("known")
}

async fn store(session: &mut FtpsSession<Pipe>, length: usize) {
    let path = RelPath::new("x").expect("valid");
    let sent = session.store(&path, &mut Body::new(vec![7; length])).await.expect("stored");
    assert_eq!(sent, length as u64);
}

#[tokio::test(start_paused = true)]
async fn the_server_connects_and_we_are_the_tls_client() {
    let (sender, mut bodies) = mpsc::unbounded_channel();
    let (remote, heard) = active(
        Server::new(move |peer: Peer| {
            let sender = sender.clone();
            async move {
                let mut peer = peer.log_in().await?;
                for _ in 0..3 {
                    peer.answer("200 I will").await?;
                    peer.hear().await?;
                    peer.say("150 here I come").await?;
                    let data = peer.call(self::peer())?;
                    sender.send(peer.take_body(data).await).ok()?;
                }
                peer.agree().await
            }
        }),
        Active::default(),
    );
    let mut session = connected(&remote).await;
    for length in [0, 5, 200_000] {
        store(&mut session, length).await;
        assert_eq!(bodies.recv().await.flatten().expect("a body").len(), length);
    }
    assert_eq!(heard.lines()[8..10], ["PORT 198,51,100,3,195,80", "STOR /x"]);
    assert_eq!(heard.targets().len(), 1, "nothing but the control connection is dialed");
    assert_eq!(remote.stats().summary(), "control 1, data full 0, data resumed 3, data refused 0, reconnects 0");
}

#[tokio::test(start_paused = true)]
async fn no_connection_from_a_third_host() {
    let (remote, _) = active(
        Server::new(|peer: Peer| async {
            let mut peer = peer.log_in().await?;
            peer.answer("200 I will").await?;
            peer.hear().await?;
            let strangers: Vec<_> = (0..3).map(|n| peer.call([203, 0, 113, n].into())).collect::<Option<_>>()?;
            let data = peer.call(self::peer())?;
            peer.say("150 here I come").await?;
            peer.take_body(data).await?;
            // Nothing was said to them, and they were hung up on.
            for mut stranger in strangers {
                let mut heard = Vec::new();
                tokio::io::AsyncReadExt::read_to_end(&mut stranger, &mut heard).await.ok()?;
                peer.say(if heard.is_empty() { "200 fine" } else { "500 leaked" }).await?;
            }
            peer.fall_silent().await
        }),
        Active::default(),
    );
    let mut session = connected(&remote).await;
    store(&mut session, 50_000).await;
    assert_eq!(remote.stats().data_foreign.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn nobody_comes_but_strangers() {
    let (remote, _) = active(
        Server::new(|peer: Peer| async {
            let mut peer = peer.log_in().await?;
            peer.answer("200 I will").await?;
            peer.hear().await?;
            peer.say("150 here I come").await?;
            let _stranger = peer.call([203, 0, 113, 9].into())?;
            peer.fall_silent().await
        }),
        Active::default(),
    );
    let start = tokio::time::Instant::now();
    let error = store_fails(&mut connected(&remote).await, 10).await;
    assert_eq!(error.class, Class::Transient);
    assert!(error.to_string().ends_with("data connection from the server (active mode)"), "{error}");
    assert!(error.hint.is_some_and(|hint| hint.contains("active.address")));
    assert_eq!(start.elapsed().as_secs(), 12, "10 s for the connection, and 2 s for a word about it");
}

/// The server's 425 is about TCP here, and no reason to think ill of TLS 1.3.
#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_get_through() {
    let (remote, heard) = active(
        Server::new(|peer: Peer| async {
            let mut peer = peer.log_in().await?;
            peer.answer("200 I will").await?;
            peer.answer("425 Failed to establish connection.").await?;
            peer.agree().await
        }),
        Active::default(),
    );
    let mut session = connected(&remote).await;
    let error = store_fails(&mut session, 10).await;
    assert_eq!(error.class, Class::Transient);
    assert!(error.to_string().starts_with("the server did not get through to us"), "{error}");
    assert!(error.hint.is_some_and(|hint| hint.contains("data = \"passive\"")));
    assert_eq!(remote.profile().tls13, Tls13::Untried);
    assert_eq!(heard.lines().iter().filter(|line| line.starts_with("STOR")).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_active_mode() {
    let (remote, heard) = active(
        Server::new(|peer: Peer| async {
            let mut peer = peer.log_in().await?;
            peer.answer("500 Illegal PORT command.").await?;
            peer.answer("501 EPRT").await?;
            peer.agree().await
        }),
        Active { ports: 50_000..=50_009, address: Some([203, 0, 113, 7].into()) },
    );
    let error = store_fails(&mut connected(&remote).await, 10).await;
    assert_eq!(error.class, Class::Transient);
    assert_eq!(error.to_string(), "PORT was refused: 500 Illegal PORT command.");
    assert!(error.hint.is_some_and(|hint| hint.contains("check `active.address`")));
    let lines = heard.lines();
    let port = lines[8].strip_prefix("PORT 203,0,113,7,").expect("the announced address");
    let (high, low) = port.split_once(',').expect("two numbers");
    let port = high.parse::<u16>().expect("a number") * 256 + low.parse::<u16>().expect("a number");
    assert!((50_000..=50_009).contains(&port));
    assert_eq!(lines[9..], [format!("EPRT |1|203.0.113.7|{port}|")], "no STOR");
}

#[tokio::test(start_paused = true)]
async fn eprt_where_port_is_unknown_is_remembered() {
    let (remote, heard) = active(
        Server::new(|peer: Peer| async {
            let mut peer = peer.log_in().await?;
            peer.answer("502 no PORT").await?;
            for _ in 0..2 {
                peer.answer("200 I will").await?;
                peer.hear().await?;
                let data = peer.call(self::peer())?;
                peer.say("150 here I come").await?;
                peer.take_body(data).await?;
            }
            peer.agree().await
        }),
        Active::default(),
    );
    let mut session = connected(&remote).await;
    store(&mut session, 5).await;
    store(&mut session, 5).await;
    let verbs: Vec<_> = heard.lines()[8..].iter().map(|line| line[..4].to_owned()).collect();
    assert_eq!(verbs, ["PORT", "EPRT", "STOR", "EPRT", "STOR"]);
}

#[tokio::test(start_paused = true)]
async fn over_ipv6_by_eprt_alone() {
    let there: IpAddr = "2001:db8::7".parse().expect("an address");
    let mut server = Server::new(move |peer: Peer| async move {
        let mut peer = peer.log_in().await?;
        peer.answer("200 I will").await?;
        peer.hear().await?;
        let data = peer.call(there)?;
        peer.say("150 here I come").await?;
        peer.take_body(data).await?;
        peer.agree().await
    });
    server.between = (Some(there), "2001:db8::3".parse().expect("an address"));
    let (remote, heard) = active(server, Active { ports: 0..=0, address: Some([203, 0, 113, 7].into()) });
    store(&mut connected(&remote).await, 5).await;
    assert_eq!(heard.lines()[8], "EPRT |2|2001:db8::3|50000|", "no address of the other family is announced");
}

#[tokio::test(start_paused = true)]
async fn busy_ports_are_passed_over() {
    let refusing = || {
        Server::new(|peer: Peer| async {
            let mut peer = peer.log_in().await?;
            loop {
                let line = peer.hear().await?;
                peer.say(if line.starts_with("STOR") { "553 no" } else { "200 I will" }).await?;
            }
        })
    };
    let ports = Active { ports: 50_000..=50_002, address: None };
    let mut server = refusing();
    server.busy = vec![50_000, 50_002];
    let (remote, heard) = active(server, ports.clone());
    let mut session = connected(&remote).await;
    for _ in 0..3 {
        assert_eq!(store_fails(&mut session, 1).await.class, Class::Refused);
    }
    let told: Vec<_> = heard.lines().into_iter().filter(|line| line.starts_with("PORT")).collect();
    assert_eq!(told, ["PORT 198,51,100,3,195,81"; 3], "the one that is free, again and again");

    let mut server = refusing();
    server.busy = vec![50_000, 50_001, 50_002];
    let (remote, heard) = active(server, ports);
    let error = store_fails(&mut connected(&remote).await, 1).await;
    assert!(error.to_string().starts_with("cannot listen"), "{error}");
    assert_eq!(heard.lines().len(), 8, "the server is told nothing");
}
