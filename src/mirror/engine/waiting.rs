//! What the loop waits for: each pends for ever while there is nothing to wait for.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use tokio::{
    sync::mpsc,
    task::{JoinError, JoinHandle},
};

use crate::{
    mirror::look::Seen,
    watch::{Hint, Watcher},
};

pub(super) async fn hear(looking: &mut Option<mpsc::Receiver<Seen>>) -> Option<Seen> {
    match looking {
        Some(looking) => looking.recv().await,
        None => std::future::pending().await,
    }
}

pub(super) async fn finished<T>(task: &mut Option<JoinHandle<T>>) -> Result<T, JoinError> {
    let Some(running) = task else { return std::future::pending().await };
    let result = running.await;
    *task = None;
    result
}

pub(super) async fn listen<W: Watcher>(watcher: &mut Option<W>) -> Hint {
    match watcher {
        Some(watcher) => watcher.next().await,
        None => std::future::pending().await,
    }
}

/// A hint that is there already.
pub(super) async fn heard<W: Watcher>(watcher: &mut Option<W>) -> Option<Hint> {
    poll_fn(|cx| match pin!(listen(watcher)).poll(cx) {
        Poll::Ready(hint) => Poll::Ready(Some(hint)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
