//! What the operator is told without asking: that the *state* of a mirror is another one, never that of a file. [`Notices`] decides,
//! pure: a state is told when it has lasted, so that what mends itself is not told at all. [`run`] has the configured programs say it.

use std::{collections::BTreeMap, process::Stdio, time::Duration};

use bytes::Bytes;
use serde::Serialize;
use tokio::{
    process::Command,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Registry,
    calls::{Caller, Manner},
    events::Listener,
};
use crate::{
    clock,
    config::{Ping, Program, WebAddress},
    mirror::{MirrorStatus, Phase},
    model::UnixMillis,
};

/// A program that says something may take this long.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is told there should arrive: a server that is started anew takes some minutes at worst.
const WEBHOOK: Manner = Manner { name: "the webhook", room: 100, again: &seconds([1, 5, 30, 120, 600]) };
/// What is old news need not: the next one comes soon.
const PING: Manner = Manner { name: "the ping", room: 1, again: &seconds([2, 10]) };

const fn seconds<const N: usize>(given: [u64; N]) -> [Duration; N] {
    let mut made = [Duration::ZERO; N];
    let mut at = 0;
    while at < N {
        made[at] = Duration::from_secs(given[at]);
        at += 1;
    }
    made
}

/// How a mirror is, as far as somebody would want to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Everything is on the server.
    Fine,
    /// The account was refused, or the state cannot be used.
    Stopped,
    /// Removals wait for `approve`.
    Held,
    /// The server cannot be used.
    Away,
    /// Nothing is published, since something keeps it that does not mend itself.
    Withheld,
    /// Paths cannot be mirrored as they are.
    Parked,
    /// Places cannot be looked at.
    Unseen,
}

impl Condition {
    /// The word for scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Stopped => "stopped",
            Self::Held => "held",
            Self::Away => "away",
            Self::Withheld => "withheld",
            Self::Parked => "parked",
            Self::Unseen => "unseen",
        }
    }

    /// What a status amounts to, the worst first; nothing while that is not known: it looks, or it sends.
    fn of(status: &MirrorStatus) -> Option<(Self, String)> {
        let name = &status.name;
        let said = |condition, words: String| Some((condition, format!("{name}: {words}")));
        if status.phase == Phase::Stopped {
            let why = status.stopped.as_deref().or(status.link.why.as_deref()).unwrap_or("see the log");
            return said(Self::Stopped, format!("stopped: {why}"));
        }
        if let Some(halt) = &status.halt {
            return said(Self::Held, format!("removals wait: {}; {}", halt.why, halt.hint));
        }
        if let Some(why) = &status.link.why {
            return said(Self::Away, format!("the server cannot be used: {why}"));
        }
        if let Some(withheld) = status.release.as_ref().and_then(|release| release.withheld.as_ref()).filter(|found| !found.waits)
        {
            return said(Self::Withheld, format!("nothing is published: {}; {}", withheld.why, withheld.hint));
        }
        if status.tally.parked > 0 {
            return said(
                Self::Parked,
                format!("{} cannot be mirrored as they are; see `towline status`", paths(status.tally.parked)),
            );
        }
        if let Some(unseen) = status.unseen.first() {
            return said(Self::Unseen, format!("{} cannot be looked at: {}", unseen.path, unseen.why));
        }
        match status.phase {
            Phase::InSync | Phase::AsScanned => said(Self::Fine, "everything is on the server again".to_owned()),
            _ => None,
        }
    }
}

fn paths(n: u64) -> String {
    if n == 1 { "1 path".to_owned() } else { format!("{n} paths") }
}

/// Something to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Of which mirror.
    pub mirror: String,
    /// How it is,
    pub now: Condition,
    /// and how it was when that was told last.
    pub was: Condition,
    /// For how long.
    pub lasted: Duration,
    /// In words.
    pub words: String,
}

/// What an address on the web is told: Slack and its kin show `text`, the rest is for scripts.
#[derive(Serialize)]
struct Told<'n> {
    text: &'n str,
    mirror: &'n str,
    from: &'static str,
    to: &'static str,
    since: UnixMillis,
    reason: &'n str,
}

impl Notice {
    /// As JSON, `now`.
    fn json(&self, now: UnixMillis) -> Bytes {
        let text = self.words.as_str();
        let reason = text.strip_prefix(self.mirror.as_str()).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(text);
        let lasted = i64::try_from(self.lasted.as_millis()).unwrap_or(i64::MAX);
        let since = UnixMillis(now.0.saturating_sub(lasted));
        let told = Told { text, mirror: &self.mirror, from: self.was.as_str(), to: self.now.as_str(), since, reason };
        // Of texts and numbers it can be made.
        serde_json::to_vec(&told).unwrap_or_default().into()
    }
}

/// Decides what is told, and when.
#[derive(Debug)]
pub struct Notices {
    after: Duration,
    known: BTreeMap<String, Known>,
}

#[derive(Debug)]
struct Known {
    /// What was told last; a mirror that nothing was told of is fine.
    told: Condition,
    /// How it is, since when, in words.
    now: Option<(Condition, Instant, String)>,
}

impl Notices {
    /// Tells of a state that has lasted for `after`.
    pub fn new(after: Duration) -> Self {
        Self { after, known: BTreeMap::new() }
    }

