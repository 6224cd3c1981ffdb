//! The engine's ears and eyes: keeping the watcher alive, starting scans, noting what they see.

use std::sync::Arc;

use tokio::{task::JoinError, time::Instant};

use super::{GLANCE, Mirror, ROOT_AGAIN, Rooted, SCAN_UNWATCHED, WATCH_AGAIN, waiting::heard};
use crate::{
    blocking::{self, Priority},
    index::{Index, IndexError, Note},
    mirror::look::{self, Seen},
    model::{Entry, Observation, PathSet, RelPath, RootIdentity},
    remote::Remote,
    scan::{Found, Root, RootError, Rules, Summary},
    watch::{Dirty, Hint, Settle, WatchError, Watcher},
};

/// At most so many files are read in one go because their digest may save sending them.
const DIGESTS: usize = 10_000;
/// At most so many directories of one look are taken for renamed; in a tree that moved the first of them is above the others.
const MET: usize = 4096;
/// At most so many hints are taken in one turn.
const HINTS: usize = 64;

impl<R: Remote, W: Watcher> Mirror<R, W> {
    /// Starts the watcher if none runs. Whatever happened before it ran is found by a full scan.
    pub(super) fn keep_watching(&mut self) {
        let Some(start) = &self.start_watch else {
            return;
        };
        let now = Instant::now();
        if now >= self.glance_at && self.glance.is_none() {
            let root = self.settings.source.clone();
            self.glance = Some(blocking::spawn(move || Root::open(&root).ok().map(|root| root.identity())));
            self.glance_at = now + GLANCE;
        }
        if self.watcher.is_none() && self.starting.is_none() && now >= self.watch_again {
            let (start, root) = (Arc::clone(start), self.settings.source.clone());
            self.starting = Some(blocking::spawn(move || start(root)));
        }
    }

    /// The root was looked at: another one than the watcher's, or none, is a reason to look at everything.
    pub(super) fn glanced(&mut self, found: Option<RootIdentity>) {
        let same = match self.root {
            Rooted::Here { identity, .. } => found == Some(identity),
            Rooted::Missing => found.is_none(),
            Rooted::Unknown => true,
        };
        if !same && self.looking.is_none() {
            self.next_full = Instant::now();
        }
    }

    /// A watcher was started, or could not be.
    pub(super) fn watching(&mut self, started: Result<Result<W, WatchError>, JoinError>) {
        self.untold = true;
        match started {
            Ok(Ok(watcher)) => {
                self.watcher = Some(watcher);
                self.watched = None;
                self.watch.complete = true;
                self.watch.why = None;
                self.next_full = Instant::now();
            }
            Ok(Err(e)) => self.unwatched(format!("changes are not heard ({e}); the directory is scanned every minute instead")),
            Err(e) => self.unwatched(format!("changes are not heard ({e}); the directory is scanned every minute instead")),
        }
    }

    fn unwatched(&mut self, why: String) {
        if self.watch.why.as_ref() != Some(&why) {
            tracing::warn!(mirror = %self.settings.name, "{why}");
        }
        self.watch.complete = false;
        self.watch.why = Some(why);
        self.watch_again = Instant::now() + WATCH_AGAIN;
        self.next_full = self.next_full.min(Instant::now() + SCAN_UNWATCHED);
    }

    /// Takes a hint from the watcher.
    pub(super) fn hear(&mut self, hint: Hint) {
        self.untold = true;
        match &hint {
            Hint::RootGone => {
                self.watcher = None;
                self.watch.complete = false;
                self.watch.why = Some("the local directory was moved or removed".into());
                self.watch_again = Instant::now();
                self.next_full = Instant::now();
                return;
            }
            Hint::Limited => {
                let why = "the kernel's limit of watched directories was reached: some changes are found only by the scan every \
                           minute; raise fs.inotify.max_user_watches";
                if self.watch.complete {
                    tracing::warn!(mirror = %self.settings.name, "{why}");
                }
                self.watch.complete = false;
                self.watch.why = Some(why.into());
            }
            Hint::Overflow | Hint::Path(_) => {}
        }
        self.settle.hear(hint, Instant::now());
    }

