//! Finds files whose content is on the server under another name, beside the directories that are renamed as a whole. Only candidates: which of them can be done in order is
//! for [`super::order`] to find out, which gives some up.

use std::collections::{HashMap, VecDeque};

use super::survey::{Site, Survey};
use crate::model::{Digest, Entry, Fingerprint, Kind, MOST_ROTATED};

/// Which file goes where, by index of site.
pub(super) struct Moves {
    /// By source: its target.
    to: Vec<Option<usize>>,
    /// By target: its source.
    from: Vec<Option<usize>>,
    /// By source: a file that must wait may yet be renamed from it, so it is removed only if it is in the way.
    pub(super) spared: Vec<bool>,
    /// Sites of which each one's content goes to the next, and the last one's to the first: they are renamed together.
    rings: Vec<Vec<usize>>,
    /// By site: the ring that it is in.
    ring: Vec<Option<usize>>,
}

impl Moves {
    /// No moves among `len` sites.
    pub(super) fn none(len: usize) -> Self {
        let (rings, ring) = (Vec::new(), vec![None; len]);
        Self { to: vec![None; len], from: vec![None; len], spared: vec![false; len], rings, ring }
    }

    /// Matches by what a rename leaves as it was, then by digest; each in preorder, so that the same rows always give the
    /// same moves. Files that can be filled now choose first.
    pub(super) fn find(survey: &Survey<'_>) -> Self {
        let sites = &survey.sites;
        let mut moves = Self::none(sites.len());
        for &(from, to) in &survey.renamed {
            moves.to[from] = Some(to);
            moves.from[to] = Some(from);
        }
        survey.turned.iter().for_each(|ring| moves.turn(ring.clone()));
        let mut sources = Sources::new(sites);
        let (ready, waiting): (Vec<usize>, Vec<usize>) =
            (0..sites.len()).filter(|i| is_target(&sites[*i]) && !sites[*i].is_parked()).partition(|i| !sites[*i].fill_stuck);
        for by in [By::Identity, By::Digest] {
            for &target in &ready {
                if moves.from[target].is_none()
                    && let Some(source) = sources.take(sites, target, by)
                {
                    moves.to[source] = Some(target);
                    moves.from[target] = Some(source);
                }
            }
        }
        for target in waiting {
            let source = sources.take(sites, target, By::Identity).or_else(|| sources.take(sites, target, By::Digest));
            if let Some(source) = source {
                moves.spared[source] = sites[source].row.observed.is_none();
            }
        }
        ready.into_iter().for_each(|site| moves.close(sites, site));
        moves
    }

