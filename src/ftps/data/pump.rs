//! Moves a body into an encrypted stream, and ends it. Each step reads as well as it writes: tickets, key updates and the
//! server's close come on the same stream.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::mpsc,
    time::{Instant, sleep},
};

use crate::ftps::{error::Wait, throttle::Pace};

/// The most bytes that are read beside an upload; they have no meaning, so none are expected.
const MAX_ANSWER: usize = 16 * 1024;

/// How a step ended.
#[derive(Debug)]
pub(super) enum End {
    /// As it should.
    Done,
    /// The stream broke.
    Broken(io::Error),
    /// Nothing moved for too long.
    Late(Wait),
}

/// Sends all of `body`, at this pace; gives how many bytes were taken, and how it ended. It fails when nothing moves for `stall`,
/// unless it is `pace` that holds it up.
pub(super) async fn send<S>(stream: &mut S, body: &mut mpsc::Receiver<Bytes>, mut pace: Pace<'_>, stall: Duration) -> (u64, End)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut timer = pin!(sleep(stall));
    let mut reading = Reading::default();
    let mut chunk = Bytes::new();
    let mut sent = 0;
    let mut held_up = false;
    let end = poll_fn(|cx| {
        // Asked now, while the task still has a budget: a server that floods this side uses it up. Progress counts more.
        let mut late = timer.as_mut().poll(cx).is_ready();
        loop {
            if let Err(error) = reading.poll(stream, cx) {
                return Poll::Ready(End::Broken(error));
            }
            let wait = if chunk.is_empty() {
                match body.poll_recv(cx) {
                    Poll::Ready(Some(next)) => {
                        chunk = next;
                        timer.as_mut().reset(Instant::now() + stall);
                        late = false;
                        continue;
                    }
                    Poll::Ready(None) => return Poll::Ready(End::Done),
                    // Nothing to add: what TLS still holds goes out meanwhile.
                    Poll::Pending => match Pin::new(&mut *stream).poll_flush(cx) {
                        Poll::Ready(Err(error)) => return Poll::Ready(End::Broken(error)),
                        Poll::Ready(Ok(())) => Wait::Source,
                        Poll::Pending => Wait::Stall,
                    },
                }
            } else if let Poll::Ready(leave) = pace.poll(cx, chunk.len()) {
                if std::mem::take(&mut held_up) {
                    timer.as_mut().reset(Instant::now() + stall);
                    late = false;
                }
                match Pin::new(&mut *stream).poll_write(cx, &chunk[..leave]) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(End::Broken(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(written)) => {
                        chunk.advance(written);
                        pace.moved(written);
                        sent += written as u64;
                        timer.as_mut().reset(Instant::now() + stall);
                        late = false;
                        continue;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(End::Broken(error)),
                    Poll::Pending => Wait::Stall,
                }
            } else {
                // No leave yet: what TLS still holds goes out meanwhile. Once it has, nobody is to blame for the silence.
                match Pin::new(&mut *stream).poll_flush(cx) {
                    Poll::Ready(Err(error)) => return Poll::Ready(End::Broken(error)),
                    Poll::Ready(Ok(())) => {
                        held_up = true;
                        return Poll::Pending;
                    }
                    Poll::Pending => Wait::Stall,
                }
            };
            if late {
                return Poll::Ready(End::Late(wait));
            }
            return timer.as_mut().poll(cx).map(|()| End::Late(wait));
        }
    })
    .await;
    (sent, end)
}

/// Sends what is buffered, the end of TLS (close_notify) and the end of TCP (FIN). ProFTPD never answers without the FIN.
pub(super) async fn close<S>(stream: &mut S, stall: Duration) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut timer = pin!(sleep(stall));
    let mut reading = Reading::default();
    poll_fn(|cx| {
        let late = timer.as_mut().poll(cx).is_ready();
        if let Err(error) = reading.poll(stream, cx) {
            return Poll::Ready(End::Broken(error));
        }
        match Pin::new(&mut *stream).poll_shutdown(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(End::Done),
            Poll::Ready(Err(error)) => Poll::Ready(End::Broken(error)),
            Poll::Pending if late => Poll::Ready(End::Late(Wait::Stall)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Reads and discards up to the end, however it ends, or too much. The caller sets the limit.
pub(super) async fn drain<S: AsyncRead + Unpin>(stream: &mut S) {
    let mut reading = Reading::default();
    poll_fn(|cx| match reading.poll(stream, cx) {
        Ok(()) if !reading.ended => Poll::Pending,
        _ => Poll::Ready(()),
    })
    .await;
}

/// The reading half of an upload: what comes is for TLS, not for us.
#[derive(Default)]
struct Reading {
    ended: bool,
    read: usize,
}

impl Reading {
    /// Reads what is there. Servers may end their direction early and at will; only a broken stream is an error.
    fn poll<S: AsyncRead + Unpin>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> io::Result<()> {
        let mut scratch = [0; 512];
        while !self.ended {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
                Poll::Pending => break,
                Poll::Ready(Ok(())) => {
                    self.ended = buffer.filled().is_empty();
                    self.read += buffer.filled().len();
                    if self.read > MAX_ANSWER {
                        return Err(io::Error::other("the server sends data where it should take some"));
                    }
                }
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => self.ended = true,
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