    /// Takes some of the hints that are there already: who writes faster than the server takes would else never be heard.
    pub(super) async fn hear_more(&mut self) {
        for _ in 0..HINTS {
            let Some(hint) = heard(&mut self.watcher).await else { return };
            self.hear(hint);
        }
    }

    /// One look at a time; and the first waits for the watcher, so that one is enough.
    pub(super) fn may_look(&self) -> bool {
        self.looking.is_none() && (self.looked || self.starting.is_none())
    }

    /// The file at `path` is not what was observed: it is left alone until it was looked at again. Sending it before that
    /// could go on and on, as fast as the server takes it.
    pub(super) fn look_again(&mut self, path: RelPath) {
        self.settle.hear(Hint::Path(path.clone()), Instant::now());
        self.unsure.insert(path);
    }

    /// Starts a scan if one is due and none runs.
    pub(super) async fn look_if_due(&mut self) -> Result<(), IndexError> {
        let now = Instant::now();
        if !self.may_look() {
            return Ok(());
        }
        let due = [self.settle.take(now), self.unseen.due(now), (now >= self.next_full).then_some(Dirty::Everything)];
        let Some(dirty) = due.into_iter().flatten().reduce(Dirty::and) else { return Ok(()) };
        let dirty = self.reach.widen(dirty);
        let all = matches!(dirty, Dirty::Everything);
        self.reach.forget(&dirty);
        let reader = self
            .books
            .with(move |index| {
                if all {
                    // A parked path is tried again now and then: the operator may have mended the server's side.
                    index.release()?;
                }
                index.reader()
            })
            .await?;
        let rules = match self.rules.take() {
            Some(rules) => rules,
            None => match Rules::new(&self.settings.source, &self.settings.patterns()) {
                Ok(rules) => rules,
                Err(e) => {
                    self.scan_failed(e.to_string());
                    return Ok(());
                }
            },
        };
        if all {
            if self.looked {
                self.renew_marker().await?;
            }
            // What was heard so far is covered by it.
            self.settle = Settle::new(self.settings.quiet);
            self.next_full = now + self.interval();
        }
        let looks_at = |path: &&RelPath| match &dirty {
            Dirty::Everything => true,
            Dirty::Paths(dirty) => dirty.iter().any(|dirty| path.is_at_or_below(dirty)),
        };
        let (reviewed, unsure): (Vec<_>, Vec<_>) = self.unsure.iter().partition(looks_at);
        let (reviewed, unsure) = (reviewed.into_iter().cloned().collect(), unsure.into_iter().cloned().collect());
        (self.reviewed, self.unsure) = (reviewed, unsure);
        self.looking_at_all = all;
        self.unseen.begin(&dirty);
        self.begin_asked(&dirty);
        // Somebody waits for what was changed just now, and for a single pass.
        let priority = if all && self.start_watch.is_some() { self.settings.scan } else { Priority::Normal };
        self.looking = Some(look::scan(self.settings.place(), rules, dirty, reader, priority, self.digests.company()));
        self.untold = true;
        Ok(())
    }

    /// Whether something may have changed of which nothing was heard. A single pass looks for itself.
    pub(super) fn is_deaf(&self) -> bool {
        self.start_watch.is_some() && !self.watch.complete
    }

    fn interval(&self) -> std::time::Duration {
        if self.is_deaf() { self.settings.full_scan.min(SCAN_UNWATCHED) } else { self.settings.full_scan }
    }