    /// Finds out whether the move to `start` is one of a ring.
    fn close(&mut self, sites: &[Site<'_>], start: usize) {
        let mut ring = vec![start];
        while let Some(&at) = ring.last()
            && let Some(target) = self.to[at]
            && self.ring[target].is_none()
            && ring.len() <= MOST_ROTATED
        {
            if target == start {
                if ring.len() > 1 && ring.iter().all(|at| self.turns(sites, *at)) {
                    self.turn(ring);
                }
                return;
            }
            ring.push(target);
        }
    }

    fn turn(&mut self, ring: Vec<usize>) {
        ring.iter().for_each(|site| self.ring[*site] = Some(self.rings.len()));
        self.rings.push(ring);
    }

    /// Whether all that site `target` needs is a rename, but for the place that it comes to.
    fn turns(&self, sites: &[Site<'_>], target: usize) -> bool {
        let site = &sites[target];
        let former = self.from[target].and_then(|source| sites[source].row.recorded);
        let renamed = match (&site.row.observed, &former) {
            (Some(Entry::File { print: now, mode, .. }), Some(Entry::File { print: then, mode: had, .. })) => {
                now.moved_from(then) && (mode.is_none() || mode == had)
            }
            _ => false,
        };
        renamed && site.vacates.is_none() && site.maker.is_none() && site.twins.is_none()
    }

    /// The ring that site `i` is in.
    pub(super) fn ring_of(&self, i: usize) -> Option<&[usize]> {
        self.ring[i].map(|ring| &*self.rings[ring])
    }

    /// Where the file that is recorded at `source` goes.
    pub(super) fn target_of(&self, source: usize) -> Option<usize> {
        self.to[source]
    }

    /// Where the file that is to be at `target` is on the server.
    pub(super) fn source_of(&self, target: usize) -> Option<usize> {
        self.from[target]
    }

    /// Gives up the move to `target`: it is put.
    pub(super) fn drop_to(&mut self, target: usize) {
        if let Some(source) = self.from[target].take() {
            self.to[source] = None;
        }
    }
}

#[derive(Clone, Copy)]
enum By {
    Identity,
    Digest,
}

/// The recorded files that are not observed where they were, in preorder under each key.
struct Sources {
    by_identity: HashMap<(u64, u64, i64), VecDeque<usize>>,
    by_digest: HashMap<(Digest, u64), VecDeque<usize>>,
    used: Vec<bool>,
}

impl Sources {
    fn new(sites: &[Site<'_>]) -> Self {
        let mut by_identity: HashMap<_, VecDeque<_>> = HashMap::new();
        let mut by_digest: HashMap<_, VecDeque<_>> = HashMap::new();
        for (i, site) in sites.iter().enumerate().filter(|(_, site)| is_source(site)) {
            if let Some(Entry::File { print, digest, .. }) = &site.row.recorded {
                if print.inode != 0 {
                    by_identity.entry(identity(print)).or_default().push_back(i);
                }
                // Every empty file has the same digest; putting one costs nothing.
                if let (Some(digest), 1..) = (digest, print.size) {
                    by_digest.entry((*digest, print.size)).or_default().push_back(i);
                }
            }
        }
        Self { by_identity, by_digest, used: vec![false; sites.len()] }
    }

    fn take(&mut self, sites: &[Site<'_>], target: usize, by: By) -> Option<usize> {
        let Some(Entry::File { print, digest, .. }) = &sites[target].row.observed else { return None };
        let list = match by {
            By::Identity => self.by_identity.get_mut(&identity(print))?,
            By::Digest => self.by_digest.get_mut(&((*digest)?, print.size))?,
        };
        while list.front().is_some_and(|s| self.used[*s]) {
            list.pop_front();
        }
        let at = list.iter().position(|s| !self.used[*s] && agrees(*digest, &sites[*s]))?;
        let source = list.remove(at)?;
        self.used[source] = true;
        Some(source)
    }
}

fn identity(print: &Fingerprint) -> (u64, u64, i64) {
    (print.inode, print.size, print.mtime_ns)
}

/// Whether nothing speaks against the recorded content having this digest.
fn agrees(digest: Option<Digest>, source: &Site<'_>) -> bool {
    match (digest, &source.row.recorded) {
        (Some(a), Some(Entry::File { digest: Some(b), .. })) => a == *b,
        _ => true,
    }
}

/// A file whose content is not known to be at its path on the server.
fn is_target(site: &Site<'_>) -> bool {
    site.fills == Some(Kind::File)
        && match (&site.row.observed, &site.row.recorded) {
            (Some(Entry::File { print: o, .. }), Some(Entry::File { print: r, .. })) => !o.moved_from(r),
            _ => true,
        }
}

/// A recorded file whose name nobody has any more, or something else has that can be sent right after it. A file that was
/// changed in place is none: the copy that has its old content is not worth the time without a file of that name.
fn is_source(site: &Site<'_>) -> bool {
    let replaced = match (&site.row.observed, &site.row.recorded) {
        (Some(Entry::File { print: o, .. }), Some(Entry::File { print: r, .. })) => o.inode != r.inode,
        _ => true,
    };
    !site.blocked
        && match site.row.observed {
            None => true,
            Some(_) => replaced && site.fills.is_some() && !site.fill_stuck,
        }
}
