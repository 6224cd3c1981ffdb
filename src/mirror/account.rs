//! [`Account`]: what can be said of one path, and why. Pure: from what the index holds, what is on the disk and what the
//! engine is about, all as values. It says `in-sync` only when nothing speaks against it.

use serde::{Deserialize, Serialize};

use crate::{
    index::{Ledger, Trouble},
    mirror::{
        pause::Pause,
        status::{InFlight, Withheld},
    },
    model::{Entry, Kind, Proof, RelPath, UnixMillis},
    scan::Sighting,
};

/// How a path is, in one word. The first of these that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathState {
    /// A rule ignores it: it is not mirrored.
    Ignored,
    /// It is of a kind that is not mirrored.
    Skipped,
    /// It could not be looked at.
    Unseen,
    /// Something changed, or may have changed, that was not looked at yet.
    Unlooked,
    /// A job on it, or on something below it, runs now.
    InFlight,
    /// Nobody knows what became of a job on it; the server is asked.
    InDoubt,
    /// Its removal waits for `approve`; or everything that is to be published together waits for something.
    Held,
    /// It failed, and is tried again at a known time.
    Waiting,
    /// It failed, and is tried again when it changes.
    Parked,
    /// It is to be put on the server, or removed there.
    Pending,
    /// It is neither here nor on the server.
    Absent,
    /// It is on the server as it is here.
    InSync,
}

impl PathState {
    /// The words that are shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ignored => "ignored",
            Self::Skipped => "skipped",
            Self::Unseen => "cannot be looked at",
            Self::Unlooked => "not looked at yet",
            Self::InFlight => "in flight",
            Self::InDoubt => "in doubt",
            Self::Held => "held back",
            Self::Waiting => "waiting",
            Self::Parked => "parked",
            Self::Pending => "pending",
            Self::Absent => "neither here nor on the server",
            Self::InSync => "in sync",
        }
    }

    /// Whether the server has it as it is here; what is on neither side is so, too.
    pub fn is_settled(self) -> bool {
        matches!(self, Self::InSync | Self::Absent)
    }

    /// Whether it stays like this until somebody does something about it.
    pub fn is_stuck(self) -> bool {
        matches!(self, Self::Ignored | Self::Skipped | Self::Held | Self::Parked)
    }
}

/// What can be said of one path; of the root, where `path` is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The mirror's name.
    pub mirror: String,
    /// The path below the mirror's root.
    pub path: String,
    /// In one word.
    pub state: PathState,
    /// When this was so.
    pub at: UnixMillis,
    /// Whether it was looked at after it was asked for.
    pub looked: bool,
    /// Why it is not in sync, if it is not.
    pub why: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// What is here, as it was last seen by a scan.
    pub here: Option<Side>,
    /// What the server has, as far as is known.
    pub there: Option<Side>,
    /// When the server's copy was last proven since it was sent, and how.
    #[serde(default)]
    pub proof: Option<Proof>,
    /// Since when it is pending.
    pub since: Option<UnixMillis>,
    /// How much is pending below it.
    pub pending_below: u64,
    /// Failed attempts so far.
    pub attempts: u32,
    /// When it is tried again.
    pub retry_at: Option<UnixMillis>,
    /// Jobs on it, or below it, that run now; the first 100.
    pub in_flight: Vec<InFlight>,
}

/// One side of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// `file`, `dir` or `link`.
    pub kind: String,
    /// A file's size in bytes.
    pub size: Option<u64>,
    /// When the file here was last modified; of the server's side, the one that was sent.
    pub modified: Option<UnixMillis>,
}

impl From<Entry> for Side {
    fn from(entry: Entry) -> Self {
        let kind = match entry.kind() {
            Kind::File => "file",
            Kind::Dir => "dir",
            Kind::Link => "link",
        };
        let print = match entry {
            Entry::File { print, .. } => Some(print),
            _ => None,
        };
        Self {
            kind: kind.to_owned(),
            size: print.map(|print| print.size),
            // What the server was only asked for has no time.
            modified: print.filter(|print| print.inode != 0).map(|print| UnixMillis(print.mtime_ns.div_euclid(1_000_000))),
        }
    }
}

