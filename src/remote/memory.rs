//! A server in memory that refuses what FTP refuses, with scripted faults: for tests of what is above. No network, no
//! clock; the same calls in the same order with the same script give the same answers.

mod error;
mod faults;
#[cfg(test)]
mod tests;
pub mod tree;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use error::MemoryError;
pub use faults::{Fault, Faults, Primitive};
use tree::{Manners, Node, Refusal, Tree, beside};

use super::{Change, Class, Duplicate, Listed, Listing, Remote, RemoteError, Session, Source};
use crate::model::{Abilities, Algorithm, Checksum, Kind, Mode, RelPath, ServerCopy, Stat, is_trash};

/// How a [`MemoryRemote`] behaves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The server's manners.
    pub manners: Manners,
    /// Removing what is gone and making what exists fail too, and every refusal is noted, see
    /// [`MemoryRemote::violations`].
    pub strict: bool,
    /// What the manners mean is not known; see [`Remote::abilities`].
    pub unknown: bool,
}

/// A server whose tree every clone and every session shares.
#[derive(Clone)]
pub struct MemoryRemote(Arc<Mutex<Shared>>);

/// One primitive that was asked of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its running number, from 0, over all sessions; the one that [`Faults`] are told.
    pub number: u64,
    /// Which.
    pub primitive: Primitive,
    /// The path, or a rename's old name; connecting and pinging have none.
    pub path: Option<RelPath>,
    /// A rename's new name.
    pub to: Option<RelPath>,
    /// What the script made of it.
    pub fault: Fault,
    /// Whether the server did it (the caller may have been told otherwise).
    pub done: bool,
}

struct Shared {
    options: Options,
    tree: Tree,
    faults: Faults,
    log: Vec<Call>,
    violations: Vec<String>,
    sessions: usize,
    stored: u64,
    /// Calls about the marker are like all others.
    marker_counts: bool,
    watcher: Option<Watch>,
}

/// Is told of each primitive when it is over, with the tree as it is then.
type Watch = Box<dyn FnMut(&Call, &Tree) + Send>;

/// Changes that are under way at once: when the reply to one is lost, so are those to the rest of its flight, which happen.
const FLIGHT: usize = 16;

impl MemoryRemote {
    /// An empty server without faults.
    pub fn new(options: Options) -> Self {
        Self(Arc::new(Mutex::new(Shared {
            options,
            tree: Tree::new(options.manners),
            faults: Faults::none(),
            log: Vec::new(),
            violations: Vec::new(),
            sessions: 0,
            stored: 0,
            marker_counts: false,
            watcher: None,
        })))
    }

    /// From now on, faults come as `faults` says.
    pub fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// From now on calls about the marker meet faults and are logged as all others are: at first they are not, so that scripts
    /// are about what is mirrored.
    pub fn count_marker(&self) {
        self.lock().marker_counts = true;
    }

    /// From now on `watch` is told of each primitive when it is over. It must not use this remote.
    pub fn watch(&self, watch: impl FnMut(&Call, &Tree) + Send + 'static) {
        self.lock().watcher = Some(Box::new(watch));
    }

    /// The tree as it is now.
    pub fn tree(&self) -> Tree {
        self.lock().tree.clone()
    }

    /// Does something to the tree behind the back of every session.
    pub fn edit<T>(&self, edit: impl FnOnce(&mut Tree) -> T) -> T {
        edit(&mut self.lock().tree)
    }

    /// What visitors see: everything but temporary files, the marker and the trash.
    pub fn live(&self) -> BTreeMap<RelPath, Node> {
        let is_ours = |path: &RelPath| is_temporary(path) || is_marker(path) || is_trash(path);
        self.lock().tree.entries().into_iter().filter(|(path, _)| !is_ours(path)).collect()
    }

    /// What lies in the trash: everything but its directories.
    pub fn trash(&self) -> BTreeMap<RelPath, Node> {
        self.lock().tree.entries().into_iter().filter(|(path, node)| is_trash(path) && *node != Node::Dir).collect()
    }

    /// The temporary files that are there now, in preorder.
    pub fn temporaries(&self) -> Vec<RelPath> {
        self.lock().tree.entries().into_keys().filter(is_temporary).collect()
    }

    /// Every primitive so far, oldest first.
    pub fn log(&self) -> Vec<Call> {
        self.lock().log.clone()
    }

    /// What a strict server was asked and refused, and sessions that were used after their death.
    pub fn violations(&self) -> Vec<String> {
        self.lock().violations.clone()
    }

