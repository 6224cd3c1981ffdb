//! The engine's answers: what is known of one path, after a look at it if one was asked for. Judges nothing; gathers what
//! [`account::judge`] needs.

use std::sync::atomic::Ordering;

use tokio::{sync::oneshot, time::Instant};

use super::{Mirror, Pass, Rooted};
use crate::{
    blocking,
    index::{IndexError, Reader},
    mirror::{
        Account, Settings,
        account::{self, Evidence, LinkTrouble, Live},
        crew::Running,
        retry::State,
        status::InFlight,
    },
    model::{RelPath, UnixMillis},
    remote::Remote,
    scan::{Place, Rules, RulesError, Sighting, explain},
    watch::{Dirty, Hint, Watcher},
};

/// So many wait for a look at once; whoever else asks is answered without one.
const ASKS: usize = 64;
/// At most so many jobs that run are named in an account.
const IN_FLIGHT: usize = 100;

/// Somebody who waits for a look.
pub(super) struct Ask {
    /// `None` is the root.
    path: Option<RelPath>,
    /// A look that began after the question is on its way.
    begun: bool,
    answer: oneshot::Sender<Account>,
}

impl<R: Remote, W: Watcher> Mirror<R, W> {
    /// Answers at once, or after a look that begins from here on.
    pub(super) async fn asked(
        &mut self,
        path: Option<RelPath>,
        look: bool,
        answer: oneshot::Sender<Account>,
    ) -> Result<(), IndexError> {
        self.asks.retain(|ask| !ask.answer.is_closed());
        if !look || self.asks.len() >= ASKS {
            return self.answer(path, false, answer).await;
        }
        match &path {
            Some(path) => self.settle.hear(Hint::Path(path.clone()), Instant::now()),
            None => self.next_full = Instant::now(),
        }
        self.untold = true;
        self.asks.push(Ask { path, begun: false, answer });
        Ok(())
    }

    /// A look at what is `dirty` begins.
    pub(super) fn begin_asked(&mut self, dirty: &Dirty) {
        for ask in &mut self.asks {
            ask.begun |= match (dirty, &ask.path) {
                (Dirty::Everything, _) => true,
                (Dirty::Paths(dirty), Some(path)) => dirty.iter().any(|dirty| path.is_at_or_below(dirty)),
                (Dirty::Paths(_), None) => false,
            };
        }
    }

    /// The look did not come to its end: everything is looked at soon.
    pub(super) fn ask_again(&mut self) {
        self.asks.iter_mut().for_each(|ask| ask.begun = false);
    }

    /// The look came to its end.
    pub(super) async fn answer_asked(&mut self) -> Result<(), IndexError> {
        let (begun, waiting): (Vec<Ask>, Vec<Ask>) = std::mem::take(&mut self.asks).into_iter().partition(|ask| ask.begun);
        self.asks = waiting;
        for ask in begun {
            self.answer(ask.path, true, ask.answer).await?;
        }
        Ok(())
    }

    async fn answer(&mut self, path: Option<RelPath>, looked: bool, answer: oneshot::Sender<Account>) -> Result<(), IndexError> {
        let asked = path.clone();
        let ledger = self.books.with(move |index| index.ledger(asked.as_ref())).await?;
        let live = self.live(path.as_ref(), looked);
        let (mirror, at) = (self.settings.name.clone(), self.wall());
        let (place, ignore) = (self.settings.place(), self.settings.ignore.clone());
        blocking::spawn(move || {
            // The patterns were compiled before.
            let Ok(sighting) = sight(&place, &ignore, path.as_ref()) else { return };
            let _ = answer.send(account::judge(Evidence { mirror, path, at, ledger, live: Some(live), sighting }));
        });
        Ok(())
    }

    fn live(&self, path: Option<&RelPath>, looked: bool) -> Live {
        let touches = |other: &RelPath| path.is_none_or(|path| other.is_at_or_below(path));
        let mut in_flight: Vec<InFlight> = Vec::new();
        for (job, sent) in self.crew.running().flat_map(Running::jobs) {
            if in_flight.len() < IN_FLIGHT && job.operation.touches().any(touches) {
                in_flight.push(InFlight::of(&job.operation, sent.load(Ordering::Relaxed)));
            }
        }
        let link = match self.link.state() {
            State::Waiting { why, hint, .. } => Some((why, hint, false)),
            State::Stopped { why, hint, .. } => Some((why, hint, true)),
            State::Up | State::Probing => None,
        };
        let rootless = self.root == Rooted::Missing;
        Live {
            looked,
            unlooked: self.unlooked(path, looked),
            unseen: self.unseen.at(path).or_else(|| rootless.then(|| "the directory is missing".to_owned())),
            in_flight,
            doubtful: path.map_or(!self.doubts.is_empty(), |path| self.doubtful.overlaps(path)),
            promised: self.publishing().is_some()
                || self.stale
                || self.pass != Pass::Over
                || !self.backlog.is_empty()
                || !self.schedule.is_empty(),
            staged: self.release.holds(path),
            withheld: self.release.withheld.clone(),
            halt: self.halt.as_ref().map(|note| (note.halt.to_string(), note.halt.hint(&self.settings.name))),
            paused: self.pause,
            link: link.map(|(why, hint, stopped)| LinkTrouble { why: why.clone(), hint: hint.map(str::to_owned), stopped }),
        }
    }

    /// Why the books may not say what is on the disk at and below `path`.
    fn unlooked(&self, path: Option<&RelPath>, looked: bool) -> Option<String> {
        if !looked && !self.looked {
            return Some("the directory was not looked at since the start".to_owned());
        }
        let heard = path.map_or(!self.settle.is_empty(), |path| self.settle.concerns(path));
        let unsure = |path: &RelPath| self.unsure.overlaps(path) || self.reviewed.overlaps(path);
        if heard || path.map_or(!self.unsure.is_empty() || !self.reviewed.is_empty(), unsure) {
            return Some("it is changing: it is looked at when it has held still".to_owned());
        }
        if self.looking.is_some() && !looked {
            return Some("the directory is being looked at".to_owned());
        }
        None
    }
}

/// What is at `path` on the disk; nothing of the root.
fn sight(place: &Place, ignore: &[String], path: Option<&RelPath>) -> Result<Option<Sighting>, RulesError> {
    let Some(path) = path else { return Ok(None) };
    let rules = Rules::new(&place.path, ignore)?;
    // A missing root is told by the books.
    Ok(place.open().ok().map(|root| explain(&root, &rules, path)))
}

/// What the books of a mirror that does not run say of `path`. Blocks.
///
/// # Errors
/// When the index cannot be read.
pub fn account_at_rest(
    settings: &Settings,
    reader: &Reader,
    path: Option<RelPath>,
    at: UnixMillis,
) -> Result<Account, IndexError> {
    let ledger = reader.ledger(path.as_ref())?;
    let sighting = sight(&settings.place(), &settings.ignore, path.as_ref()).ok().flatten();
    let mirror = settings.name.clone();
    Ok(account::judge(Evidence { mirror, path, at, ledger, live: None, sighting }))
}