    /// Takes note of how the mirrors are, and says what is to be told.
    pub fn hear(&mut self, mirrors: &[MirrorStatus], now: Instant) -> Vec<Notice> {
        self.known.retain(|name, _| mirrors.iter().any(|mirror| mirror.name == *name));
        for mirror in mirrors {
            let known = self.known.entry(mirror.name.clone()).or_insert(Known { told: Condition::Fine, now: None });
            let Some((condition, words)) = Condition::of(mirror) else {
                // What is not known yet ends nothing: a link is tried, a parked path is sent again. But a link that works is not away.
                let away = |(now, ..): &(Condition, Instant, String)| matches!(now, Condition::Away | Condition::Stopped);
                if mirror.link.state == "up" && known.now.as_ref().is_some_and(away) {
                    known.now = None;
                }
                continue;
            };
            let since = known.now.as_ref().filter(|(was, ..)| *was == condition).map_or(now, |(_, since, _)| *since);
            known.now = Some((condition, since, words));
        }
        let due = |known: &mut Known| {
            let (condition, since, words) = known.now.as_ref().filter(|(_, since, _)| *since + self.after <= now)?;
            let was = std::mem::replace(&mut known.told, *condition);
            (was != *condition).then(|| (*condition, was, words.clone(), *since))
        };
        let found = self.known.iter_mut().filter_map(|(mirror, known)| {
            let (condition, was, words, since) = due(known)?;
            Some(Notice { mirror: mirror.clone(), now: condition, was, lasted: now - since, words })
        });
        found.collect()
    }

    /// When something is to be told though nothing changes.
    pub fn wakes_at(&self) -> Option<Instant> {
        let waits = self.known.values().filter_map(|known| known.now.as_ref().filter(|(now, ..)| *now != known.told));
        waits.map(|(_, since, _)| *since + self.after).min()
    }

    /// Whether all mirrors are well as far as is known: none is in a state that would be told, or was told last.
    pub fn all_is_well(&self) -> bool {
        let fine =
            |known: &Known| known.told == Condition::Fine && known.now.as_ref().is_none_or(|(now, ..)| *now == Condition::Fine);
        !self.known.is_empty() && self.known.values().all(fine)
    }
}

/// Who says it, and when.
#[derive(Clone)]
pub struct Tellers {
    /// Is run with each notice as its last argument.
    pub command: Option<Program>,
    /// Is called with each notice.
    pub webhook: Option<WebAddress>,
    /// A state is told when it has lasted so long.
    pub after: Duration,
    /// Is run or called as long as all is well: its silence is the alarm.
    pub ping: Option<Ping>,
    /// This often.
    pub ping_every: Duration,
}

/// Tells of the mirrors in `mirrors` until `stop`. No call to an address is waited for.
pub async fn run(mirrors: Registry, tellers: Tellers, stop: CancellationToken) {
    let at = match &tellers.ping {
        Some(Ping::Web(address)) => Some(address.clone()),
        _ => None,
    };
    let (webhook, hooks) = Caller::new(tellers.webhook.clone(), WEBHOOK);
    let (ping, pings) = Caller::new(at, PING);
    tokio::select! {
        () = stop.cancelled() => {}
        () = hear(mirrors, tellers, webhook, ping) => {}
        () = hooks => {}
        () = pings => {}
    }
}

async fn hear(mirrors: Registry, tellers: Tellers, webhook: Caller, called: Caller) {
    let mut notices = Notices::new(tellers.after);
    let mut listener = Listener::new(mirrors.clone());
    let mut ping_at = Instant::now() + tellers.ping_every;
    loop {
        let now = Instant::now();
        for notice in notices.hear(&super::told_all(&mirrors).mirrors, now) {
            tracing::info!(mirror = %notice.mirror, state = notice.now.as_str(), was = notice.was.as_str(), "{}", notice.words);
            webhook.tell(notice.json(clock::now()));
            if let Some(Program(command)) = &tellers.command {
                say(command, Some(&notice)).await;
            }
        }
        if ping_at <= now {
            ping_at = now + tellers.ping_every;
            match tellers.ping.as_ref().filter(|_| notices.all_is_well()) {
                Some(Ping::Program(Program(ping))) => say(ping, None).await,
                Some(Ping::Web(_)) => called.tell(Bytes::new()),
                None => {}
            }
        }
        let wake = notices.wakes_at().map_or(ping_at, |at| at.min(ping_at));
        tokio::select! {
            _ = listener.next() => {}
            () = sleep_until(wake) => {}
        }
    }
}

/// Runs a program to its end. That it failed is logged, and changes nothing.
async fn say(words: &[String], notice: Option<&Notice>) {
    let Some((program, arguments)) = words.split_first() else { return };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    if let Some(Notice { mirror, now, was, words, .. }) = notice {
        command.arg(words).env("TOWLINE_MIRROR", mirror).env("TOWLINE_STATE", now.as_str()).env("TOWLINE_WAS", was.as_str());
    }
    // The arguments may hold a secret address.
    match timeout(PATIENCE, command.status()).await {
        Ok(Ok(status)) if status.success() => {}
        Ok(Ok(status)) => tracing::warn!(program, %status, "the program that tells of states failed"),
        Ok(Err(error)) => tracing::warn!(program, %error, "the program that tells of states cannot be run"),
        Err(_) => tracing::warn!(program, "the program that tells of states did not end, and was ended"),
    }
}

#[cfg(test)]
mod tests;
