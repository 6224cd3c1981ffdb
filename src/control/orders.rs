//! What a mirror is told by whoever attends to it: pause and resume, retry; and what it is asked: its queue and its log.

use std::time::Duration;

use axum::{
    Json,
    body::Bytes,
    extract::{Path as Param, RawQuery, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Registry, ask, gone, refuse, unknown};
use crate::{mirror::Command, model::RelPath};

/// A list has at most so many entries,
pub const MOST: usize = 10_000;
/// and so many if nobody says how many.
const USUAL: usize = 100;

/// The body of `POST /v1/mirrors/NAME/pause`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseRequest {
    /// For so long; else until `resume`.
    #[serde(default)]
    pub seconds: Option<u64>,
}

/// The answer to `POST /v1/mirrors/NAME/resume`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// Whether it was paused.
    pub was_paused: bool,
}

/// The body of `POST /v1/mirrors/NAME/retry`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryRequest {
    /// At or below this path, relative to the mirror's root; else everywhere. Paths are bytes.
    #[serde(default)]
    pub path: Option<Vec<u8>>,
    /// The same as text, for those who have no other.
    #[serde(default)]
    pub name: Option<String>,
}

/// The answer to `POST /v1/mirrors/NAME/retry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retried {
    /// So many paths had failed, and are due.
    pub paths: u64,
}

/// `POST /v1/mirrors/NAME/pause`; answered with a [`crate::mirror::Pause`].
pub(super) async fn pause(State(mirrors): State<Registry>, Param(name): Param<String>, body: Bytes) -> Response {
    let span = match read::<PauseRequest>(&body) {
        Ok(asked) => asked.seconds.map(Duration::from_secs),
        Err(refused) => return *refused,
    };
    answer(&mirrors, &name, |answer| Command::Pause(span, answer)).await
}

/// `POST /v1/mirrors/NAME/resume`.
pub(super) async fn resume(State(mirrors): State<Registry>, Param(name): Param<String>) -> Response {
    let Some(handle) = mirrors.get(&name) else { return unknown(&mirrors, &name) };
    match ask(&handle, Command::Resume).await {
        Some(was_paused) => Json(Resumed { was_paused }).into_response(),
        None => gone(&name),
    }
}

/// `POST /v1/mirrors/NAME/retry`.
pub(super) async fn retry(State(mirrors): State<Registry>, Param(name): Param<String>, body: Bytes) -> Response {
    let asked = match read::<RetryRequest>(&body) {
        Ok(asked) => asked,
        Err(refused) => return *refused,
    };
    let path = match asked.path.or(asked.name.map(String::into_bytes)).map(RelPath::new).transpose() {
        Ok(path) => path,
        Err(e) => return refuse(StatusCode::BAD_REQUEST, e.to_string()),
    };
    let Some(handle) = mirrors.get(&name) else { return unknown(&mirrors, &name) };
    match ask(&handle, |answer| Command::Retry(path, answer)).await {
        Some(paths) => Json(Retried { paths }).into_response(),
        None => gone(&name),
    }
}

/// `GET /v1/mirrors/NAME/queue?limit=N`; answered with a [`crate::mirror::Queue`].
pub(super) async fn queue(State(mirrors): State<Registry>, Param(name): Param<String>, RawQuery(query): RawQuery) -> Response {
    match Range::read(query.as_deref().unwrap_or_default()) {
        Ok(Range { limit, .. }) => answer(&mirrors, &name, |answer| Command::Queue(limit, answer)).await,
        Err(why) => refuse(StatusCode::BAD_REQUEST, why),
    }
}

/// `GET /v1/mirrors/NAME/log?limit=N&after=ID`; answered with [`crate::mirror::LogEntry`]s, oldest first.
pub(super) async fn log(State(mirrors): State<Registry>, Param(name): Param<String>, RawQuery(query): RawQuery) -> Response {
    match Range::read(query.as_deref().unwrap_or_default()) {
        Ok(Range { limit, after }) => answer(&mirrors, &name, |answer| Command::Log { after, limit, answer }).await,
        Err(why) => refuse(StatusCode::BAD_REQUEST, why),
    }
}

/// What the mirror says to a command, as it is.
async fn answer<T: Serialize>(
    mirrors: &Registry,
    name: &str,
    command: impl FnOnce(tokio::sync::oneshot::Sender<T>) -> Command,
) -> Response {
    let Some(handle) = mirrors.get(name) else { return unknown(mirrors, name) };
    ask(&handle, command).await.map_or_else(|| gone(name), |said| Json(said).into_response())
}

/// A body in JSON, or none, which is the default.
fn read<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, Box<Response>> {
    if body.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body)
        .map_err(|e| Box::new(refuse(StatusCode::BAD_REQUEST, format!("the body is not understood: {e}"))))
}

/// Which part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    limit: usize,
    after: i64,
}

impl Range {
    /// Reads the query of a URL; what is left out is as usual.
    fn read(query: &str) -> Result<Self, String> {
        let mut range = Self { limit: USUAL, after: 0 };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let wrong = || format!("{key}={value:?} is no number");
            match key {
                "limit" => range.limit = value.parse::<usize>().map_err(|_| wrong())?.clamp(1, MOST),
                "after" => range.after = value.parse().map_err(|_| wrong())?,
                _ => return Err(format!("{key:?} is nothing that can be asked")),
            }
        }
        Ok(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_list_is_asked_for_by_numbers() {
        let read = |query| Range::read(query);
        assert_eq!(read(""), Ok(Range { limit: USUAL, after: 0 }));
        assert_eq!(read("after=7&limit=3"), Ok(Range { limit: 3, after: 7 }));
        assert_eq!(read("limit=0"), Ok(Range { limit: 1, after: 0 }));
        assert_eq!(read("limit=99999999"), Ok(Range { limit: MOST, after: 0 }));
        for wrong in ["limit=", "limit=-1", "after=x", "before=3"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
