//! Bodies at a pace, with time that runs by itself.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::io::{AsyncReadExt, DuplexStream, duplex};

use super::*;
use crate::{
    ftps::throttle::Throttle,
    model::{DayMinute, Days, Hours, LocalTime, Rate, Timetable, Weekday},
};

const KIB: usize = 1024;
const STALL: Duration = Duration::from_millis(500);

fn noon() -> LocalTime {
    LocalTime { day: Weekday::Wed, minute: DayMinute::new(12, 0).unwrap() }
}

/// So many bytes a second, at any time.
fn limit(bytes: usize) -> Option<Arc<Throttle>> {
    let limit = Rate::new(bytes as u64);
    Throttle::new(Timetable { limit, hours: Vec::new() }, noon)
}

fn body(bytes: usize) -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut rest = Bytes::from(vec![7; bytes]);
        while !rest.is_empty() && sender.send(rest.split_to(rest.len().min(100_000))).await.is_ok() {}
    });
    receiver
}

/// Reads to the end; when each piece came, and how large it was.
fn reader(mut stream: DuplexStream) -> tokio::task::JoinHandle<Vec<(Instant, usize)>> {
    tokio::spawn(async move {
        let (mut came, mut piece) = (Vec::new(), vec![0; 256 * KIB]);
        while let Ok(read @ 1..) = stream.read(&mut piece).await {
            came.push((Instant::now(), read));
        }
        came
    })
}

/// Sends so many bytes; how long that took, and what came when.
async fn sent(bytes: usize, throttle: Option<&Throttle>) -> (Duration, Vec<(Instant, usize)>) {
    let begun = Instant::now();
    let (mut here, there) = duplex(256 * KIB);
    let came = reader(there);
    let (sent, end) = send(&mut here, &mut body(bytes), Pace::sending(throttle), STALL).await;
    assert!(matches!(end, End::Done) && sent == bytes as u64, "{sent}: {end:?}");
    drop(here);
    (begun.elapsed(), came.await.unwrap())
}

/// 64 KiB are there at once, the others in 3.75 s. No wait for leave is as long as what counts as a stall.
#[tokio::test(start_paused = true)]
async fn a_body_takes_as_long_as_the_limit_says() {
    let (took, came) = sent(KIB * KIB, limit(256 * KIB).as_deref()).await;
    assert!((Duration::from_millis(3750)..Duration::from_millis(3800)).contains(&took), "{took:?}");
    assert!(came.iter().all(|(_, bytes)| *bytes <= 64 * KIB));
    assert_eq!(sent(KIB * KIB, None).await.0, Duration::ZERO);
}

/// A KiB a second is one byte every two stalls or so: it is not the server that does not move.
#[tokio::test(start_paused = true)]
async fn waiting_for_leave_is_no_stall() {
    let (took, _) = sent(20 * KIB, limit(KIB).as_deref()).await;
    assert!((Duration::from_secs(16)..Duration::from_millis(16_100)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_nothing_stalls_at_a_limit_too() {
    let throttle = limit(64 * KIB);
    let begun = Instant::now();
    let (mut here, _there) = duplex(40 * KIB);
    let (sent, end) = send(&mut here, &mut body(KIB * KIB), Pace::sending(throttle.as_deref()), STALL).await;
    assert!(matches!(end, End::Late(Wait::Stall)) && sent == 40 * KIB as u64, "{sent}: {end:?}");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_source_that_gives_nothing_is_late_at_a_limit_too() {
    let throttle = limit(KIB);
    let (sender, mut body) = mpsc::channel(1);
    sender.send(Bytes::from(vec![7; 8 * KIB])).await.unwrap();
    let (mut here, there) = duplex(256 * KIB);
    let came = reader(there);
    let (sent, end) = send(&mut here, &mut body, Pace::sending(throttle.as_deref()), STALL).await;
    assert!(matches!(end, End::Late(Wait::Source)) && sent == 8 * KIB as u64, "{sent}: {end:?}");
    drop((here, sender));
    assert_eq!(came.await.unwrap().iter().map(|(_, bytes)| bytes).sum::<usize>(), 8 * KIB);
}

/// Many at once take as long as one after the other, in no second is there more than the limit and what had gathered, and nobody
/// is left behind.
#[tokio::test(start_paused = true)]
async fn connections_share_a_limit_evenly() {
    let throttle = limit(256 * KIB);
    let transfers: Vec<_> = (0..8)
        .map(|_| {
            let throttle = throttle.clone();
            tokio::spawn(async move { sent(128 * KIB, throttle.as_deref()).await })
        })
        .collect();
    let (mut took, mut came) = (Vec::new(), Vec::new());
    for transfer in transfers {
        let (one, pieces) = transfer.await.unwrap();
        took.push(one);
        came.extend(pieces);
    }
    took.sort_unstable();
    assert!((Duration::from_millis(3750)..Duration::from_millis(3800)).contains(&took[7]), "{took:?}");
    // The first had what had gathered, but its share from then on. A turn of all is half a second.
    assert!(took[0] >= Duration::from_secs(2) && took[7] - took[1] < Duration::from_millis(500), "{took:?}");
    came.sort_unstable();
    for (i, (from, _)) in came.iter().enumerate() {
        let within = came[i..].iter().take_while(|(at, _)| *at < *from + Duration::from_secs(1));
        assert!(within.map(|(_, bytes)| bytes).sum::<usize>() <= (256 + 64) * KIB);
    }
}

/// One that is dropped while it waits takes nothing along but its ticket.
#[tokio::test(start_paused = true)]
async fn a_transfer_that_is_given_up_holds_up_no_other() {
    let throttle = limit(16 * KIB);
    let waits = tokio::spawn({
        let throttle = throttle.clone();
        async move { sent(100 * KIB, throttle.as_deref()).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    waits.abort();
    assert!(waits.await.unwrap_err().is_cancelled());
    let (took, _) = sent(16 * KIB, throttle.as_deref()).await;
    assert!((Duration::from_millis(900)..Duration::from_millis(1200)).contains(&took), "{took:?}");
}

/// The hour strikes while a transfer is under way, in both directions.
#[tokio::test(start_paused = true)]
async fn another_hour_counts_for_what_is_under_way() {
    let free = Arc::new(AtomicBool::new(false));
    let hour = |hour| DayMinute::new(hour, 0).unwrap();
    let table = || {
        let hours = Hours::new(Days::ALL, hour(13), hour(14), None).unwrap();
        Timetable { limit: Rate::new(64 * KIB as u64), hours: vec![hours] }
    };
    let clock = {
        let free = Arc::clone(&free);
        move || LocalTime { day: Weekday::Wed, minute: hour(if free.load(Ordering::Relaxed) { 13 } else { 12 }) }
    };
    let throttle = Throttle::new(table(), clock);
    let transfer = |bytes| {
        let throttle = throttle.clone();
        tokio::spawn(async move { sent(bytes, throttle.as_deref()).await })
    };
    // It would take a quarter of an hour.
    let long = transfer(64 * KIB * 900);
    tokio::time::sleep(Duration::from_secs(10)).await;
    free.store(true, Ordering::Relaxed);
    let (took, _) = long.await.unwrap();
    assert!((Duration::from_secs(10)..Duration::from_millis(12_100)).contains(&took), "{took:?}");

    let (took, _) = transfer(64 * KIB * 900).await.unwrap();
    assert_eq!(took, Duration::ZERO);
    free.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (took, _) = transfer(64 * KIB * 10).await.unwrap();
    assert!((Duration::from_secs(9)..Duration::from_millis(10_100)).contains(&took), "{took:?}");
}