/// What a running engine knows of a path besides its books.
#[derive(Clone, Debug, Default)]
pub(super) struct Live {
    /// It was looked at after it was asked for.
    pub(super) looked: bool,
    /// Why nothing can be concluded yet, if so: it, or something below it, is to be looked at.
    pub(super) unlooked: Option<String>,
    /// Why it, or something below or above it, could not be looked at.
    pub(super) unseen: Option<String>,
    pub(super) in_flight: Vec<InFlight>,
    /// A job that touches it or something below it is in doubt.
    pub(super) doubtful: bool,
    /// Jobs are promised, or a plan is due that may bring some about: what is pending may not have had its turn.
    pub(super) promised: bool,
    /// It, or something below it, is on the server under a temporary name.
    pub(super) staged: bool,
    /// Why nothing is published that is pending.
    pub(super) withheld: Option<Withheld>,
    /// Why removals wait, and what to do.
    pub(super) halt: Option<(String, String)>,
    /// Why the server cannot be used.
    pub(super) link: Option<LinkTrouble>,
    /// No job starts.
    pub(super) paused: Option<Pause>,
}

/// Why the server cannot be used.
#[derive(Clone, Debug)]
pub(super) struct LinkTrouble {
    pub(super) why: String,
    pub(super) hint: Option<String>,
    /// It is not tried again by itself.
    pub(super) stopped: bool,
}

/// Everything that a judgement rests on.
#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) mirror: String,
    pub(super) path: Option<RelPath>,
    pub(super) at: UnixMillis,
    pub(super) ledger: Ledger,
    /// `None`: no mirror runs.
    pub(super) live: Option<Live>,
    /// What is on the disk at this moment; `None` for the root.
    pub(super) sighting: Option<Sighting>,
}

/// Why something is not in sync, with what can be done about it.
#[derive(Clone)]
struct Finding {
    state: PathState,
    why: Option<String>,
    hint: Option<String>,
}

impl Finding {
    fn new(state: PathState, why: impl Into<String>) -> Self {
        Self { state, why: Some(why.into()), hint: None }
    }

    fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn plain(state: PathState) -> Self {
        Self { state, why: None, hint: None }
    }

    fn of(trouble: &Trouble, path: Option<&RelPath>) -> Self {
        let state = if trouble.retry_at.is_some() { PathState::Waiting } else { PathState::Parked };
        let why = if path == Some(&trouble.path) {
            trouble.problem.to_string()
        } else {
            format!("{}: {}", trouble.path, trouble.problem)
        };
        Self::new(state, why).with_hint(trouble.problem.hint())
    }
}

/// The account of a path.
pub(super) fn judge(evidence: Evidence) -> Account {
    let Finding { state, why, hint } = find(&evidence);
    let Evidence { mirror, path, at, ledger, live, .. } = evidence;
    let trouble = ledger.trouble.as_ref().or(ledger.trouble_below.as_ref());
    Account {
        mirror,
        path: path.map(|path| path.to_string()).unwrap_or_default(),
        state,
        at,
        looked: live.as_ref().is_some_and(|live| live.looked),
        why,
        hint,
        here: ledger.observed.map(Side::from),
        there: ledger.recorded.map(Side::from),
        proof: ledger.proof,
        since: ledger.since,
        pending_below: ledger.pending_below,
        attempts: trouble.map_or(0, |trouble| trouble.attempts),
        retry_at: trouble.and_then(|trouble| trouble.retry_at),
        in_flight: live.map(|live| live.in_flight).unwrap_or_default(),
    }
}

