//! Whose a directory on the server is: a small file in it names the state that mirrors to it. It is looked at before the first
//! job of a process and on every new session, so that a wrong path, a second machine or an old copy of the state is noticed
//! before anything is overwritten. What a person has to say to that is for the engine.
//!
//! The marker holds an id, of the machine and the state's place on it, and a turn: a random number that is another one for each process and after
//! each full scan, so that a copy of the state that fell behind does not know it. It is promised in the index before it is
//! written; the last one that surely was and the promised one are our own. It is written in place and not by a rename: nobody
//! but us reads it, and one that was cut off on the way is known by its beginning.

use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::{
    model::{Kind, RelPath, ServerCopy},
    remote::{Class, RemoteError, Session, Source},
};

/// The marker's name in the mirror's directory.
pub const MARKER: &str = ".towline-mirror";
/// The gitignore pattern that keeps a local file of that name from being mirrored.
pub(super) const PATTERN: &str = "/.towline-mirror";

/// Whose a directory is that the state `file` on the machine `machine` mirrors to: letters and digits.
pub fn identity(machine: &str, file: &Path) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(machine.as_bytes()).update(b"\0").update(file.as_os_str().as_encoded_bytes());
    hasher.finalize().to_hex().chars().take(32).collect()
}

/// A marker has fewer bytes.
const MOST: usize = 4096;
/// What a marker begins with.
const HEAD: &str = "towline-mirror 1\nid ";

/// What binds a mirror's state to a directory on a server; kept in the index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bond {
    /// Of this state (see [`identity`]), never changed.
    pub id: String,
    /// The turn of a marker that was surely written; 0: none was.
    pub written: u64,
    /// The turn that may have been written.
    pub promised: u64,
    /// The directory and its server, in words.
    pub target: String,
    /// A person said that the directory is ours, whatever its marker says.
    pub takes_over: bool,
}

/// What a look at the marker came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stand {
    /// Nobody looked yet.
    Unknown,
    /// It is ours, or nobody's until now.
    Ours,
    /// It is gone, though one was written.
    Missing,
    /// It is another's; what it says, in words.
    Foreign(String),
    /// The directory is another one than so far, and nobody's: nothing that was recorded is in it.
    Elsewhere,
}

/// What was found where the marker is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    Marker {
        id: String,
        turn: u64,
    },
    /// The first bytes of one with this much of an id.
    Torn(String),
    Other,
}

impl Bond {
    /// That of a new state.
    pub fn new(id: String, target: String) -> Self {
        Self { id, written: 0, promised: 0, target, takes_over: false }
    }

    /// With `turn`, which is not 0, for the next one; an earlier one that may not have been written yet comes first.
    #[must_use]
    pub fn next(self, turn: u64) -> Self {
        let promised = if self.promised == self.written { turn } else { self.promised };
        Self { promised, ..self }
    }

    /// Bound to `target`, where nothing was written yet.
    #[must_use]
    pub fn moved(self, target: String) -> Self {
        Self { written: 0, target, ..self }
    }

    fn text(&self) -> String {
        format!(
            "{HEAD}{}\nturn {}\n\nTowline mirrors to this directory. The file tells which state of it does: without it, or with\n\
             another one, nothing is removed or overwritten here until somebody agrees to it (towline approve).\n",
            self.id, self.promised
        )
    }

    /// What `found` in the directory `target` means.
    fn judge(&self, found: &Found, target: &str) -> Stand {
        let moved = self.target != target;
        match found {
            Found::Marker { id, turn } if *id == self.id && [self.written, self.promised].contains(turn) => Stand::Ours,
            // Of a state that was lost since: nothing is recorded, and so nothing can be lost by it.
            Found::Marker { id, .. } if *id == self.id && self.written == 0 && !moved => Stand::Ours,
            // A session or a server that ended while it was written: it says nothing of anybody else.
            Found::Torn(start) if self.id.starts_with(start.as_str()) && !moved => Stand::Ours,
            _ if moved && (self.takes_over || *found == Found::Nothing) => Stand::Elsewhere,
            _ if self.takes_over => Stand::Ours,
            Found::Nothing if self.written == 0 => Stand::Ours,
            Found::Nothing => Stand::Missing,
            Found::Marker { id, .. } if *id == self.id => Stand::Foreign(
                "it is that of another copy of this mirror's state: one was restored from a backup, or copied".into(),
            ),
            Found::Marker { id, .. } => Stand::Foreign(format!("it is that of another state ({id}, here {})", self.id)),
            Found::Torn(_) | Found::Other => Stand::Foreign("it cannot be read".into()),
        }
    }
}

impl Found {
    fn parse(text: &[u8]) -> Self {
        // What a file has that was never written to a disk before its power was cut.
        if text.iter().all(|byte| *byte == 0) {
            return Self::Torn(String::new());
        }
        let Ok(text) = std::str::from_utf8(text) else { return Self::Other };
        if HEAD.starts_with(text) {
            return Self::Torn(String::new());
        }
        let Some(rest) = text.strip_prefix(HEAD) else { return Self::Other };
        let Some((id, rest)) = rest.split_once('\n') else { return Self::Torn(rest.to_owned()) };
        let plain = !id.is_empty() && id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric());
        match rest.split_once('\n').map(|(turn, _)| turn.strip_prefix("turn ").map(str::parse)) {
            _ if !plain => Self::Other,
            Some(Some(Ok(turn @ 1..))) => Self::Marker { id: id.to_owned(), turn },
            Some(_) => Self::Other,
            None => Self::Torn(id.to_owned()),
        }
    }
}

