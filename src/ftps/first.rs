//! A stream that keeps a copy of the first bytes that come, for as long as somebody wants it: when TLS fails, they tell what
//! the server spoke instead. It changes nothing.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::proto::Reply;

/// The most bytes that are kept.
const MAX: usize = 512;

/// The stream.
pub(super) struct First<S> {
    stream: S,
    heard: Weak<Mutex<Vec<u8>>>,
}

/// What came first. When it is dropped, no more is kept.
pub(super) struct Heard(Arc<Mutex<Vec<u8>>>);

impl<S> First<S> {
    pub(super) fn new(stream: S) -> (Self, Heard) {
        let heard = Arc::default();
        (Self { stream, heard: Arc::downgrade(&heard) }, Heard(heard))
    }
}

impl Heard {
    /// The reply in clear that the bytes begin with, if they do; its first line alone.
    pub(super) fn reply(&self) -> Option<Reply> {
        reply(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn reply(bytes: &[u8]) -> Option<Reply> {
    let (code, rest) = bytes.split_at_checked(3)?;
    let is_code = matches!(code, [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9']);
    if !is_code || !matches!(rest.first(), None | Some(b' ' | b'-' | b'\r')) {
        return None;
    }
    let code = std::str::from_utf8(code).ok()?.parse().ok()?;
    let line = rest.split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
    Some(Reply { code, lines: vec![line.get(1..).unwrap_or_default().to_vec()] })
}

impl<S: AsyncRead + Unpin> AsyncRead for First<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if let Some(heard) = self.heard.upgrade() {
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            let room = MAX.saturating_sub(heard.len());
            heard.extend(buffer.filled()[before..].iter().take(room));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for First<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, all: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, all)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[test]
    fn replies_in_clear() {
        let first = |bytes: &[u8]| reply(bytes).map(|reply| (reply.code, reply.lines.concat()));
        assert_eq!(first(b"220-hello\r\n220 you\r\n"), Some((220, b"hello".to_vec())));
        assert_eq!(first(b"421 Too many"), Some((421, b"Too many".to_vec())));
        assert_eq!(first(b"421"), Some((421, Vec::new())));
        for other in [&b"\x15\x03\x03\x00\x02"[..], b"2200", b"", b"SSH-2.0", b"620 x"] {
            assert_eq!(first(other), None, "{}", other.escape_ascii());
        }
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded_and_passed_on() {
        let (here, mut there) = duplex(4096);
        let (mut first, heard) = First::new(here);
        there.write_all(&[b'x'; 1000]).await.expect("written");
        let mut read = [0; 1000];
        first.read_exact(&mut read).await.expect("read");
        assert_eq!(read, [b'x'; 1000]);
        assert_eq!(heard.0.lock().expect("unpoisoned").len(), MAX);
        drop(heard);
        there.write_all(b"more").await.expect("written");
        first.read_exact(&mut read[..4]).await.expect("read");
        assert_eq!(&read[..4], b"more");
    }
}
