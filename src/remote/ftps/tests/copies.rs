//! Copies that the server makes: what is asked about one goes out with it, a long one is waited for, and nothing is concluded of one that was refused.

use std::time::Duration;

use tokio::time::sleep;

use super::support::{connected, remote_knowing};
use crate::{
    ftps::{
        Profile,
        profile::Hashing,
        testing::{Peer, Server},
    },
    model::{Checksum, RelPath},
    remote::{Class, Session},
};

const MIB: u64 = 1 << 20;

fn path(path: &str) -> RelPath {
    RelPath::new(path).expect("valid")
}

/// A server that copies, and answers nothing before it has heard so many commands; a copy takes it `copying`.
fn server(holds: usize, copying: Duration) -> Server {
    Server::new(move |peer: Peer| async move {
        let mut peer = peer.log_in().await?;
        let mut held = Vec::new();
        for _ in 0..holds {
            held.insert(0, peer.hear().await?);
        }
        let mut from = None;
        loop {
            let line = match held.pop() {
                Some(line) => line,
                None => peer.hear().await?,
            };
            let (verb, name) = line.rsplit_once(" /").unwrap_or((&line, ""));
            let begun = from.take();
            let answer = match (verb, begun) {
                ("SITE CPFR", _) if name == "old" => {
                    from = Some(());
                    "350 to what?"
                }
                ("SITE CPTO", Some(())) => {
                    sleep(copying).await;
                    "250 copied"
                }
                ("SITE CPTO", None) => "503 from what?",
                ("SIZE", _) if name != "gone" => "213 1",
                ("XCRC", _) => "250 371D88E8",
                _ => "550 no such file",
            };
            peer.say(answer).await?;
        }
    })
}

fn known() -> Profile {
    let mut profile = Profile { in_order: Some(true), server_copy: Some(true), ..Profile::default() };
    profile.hashes.xcrc = Some(Hashing::Whole);
    profile
}

#[tokio::test(start_paused = true)]
async fn all_about_a_copy_goes_out_together() {
    let (remote, heard) = remote_knowing(server(4, Duration::ZERO), known());
    let mut session = connected(&remote).await;
    let made = session.duplicate(&path("old"), &path("new"), MIB, true).await.expect("a copy");
    assert_eq!((made.size, made.sum), (Some(1), Some(Checksum::Crc32(0x371d_88e8))));
    let said = heard.lines();
    let asked: Vec<&str> = said.iter().rev().take(4).rev().map(String::as_str).collect();
    assert_eq!(asked, ["SITE CPFR /old", "SITE CPTO /new", "SIZE /new", "XCRC /new"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_comes_of_a_copy_of_what_is_gone() {
    let (remote, _) = remote_knowing(server(0, Duration::ZERO), known());
    let mut session = connected(&remote).await;
    let refused = session.duplicate(&path("gone"), &path("new"), MIB, true).await.expect_err("there is nothing to copy");
    assert_eq!(refused.class, Class::Refused);
    assert!(session.duplicate(&path("old"), &path("new"), MIB, false).await.is_ok(), "the session goes on");
}

#[tokio::test(start_paused = true)]
async fn a_long_copy_is_waited_for_and_a_short_one_is_not() {
    let (remote, _) = remote_knowing(server(0, Duration::from_secs(100)), known());
    let mut session = connected(&remote).await;
    let made = session.duplicate(&path("old"), &path("new"), 1024 * MIB, true).await.expect("a copy");
    assert_eq!((made.size, made.sum), (Some(1), None), "of a large file checksums are asked for part by part");
    let late = session.duplicate(&path("old"), &path("new"), MIB, true).await.expect_err("it takes too long");
    assert_eq!(late.class, Class::Transient);
}