    /// Takes what the looking thread tells.
    pub(super) async fn note(&mut self, seen: Option<Seen>) -> Result<(), IndexError> {
        match seen {
            Some(Seen::Root { identity, empty }) => {
                self.root = Rooted::Here { identity, empty };
                if self.watched.is_some_and(|watched| watched != identity) {
                    // The watcher hears what happens in a directory that is not the root any more.
                    self.watcher = None;
                    self.watched = None;
                    self.watch_again = Instant::now();
                } else if self.watcher.is_some() {
                    self.watched = Some(identity);
                }
                // The first one; or more is known of the same.
                let like = self.known_root.is_none_or(|known| known != identity && known.is_like(&identity));
                if !self.renamed && (like || !self.named) {
                    let root = if like { Some(identity) } else { self.known_root };
                    self.note_root(root).await?;
                }
                self.digests.is_of(self.known_root.filter(|known| !self.renamed && *known == identity));
            }
            Some(Seen::NoRoot(e)) => self.rootless(&e).await?,
            Some(Seen::Batch(found)) => self.observe(found).await?,
            Some(Seen::Scanned { summary, rules, empty }) => {
                self.rules = Some(rules);
                if let Rooted::Here { identity, .. } = self.root {
                    // As it is now: it may have been emptied while it was scanned.
                    self.root = Rooted::Here { identity, empty };
                }
                self.scanned(summary).await?;
            }
            Some(Seen::Unknown(e)) => return Err(e),
            Some(Seen::Failed { why, rules }) => {
                self.rules = Some(rules);
                self.scan_failed(why);
            }
            Some(Seen::Digest(path, print, digest)) => {
                self.books.with(move |index| index.note_digest(&path, &print, digest)).await?;
            }
            Some(Seen::Digested) => {
                self.looking = None;
                self.stale = true;
                self.untold = true;
            }
            None => self.scan_failed("the scan ended unexpectedly".into()),
        }
        Ok(())
    }

    async fn rootless(&mut self, why: &RootError) -> Result<(), IndexError> {
        self.looking = None;
        self.reviewed = PathSet::default();
        self.root = Rooted::Missing;
        self.digests.is_of(None);
        self.watcher = None;
        self.watch.complete = false;
        self.watch.why = Some(why.to_string());
        self.watch_again = Instant::now() + ROOT_AGAIN;
        self.next_full = Instant::now() + ROOT_AGAIN;
        self.unseen.fail(why.to_string());
        self.untold = true;
        self.guard().await?;
        self.answer_asked().await
    }

    async fn observe(&mut self, found: Vec<Found>) -> Result<(), IndexError> {
        let mut seen: Vec<Observation> = Vec::with_capacity(found.len());
        for found in found {
            match found {
                Found::Seen(observation) => seen.push(observation),
                Found::Link { path, through } => self.reach.insert(path, through),
                Found::Problem { path, trouble } => {
                    let place = path.as_ref().map(ToString::to_string).unwrap_or_default();
                    if self.unseen.meet(path, &trouble, self.interval(), Instant::now()) {
                        tracing::warn!(mirror = %self.settings.name, path = place, error = %trouble, "could not be looked at");
                    } else {
                        tracing::debug!(mirror = %self.settings.name, path = place, error = %trouble, "could not be looked at again");
                    }
                }
            }
        }
        let wall = self.wall();
        // While the first scan runs, batch after batch only adds to what is to be sent.
        let changed: Option<PathSet> = (!self.fresh).then(|| {
            let paths = seen.iter().map(|observation| match observation {
                Observation::Is(path, _) | Observation::Gone(path) | Observation::Ignored(path) => path.clone(),
            });
            paths.collect()
        });
        self.note_edits(&seen);
        let dir = |seen: &Observation| match seen {
            Observation::Is(path, Entry::Dir { inode, .. }) => Some((path.clone(), *inode)),
            _ => None,
        };
        let dirs: Vec<_> = if self.looking_at_all { Vec::new() } else { seen.iter().filter_map(dir).collect() };
        let note = move |index: &mut Index| {
            let observed = index.observe(&seen, wall)?;
            let elsewhere: PathSet = index.elsewhere(&dirs)?.into_iter().map(|(new, _)| new).collect();
            Ok((observed, dirs.into_iter().filter(|(dir, _)| elsewhere.contains(dir)).collect::<Vec<_>>()))
        };
        let (observed, doubles) = self.books.with(note).await?;
        let room = MET.saturating_sub(self.met.len());
        self.met.extend(doubles.into_iter().take(room));
        if observed.changed > 0 {
            self.untold = true;
            self.stale = true;
            if let Some(changed) = changed {
                self.outdate(&changed).await?;
            }
        }
        Ok(())
    }

