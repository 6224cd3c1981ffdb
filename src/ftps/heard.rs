//! A stream that keeps a copy of what came last, for as long as somebody wants it: when it was no TLS, it tells what the server
//! spoke instead. It changes nothing.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::proto::Reply;

/// The most bytes that are kept of one read.
const MAX: usize = 512;

/// The stream.
pub(super) struct Overheard<S> {
    stream: S,
    heard: Weak<Mutex<Vec<u8>>>,
}

/// What came last. When it is dropped, no more is kept.
#[derive(Debug)]
pub(super) struct Heard(Arc<Mutex<Vec<u8>>>);

impl<S> Overheard<S> {
    pub(super) fn new(stream: S) -> (Self, Heard) {
        let heard = Arc::default();
        (Self { stream, heard: Arc::downgrade(&heard) }, Heard(heard))
    }
}

impl Heard {
    /// The reply in clear that the bytes begin with, if they do; its first line alone.
    pub(super) fn greeting(&self) -> Option<Reply> {
        beginning(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The reply in clear that the bytes begin with, or end with behind TLS; its first line alone.
    pub(super) fn reply(&self) -> Option<Reply> {
        reply(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn reply(bytes: &[u8]) -> Option<Reply> {
    let is_text = |bytes: &[u8]| bytes.iter().all(|b| !b.is_ascii_control() || matches!(b, b'\r' | b'\n' | b'\t'));
    // TLS is not text.
    let splits = (1..bytes.len()).map(|at| bytes.split_at(at));
    let behind = splits.filter(|(tls, rest)| !is_text(tls) && is_text(rest)).find_map(|(_, rest)| beginning(rest));
    beginning(bytes).or(behind)
}

fn beginning(bytes: &[u8]) -> Option<Reply> {
    let (code, rest) = bytes.split_at_checked(3)?;
    let is_code = matches!(code, [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9']);
    if !is_code || !matches!(rest.first(), None | Some(b' ' | b'-' | b'\r')) {
        return None;
    }
    let code = std::str::from_utf8(code).ok()?.parse().ok()?;
    let line = rest.split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
    Some(Reply { code, lines: vec![line.get(1..).unwrap_or_default().to_vec()] })
}

impl<S: AsyncRead + Unpin> AsyncRead for Overheard<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if let Some(heard) = self.heard.upgrade() {
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            let came = &buffer.filled()[before..];
            // What is no TLS comes at the end, if anything came before it.
            heard.clear();
            heard.extend_from_slice(&came[came.len().saturating_sub(MAX)..]);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Overheard<S> {
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
        assert_eq!(first(b"\x17\x03\x03\x00\x02\x8f\x01500 OOPS: no\r\n"), Some((500, b"OOPS: no".to_vec())));
        for other in [&b"\x15\x03\x03\x00\x02"[..], b"2200", b"", b"SSH-2.0", b"620 x", b"\x17500 x\x01"] {
            assert_eq!(first(other), None, "{}", other.escape_ascii());
        }
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded_and_passed_on() {
        let (here, mut there) = duplex(4096);
        let (mut first, heard) = Overheard::new(here);
        there.write_all(&[b'x'; 1000]).await.expect("written");
        let mut read = [0; 1000];
        first.read_exact(&mut read).await.expect("read");
        assert_eq!(read, [b'x'; 1000]);
        assert_eq!(heard.0.lock().expect("unpoisoned").len(), MAX);
        there.write_all(b"the last").await.expect("written");
        first.read_exact(&mut read[..8]).await.expect("read");
        assert_eq!(*heard.0.lock().expect("unpoisoned"), b"the last");
        drop(heard);
        there.write_all(b"more").await.expect("written");
        first.read_exact(&mut read[..4]).await.expect("read");
        assert_eq!(&read[..4], b"more");
    }
}
