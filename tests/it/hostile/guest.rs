//! One control connection as the server sees it, for a script to play: an honest FTPS server up to the command that the script waits
//! for, and from there on whatever the script does.

use std::{
    io::Write,
    net::Ipv4Addr,
    os::fd::AsFd,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    house::{House, Kept, Tap},
    identity::Identity,
};

/// How long a drip lets the client wait for each byte: several fit into the shortest limit of the tests.
const DRIP: Duration = Duration::from_millis(100);
/// What a flood writes at once, at least.
const BLOCK: usize = 16 * 1024;

pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// An encrypted data connection.
pub(super) type Data = Tap<TlsStream<Tap<TcpStream>>>;

/// Methods give `None` when the client has gone; so ends a script.
pub(super) struct Guest {
    pub(super) house: Arc<House>,
    stream: BufReader<Box<dyn Stream>>,
    /// The connection below TLS.
    wire: std::net::TcpStream,
    passive: Option<TcpListener>,
    is_greeted: bool,
    renamed: String,
}

impl Guest {
    pub(super) fn new(house: &Arc<House>, stream: TcpStream) -> Self {
        let wire = stream.as_fd().try_clone_to_owned().expect("a descriptor").into();
        let stream: Box<dyn Stream> = Box::new(Tap::wire(house, stream));
        let stream = BufReader::new(stream);
        Self { house: house.clone(), stream, wire, passive: None, is_greeted: false, renamed: String::new() }
    }

    /// Is honest up to the command `verb`, which is not answered; gives its argument. Without `verb`, for good.
    pub(super) async fn until(&mut self, verb: &str) -> Option<String> {
        if !self.is_greeted {
            self.is_greeted = true;
            self.say("220 hello").await?;
        }
        loop {
            let line = self.hear().await?;
            let (word, argument) = line.split_once(' ').unwrap_or((&line, ""));
            let own = argument.ends_with("/.towline-mirror");
            if word == verb && !own {
                return Some(argument.to_owned());
            }
            self.obey(word, argument).await?;
        }
    }

    /// Is honest for good.
    pub(super) async fn go_on(&mut self) -> Option<()> {
        self.until("").await.map(drop)
    }