    async fn scanned(&mut self, summary: Summary) -> Result<(), IndexError> {
        self.looking = None;
        self.reviewed = PathSet::default();
        for path in self.unseen.end() {
            let path = path.map(|path| path.to_string()).unwrap_or_default();
            tracing::info!(mirror = %self.settings.name, path, "is no trouble any more");
        }
        self.stale = true;
        self.untold = true;
        if self.looking_at_all {
            self.looked = true;
            self.fresh = false;
            self.skipped = summary.skipped;
            self.counters.listed += summary.dirs + 1;
            self.counters.listed_by_others += summary.shared;
            if summary.complete {
                let now = self.wall();
                self.last_full_scan = Some(now);
                self.books.with(move |index| index.set_note(Note::LastFullScan, Some(&now))).await?;
            }
            self.doubled = PathSet::default();
        } else if matches!(self.root, Rooted::Here { empty: true, .. }) {
            // What is not known to be gone from an empty directory went without a word.
            let deletes = self.books.with(|index| index.deletes()).await?;
            if deletes.files < deletes.recorded {
                self.next_full = Instant::now();
            }
        }
        self.find_former_names().await?;
        let (copies, takes) = (self.can_copy(), !self.is_together());
        let neighbours = Arc::clone(&self.neighbours);
        let files = move |index: &mut Index| {
            let mut files = index.undigested(DIGESTS)?;
            if copies {
                files.extend(index.undigested_alike(DIGESTS)?);
                files.extend(neighbours.undigested(index, DIGESTS)?);
            }
            if takes {
                files.extend(index.undigested_trashed(DIGESTS)?);
            }
            files.sort_by(|a, b| a.0.cmp(&b.0));
            files.dedup();
            Ok(files)
        };
        let files = self.books.with(files).await?;
        if !files.is_empty() {
            self.looking_at_all = false;
            self.looking = Some(look::digest(self.settings.place(), files, self.digests.clone()));
        }
        self.answer_asked().await
    }

    /// A directory has one name. One that was seen under a new name while the old one was not looked at since would be sent again,
    /// and its old one removed: both are looked at first. Once: on some file systems numbers mean little.
    async fn find_former_names(&mut self) -> Result<(), IndexError> {
        let met = std::mem::take(&mut self.met);
        if met.is_empty() {
            return Ok(());
        }
        for (new, old) in self.books.with(move |index| index.elsewhere(&met)).await? {
            if self.doubled.insert(new.clone()) {
                self.look_again(old);
                self.look_again(new);
            }
        }
        Ok(())
    }

    /// From now on this is the root.
    pub(super) async fn note_root(&mut self, root: Option<RootIdentity>) -> Result<(), IndexError> {
        (self.known_root, self.renamed, self.named) = (root, false, true);
        let source = self.settings.source_name();
        self.books
            .with(move |index| {
                index.set_note(Note::Root, root.as_ref())?;
                index.set_note(Note::Source, Some(&source))
            })
            .await
    }

    fn scan_failed(&mut self, why: String) {
        tracing::warn!(mirror = %self.settings.name, why, "a scan failed; everything is looked at again");
        self.looking = None;
        for path in std::mem::take(&mut self.reviewed).iter() {
            self.unsure.insert(path.clone());
        }
        self.unseen.fail(why);
        self.next_full = Instant::now() + ROOT_AGAIN;
        self.ask_again();
        self.untold = true;
    }
}
