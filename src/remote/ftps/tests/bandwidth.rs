//! A limit for all connections to a server together.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};

use super::support::{Body, connected, counted, remote_limited};
use crate::{
    ftps::{
        Throttle,
        testing::{Peer, Server},
    },
    model::{DayMinute, LocalTime, Rate, RelPath, Timetable, Weekday},
    remote::{Remote, Session},
};

const KIB: usize = 1024;

fn limit(bytes: usize) -> Option<std::sync::Arc<Throttle>> {
    let noon = || LocalTime { day: Weekday::Wed, minute: DayMinute::new(12, 0).expect("a time") };
    Throttle::new(Timetable { limit: Rate::new(bytes as u64), hours: Vec::new() }, noon)
}

fn uploads() -> Server {
    Server::new(|peer: Peer| async {
        let mut peer = peer.log_in().await?;
        for _ in 0..2 {
            peer.take_upload().await?;
        }
        peer.agree().await
    })
}

/// How long it takes to store so much.
async fn store(session: &mut impl Session, bytes: usize) -> Duration {
    let begun = Instant::now();
    let path = RelPath::new("a").expect("valid");
    assert_eq!(session.store(&path, &mut Body::new(vec![7; bytes])).await.expect("stored"), bytes as u64);
    begun.elapsed()
}

fn about(took: Duration, millis: u64) -> bool {
    (Duration::from_millis(millis)..Duration::from_millis(millis + 50)).contains(&took)
}

/// What one mirror's session used up another one's has not: it begins where nothing is left.
#[tokio::test(start_paused = true)]
async fn uploads_of_all_mirrors_share_it() {
    let (remote, _) = remote_limited(uploads(), limit(256 * KIB));
    let neighbour = remote.beside(b"/").expect("settings");
    let mut session = connected(&remote).await;
    let (first, second) = (store(&mut session, 64 * KIB).await, store(&mut session, KIB * KIB).await);
    assert!(first < Duration::from_millis(50) && about(second, 4000), "{first:?}, {second:?}");
    drop(session);
    let mut session = neighbour.connect().await.expect("a login");
    let took = store(&mut session, 128 * KIB).await;
    assert!(about(took, 500), "{took:?}");
}

/// Two files at the lowest limit, each of which takes minutes: neither the data connection nor the session behind it times out.
#[tokio::test(start_paused = true)]
async fn the_slowest_upload_is_whole() {
    let (remote, _) = remote_limited(uploads(), limit(KIB));
    let mut session = connected(&remote).await;
    let took = [store(&mut session, 204 * KIB).await, store(&mut session, 100 * KIB).await];
    assert!(about(took[0], 200_000) && about(took[1], 100_000), "{took:?}");
    session.ping().await.expect("still in step");
}

#[tokio::test(start_paused = true)]
async fn downloads_have_a_limit_of_their_own() {
    let server = Server::new(|peer: Peer| async {
        let mut peer = peer.log_in().await?;
        peer.take_upload().await?;
        peer.passive().await?;
        peer.hear().await?;
        peer.say("150 here it comes").await?;
        let mut data = peer.accept_data().await?;
        data.write_all(&vec![7; KIB * KIB]).await.ok()?;
        data.shutdown().await.ok()?;
        data.read_to_end(&mut Vec::new()).await.ok()?;
        drop(data);
        peer.say("226 fine").await?;
        peer.agree().await
    });
    // At this rate the server waits 15 s for each 16 KiB, and the whole takes longer than any timeout.
    let (remote, _) = remote_limited(server, limit(8 * KIB));
    let mut session = connected(&remote).await;
    store(&mut session, 80 * KIB).await;
    let (into, receiving) = counted();
    let begun = Instant::now();
    session.fetch(&RelPath::new("a").expect("valid"), (KIB * KIB) as u64, into).await.expect("a whole file");
    assert_eq!(receiving.await.expect("received"), KIB * KIB);
    // 4 KiB were there.
    assert!(about(begun.elapsed(), 127_500), "{:?}", begun.elapsed());
    session.ping().await.expect("still in step");
}