/// What the sessions of one mirror share of it.
pub(super) struct Marking {
    known: Mutex<Known>,
    /// Held by whoever looks: the first one writes, the others find it written.
    turn: tokio::sync::Mutex<()>,
}

struct Known {
    bond: Bond,
    stand: Stand,
    /// The directory that sessions are in.
    target: String,
    /// The marker as it was when it was last found to be ours: one that looks like it is it.
    seen: Option<ServerCopy>,
}

impl Marking {
    pub(super) fn new(target: String) -> Self {
        let bond = Bond::new(String::new(), target.clone());
        Self { known: Mutex::new(Known { bond, stand: Stand::Unknown, target, seen: None }), turn: tokio::sync::Mutex::default() }
    }

    /// From now on `bond` holds, and nobody looked yet.
    pub(super) fn bind(&self, bond: Bond) {
        let mut known = self.lock();
        (known.bond, known.stand, known.seen) = (bond, Stand::Unknown, None);
    }

    pub(super) fn bond(&self) -> Bond {
        self.lock().bond.clone()
    }

    pub(super) fn stand(&self) -> Stand {
        self.lock().stand.clone()
    }

    /// The directory that sessions are in.
    pub(super) fn target(&self) -> String {
        self.lock().target.clone()
    }

    /// Whether nothing at all may be done.
    pub(super) fn bars(&self) -> bool {
        matches!(self.lock().stand, Stand::Foreign(_) | Stand::Elsewhere)
    }

    /// Looks at the marker, on a fresh session, and writes it where that is due. Whether a job may go on: not where things
    /// stand otherwise than when it was planned.
    ///
    /// # Errors
    /// When the session cannot be used.
    pub(super) async fn check<S: Session>(&self, session: &mut S) -> Result<bool, RemoteError> {
        let _turn = self.turn.lock().await;
        let marker = RelPath::new(MARKER).map_err(|e| RemoteError::new(Class::Name, e))?;
        let copy = match session.examine(&marker).await {
            Ok(copy) => copy,
            Err(e) if e.session_survives() => return Ok(self.give_up(&e)),
            Err(e) => return Err(e),
        };
        if copy.is_some_and(|copy| copy.modified.is_some() && Some(copy) == self.lock().seen) {
            return Ok(true);
        }
        let found = match copy {
            None => Found::Nothing,
            Some(ServerCopy { kind: Kind::File, size: Some(size), .. }) if size <= MOST as u64 => {
                match read(session, &marker, size).await {
                    Ok(text) => Found::parse(&text),
                    // There are accounts that may not read.
                    Err(e) if e.session_survives() => return Ok(self.give_up(&e)),
                    Err(e) => return Err(e),
                }
            }
            Some(_) => Found::Other,
        };
        let (bond, stand, before) = {
            let mut known = self.lock();
            let stand = known.bond.judge(&found, &known.target);
            let before = std::mem::replace(&mut known.stand, stand.clone());
            (known.bond.clone(), stand, before)
        };
        if stand != Stand::Ours {
            // What was missing when it was planned may go on missing.
            return Ok(stand == before && stand == Stand::Missing);
        }
        let current = matches!(&found, Found::Marker { id, turn } if *id == bond.id && *turn == bond.promised);
        let seen = if current { copy } else { write(session, &marker, bond.text()).await? };
        let mut known = self.lock();
        known.seen = seen;
        // Unless there is another bond by now.
        if seen.is_some() && known.bond.promised == bond.promised {
            known.bond.written = bond.promised;
            known.bond.takes_over = false;
            known.bond.target = known.target.clone();
        }
        Ok(true)
    }

    /// The server does not tell: that is no reason not to mirror.
    fn give_up(&self, why: &RemoteError) -> bool {
        tracing::warn!("whose the directory on the server is cannot be found out: {why}");
        self.lock().stand = Stand::Ours;
        true
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The marker's text, which has `size` bytes.
async fn read<S: Session>(session: &mut S, marker: &RelPath, size: u64) -> Result<Vec<u8>, RemoteError> {
    let (into, mut pieces) = mpsc::channel::<Bytes>(1);
    let collecting = async {
        let mut text = Vec::new();
        while let Some(piece) = pieces.recv().await {
            text.extend_from_slice(&piece);
        }
        text
    };
    let (fetched, text) = tokio::join!(session.fetch(marker, size, into), collecting);
    fetched.map(|()| text)
}

/// Writes the marker; `None` if the server will not have it, which is no reason not to mirror.
async fn write<S: Session>(session: &mut S, marker: &RelPath, text: String) -> Result<Option<ServerCopy>, RemoteError> {
    let length = text.len() as u64;
    let stored = match session.store(marker, &mut Text(text.into())).await {
        Ok(_) => session.examine(marker).await,
        Err(e) => Err(e),
    };
    match stored {
        Ok(Some(copy)) if copy.size == Some(length) => Ok(Some(copy)),
        Ok(_) => Err(RemoteError::new(Class::Transient, "the server does not hold the marker that it took")),
        Err(e) if e.session_survives() => {
            tracing::warn!("the directory on the server cannot be marked as this mirror's: {e}");
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

/// A body in memory.
struct Text(Bytes);

impl Source for Text {
    fn open(&mut self) -> mpsc::Receiver<Bytes> {
        let (tx, rx) = mpsc::channel(1);
        let _ = tx.try_send(self.0.clone());
        rx
    }
}

#[cfg(test)]
mod tests;
