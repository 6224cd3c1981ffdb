//! Any bytes as a conversation with the control API: the routes and the HTTP below them as the daemon has them, over a pipe in memory.

use std::{collections::BTreeMap, future::pending, io, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::{mpsc, watch},
};
use towline::{
    control::{self, Approved, Refusal, Status},
    mirror::{ApproveError, Command, Handle, MirrorStatus, Pause, Queue},
    model::UnixMillis,
};

/// So often the server may run before the client hangs up.
const TURNS: usize = 20;
/// A request has at least so many bytes.
const SMALLEST: usize = 14;
/// An answer has at most so many bytes, and three for each of its request.
const LARGEST: usize = 8 * 1024;

/// The bytes as they are, and as the name of a mirror in a request that is well-formed: that one is always answered.
pub async fn control(data: &[u8]) {
    let answer = converse(data, data.len(), true).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{}", answer.escape_ascii());
    let most = LARGEST * (1 + data.len() / SMALLEST) + 8 * data.len();
    assert!(answer.len() <= most, "{} bytes for {}", answer.len(), data.len());

    // A longer one would be no well-formed request any more.
    let name: String = data.iter().take(1024).map(|b| format!("%{b:02X}")).collect();
    let (status, body) = ask("POST", &format!("/v1/mirrors/{name}/approve"), 0).await;
    match status {
        200 => drop(serde_json::from_slice::<Approved>(&body).expect("an approval")),
        404 | 409 | 503 => drop(serde_json::from_slice::<Refusal>(&body).expect("a refusal")),
        // A name that is not UTF-8, or empty.
        400 | 405 => {}
        other => panic!("{other} for {:?}", data.escape_ascii().to_string()),
    }
    let (status, body) = ask("POST", "/v1/mirrors/site/approve", data.len()).await;
    assert!(matches!(status, 200 | 409 | 503) && !body.is_empty());
    let query: String = data.iter().take(1024).map(|b| format!("%{b:02X}")).collect();
    for query in [format!("look=1&within=0&path={query}"), query.clone()] {
        let (status, body) = ask("GET", &format!("/v1/mirrors/site/account?{query}"), 0).await;
        assert!(matches!(status, 400 | 503), "{status} for {query}");
        drop(serde_json::from_slice::<Refusal>(&body).expect("a refusal"));
    }
    for list in ["queue", "log"] {
        let (status, _) = ask("GET", &format!("/v1/mirrors/site/{list}?{query}"), 0).await;
        assert!(matches!(status, 200 | 400), "{status} for {query}");
    }
    let (status, body) = ask("GET", "/v1/status", 0).await;
    assert_eq!(status, 200);
    assert_eq!(serde_json::from_slice::<Status>(&body).expect("a status").mirrors.len(), 2);
}

/// Status and body of the answer; `mood` is how the mirror takes a command.
async fn ask(method: &str, path: &str, mood: usize) -> (u16, Vec<u8>) {
    let request = format!("{method} {path} HTTP/1.1\r\nhost: towline\r\nconnection: close\r\n\r\n");
    let answer = converse(request.as_bytes(), mood, false).await;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer with a head");
    let head = std::str::from_utf8(&answer[..end]).expect("a head in ASCII");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
    (status, answer[end + 4..].to_vec())
}

/// What the API answers to the bytes; `ends` when they are all that it is sent, and hangs up on what it is still about.
async fn converse(request: &[u8], mood: usize, ends: bool) -> Vec<u8> {
    let (mut ours, theirs) = duplex(64 * 1024);
    let (status, commands) = (MirrorStatus::default(), mpsc::channel(1));
    let (_site, site) = watch::channel(Arc::new(MirrorStatus { name: "site".into(), ..status.clone() }));
    let (_gone, gone) = watch::channel(Arc::new(MirrorStatus { name: "gone".into(), ..status }));
    let mirrors = BTreeMap::from([
        ("site".to_owned(), Handle { status: site, commands: commands.0 }),
        ("gone".to_owned(), Handle { status: gone, commands: mpsc::channel(1).0 }),
    ]);
    let mirror = tokio::spawn(obey(commands.1, mood));
    let server = axum::serve(Once(Some(theirs)), control::routes(control::Registry::new(mirrors, mpsc::channel(1).0)));
    let server = tokio::spawn(async move { server.await });
    let mut answer = Vec::new();
    let (mut from, mut to) = tokio::io::split(&mut ours);
    let (_, read) = tokio::join!(
        async {
            // The other end may have closed already.
            let _ = to.write_all(request).await;
            if ends {
                for _ in 0..TURNS {
                    tokio::task::yield_now().await;
                }
                let _ = to.shutdown().await;
            }
        },
        from.read_to_end(&mut answer)
    );
    read.expect("a pipe");
    server.abort();
    mirror.abort();
    answer
}

/// A mirror that answers each time in another way, or not at all.
async fn obey(mut inbox: mpsc::Receiver<Command>, mood: usize) {
    let answers = [Some(Ok(3)), Some(Err(ApproveError::NothingHalted)), Some(Err(ApproveError::RootMissing)), None];
    for answer in answers.into_iter().cycle().skip(mood % 4) {
        match (inbox.recv().await, answer) {
            (Some(Command::Approve(sender) | Command::Reject(sender)), Some(answer)) => drop(sender.send(answer)),
            (Some(Command::Approve(sender) | Command::Reject(sender)), None) => drop(sender),
            (Some(Command::Account { answer, .. }), _) => drop(answer),
            (Some(Command::Undo { answer, .. }), Some(_)) => drop(answer.send(Ok(Vec::new()))),
            (Some(Command::Undo { answer, .. }), None) => drop(answer),
            (Some(Command::Overwrite(_, sender)), Some(_)) => drop(sender.send(2)),
            (Some(Command::Overwrite(_, sender)), None) => drop(sender),
            (Some(Command::Turn(sender)), _) => drop(sender),
            (Some(Command::Pause(span, sender)), Some(_)) => drop(sender.send(Pause::new(UnixMillis(0), span))),
            (Some(Command::Pause(_, sender)), None) => drop(sender),
            (Some(Command::Resume(sender)), _) => drop(sender.send(mood.is_multiple_of(2))),
            (Some(Command::Retry(_, sender)), _) => drop(sender.send(1)),
            (Some(Command::Queue(_, sender)), _) => drop(sender.send(Queue::default())),
            (Some(Command::Log { answer, .. }), _) => drop(answer.send(Vec::new())),
            (None, _) => return,
        }
    }
}

/// Somebody who connects once.
struct Once(Option<DuplexStream>);

impl axum::serve::Listener for Once {
    type Io = DuplexStream;
    type Addr = ();

    async fn accept(&mut self) -> (DuplexStream, ()) {
        match self.0.take() {
            Some(stream) => (stream, ()),
            None => pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}
