//! TCP to a host that has several addresses (happy eyeballs, RFC 8305): the next is tried as soon as one fails or takes its
//! time, and the first that answers wins. Resolving them is the system's business.

use std::{future::Future, io, net::SocketAddr, time::Duration};

use tokio::{
    net::{TcpStream, lookup_host},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::watch_over;

/// At most this many addresses of a host are tried.
const MAX_ADDRESSES: usize = 8;
/// How long one address has the line to itself (RFC 8305 §5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Connects to the first address of `host` that answers; each has `limit`, and so has the name service.
pub(super) async fn connect(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no answer from the name service within {limit:?}"));
    let found = timeout(limit, lookup_host((host, port))).await.map_err(|_| late())??;
    first(order(found), move |address| connect_one(address, limit)).await
}

/// Connects to one address.
pub(super) async fn connect_one(address: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {limit:?}"));
    let stream = timeout(limit, TcpStream::connect(address)).await.map_err(|_| late())??;
    watch_over(&stream);
    Ok(stream)
}

/// The order in which addresses are tried: as the system sorted them (RFC 6724), but the families take turns, so that a
/// family that leads nowhere costs one attempt (RFC 8305 §4).
fn order(found: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut families: [Vec<SocketAddr>; 2] = Default::default();
    let mut leading = None;
    for address in found {
        let leads = *leading.get_or_insert(address.is_ipv6());
        let family = &mut families[usize::from(address.is_ipv6() != leads)];
        // One family must not crowd out the other.
        if family.len() < MAX_ADDRESSES && !family.contains(&address) {
            family.push(address);
        }
    }
    let [first, second] = families;
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut ordered = Vec::new();
    while first.len() + second.len() > 0 {
        ordered.extend(first.next());
        ordered.extend(second.next());
    }
    ordered.truncate(MAX_ADDRESSES);
    ordered
}

/// The first of `addresses` to which `connect` succeeds; the others are dropped. The error tells of each.
async fn first<T, F>(addresses: Vec<SocketAddr>, connect: impl Fn(SocketAddr) -> F) -> io::Result<T>
where
    T: Send + 'static,
    F: Future<Output = io::Result<T>> + Send + 'static,
{
    let alone = addresses.len() == 1;
    let mut waiting = addresses.into_iter();
    let mut running = JoinSet::new();
    let mut failures: Vec<(SocketAddr, io::Error)> = Vec::new();
    loop {
        if let Some(address) = waiting.next() {
            let attempt = connect(address);
            running.spawn(async move { (address, attempt.await) });
        }
        let next = async {
            match waiting.len() {
                0 => std::future::pending().await,
                _ => sleep(HEAD_START).await,
            }
        };
        let ended = tokio::select! {
            ended = running.join_next() => ended,
            () = next => continue,
        };
        match ended {
            Some(Ok((_, Ok(stream)))) => return Ok(stream),
            Some(Ok((_, Err(error)))) if alone => return Err(error),
            Some(Ok((address, Err(error)))) => failures.push((address, error)),
            Some(Err(ended)) => return Err(io::Error::other(ended)),
            None if waiting.len() == 0 => return Err(summary(&failures)),
            None => {}
        }
    }
}

fn summary(failures: &[(SocketAddr, io::Error)]) -> io::Error {
    let Some((_, last)) = failures.last() else {
        return io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    };
    let each: Vec<_> = failures.iter().map(|(address, error)| format!("{}: {error}", address.ip())).collect();
    io::Error::new(last.kind(), each.join("; "))
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::*;

    fn v4(n: u8) -> SocketAddr {
        ([192, 0, 2, n], 21).into()
    }

    fn v6(n: u16) -> SocketAddr {
        ([0x2001, 0xdb8, 0, 0, 0, 0, 0, n], 21).into()
    }

    #[test]
    fn the_families_take_turns() {
        assert_eq!(order([v6(1), v6(2), v6(3), v4(1), v4(2)]), [v6(1), v4(1), v6(2), v4(2), v6(3)]);
        assert_eq!(order([v4(1), v4(2), v6(1)]), [v4(1), v6(1), v4(2)]);
        assert_eq!(order([v4(1), v4(1)]), [v4(1)], "each once");
        assert_eq!(order([]), []);
        let many = (1..100).map(v6).chain([v4(1)]);
        assert_eq!(order(many)[1], v4(1), "a long list does not hide the other family");
    }

    proptest! {
        #[test]
        fn the_order_is_bounded_and_keeps_that_of_each_family(found in proptest::collection::vec(
            prop_oneof![(0u8..20).prop_map(v4), (0u16..20).prop_map(v6)], 0..40)) {
            let ordered = order(found.clone());
            prop_assert!(ordered.len() <= MAX_ADDRESSES);
            prop_assert_eq!(ordered.first(), found.first());
            for ipv6 in [true, false] {
                let mut expected: Vec<_> = Vec::new();
                for address in found.iter().filter(|a| a.is_ipv6() == ipv6) {
                    if !expected.contains(address) {
                        expected.push(*address);
                    }
                }
                let kept: Vec<_> = ordered.iter().copied().filter(|a| a.is_ipv6() == ipv6).collect();
                prop_assert_eq!(&kept[..], &expected[..kept.len()]);
            }
        }
    }

    /// What becomes of an attempt, and after how many milliseconds.
    type Fate = (u64, Result<(), io::ErrorKind>);

    /// Races addresses with these fates; gives who won, when each was tried, and how many were still trying at the end.
    async fn race(fates: Vec<Fate>) -> (io::Result<usize>, Vec<u128>, usize) {
        struct Trying(Arc<AtomicUsize>);
        impl Drop for Trying {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let start = Instant::now();
        let (tried, trying) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let addresses = (0..fates.len()).map(|n| v4(u8::try_from(n).expect("few"))).collect();
        let result = first(addresses, |address| {
            let SocketAddr::V4(v4) = address else { unreachable!() };
            let n = usize::from(v4.ip().octets()[3]);
            tried.lock().expect("unpoisoned").push(start.elapsed().as_millis());
            trying.fetch_add(1, Ordering::SeqCst);
            let (trying, (after, fate)) = (Trying(trying.clone()), fates[n]);
            async move {
                let _trying = trying;
                sleep(Duration::from_millis(after)).await;
                fate.map(|()| n).map_err(io::Error::from)
            }
        })
        .await;
        // Aborted attempts are dropped by the runtime at its next turn.
        tokio::task::yield_now().await;
        let tried = tried.lock().expect("unpoisoned").clone();
        (result, tried, trying.load(Ordering::SeqCst))
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_costs_its_head_start() {
        let (winner, tried, trying) = race(vec![(60_000, Ok(())), (10, Ok(())), (0, Ok(()))]).await;
        assert_eq!((winner.expect("connected"), &tried[..], trying), (1, &[0, 250][..], 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_address_may_still_win() {
        let (winner, tried, trying) = race(vec![(300, Ok(())), (10_000, Ok(()))]).await;
        assert_eq!((winner.expect("connected"), &tried[..], trying), (0, &[0, 250][..], 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_lets_the_next_start_at_once() {
        let refused = Err(io::ErrorKind::ConnectionRefused);
        let (winner, tried, _) = race(vec![(5, refused), (5, refused), (5, Ok(()))]).await;
        assert_eq!((winner.expect("connected"), &tried[..]), (2, &[0, 5, 10][..]));
    }

    #[tokio::test(start_paused = true)]
    async fn the_error_tells_of_each_address() {
        let refused = Err(io::ErrorKind::ConnectionRefused);
        let (failed, ..) = race(vec![(5, Err(io::ErrorKind::NetworkUnreachable)), (400, refused)]).await;
        let failed = failed.expect_err("none");
        assert_eq!(failed.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(failed.to_string(), "192.0.2.0: network unreachable; 192.0.2.1: connection refused");
        let (none, ..) = race(Vec::new()).await;
        assert_eq!(none.expect_err("none").kind(), io::ErrorKind::NotFound);
    }
}
