//! The questions about single paths: how they are written in a URL, and their route. Paths are bytes, so they are
//! percent-encoded as such.

use std::{fmt, time::Duration};

use axum::{
    Json,
    extract::{Path as Param, RawQuery, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use tokio::time::timeout;

use super::{Registry, ask, gone, refuse, unknown};
use crate::{mirror::Command, model::RelPath};

/// A look is waited for this long at most.
pub const WITHIN: Duration = Duration::from_secs(600);

/// What is asked of a path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// Which; `None` is the root.
    pub path: Option<RelPath>,
    /// Whether it is looked at first.
    pub look: bool,
    /// How long to wait for the look, in whole seconds, [`WITHIN`] at most. After that the answer comes without it.
    pub within: Duration,
}

/// As the query of a URL.
impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "look={}&within={}", u8::from(self.look), self.within.as_secs())?;
        match &self.path {
            Some(path) => write!(f, "&path={}", escape(path.as_bytes())),
            None => Ok(()),
        }
    }
}

impl Question {
    /// Reads what [`Display`](fmt::Display) wrote. What is left out is as in the default.
    fn read(query: &str) -> Result<Self, String> {
        let mut question = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "look" => question.look = value == "1",
                "within" => {
                    let seconds = value.parse::<u64>().map_err(|_| format!("within={value:?} is no number of seconds"))?;
                    question.within = Duration::from_secs(seconds).min(WITHIN);
                }
                "path" => {
                    let bytes = unescape(value).ok_or_else(|| format!("path={value:?} is not percent-encoded"))?;
                    let path = RelPath::new(bytes).map_err(|e| format!("path={value:?} is no path in a mirror: {e}"))?;
                    question.path = Some(path);
                }
                _ => return Err(format!("{key:?} is nothing that can be asked")),
            }
        }
        Ok(question)
    }
}

/// `GET /v1/mirrors/NAME/account`.
pub(super) async fn account(State(mirrors): State<Registry>, Param(name): Param<String>, RawQuery(query): RawQuery) -> Response {
    let Some(handle) = mirrors.get(&name) else { return unknown(&mirrors, &name) };
    let Question { path, look, within } = match Question::read(query.as_deref().unwrap_or_default()) {
        Ok(question) => question,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, why),
    };
    let question = |look| {
        let path = path.clone();
        move |answer| Command::Account { path, look, answer }
    };
    let mut account = None;
    if look {
        account = timeout(within, ask(&handle, question(true))).await.ok();
    }
    let account = match account {
        Some(account) => account,
        None => ask(&handle, question(false)).await,
    };
    account.map_or_else(|| gone(&name), |account| Json(account).into_response())
}

/// Percent-encodes what may not stand in a path segment or a query's value (RFC 3986, sections 3.3 and 3.4).
pub(super) fn escape(segment: &[u8]) -> String {
    segment
        .iter()
        .map(|b| match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(*b).to_string(),
            _ => format!("%{b:02X}"),
        })
        .collect()
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let digits = after.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_question_is_read_as_it_was_asked(bytes in prop::collection::vec(1_u8.., 1..20), look: bool, seconds in 0_u64..600) {
            let path = RelPath::new(bytes).ok();
            let question = Question { path, look, within: Duration::from_secs(seconds) };
            prop_assert_eq!(Question::read(&question.to_string()), Ok(question));
        }

        #[test]
        fn nothing_that_is_asked_panics(query in ".*") {
            if let Ok(question) = Question::read(&query) {
                prop_assert!(question.within <= WITHIN);
            }
        }
    }

    #[test]
    fn what_leads_out_is_refused() {
        for query in ["path=..%2Fetc", "path=", "path=%2", "path=%zz", "path=a%00b", "within=soon", "no=1"] {
            assert!(Question::read(query).is_err(), "{query}");
        }
    }
}
