use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

const SOON: [Duration; 2] = [Duration::from_millis(5); 2];
const MANNER: Manner = Manner { name: "test", room: 2, again: &SOON };

/// A server that answers with these statuses in turn, one connection each, and what it was asked.
async fn server(statuses: &'static [u16]) -> (WebAddress, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    tokio::spawn(async move {
        for status in statuses {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !is_whole(&request) {
                if stream.read_buf(&mut request).await.unwrap() == 0 {
                    break;
                }
            }
            heard.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
            let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 2\r\nLocation: /elsewhere\r\n\r\nok");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (WebAddress { tls: false, host: "127.0.0.1".to_owned(), port, target: "/hook?a=b".to_owned() }, asked)
}

/// Whether all of it came; what is no HTTP is answered at once.
fn is_whole(request: &[u8]) -> bool {
    if request.first().is_some_and(|first| !first.is_ascii_uppercase()) {
        return true;
    }
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// The bodies that were sent, when as many requests came as there are statuses.
async fn told(statuses: &'static [u16], bodies: &[&'static str]) -> Vec<String> {
    let (address, asked) = server(statuses).await;
    let (caller, work) = Caller::new(Some(address), MANNER);
    bodies.iter().for_each(|body| caller.tell(Bytes::from_static(body.as_bytes())));
    let all = async {
        while asked.lock().unwrap().len() < statuses.len() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        () = work => unreachable!("it never ends"),
        all = timeout(Duration::from_secs(30), all) => all.unwrap(),
    }
    let asked = asked.lock().unwrap();
    asked.iter().map(|request| request.split_once("\r\n\r\n").unwrap().1.to_owned()).collect()
}

#[tokio::test]
async fn what_does_not_go_through_is_tried_again_before_the_next() {
    assert_eq!(told(&[500, 429, 204, 200], &["1", "2"]).await, ["1", "1", "1", "2"]);
}

#[tokio::test]
async fn what_never_goes_through_is_given_up() {
    assert_eq!(told(&[503, 503, 503, 200], &["1", "2"]).await, ["1", "1", "1", "2"]);
}

#[tokio::test]
async fn a_refusal_and_a_redirection_are_not_tried_again() {
    assert_eq!(told(&[404, 200], &["1", "2"]).await, ["1", "2"]);
    assert_eq!(told(&[302, 200], &["1", "2"]).await, ["1", "2"]);
}

#[tokio::test]
async fn json_is_posted_and_nothing_is_a_get() {
    let (address, asked) = server(&[200, 200]).await;
    for body in ["{}", ""] {
        call(&address, Bytes::from_static(body.as_bytes())).await.unwrap();
    }
    let asked = asked.lock().unwrap();
    let host = format!("host: 127.0.0.1:{}\r\n", address.port);
    assert!(asked[0].starts_with("POST /hook?a=b HTTP/1.1\r\n") && asked[0].contains("content-type: application/json\r\n"));
    assert!(asked[1].starts_with("GET /hook?a=b HTTP/1.1\r\n") && !asked[1].contains("content-"));
    assert!(asked.iter().all(|request| request.contains(&host) && request.contains("user-agent: towline/")), "{asked:?}");
}

#[tokio::test]
async fn nobody_is_waited_for() {
    let (nobody, _work) = Caller::new(None, MANNER);
    nobody.tell(Bytes::from_static(b"1"));
    let address = WebAddress { tls: true, host: "127.0.0.1".to_owned(), port: 1, target: "/".to_owned() };
    let (caller, _work) = Caller::new(Some(address), MANNER);
    // There is room for two.
    (0..5).for_each(|_| caller.tell(Bytes::from_static(b"1")));
    assert_eq!(caller.waits.unwrap().capacity(), 0);
}

#[tokio::test]
async fn a_server_that_cannot_be_verified_is_told_nothing() {
    let (address, asked) = server(&[200]).await;
    let error = call(&WebAddress { tls: true, ..address }, Bytes::from_static(b"secret")).await.unwrap_err();
    assert!(matches!(error, CallError::Tls(_)) && error.is_transient(), "{error}");
    assert!(asked.lock().unwrap().iter().all(|request| !request.contains("secret")));
}

#[test]
fn a_host_is_named_as_browsers_do() {
    let named = |tls, host: &str, port| named(&WebAddress { tls, host: host.to_owned(), port, target: "/".to_owned() });
    assert_eq!(named(true, "a.example", 443), "a.example");
    assert_eq!(named(true, "a.example", 80), "a.example:80");
    assert_eq!(named(false, "::1", 80), "[::1]");
    assert_eq!(named(false, "::1", 8080), "[::1]:8080");
}
