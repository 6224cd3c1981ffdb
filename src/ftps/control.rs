//! The control connection: commands out, replies in, each wait with a name and a limit. What to say is decided elsewhere.

use std::{future::poll_fn, io, pin::Pin, task::Poll, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::{Instant, timeout, timeout_at},
};
use tracing::trace;

use super::{
    error::{Error, Wait},
    heard::Heard,
    proto::{Argument, Command, Encoding, Reply, ReplyParser, reply::Limits},
    tls,
};

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// A TCP connection, for each address of the host.
    pub connect: Duration,
    /// The greeting or a reply, from its first byte to its last; a TLS handshake; the final reply to a transfer, whatever
    /// preliminary ones come before it.
    pub reply: Duration,
    /// Progress of a transfer.
    pub stall: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), reply: Duration::from_secs(25), stall: Duration::from_secs(25) }
    }
}

/// One control connection, in clear or encrypted.
#[derive(Debug)]
pub struct Control<S> {
    stream: S,
    parser: ReplyParser,
    timeouts: Timeouts,
    encoding: Encoding,
    /// When the first byte of the reply that is being read came.
    begun: Option<Instant>,
    /// When the final reply to a transfer was first waited for.
    ending: Option<Instant>,
    /// Commands whose last reply has not been read.
    outstanding: u32,
    /// So many replies are still to come to commands that went out right before the last one,
    leading: usize,
    /// and those that came.
    led: Vec<Reply>,
    /// The password, once it was sent: what the server repeats of it gets no further.
    secret: Option<Argument>,
    /// What came last below TLS.
    heard: Option<Heard>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Control<S> {
    /// Takes over a fresh connection.
    pub fn new(stream: S, timeouts: Timeouts) -> Self {
        Self {
            stream,
            parser: ReplyParser::default(),
            timeouts,
            encoding: Encoding::default(),
            begun: None,
            ending: None,
            outstanding: 0,
            leading: 0,
            led: Vec::new(),
            secret: None,
            heard: None,
        }
    }

    /// The same, with what comes below TLS.
    #[must_use]
    pub(super) fn hearing(self, heard: Heard) -> Self {
        Self { heard: Some(heard), ..self }
    }

    /// How paths become bytes.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// How paths become bytes from now on.
    pub fn set_encoding(&mut self, encoding: Encoding) {
        self.encoding = encoding;
    }

    /// The stream below.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Waits for the greeting.
    ///
    /// # Errors
    /// [`Wait::Greeting`], or the connection broke.
    pub async fn greeting(&mut self) -> Result<Reply, Error> {
        self.outstanding = 1;
        self.reply_by(Wait::Greeting, Some(Instant::now() + self.timeouts.reply)).await
    }

    /// Sends a command and reads one reply.
    ///
    /// # Errors
    /// A wait ran out, the connection broke, or the bytes are no FTP.
    pub async fn command(&mut self, command: &Command) -> Result<Reply, Error> {
        self.send(command).await?;
        self.reply().await
    }

    /// As [`Self::command`], for a command that takes the server so much longer to do.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub async fn command_within(&mut self, command: &Command, longer: Duration) -> Result<Reply, Error> {
        self.send(command).await?;
        self.reply_by(Wait::Reply, Some(Instant::now() + self.timeouts.reply + longer)).await
    }