fn find(evidence: &Evidence) -> Finding {
    let Evidence { ledger, live, sighting, path, .. } = evidence;
    let nothing_known = ledger.observed.is_none() && ledger.recorded.is_none();
    match sighting {
        // What it was taken for before goes with the next look.
        Some(Sighting::Ignored { .. }) if nothing_known => return not_mirrored(PathState::Ignored, sighting.as_ref()),
        Some(Sighting::Skipped { .. }) if nothing_known => return not_mirrored(PathState::Skipped, sighting.as_ref()),
        Some(seen @ Sighting::Unreadable { .. }) => {
            return Finding::new(PathState::Unseen, seen.to_string())
                .with_hint("let the user that runs towline read it, or add it to the ignore rules");
        }
        _ => {}
    }
    if let Some(why) = live.as_ref().and_then(|live| live.unseen.as_ref()) {
        return Finding::new(PathState::Unseen, why);
    }
    if let Some(why) = unlooked(evidence) {
        return Finding::new(PathState::Unlooked, why);
    }
    let owed = ledger.pending || ledger.pending_below > 0 || ledger.promised;
    let Some(live) = live else { return at_rest(evidence, owed) };
    if !live.in_flight.is_empty() {
        return Finding::plain(PathState::InFlight);
    }
    if let (Some(pause), true) = (&live.paused, owed) {
        let state = if pause.until.is_some() { PathState::Waiting } else { PathState::Held };
        let hint = format!("`towline resume {}` ends that", evidence.mirror);
        return Finding::new(state, "the mirror is paused: nothing is sent").with_hint(hint);
    }
    if live.doubtful {
        return Finding::new(PathState::InDoubt, "nobody knows what became of an attempt; the server is asked");
    }
    if !owed {
        return settled(evidence);
    }
    let held = live.halt.as_ref().map(|(why, hint)| Finding::new(PathState::Held, why).with_hint(hint));
    if let (Some(held), true) = (&held, ledger.observed.is_none() && path.is_some()) {
        return held.clone();
    }
    if let Some(trouble) = ledger.trouble.as_ref() {
        return Finding::of(trouble, path.as_ref());
    }
    if let Some(link) = &live.link {
        let state = if link.stopped { PathState::Parked } else { PathState::Waiting };
        return Finding { hint: link.hint.clone(), ..Finding::new(state, &link.why) };
    }
    let below = ledger.trouble_below.as_ref().map(|trouble| Finding::of(trouble, path.as_ref()));
    let withheld = live.withheld.as_ref().map(|Withheld { why, hint, waits, .. }| {
        let state = if *waits { PathState::Waiting } else { PathState::Held };
        Finding::new(state, format!("it is published together with everything else, which is kept back: {why}")).with_hint(hint)
    });
    let below = withheld.clone().or(below);
    if live.promised {
        // Something else may go; what keeps the rest is said all the same.
        return Finding { state: PathState::Pending, ..below.unwrap_or(Finding::plain(PathState::Pending)) };
    }
    if live.staged && withheld.is_none() {
        return Finding::new(PathState::Pending, "it is staged, and published together with everything else");
    }
    if let Some(below) = below {
        return below;
    }
    held.unwrap_or_else(|| Finding::plain(PathState::Pending))
}

/// Without a running mirror: what its books say.
fn at_rest(evidence: &Evidence, owed: bool) -> Finding {
    const START: &str = "no daemon runs; start one with `towline run`, or run `towline sync`";
    let Evidence { ledger, path, .. } = evidence;
    if ledger.promised {
        return Finding::new(PathState::InDoubt, "nobody knows what became of the last attempt").with_hint(START);
    }
    match ledger.trouble.as_ref().or(ledger.trouble_below.as_ref()) {
        Some(trouble) if owed => Finding::of(trouble, path.as_ref()),
        _ if owed => Finding::plain(PathState::Pending).with_hint(START),
        _ => settled(evidence),
    }
}

fn settled(evidence: &Evidence) -> Finding {
    let Evidence { ledger, path, .. } = evidence;
    let absent = path.is_some() && ledger.observed.is_none() && ledger.recorded.is_none();
    Finding::plain(if absent { PathState::Absent } else { PathState::InSync })
}

fn not_mirrored(state: PathState, sighting: Option<&Sighting>) -> Finding {
    Finding { state, why: sighting.map(ToString::to_string), hint: None }
}

/// Why what the books say of the path may not be so any more.
fn unlooked(evidence: &Evidence) -> Option<String> {
    let Evidence { ledger, live, sighting, .. } = evidence;
    if let Some(why) = live.as_ref().and_then(|live| live.unlooked.clone()) {
        return Some(why);
    }
    if let Some(seen) = sighting {
        let here = match seen {
            Sighting::Mirrored(entry) => Some(*entry),
            _ => None,
        };
        let same = match (here, ledger.observed) {
            (None, None) => true,
            (Some(here), Some(observed)) => here.same_content(&observed),
            _ => false,
        };
        if !same {
            return Some("it changed since it was last looked at".to_owned());
        }
    }
    // A file was looked at just now; what lies in a directory was not.
    let whole = matches!(ledger.observed, Some(Entry::Dir { .. })) || sighting.is_none();
    (whole && live.is_none()).then(|| "no daemon runs: what changed in this directory since is not known".to_owned())
}

#[cfg(test)]
mod tests;
