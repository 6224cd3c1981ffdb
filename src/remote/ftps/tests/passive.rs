//! EPSV and PASV: which is asked for, what is remembered, and when that is thought over.

use super::support::{connected, remote_by, remote_to, store_fails};
use crate::{
    ftps::{
        DataMode, Mode, Passive, Target,
        testing::{PEER, Peer, Server},
    },
    remote::Class,
};

const EPSV: &str = "229 go to (|||40000|)";
const PASV: &str = "227 go to (10,9,8,7,156,65)";

/// Answers EPSV and PASV in turns with these lines, and refuses uploads.
fn server(lines: &'static [&'static str]) -> Server {
    Server::new(move |peer: Peer| async move {
        let mut peer = peer.log_in().await?;
        let mut lines = lines.iter();
        loop {
            let said = if peer.hear().await?.starts_with("STOR") { "553 no" } else { lines.next()? };
            peer.say(said).await?;
        }
    })
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_is_forgotten_when_it_is_refused() {
    let (remote, heard) = remote_to(server(&["502 no", PASV, PASV, "500 not any more", EPSV, EPSV, "522 no", PASV]));
    let mut session = connected(&remote).await;
    let mut known = Vec::new();
    for _ in 0..5 {
        assert_eq!(store_fails(&mut session, 1).await.class, Class::Refused);
        known.push(remote.profile().passive);
    }
    assert_eq!(known, [Passive::Pasv, Passive::Pasv, Passive::Epsv, Passive::Epsv, Passive::Pasv]);
    let asked: Vec<_> = heard.lines()[8..].iter().filter(|line| !line.starts_with("STOR")).cloned().collect();
    assert_eq!(asked, ["EPSV", "PASV", "PASV", "PASV", "EPSV", "EPSV", "EPSV", "PASV"]);
    let data = |port| Target::Data { peer: PEER, port };
    assert_eq!(heard.targets()[1..4], [data(40_001), data(40_001), data(40_000)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_the_moment_is_not_forgotten() {
    let (remote, _) = remote_to(server(&["421 busy"]));
    assert_eq!(store_fails(&mut connected(&remote).await, 1).await.class, Class::Transient);
    let (remote, _) = remote_to(server(&["425 no port is free", PASV]));
    assert_eq!(store_fails(&mut connected(&remote).await, 1).await.class, Class::Refused);
    assert_eq!(remote.profile().passive, Passive::Epsv);
}

#[tokio::test(start_paused = true)]
async fn by_one_command_alone() {
    for (data, asked) in [(DataMode::Epsv, "EPSV"), (DataMode::Pasv, "PASV")] {
        let (remote, heard) = remote_by(server(&["500 no"]), Mode::Explicit, data);
        let error = store_fails(&mut connected(&remote).await, 1).await;
        assert_eq!((error.class, error.to_string()), (Class::Transient, format!("{asked} was refused: 500 no")));
        assert_eq!(heard.lines()[8..], [asked]);
        assert_eq!(remote.profile().passive, Passive::Epsv, "nothing was learnt");
    }
}

#[tokio::test(start_paused = true)]
async fn over_ipv6_by_epsv_alone() {
    let over_ipv6 = |lines, data| {
        let mut server = server(lines);
        server.between = (Some("2001:db8::7".parse().expect("an address")), "2001:db8::3".parse().expect("an address"));
        remote_by(server, Mode::Explicit, data)
    };
    let (remote, heard) = over_ipv6(&["500 no"], DataMode::Passive);
    store_fails(&mut connected(&remote).await, 1).await;
    assert_eq!(heard.lines()[8..], ["EPSV"]);
    let (remote, heard) = over_ipv6(&[], DataMode::Pasv);
    let error = store_fails(&mut connected(&remote).await, 1).await;
    assert!(error.to_string().contains("for which there is no PASV"), "{error}");
    assert_eq!(heard.lines().len(), 8);
}

/// Behind a proxy nobody knows the peer; the same name is dialed then.
#[tokio::test(start_paused = true)]
async fn without_a_known_peer() {
    let mut server = server(&["500 no", PASV]);
    server.between.0 = None;
    let (remote, heard) = remote_to(server);
    assert_eq!(store_fails(&mut connected(&remote).await, 1).await.class, Class::Refused);
    assert_eq!(heard.targets()[1..], [Target::Data { peer: None, port: 40_001 }]);
}

#[tokio::test(start_paused = true)]
async fn a_transfer_that_opens_for_ever() {
    let (remote, _) = remote_to(Server::new(|peer: Peer| async {
        let mut peer = peer.log_in().await?;
        peer.passive().await?;
        peer.hear().await?;
        let _data = peer.take_data().await?;
        loop {
            peer.say("150 send").await?;
        }
    }));
    assert_eq!(store_fails(&mut connected(&remote).await, 1).await.class, Class::Protocol);
}