    /// As [`Self::command`], for a command whose reply is a listing: it may be longer than others.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub async fn listing(&mut self, command: &Command) -> Result<Reply, Error> {
        self.parser.limit(Limits::LISTING);
        let reply = self.command(command).await;
        self.parser.limit(Limits::REPLY);
        reply
    }

    /// Sends commands without waiting in between, one TLS record each, and reads their replies as they come. Not for
    /// commands that open a data connection, and only a few at once: a flight above 4 KiB stalls some servers.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub async fn flight(&mut self, commands: &[Command]) -> Result<Vec<Reply>, Error> {
        let Some((first, others)) = commands.split_first() else { return Ok(Vec::new()) };
        // Of what cannot be sent nothing is: a half of it would leave the conversation out of step.
        let lines: Vec<_> = others.iter().map(|command| command.line(self.encoding)).collect::<Result<_, _>>()?;
        self.send(first).await?;
        for (command, line) in others.iter().zip(lines) {
            self.put(command, &line).await?;
            self.outstanding += 1;
        }
        let mut replies = Vec::with_capacity(commands.len());
        while replies.len() < commands.len() {
            replies.push(self.reply().await?);
        }
        Ok(replies)
    }

    /// Sends `command` with `leading` right before it, in one flight. What comes first are the replies to those; they are put
    /// by for [`Self::led`], and everybody who reads a reply gets one to `command`.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn send_behind(&mut self, leading: &[Command], command: &Command) -> Result<(), Error> {
        let Some((first, others)) = leading.split_first() else { return self.send(command).await };
        let lines: Result<Vec<_>, _> = others.iter().chain([command]).map(|command| command.line(self.encoding)).collect();
        let lines = lines?;
        self.send(first).await?;
        self.leading = leading.len();
        for (command, line) in others.iter().chain([command]).zip(lines) {
            self.put(command, &line).await?;
            self.outstanding += 1;
        }
        Ok(())
    }

    /// Sends `commands` in one flight while the last reply to a transfer is still to come. Their replies come behind that one where the
    /// server takes up one command after the other.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn send_on(&mut self, commands: &[Command]) -> Result<(), Error> {
        let lines: Result<Vec<_>, _> = commands.iter().map(|command| command.line(self.encoding)).collect();
        for (command, line) in commands.iter().zip(lines?) {
            self.put(command, &line).await?;
            self.outstanding += 1;
        }
        Ok(())
    }

    /// The replies to what went out right before another command, as far as they came.
    pub fn led(&mut self) -> Vec<Reply> {
        self.leading = 0;
        std::mem::take(&mut self.led)
    }

    /// Sends a command.
    ///
    /// # Errors
    /// [`Wait::Send`], the connection broke, an earlier command was never answered, or the path cannot be sent; then nothing
    /// was.
    pub async fn send(&mut self, command: &Command) -> Result<(), Error> {
        if self.outstanding > 0 {
            return Err(Error::OutOfStep);
        }
        let line = command.line(self.encoding)?;
        // What came while nothing was asked is the good-bye of a server that closes an idle connection, or out of step.
        self.read_pending().await?;
        if let Some(reply) = self.parser.reply()? {
            let reply = self.without_secret(reply);
            return Err(if reply.is_negative() {
                Error::Closed { idle: true, last: Some(reply) }
            } else {
                Error::Unasked(reply)
            });
        }
        if let Command::Pass(password) = command {
            self.secret = Some(password.clone());
        }
        self.outstanding = 1;
        self.put(command, &line).await
    }

    async fn put(&mut self, command: &Command, line: &[u8]) -> Result<(), Error> {
        trace!(target: "towline::ftps", "> {command}");
        self.ending = None;
        let sent = timeout(self.timeouts.reply, async {
            self.stream.write_all(line).await?;
            self.stream.flush().await
        });
        match sent.await.map_err(|_| Error::Timeout(Wait::Send))? {
            Ok(()) => Ok(()),
            // A server that has gone may have said why: with TLS 1.3 a missing client certificate comes out only now.
            Err(error) => match self.read_pending().await {
                Err(why @ Error::Tls(_)) => Err(why),
                _ => Err(self.broken(error)),
            },
        }
    }

    /// Reads the next reply.
    ///
    /// # Errors
    /// [`Wait::Reply`] or [`Wait::WholeReply`], the connection broke, or the bytes are no FTP.
    pub async fn reply(&mut self) -> Result<Reply, Error> {
        self.reply_by(Wait::Reply, Some(Instant::now() + self.timeouts.reply)).await
    }

    /// Reads the last reply to a transfer, or a preliminary one before it: those do not prolong the wait.
    ///
    /// # Errors
    /// As [`Self::reply`], with [`Wait::FinalReply`].
    pub async fn final_reply(&mut self) -> Result<Reply, Error> {
        let since = *self.ending.get_or_insert_with(Instant::now);
        self.reply_by(Wait::FinalReply, Some(since + self.timeouts.reply)).await
    }

    /// Reads the next reply, however long its first byte takes: for use beside something that has a limit of its own.
    /// Nothing is lost when it is dropped.
    ///
    /// # Errors
    /// As [`Self::reply`].
    pub async fn any_reply(&mut self) -> Result<Reply, Error> {
        self.reply_by(Wait::Reply, None).await
    }

    /// Takes in what has arrived already, without waiting: TLS tickets above all.
    ///
    /// # Errors
    /// When the connection is broken or closed.
    pub async fn read_pending(&mut self) -> Result<(), Error> {
        let idle = self.outstanding == 0;
        let mut chunk = [0; 4096];
        loop {
            let read = poll_fn(|cx| {
                let mut buffer = ReadBuf::new(&mut chunk);
                Poll::Ready(match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                    Poll::Pending => None,
                    Poll::Ready(result) => Some(result.map(|()| buffer.filled().len())),
                })
            });
            match read.await {
                None => return Ok(()),
                Some(Ok(0)) => return Err(self.closed(idle)),
                Some(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Err(self.closed(idle)),
                Some(Err(error)) => return Err(self.broken(error)),
                Some(Ok(read)) => {
                    self.parser.feed(&chunk[..read]);
                    // Replies are left for `reply`; a server that talks on and on is stopped there.
                    if read == chunk.len() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Gives the stream for TLS.
    ///
    /// # Errors
    /// [`Error::Injected`] when bytes are waiting that came in clear.
    pub fn into_tls(self) -> Result<S, Error> {
        if self.parser.is_empty() { Ok(self.stream) } else { Err(Error::Injected) }
    }

    fn closed(&mut self, idle: bool) -> Error {
        match self.parser.reply() {
            Ok(last) => Error::Closed { idle, last: last.map(|reply| self.without_secret(reply)) },
            Err(error) => error.into(),
        }
    }

    /// `reply`, without the password if the server repeats it.
    fn without_secret(&self, reply: Reply) -> Reply {
        match &self.secret {
            Some(secret) => reply.without(secret.as_bytes()),
            None => reply,
        }
    }

    async fn reply_by(&mut self, wait: Wait, limit: Option<Instant>) -> Result<Reply, Error> {
        let mut chunk = [0; 4096];
        loop {
            if let Some(reply) = self.parser.reply()? {
                let reply = self.without_secret(reply);
                trace!(target: "towline::ftps", "< {reply}");
                self.begun = None;
                if !reply.is_preliminary() {
                    self.outstanding = self.outstanding.saturating_sub(1);
                    // A server that says good-bye means the whole flight.
                    if self.leading > 0 && reply.code != 421 {
                        self.leading -= 1;
                        self.led.push(reply);
                        continue;
                    }
                }
                return Ok(reply);
            }
            if self.parser.is_empty() {
                self.begun = None;
            } else if self.begun.is_none() {
                self.begun = Some(Instant::now());
            }
            let (wait, deadline) = match self.begun.map(|begun| begun + self.timeouts.reply) {
                Some(end) => (Wait::WholeReply, Some(limit.map_or(end, |limit| limit.min(end)))),
                None => (wait, limit),
            };
            let read = self.stream.read(&mut chunk);
            let read = match deadline {
                Some(deadline) => timeout_at(deadline, read).await.map_err(|_| Error::Timeout(wait))?,
                None => read.await,
            };
            match read {
                Ok(0) => return Err(Error::Closed { idle: false, last: None }),
                Ok(read) => self.parser.feed(&chunk[..read]),
                // A server that just goes, without the end of TLS: no more and no less than a close.
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    return Err(Error::Closed { idle: false, last: None });
                }
                Err(error) => return Err(self.broken(error)),
            }
        }
    }

    fn broken(&self, error: io::Error) -> Error {
        match self.heard.as_ref().filter(|_| tls::is_no_tls(&error)).and_then(Heard::reply) {
            Some(reply) => Error::OutOfTls(self.without_secret(reply)),
            None => Error::control(error),
        }
    }
}