    /// How many files and directories were removed, temporary files apart; what went to the trash was not.
    pub fn deletes(&self) -> usize {
        let removes = |call: &&Call| {
            let removal = matches!(call.primitive, Primitive::RemoveFile | Primitive::RemoveDir);
            removal && call.done && !call.path.as_ref().is_some_and(is_temporary)
        };
        self.lock().log.iter().filter(removes).count()
    }

    /// How many sessions are open.
    pub fn sessions(&self) -> usize {
        self.lock().sessions
    }

    /// How many bytes of bodies arrived.
    pub fn stored(&self) -> u64 {
        self.lock().stored
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the name is one that Towline gives to an upload under way.
fn is_temporary(path: &RelPath) -> bool {
    path.name().starts_with(b".towline-") && path.name().ends_with(b".part")
}

/// Whether it says whose directory it is.
fn is_marker(path: &RelPath) -> bool {
    path.as_bytes() == b".towline-mirror"
}

impl Remote for MemoryRemote {
    type Session = MemorySession;

    async fn connect(&self) -> Result<MemorySession, RemoteError> {
        tokio::task::yield_now().await;
        let mut shared = self.lock();
        let call = shared.call(Primitive::Connect, None, None);
        match call.fault {
            Fault::None => {
                shared.log.push(Call { done: true, ..call });
                shared.sessions += 1;
                Ok(MemorySession { remote: self.clone(), alive: true })
            }
            fault => {
                shared.log.push(call);
                Err(fault.error())
            }
        }
    }

    fn abilities(&self) -> Abilities {
        let Options { manners, unknown, .. } = self.lock().options;
        if unknown {
            return Abilities::UNKNOWN;
        }
        let keeps = Some(!manners.mangles);
        Abilities {
            folds_case: Some(manners.fold_case),
            leading_spaces: keeps,
            trailing_spaces: keeps,
            controls: keeps,
            non_utf8: keeps,
            chmod: Some(!manners.no_modes),
            symlink: Some(!manners.no_links),
            times: Some(true),
            copies: Some(manners.copies),
            patches: Some(manners.copies && manners.sums),
        }
    }
}

/// What a body takes the place of.
#[derive(Clone, Copy)]
enum To {
    All,
    End,
    Middle(u64),
}

/// A conversation with a [`MemoryRemote`].
pub struct MemorySession {
    remote: MemoryRemote,
    alive: bool,
}

impl MemorySession {
    /// Asks for a primitive that needs no body.
    async fn ask<T: Default>(
        &mut self,
        primitive: Primitive,
        path: Option<&RelPath>,
        to: Option<&RelPath>,
        act: impl FnOnce(&mut Tree) -> Result<T, Refusal>,
    ) -> Result<T, RemoteError> {
        tokio::task::yield_now().await;
        let mut shared = self.remote.lock();
        shared.check(self.alive, primitive)?;
        if shared.passes(path) {
            let acted = act(&mut shared.tree);
            return acted.map_err(|refusal| shared.refusal(primitive, path, refusal));
        }
        let call = shared.call(primitive, path, to);
        let result = match call.fault {
            Fault::Cut if primitive == Primitive::Copy => {
                let acted = act(&mut shared.tree);
                to.iter().filter(|_| acted.is_ok()).for_each(|to| shared.tree.halve(to));
                acted.map_err(Some)
            }
            Fault::Fail(_) | Fault::Cut => Err(None),
            Fault::None | Fault::LostReply => act(&mut shared.tree).map_err(Some),
        };
        shared.conclude(&mut self.alive, call, result)
    }
}

impl MemorySession {
    /// Stores a body, or adds it to what is there.
    async fn take(&mut self, path: &RelPath, body: &mut dyn Source, to: To) -> Result<u64, RemoteError> {
        tokio::task::yield_now().await;
        let call = {
            let mut shared = self.remote.lock();
            shared.check(self.alive, Primitive::Store)?;
            if shared.passes(Some(path)) {
                Call { number: u64::MAX, primitive: Primitive::Store, path: None, to: None, fault: Fault::None, done: true }
            } else {
                shared.call(Primitive::Store, Some(path), None)
            }
        };
        let mut sent = BytesMut::new();
        if !matches!(call.fault, Fault::Fail(_)) {
            let mut chunks = body.open();
            while let Some(chunk) = chunks.recv().await {
                sent.extend_from_slice(&chunk);
            }
        }
        let mut sent: Bytes = sent.freeze();
        let mut shared = self.remote.lock();
        if shared.passes(Some(path)) {
            let length = sent.len() as u64;
            let stored = shared.tree.store(path, sent);
            return stored.map(|()| length).map_err(|refusal| shared.refusal(Primitive::Store, Some(path), refusal));
        }
        let result = match call.fault {
            Fault::Fail(_) => Err(None),
            fault => {
                if fault == Fault::Cut {
                    sent.truncate(sent.len() / 2);
                }
                shared.stored += if is_marker(path) { 0 } else { sent.len() as u64 };
                let length = sent.len() as u64;
                let taken = match to {
                    To::All => shared.tree.store(path, sent),
                    To::End => shared.tree.append(path, &sent),
                    To::Middle(at) => shared.tree.overwrite(path, at, &sent),
                };
                taken.map(|()| length).map_err(Some)
            }
        };
        shared.conclude(&mut self.alive, call, result)
    }
}

impl Session for MemorySession {
    async fn store(&mut self, path: &RelPath, body: &mut dyn Source) -> Result<u64, RemoteError> {
        self.take(path, body, To::All).await
    }

    async fn append(&mut self, path: &RelPath, body: &mut dyn Source) -> Result<u64, RemoteError> {
        self.take(path, body, To::End).await
    }

    async fn overwrite(&mut self, path: &RelPath, at: u64, body: &mut dyn Source) -> Result<u64, RemoteError> {
        self.take(path, body, To::Middle(at)).await
    }

    fn overwrites(&self) -> bool {
        true
    }

    async fn size(&mut self, path: &RelPath) -> Result<Option<u64>, RemoteError> {
        self.ask(Primitive::Size, Some(path), None, |tree| Ok(tree.stat(path).and_then(|stat| stat.size))).await
    }

    async fn set_modified(&mut self, path: &RelPath, seconds: i64) -> Result<bool, RemoteError> {
        self.ask(Primitive::SetModified, Some(path), None, |tree| tree.set_modified(path, seconds).map(|()| true)).await
    }

    async fn set_mode(&mut self, path: &RelPath, mode: Mode) -> Result<bool, RemoteError> {
        let lacks = self.remote.lock().options.manners.no_modes;
        if lacks {
            return self.ask(Primitive::SetMode, Some(path), None, |_| Ok(false)).await;
        }
        self.ask(Primitive::SetMode, Some(path), None, |tree| tree.set_mode(path, mode).map(|()| true)).await
    }

    async fn make_link(&mut self, path: &RelPath, target: &[u8]) -> Result<(), RemoteError> {
        self.ask(Primitive::MakeLink, Some(path), None, |tree| tree.make_link(path, target)).await
    }

    async fn rename(&mut self, from: &RelPath, to: &RelPath) -> Result<(), RemoteError> {
        self.ask(Primitive::Rename, Some(from), Some(to), |tree| tree.rename(from, to)).await
    }

    async fn change_all(&mut self, changes: &[Change<'_>]) -> Vec<Result<bool, RemoteError>> {
        let mut results = Vec::with_capacity(changes.len());
        for (at, change) in changes.iter().enumerate() {
            results.push(self.change(*change).await);
            if !self.alive {
                let mut shared = self.remote.lock();
                if shared.log.last().is_some_and(|call| call.fault == Fault::LostReply) {
                    let flight = (at + 1)..changes.len().min((at / FLIGHT + 1) * FLIGHT);
                    changes[flight].iter().for_each(|change| shared.change_unheard(*change));
                }
                break;
            }
        }
        results
    }

    async fn change_in_turn(&mut self, groups: &[Vec<Change<'_>>]) -> Vec<Vec<Result<bool, RemoteError>>> {
        let mut results = Vec::with_capacity(groups.len());
        while let Some(group) = groups.get(results.len()).filter(|_| self.alive) {
            let mut own = Vec::with_capacity(group.len());
            for (at, change) in group.iter().enumerate() {
                own.push(self.change(*change).await);
                if own.last().is_some_and(Result::is_err) {
                    let mut shared = self.remote.lock();
                    // The rest was on its way already.
                    if !self.alive && shared.log.last().is_some_and(|call| call.fault == Fault::LostReply) {
                        group[at + 1..].iter().for_each(|change| shared.change_unheard(*change));
                    }
                    break;
                }
            }
            results.push(own);
        }
        results
    }

    async fn copy(&mut self, from: &RelPath, to: &RelPath, _bytes: u64) -> Result<(), RemoteError> {
        self.ask(Primitive::Copy, Some(from), Some(to), |tree| tree.duplicate(from, to)).await
    }

    async fn examine_beside(&mut self, base: &[u8], path: &RelPath) -> Result<Option<ServerCopy>, RemoteError> {
        self.examine(&beside(base, path)).await
    }

    async fn duplicate_beside(
        &mut self,
        base: &[u8],
        from: &RelPath,
        to: &RelPath,
        bytes: u64,
        summed: bool,
    ) -> Result<Duplicate, RemoteError> {
        self.duplicate(&beside(base, from), to, bytes, summed).await
    }

    async fn remove_file(&mut self, path: &RelPath) -> Result<(), RemoteError> {
        self.ask(Primitive::RemoveFile, Some(path), None, |tree| tree.remove_file(path)).await
    }

    async fn remove_dir(&mut self, path: &RelPath) -> Result<(), RemoteError> {
        self.ask(Primitive::RemoveDir, Some(path), None, |tree| tree.remove_dir(path)).await
    }

    async fn make_dir(&mut self, path: &RelPath) -> Result<(), RemoteError> {
        self.ask(Primitive::MakeDir, Some(path), None, |tree| tree.make_dir(path)).await
    }

    async fn stat(&mut self, path: &RelPath) -> Result<Option<Stat>, RemoteError> {
        self.ask(Primitive::Stat, Some(path), None, |tree| Ok(tree.stat(path))).await
    }

    async fn list(&mut self, dir: Option<&RelPath>) -> Result<Listing, RemoteError> {
        let hides_dots = self.remote.lock().options.manners.hides_dots;
        let entries = self.ask(Primitive::List, dir, None, |tree| tree.list(dir)).await?;
        let entries = entries.into_iter().map(|(name, node)| match node {
            Node::Dir => Listed { name, kind: Some(Kind::Dir), size: None, modified: None },
            Node::File { body, modified } => Listed { name, kind: Some(Kind::File), size: Some(body.len() as u64), modified },
            Node::Link { .. } => Listed { name, kind: Some(Kind::Link), size: None, modified: None },
        });
        let doubt = hides_dots.then(|| "names that start with a dot may have been left out".to_owned());
        Ok(Listing { entries: entries.collect(), doubt })
    }

    async fn fetch(&mut self, path: &RelPath, size: u64, into: mpsc::Sender<Bytes>) -> Result<(), RemoteError> {
        tokio::task::yield_now().await;
        let (call, body) = {
            let mut shared = self.remote.lock();
            shared.check(self.alive, Primitive::Fetch)?;
            let call = shared.call(Primitive::Fetch, Some(path), None);
            (call, shared.tree.body(path))
        };
        let mut wanted = true;
        let result = match body {
            _ if matches!(call.fault, Fault::Fail(_)) => Err(None),
            Err(refusal) => Err(Some(refusal)),
            Ok(mut body) => {
                let came = body.len() as u64;
                if call.fault == Fault::Cut {
                    body.truncate(body.len() / 2);
                }
                while wanted && !body.is_empty() {
                    let piece = body.split_to(body.len().min(64 * 1024));
                    wanted = into.send(piece).await.is_ok();
                }
                Ok(came)
            }
        };
        let came = self.remote.lock().conclude(&mut self.alive, call, result)?;
        if wanted && came == size {
            return Ok(());
        }
        self.alive = false;
        Err(RemoteError::new(Class::Transient, MemoryError::OtherSize))
    }

    async fn checksum(&mut self, path: &RelPath, part: Option<(u64, u64)>) -> Result<Option<Checksum>, RemoteError> {
        let sums = self.remote.lock().options.manners.sums;
        self.ask(Primitive::Checksum, Some(path), None, |tree| {
            let body = tree.body(path)?;
            let (first, end) = part.unwrap_or((0, body.len() as u64));
            let part = usize::try_from(first).ok().zip(usize::try_from(end).ok()).and_then(|(first, end)| body.get(first..end));
            Ok(part.filter(|_| sums).map(|part| Checksum::of(Algorithm::Sha256, part)))
        })
        .await
    }

    async fn examine(&mut self, path: &RelPath) -> Result<Option<ServerCopy>, RemoteError> {
        self.ask(Primitive::Stat, Some(path), None, |tree| Ok(tree.copy(path))).await
    }

    async fn prove(&mut self, fresh: &RelPath, path: &RelPath) -> Result<(Option<u64>, Option<ServerCopy>), RemoteError> {
        let size = self.size(fresh).await?;
        Ok((size, self.examine(path).await?))
    }

    async fn ping(&mut self) -> Result<(), RemoteError> {
        self.ask(Primitive::Ping, None, None, |_| Ok(())).await
    }

    async fn close(self) {}
}

impl Drop for MemorySession {
    fn drop(&mut self) {
        self.remote.lock().sessions -= 1;
    }
}

impl Shared {
    /// Fails on a session that is dead.
    fn check(&mut self, alive: bool, primitive: Primitive) -> Result<(), RemoteError> {
        if alive {
            return Ok(());
        }
        if self.options.strict {
            self.violations.push(format!("{primitive}: the session is dead"));
        }
        Err(RemoteError::new(Class::Transient, MemoryError::Dead))
    }

    /// Whether what is about `path` happens out of every script.
    fn passes(&self, path: Option<&RelPath>) -> bool {
        !self.marker_counts && path.is_some_and(is_marker)
    }

    /// What the caller is told of a refusal.
    fn refusal(&self, primitive: Primitive, path: Option<&RelPath>, refusal: Refusal) -> RemoteError {
        let class = if refusal == Refusal::NotEmpty { Class::NotEmpty } else { Class::Refused };
        RemoteError::new(class, MemoryError::Refused { primitive, path: path.cloned(), refusal })
    }

    /// Numbers a primitive and asks the script.
    fn call(&mut self, primitive: Primitive, path: Option<&RelPath>, to: Option<&RelPath>) -> Call {
        let (number, fault) = self.faults.next(primitive);
        Call { number, primitive, path: path.cloned(), to: to.cloned(), fault, done: false }
    }

    /// Logs the call and turns what came of it into what the caller is told. `Err(None)`: it was not tried.
    fn conclude<T: Default>(
        &mut self,
        alive: &mut bool,
        mut call: Call,
        result: Result<T, Option<Refusal>>,
    ) -> Result<T, RemoteError> {
        let fault = call.fault;
        call.done = result.is_ok() && fault != Fault::Cut;
        let answer = match result {
            Ok(value) => Ok(value),
            Err(None) => Err(fault.error()),
            Err(Some(refusal)) => self.refuse(&call, refusal).map(|()| T::default()),
        };
        self.note(call);
        let answer = if fault == Fault::None { answer } else { Err(fault.error()) };
        *alive = answer.as_ref().err().is_none_or(RemoteError::session_survives);
        answer
    }

    /// A change whose reply nobody hears.
    fn change_unheard(&mut self, change: Change<'_>) {
        let tree = &mut self.tree;
        let (primitive, path, to, acted) = match change {
            Change::Rename(from, to) => (Primitive::Rename, from, Some(to), tree.rename(from, to)),
            Change::RemoveFile(path) => (Primitive::RemoveFile, path, None, tree.remove_file(path)),
            Change::RemoveDir(path) => (Primitive::RemoveDir, path, None, tree.remove_dir(path)),
            Change::MakeDir(path) => (Primitive::MakeDir, path, None, tree.make_dir(path)),
            Change::SetModified(path, seconds) => (Primitive::SetModified, path, None, tree.set_modified(path, seconds)),
            Change::SetMode(path, mode) => (Primitive::SetMode, path, None, tree.set_mode(path, mode)),
        };
        let (path, to) = (Some(path.clone()), to.cloned());
        self.note(Call { number: u64::MAX, primitive, path, to, fault: Fault::LostReply, done: acted.is_ok() });
    }

    /// Logs a call that is over.
    fn note(&mut self, call: Call) {
        if let Some(watcher) = &mut self.watcher {
            watcher(&call, &self.tree);
        }
        self.log.push(call);
    }

    /// What the caller is told of a refusal: nothing, where what was asked for is so already.
    fn refuse(&mut self, call: &Call, refusal: Refusal) -> Result<(), RemoteError> {
        let in_place = match call.primitive {
            Primitive::MakeDir => {
                let kind = call.path.as_ref().and_then(|path| self.tree.stat(path)).map(|stat| stat.kind);
                refusal == Refusal::Exists && kind == Some(Kind::Dir)
            }
            Primitive::RemoveFile | Primitive::RemoveDir => refusal == Refusal::Missing,
            _ => false,
        };
        // Nobody knows which directories of the trash there are before one of them is missing.
        let is_known = !call.to.iter().chain(&call.path).any(is_trash)
            || !matches!(
                (call.primitive, refusal),
                (Primitive::MakeDir, Refusal::Exists)
                    | (Primitive::Rename | Primitive::Copy | Primitive::Store, Refusal::NoParent)
            );
        if in_place && !(self.options.strict && is_known) {
            return Ok(());
        }
        let error = MemoryError::Refused { primitive: call.primitive, path: call.path.clone(), refusal };
        if self.options.strict && is_known {
            self.violations.push(error.to_string());
        }
        let class = if refusal == Refusal::NotEmpty { Class::NotEmpty } else { Class::Refused };
        Err(RemoteError::new(class, error))
    }
}