    /// Hears a line.
    pub(super) async fn hear(&mut self) -> Option<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).await.ok()?;
        Some(String::from_utf8_lossy(line.strip_suffix(b"\r\n")?).into_owned())
    }

    /// Says a line.
    pub(super) async fn say(&mut self, line: impl AsRef<[u8]>) -> Option<()> {
        self.send([line.as_ref(), b"\r\n"].concat()).await
    }

    /// Sends bytes as they are.
    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Option<()> {
        self.stream.write_all(bytes.as_ref()).await.ok()?;
        self.stream.flush().await.ok()
    }

    /// Says a line below TLS.
    pub(super) fn say_in_clear(&mut self, line: &str) -> Option<()> {
        self.wire.write_all(format!("{line}\r\n").as_bytes()).ok()
    }

    /// Waits until the client sends anything, and leaves it there.
    pub(super) async fn first_byte(&mut self) -> Option<()> {
        self.stream.fill_buf().await.ok().filter(|bytes| !bytes.is_empty()).map(drop)
    }

    /// Says nothing any more, and listens.
    pub(super) async fn silence(&mut self) -> Option<()> {
        silence(&mut self.stream).await
    }

    /// Repeats `piece` as fast as the client takes it.
    pub(super) async fn flood(&mut self, piece: &[u8]) -> Option<()> {
        let house = self.house.clone();
        flood(&house, &mut self.stream, piece).await
    }

    /// Says `line` for ever, slowly.
    pub(super) async fn repeat(&mut self, line: &str) -> Option<()> {
        loop {
            self.say(line).await?;
            sleep(3 * DRIP).await;
        }
    }

    /// Repeats `piece` for ever, slowly, a byte at a time.
    pub(super) async fn drip(&mut self, piece: &[u8]) -> Option<()> {
        drip(&mut self.stream, piece).await
    }

    /// Starts TLS with `identity`.
    pub(super) async fn encrypt(&mut self, identity: &Identity) -> Option<()> {
        let nothing: Box<dyn Stream> = Box::new(tokio::io::empty());
        let clear = std::mem::replace(&mut self.stream, BufReader::new(nothing));
        let sealed = TlsAcceptor::from(identity.config.clone()).accept(clear.into_inner()).await.ok()?;
        self.stream = BufReader::new(Box::new(Tap::new(&self.house, sealed, Kept::Inside)));
        Some(())
    }

    /// Opens a data port; gives its number.
    pub(super) async fn open_port(&mut self) -> Option<u16> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.ok()?;
        let port = listener.local_addr().ok()?.port();
        self.passive = Some(listener);
        Some(port)
    }

    /// Takes the data connection, in clear.
    pub(super) async fn clear_data(&mut self) -> Option<Tap<TcpStream>> {
        let (stream, _) = self.passive.take()?.accept().await.ok()?;
        Some(Tap::wire(&self.house, stream))
    }

    /// Takes the data connection, encrypted.
    pub(super) async fn data(&mut self) -> Option<Data> {
        self.data_as(self.house.identity).await
    }

    /// Takes the data connection, encrypted as somebody else.
    pub(super) async fn data_as(&mut self, identity: &Identity) -> Option<Data> {
        let clear = self.clear_data().await?;
        let sealed = TlsAcceptor::from(identity.config.clone()).accept(clear).await.ok()?;
        Some(Tap::new(&self.house, sealed, Kept::Bodies))
    }

    /// Takes a body to its end.
    pub(super) async fn body(&mut self) -> Option<Vec<u8>> {
        let mut data = self.data().await?;
        let mut body = Vec::new();
        data.read_to_end(&mut body).await.ok()?;
        data.shutdown().await.ok()?;
        Some(body)
    }

    async fn obey(&mut self, verb: &str, argument: &str) -> Option<()> {
        match verb {
            "AUTH" => {
                self.say("234 go on").await?;
                self.encrypt(self.house.identity).await
            }
            "USER" => self.say("331 password").await,
            "PASS" => self.say("230 welcome").await,
            "FEAT" => {
                let features = ["MLST type*;size*;modify*;", "SIZE", "MFMT", "EPSV", "UTF8"].join("\r\n ");
                self.say(format!("211-Features:\r\n {features}\r\n211 End")).await
            }
            "EPSV" => {
                let port = self.open_port().await?;
                self.say(format!("229 go to (|||{port}|)")).await
            }
            "PASV" => {
                let port = self.open_port().await?;
                self.say(pasv(Ipv4Addr::LOCALHOST, port)).await
            }
            // As with a probe.
            "STOR" | "RETR" | "CWD" if argument.ends_with("/.towline-mirror") => self.say("550 no").await,
            "STOR" => {
                self.say("150 send").await?;
                let body = self.body().await?;
                self.files().insert(argument.to_owned(), Some(body));
                self.say("226 got it").await
            }
            "MLSD" => {
                self.say("150 listing").await?;
                self.data().await?.shutdown().await.ok()?;
                self.say("226 that is all").await
            }
            "QUIT" => {
                self.say("221 bye").await?;
                None
            }
            _ => {
                let reply = self.keep_house(verb, argument);
                self.say(reply).await
            }
        }
    }

    /// The commands about names alone.
    fn keep_house(&mut self, verb: &str, argument: &str) -> String {
        let renamed = std::mem::take(&mut self.renamed);
        let mut files = self.files();
        let found = files.get(argument);
        match (verb, found) {
            ("SIZE", Some(Some(body))) => format!("213 {}", body.len()),
            ("MLST", Some(Some(body))) => format!("250-here\r\n type=file;size={}; x\r\n250 End", body.len()),
            ("MLST", Some(None)) => "250-here\r\n type=dir; x\r\n250 End".into(),
            ("DELE", Some(Some(_))) | ("RMD", Some(None)) => {
                files.remove(argument);
                "250 gone".into()
            }
            // A probe's commands are none of a script's business.
            ("MKD", None) if argument.ends_with("/.towline-probe") => "550 no".into(),
            ("MKD", None) => {
                files.insert(argument.to_owned(), None);
                "257 made".into()
            }
            ("RNFR", Some(_)) => {
                drop(files);
                argument.clone_into(&mut self.renamed);
                "350 to what?".into()
            }
            ("RNTO", _) => match files.remove(&renamed) {
                Some(body) => {
                    files.insert(argument.to_owned(), body);
                    "250 renamed".into()
                }
                None => "503 what?".into(),
            },
            ("SIZE" | "MLST" | "DELE" | "RMD" | "MKD" | "RNFR", _) => "550 no".into(),
            _ => "200 ok".into(),
        }
    }

    fn files(&self) -> std::sync::MutexGuard<'_, std::collections::BTreeMap<String, Option<Vec<u8>>>> {
        self.house.files.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The reply to PASV.
pub(super) fn pasv(host: Ipv4Addr, port: u16) -> String {
    let [a, b, c, d] = host.octets();
    format!("227 go to ({a},{b},{c},{d},{},{})", port >> 8, port & 255)
}

/// Reads to the end.
pub(super) async fn silence(stream: &mut (impl AsyncRead + Unpin)) -> Option<()> {
    let mut chunk = [0; 4096];
    while let Ok(1..) = stream.read(&mut chunk).await {}
    None
}

/// Repeats `piece` as fast as the client takes it, and counts.
pub(super) async fn flood(house: &House, stream: &mut (impl AsyncWrite + Unpin), piece: &[u8]) -> Option<()> {
    let block = piece.repeat(BLOCK / piece.len() + 1);
    loop {
        let mut rest = &block[..];
        while !rest.is_empty() {
            let written = stream.write(rest).await.ok()?;
            house.pushed.fetch_add(written as u64, Ordering::SeqCst);
            rest = &rest[written..];
        }
    }
}

/// Repeats `piece` for ever, slowly, a byte at a time.
pub(super) async fn drip(stream: &mut (impl AsyncWrite + Unpin), piece: &[u8]) -> Option<()> {
    for byte in piece.iter().cycle() {
        stream.write_all(&[*byte]).await.ok()?;
        stream.flush().await.ok()?;
        sleep(DRIP).await;
    }
    None
}
