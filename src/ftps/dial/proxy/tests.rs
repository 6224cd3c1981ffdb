//! Proxies at the other end of a pipe, and one over TCP: what is asked of them, what each answer means, and that not one byte
//! behind the answer is lost.

use std::net::Ipv4Addr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    net::TcpListener,
};

use super::*;
use crate::ftps::dial::{Dial, Target, TcpDial};

fn proxy(kind: ProxyKind, user: Option<(&str, &str)>) -> Proxy {
    let user = user.map(|(user, password)| (user.to_owned(), password.to_owned().into()));
    Proxy { kind, host: "proxy.test".to_owned(), port: 1080, user }
}

/// Asks a proxy that hears and says what is in `script`, in turns; gives the outcome and what came behind the answer.
async fn ask(proxy: &Proxy, host: &str, script: &[(&[u8], &[u8])]) -> (Result<(), ProxyFailure>, Vec<u8>) {
    let (mut here, mut there) = duplex(4096);
    let script: Vec<(Vec<u8>, Vec<u8>)> = script.iter().map(|(hear, say)| (hear.to_vec(), say.to_vec())).collect();
    let playing = tokio::spawn(async move {
        for (hear, say) in script {
            let mut heard = vec![0; hear.len()];
            there.read_exact(&mut heard).await.expect("as much as is expected");
            assert_eq!(heard.escape_ascii().to_string(), hear.escape_ascii().to_string());
            there.write_all(&say).await.expect("written");
        }
    });
    let outcome = proxy.ask(&mut here, host, 21).await;
    let mut rest = Vec::new();
    here.read_to_end(&mut rest).await.expect("read");
    playing.await.expect("the script was played");
    (outcome, rest)
}

/// The failure in words.
async fn fails(proxy: &Proxy, script: &[(&[u8], &[u8])]) -> (String, Option<&'static str>) {
    let failure = ask(proxy, "ftp.test", script).await.0.expect_err("no connection");
    let error = ProxyError { proxy: proxy.to_string(), failure };
    (error.to_string(), error.hint())
}

const NAMED: &[u8] = b"\x05\x01\x00\x03\x08ftp.test\x00\x15";

#[tokio::test]
async fn socks5_with_and_without_a_password() {
    let done = b"\x05\x00\x00\x01\x0a\x00\x00\x01\x12\x34220 hello\r\n";
    let (outcome, rest) =
        ask(&proxy(ProxyKind::Socks5, None), "ftp.test", &[(b"\x05\x01\x00", b"\x05\x00"), (NAMED, done)]).await;
    outcome.expect("connected");
    assert_eq!(rest, b"220 hello\r\n", "the greeting right behind the answer is kept");

    let with = proxy(ProxyKind::Socks5, Some(("me", "secret")));
    let script: [(&[u8], &[u8]); 3] = [
        (b"\x05\x02\x00\x02", b"\x05\x02"),
        (b"\x01\x02me\x06secret", b"\x01\x00"),
        (NAMED, b"\x05\x00\x00\x03\x03abc\x00\x00x"),
    ];
    let (outcome, rest) = ask(&with, "ftp.test", &script).await;
    outcome.expect("connected");
    assert_eq!(rest, b"x");

    // A proxy that needs none is not told the password. IPv6 stays an address, in question and answer.
    let request = b"\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x15";
    let done = b"\x05\x00\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x12\x34";
    let (outcome, rest) = ask(&with, "2001:db8::1", &[(b"\x05\x02\x00\x02", b"\x05\x00"), (request, done)]).await;
    outcome.expect("connected");
    assert_eq!(rest, b"");
}

#[tokio::test]
async fn what_a_socks5_proxy_may_answer_instead() {
    let (without, with) = (proxy(ProxyKind::Socks5, None), proxy(ProxyKind::Socks5, Some(("me", "secret"))));
    let (said, hint) = fails(&without, &[(b"\x05\x01\x00", b"\x05\xff")]).await;
    assert_eq!(said, "the proxy (socks5 proxy.test:1080) wants user and password");
    assert!(hint.is_some_and(|hint| hint.contains("`user` and `password` in `proxy`")));
    let (said, _) = fails(&with, &[(b"\x05\x02\x00\x02", b"\x05\x02"), (b"\x01\x02me\x06secret", b"\x01\x01")]).await;
    assert_eq!(said, "the proxy (socks5 proxy.test:1080) refused user or password");
    let (said, hint) = fails(&without, &[(b"\x05\x01\x00", b"\x05\x00"), (NAMED, b"\x05\x02\x00\x01")]).await;
    assert_eq!(said, "the proxy (socks5 proxy.test:1080) did not connect to the server: not allowed by its rules");
    assert!(hint.is_some_and(|hint| hint.contains("data ports")));
    for other in [&b"HTTP/1.1 400 Bad Request\r\n"[..], b"\x04\x00", b"\x05\x07"] {
        let (said, _) = fails(&with, &[(b"\x05\x02\x00\x02", other)]).await;
        assert!(said.ends_with("answered in another protocol"), "{said}");
    }
    let (said, _) = fails(&with, &[(b"\x05\x02\x00\x02", b"\x05")]).await;
    assert!(said.contains("broke off"), "{said}");
    let long = "x".repeat(256);
    let (said, _) = fails(&proxy(ProxyKind::Socks5, Some(("me", &long))), &[]).await;
    assert!(said.starts_with("user or password cannot be sent") && !said.contains("xxx"), "{said}");
}

