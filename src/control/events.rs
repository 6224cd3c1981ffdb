//! `GET /v1/events`: server-sent events. Each is a [`Status`] as `GET /v1/status` has it: one at once, then one whenever
//! something changed, at most five a second. Nothing is kept for somebody who reads slowly: what comes next is how it is then.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{
    future::{BoxFuture, FutureExt, select_all},
    stream::unfold,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{Registry, Status};
use crate::mirror::{Handle, MirrorStatus};

/// Between two events there is at least so much time.
pub const APART: Duration = Duration::from_millis(200);
/// Somebody who hears nothing is told this often that there is nothing to hear, or the connection of one that is gone would stay.
const ALIVE: Duration = Duration::from_secs(15);

/// The route.
pub(super) async fn events(State(mirrors): State<Registry>) -> Response {
    let stream = unfold(Listener::new(mirrors), |mut listener| async move {
        let status = listener.next().await;
        // What this program has made it can write.
        let event = Event::default().event("status").json_data(&status).unwrap_or_default();
        Some((Ok::<_, Infallible>(event), listener))
    });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(ALIVE)).into_response()
}

/// Somebody who is told of changes.
pub(super) struct Listener {
    mirrors: Registry,
    /// Which mirrors there are.
    change: watch::Receiver<u64>,
    /// What each of them says; those that have ended say nothing any more.
    heard: Vec<Heard>,
    /// The next event comes no earlier.
    next: Instant,
    first: bool,
}

/// One mirror, as it was told of last.
struct Heard {
    handle: Handle,
    status: watch::Receiver<Arc<MirrorStatus>>,
    ended: bool,
}

impl Listener {
    pub(super) fn new(mirrors: Registry) -> Self {
        let change = mirrors.changes();
        Self { mirrors, change, heard: Vec::new(), next: Instant::now(), first: true }
    }

    /// How everything is, as soon as that is another way than it was told last. Who drops this looks by himself: the change that it was
    /// about is not told again.
    pub(super) async fn next(&mut self) -> Status {
        if !std::mem::take(&mut self.first) {
            self.changed().await;
            sleep_until(self.next).await;
        }
        self.next = Instant::now() + APART;
        self.change.borrow_and_update();
        // Marked as seen before it is read: what changes in between is told once more, not missed.
        self.heard = self.mirrors.all().into_values().map(Heard::new).collect();
        super::told_all(&self.mirrors)
    }

    async fn changed(&mut self) {
        let mut any: Vec<BoxFuture<'_, ()>> = Vec::new();
        let change = &mut self.change;
        any.push(
            async move {
                if change.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            .boxed(),
        );
        any.extend(self.heard.iter_mut().filter(|heard| !heard.ended).map(|heard| heard.changed().boxed()));
        select_all(any).await;
    }
}

impl Heard {
    fn new(handle: Handle) -> Self {
        let mut status = handle.status.clone();
        status.mark_unchanged();
        let ended = handle.commands.is_closed();
        Self { handle, status, ended }
    }

    /// It says something else, or nothing any more.
    async fn changed(&mut self) {
        tokio::select! {
            changed = self.status.changed() => if changed.is_err() {
                self.handle.commands.closed().await;
            },
            () = self.handle.commands.closed() => {}
        }
    }
}