#[tokio::test]
async fn connect_with_and_without_a_password() {
    let request = b"CONNECT ftp.test:21 HTTP/1.1\r\nHost: ftp.test:21\r\n\r\n";
    let answer = b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 Fine\r\nContent-Length: 3\r\n\r\n220 hello\r\n";
    let (outcome, rest) = ask(&proxy(ProxyKind::Http, None), "ftp.test", &[(request, answer)]).await;
    outcome.expect("connected");
    assert_eq!(rest, b"220 hello\r\n", "the greeting right behind the answer is kept");

    let request = b"CONNECT [::1]:21 HTTP/1.1\r\nHost: [::1]:21\r\nProxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n";
    let with = proxy(ProxyKind::Http, Some(("me", "secret")));
    let (outcome, rest) = ask(&with, "::1", &[(request, b"HTTP/1.0 200 OK\r\n\r\n")]).await;
    outcome.expect("connected");
    assert_eq!(rest, b"");
}

#[tokio::test]
async fn what_an_http_proxy_may_answer_instead() {
    let request = b"CONNECT ftp.test:21 HTTP/1.1\r\nHost: ftp.test:21\r\n\r\n";
    let without = proxy(ProxyKind::Http, None);
    let endless = [b"HTTP/1.1 200 OK\r\n".to_vec(), b"X: y\r\n".repeat(2000)].concat();
    for (answer, expected) in [
        (&b"HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic\r\n\r\n"[..], "wants user and password"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n<html>", "did not connect to the server: 403 Forbidden"),
        (b"HTTP/1.1 502\r\n\r\n", "did not connect to the server: 502"),
        (b"SSH-2.0-x\r\n", "answered in another protocol"),
        (b"HTTP/9 200 OK\r\n\r\n", "answered in another protocol"),
        (b"HTTP/1.1 200 OK\r\n", "broke off: unexpected end of file"),
        (b"", "broke off: unexpected end of file"),
    ] {
        let (said, _) = fails(&without, &[(request, answer)]).await;
        assert_eq!(said, format!("the proxy (http proxy.test:1080) {expected}"));
    }
    let (mut here, mut there) = duplex(64 * 1024);
    there.write_all(&endless).await.expect("written");
    let failure = without.ask(&mut here, "ftp.test", 21).await.expect_err("too long");
    assert!(matches!(failure, ProxyFailure::OtherProtocol), "{failure:?}");

    let with = proxy(ProxyKind::Http, Some(("me", "secret")));
    let request = b"CONNECT ftp.test:21 HTTP/1.1\r\nHost: ftp.test:21\r\nProxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n";
    for answer in [&b"HTTP/1.1 407 No\r\n\r\n"[..], b"HTTP/1.1 401 Unauthorized\r\n\r\n"] {
        let (said, hint) = fails(&with, &[(request, answer)]).await;
        assert_eq!(said, "the proxy (http proxy.test:1080) refused user or password");
        assert_eq!(hint, Some("check `user` and `password` in `proxy`"));
    }
    let (said, _) = fails(&proxy(ProxyKind::Http, Some(("m:e", "secret"))), &[]).await;
    assert!(said.contains("no colon"), "{said}");
}

#[test]
fn the_password_is_never_shown() {
    let proxy = proxy(ProxyKind::Http, Some(("me", "hunter2")));
    assert!(!format!("{proxy} {proxy:?}").contains("hunter2"));
}

/// Dials through a proxy on this machine that answers with `answer` as soon as it is called.
async fn dial(answer: &'static [u8], limit: Duration) -> io::Result<Vec<u8>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        stream.write_all(answer).await?;
        stream.read_to_end(&mut Vec::new()).await
    });
    let proxy = Proxy { kind: ProxyKind::Http, host: "127.0.0.1".to_owned(), port, user: None };
    // Nobody resolves this name here: the proxy does.
    let dial = TcpDial::new("no-such-host.invalid", 21, limit).through(Some(proxy));
    let mut dialed = dial.dial(Target::Data { peer: None, port: 40_000 }).await?;
    assert_eq!((dialed.peer, dialed.local), (None, None), "nobody knows who the peer is, or can connect to us");
    dialed.stream.shutdown().await?;
    let mut rest = Vec::new();
    dialed.stream.read_to_end(&mut rest).await?;
    Ok(rest)
}

#[tokio::test]
async fn over_tcp() {
    let answer = dial(b"HTTP/1.1 200 OK\r\n\r\n220 hello\r\n", Duration::from_secs(10)).await;
    assert_eq!(answer.expect("connected"), b"220 hello\r\n");
}

#[tokio::test]
async fn silence_has_a_name() {
    let error = dial(b"", Duration::from_millis(200)).await.expect_err("no answer");
    assert!(error.to_string().ends_with("did not answer in time: answer of the proxy"), "{error}");
    let inside = error.get_ref().and_then(|inner| inner.downcast_ref::<ProxyError>());
    assert!(inside.is_some_and(|error| matches!(error.failure, ProxyFailure::Late)));
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_named() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let port = taken.local_addr().expect("bound").port();
    drop(taken);
    let proxy = Proxy { kind: ProxyKind::Socks5, host: "127.0.0.1".to_owned(), port, user: None };
    let error = proxy.connect("ftp.test", 21, Duration::from_secs(5)).await.expect_err("nobody there");
    assert!(error.to_string().starts_with(&format!("cannot connect to the proxy (socks5 127.0.0.1:{port}): ")), "{error}");
}
