//! What each pending row asks for, what that needs, and what of it cannot be had now. Knows neither moves nor order:
//! without moves a removal needs removals only, so everything here is found by passes forth and back.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Bound,
};

use super::{Policy, Removals, Stage, judge::judge, moved::Moved};
use crate::model::{Entry, Fingerprint, Kind, Mode, PathSet, Problem, RelPath, Row, Window};

/// The rows in preorder with what was found out about them.
pub(super) struct Survey<'a> {
    /// One for each row.
    pub(super) sites: Vec<Site<'a>>,
    /// Sites to be vacated whose paths are equal but for case, in preorder; see [`Site::twins`].
    pub(super) groups: Vec<Vec<usize>>,
    /// What cannot be mirrored as it is called, and why.
    pub(super) parked: Vec<(RelPath, Problem)>,
    /// The directories that are renamed as a whole: from which site to which.
    pub(super) renamed: Vec<(usize, usize)>,
    /// The directories that took each other's names: what is at a site goes to the next one's, what is at the last to the first.
    pub(super) turned: Vec<Vec<usize>>,
    /// Rows that wait until a directory was renamed.
    pub(super) hidden: usize,
    /// What is gone is kept, as it may have moved into a directory that is renamed.
    pub(super) spares: bool,
}

/// One row. Other sites are named by their index.
pub(super) struct Site<'a> {
    pub(super) row: &'a Row,
    /// What is to come here.
    pub(super) fills: Option<Kind>,
    /// What is to be removed from here.
    pub(super) vacates: Option<Kind>,
    /// Nothing needs to be sent, only recorded.
    pub(super) settled: bool,
    /// The permissions that the server's copy is to get, where that is all.
    pub(super) remode: Option<Mode>,
    /// It cannot be mirrored as it is called.
    pub(super) parked: bool,
    /// It lies in a directory that cannot.
    pub(super) below_parked: bool,
    /// Observed below what is no directory any more: a scan is under way.
    adrift: bool,
    /// Adrift, not due, or touched by a live job.
    pub(super) blocked: bool,
    /// The nearest directory above that is to be made.
    pub(super) maker: Option<usize>,
    /// The nearest directory above that is to be removed.
    pub(super) holder: Option<usize>,
    /// The sites to be vacated whose `holder` is this one, in reverse preorder.
    pub(super) held_below: Vec<usize>,
    /// The group of sites to be vacated whose paths differ from this filled one at most in case.
    pub(super) twins: Option<usize>,
    /// It, or something that it needs, cannot be filled now.
    pub(super) fill_stuck: bool,
    /// It, or something that it needs, cannot be vacated now.
    pub(super) vacate_stuck: bool,
    /// Some fill needs this to be vacated.
    pub(super) in_the_way: bool,
    /// Below a directory that becomes a file and is not wholly in this window: vacated at once, so that a later window
    /// holds the rest.
    pub(super) draining: bool,
}

impl<'a> Survey<'a> {
    pub(super) fn new(window: &'a Window, moved: &Moved<'_>, stage: &Stage, policy: Policy, busy: &PathSet) -> Self {
        let own = window.rows.iter().map(|row| (row, false));
        let mut rows: Vec<(&Row, bool)> = own.chain(window.twins.iter().map(|row| (row, true))).collect();
        rows.sort_by(|a, b| a.0.path.cmp(&b.0.path));
        rows.dedup_by(|a, b| a.0.path == b.0.path);
        let all = rows.len();
        if moved.any() {
            rows.retain(|(row, _)| !moved.hides(&row.path));
        }
        let hidden = all - rows.len();
        let (busy, times) = (Busy::new(busy), policy.abilities.times == Some(true));
        let mut sites: Vec<Site<'_>> = rows.into_iter().map(|(row, twin)| Site::new(row, twin, stage, &busy, times)).collect();
        for site in sites.iter_mut().filter(|site| moved.leaves(&site.row.path)) {
            if moved.turns(&site.row.path) { site.turn() } else { site.leave() }
        }
        sites.iter_mut().filter(|site| moved.waits(&site.row.path)).for_each(|site| site.blocked = true);
        if policy.removals == Removals::HeldWithChanges {
            sites.iter_mut().for_each(Site::brake);
        }
        let parked = judge(&mut sites, &policy.abilities);
        let mut survey =
            Self { sites, groups: Vec::new(), parked, renamed: Vec::new(), turned: Vec::new(), hidden, spares: moved.any() };
        survey.relate();
        survey.pair_cases();
        survey.find_in_the_way();
        let cut = window.cut.as_ref();
        let held = policy.removals.are_held();
        survey.find_stuck(|row| held || !(moved.leaves(&row.path) || is_whole(row, stage, cut)));
        if matches!(stage, Stage::Fill { .. }) && !held {
            survey.find_draining(|row| !is_whole(row, stage, cut));
        }
        survey
    }

    /// Finds the directories above each site.
    fn relate(&mut self) {
        let mut above: Vec<usize> = Vec::new();
        for i in 0..self.sites.len() {
            let path = &self.sites[i].row.path;
            while above.last().is_some_and(|a| !path.is_at_or_below(&self.sites[*a].row.path)) {
                above.pop();
            }
            if let Some(&a) = above.last() {
                let parent = &self.sites[a];
                let maker = if parent.fills == Some(Kind::Dir) { Some(a) } else { parent.maker };
                let holder = if parent.vacates == Some(Kind::Dir) { Some(a) } else { parent.holder };
                let adrift = parent.adrift || !matches!(parent.row.observed, Some(Entry::Dir { .. }));
                let site = &mut self.sites[i];
                site.maker = maker;
                site.holder = holder;
                site.adrift = adrift && site.row.observed.is_some();
                site.blocked |= site.adrift;
            }
            above.push(i);
        }
        for i in (0..self.sites.len()).rev() {
            if let (Some(_), Some(holder)) = (self.sites[i].vacates, self.sites[i].holder) {
                self.sites[holder].held_below.push(i);
            }
        }
    }

    /// Finds the names that a server may take for one.
    fn pair_cases(&mut self) {
        let mut groups: HashMap<RelPath, usize> = HashMap::new();
        for (i, site) in self.sites.iter().enumerate().filter(|(_, s)| s.vacates.is_some()) {
            let group = *groups.entry(site.row.path.folded()).or_insert(self.groups.len());
            if group == self.groups.len() {
                self.groups.push(Vec::new());
            }
            self.groups[group].push(i);
        }
        if groups.is_empty() {
            return;
        }
        for site in self.sites.iter_mut().filter(|s| s.fills.is_some()) {
            site.twins = groups.get(&site.row.path.folded()).copied();
        }
    }

    fn find_in_the_way(&mut self) {
        for group in self.sites.iter().filter_map(|s| s.twins).collect::<BTreeSet<_>>() {
            self.groups[group].iter().for_each(|q| self.sites[*q].in_the_way = true);
        }
        for i in 0..self.sites.len() {
            let above = self.sites[i].holder.is_some_and(|h| self.sites[h].in_the_way);
            self.sites[i].in_the_way |= above && self.sites[i].vacates.is_some();
        }
    }

    /// Finds what cannot be had; `denied` says so of a row to be vacated.
    fn find_stuck(&mut self, denied: impl Fn(&Row) -> bool) {
        for i in (0..self.sites.len()).rev() {
            let site = &mut self.sites[i];
            let stays = if site.vacates.is_some() {
                site.vacate_stuck |= site.blocked || denied(site.row);
                site.vacate_stuck
            } else {
                site.row.recorded.is_some()
            };
            if stays && let Some(holder) = site.holder {
                self.sites[holder].vacate_stuck = true;
            }
        }
        let is_stuck = |group: &Vec<usize>| group.iter().any(|q| self.sites[*q].vacate_stuck);
        let groups: Vec<bool> = self.groups.iter().map(is_stuck).collect();
        for i in 0..self.sites.len() {
            let site = &self.sites[i];
            self.sites[i].fill_stuck = site.fills.is_some()
                && (site.blocked
                    || (site.vacates.is_some() && site.vacate_stuck)
                    || site.maker.is_some_and(|m| self.sites[m].fill_stuck)
                    || site.twins.is_some_and(|g| groups[g]));
        }
    }

    /// `partial` says of a row that more rows lie below it than the window shows.
    fn find_draining(&mut self, partial: impl Fn(&Row) -> bool) {
        for i in 0..self.sites.len() {
            let holder = self.sites[i].holder.map(|h| &self.sites[h]);
            let draining = holder.is_some_and(|h| h.draining || (h.fills.is_some() && partial(h.row)));
            self.sites[i].draining = draining && self.sites[i].vacates.is_some();
        }
    }
}

impl<'a> Site<'a> {
    /// What `row` asks for; a `twin` of which something is observed asks for nothing here.
    fn new(row: &'a Row, twin: bool, stage: &Stage, busy: &Busy, times: bool) -> Self {
        let (fills, vacates, settled) = match (&row.observed, &row.recorded) {
            (None, recorded) => (None, recorded.as_ref().map(Entry::kind), false),
            (Some(_), _) if twin || matches!(stage, Stage::Vacate { .. }) => (None, None, false),
            (Some(o), Some(r)) if o.same_content(r) => (None, None, false),
            (Some(o), Some(r)) if o.kind() != r.kind() => (Some(o.kind()), Some(r.kind()), false),
            (Some(o), Some(r)) if needs_nothing(o, r, times) => (None, None, true),
            (Some(o), _) => (Some(o.kind()), None, false),
        };
        let remode = match (&row.observed, &row.recorded) {
            (Some(o), Some(r)) if !twin && fills.is_none() && !matches!(stage, Stage::Vacate { .. }) && o.needs_mode_of(r) => {
                o.mode()
            }
            _ => None,
        };
        Self {
            row,
            fills,
            vacates,
            settled,
            remode,
            parked: false,
            below_parked: false,
            adrift: false,
            blocked: !row.due || busy.overlaps(&row.path),
            maker: None,
            holder: None,
            held_below: Vec::new(),
            twins: None,
            fill_stuck: false,
            vacate_stuck: false,
            in_the_way: false,
            draining: false,
        }
    }
}

impl Site<'_> {
    /// Its directory is called otherwise now. What may have come in its place comes when it is gone.
    fn leave(&mut self) {
        (self.fills, self.settled, self.remode) = (None, false, None);
        self.vacates = self.row.recorded.as_ref().map(Entry::kind);
    }

    /// Its directory is called otherwise now, and another one that is called so comes at the same time.
    fn turn(&mut self) {
        (self.fills, self.vacates, self.settled, self.remode) = (Some(Kind::Dir), None, false, None);
    }

    /// A file that is on the server stays there as it is.
    fn brake(&mut self) {
        self.blocked |= self.fills.is_some() && matches!(self.row.recorded, Some(Entry::File { .. }));
    }

    /// Whether it, or a directory that it is in, cannot be mirrored as it is called.
    pub(super) fn is_parked(&self) -> bool {
        self.parked || self.below_parked
    }
}

/// Whether the server has `observed` already, going by what is recorded there. Where it keeps `times`, these are part of what it
/// has: recorded as something else they would look changed by somebody else.
fn needs_nothing(observed: &Entry, recorded: &Entry, times: bool) -> bool {
    let second = |print: &Fingerprint| print.mtime_ns.div_euclid(1_000_000_000);
    match (observed, recorded) {
        (Entry::Dir { .. }, Entry::Dir { .. }) => true,
        (Entry::File { print: o, digest: Some(a), .. }, Entry::File { print: r, digest: Some(b), .. }) => {
            a == b && o.size == r.size && (!times || second(o) == second(r))
        }
        _ => false,
    }
}

/// Whether every pending row below what is recorded at `row` is in the window.
fn is_whole(row: &Row, stage: &Stage, cut: Option<&RelPath>) -> bool {
    if !matches!(row.recorded, Some(Entry::Dir { .. })) {
        return true;
    }
    let path = &row.path;
    let cut_off = cut.is_some_and(|cut| cut.is_at_or_below(path));
    match stage {
        Stage::All => !cut_off,
        // Of a twin from elsewhere nothing is known to be in the window.
        Stage::Fill { after } => {
            !cut_off && after.as_ref().is_none_or(|after| path >= after) && cut.is_none_or(|cut| path <= cut)
        }
        Stage::Vacate { before } => !before.as_ref().is_some_and(|b| b.is_at_or_below(path)),
    }
}

/// The keys of the paths that live jobs touch, folded.
struct Busy(BTreeSet<Vec<u8>>);

impl Busy {
    fn new(paths: &PathSet) -> Self {
        Self(paths.iter().map(|path| path.folded().to_key()).collect())
    }

    fn overlaps(&self, path: &RelPath) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let key = path.folded().to_key();
        let next = self.0.range::<[u8], _>((Bound::Included(key.as_slice()), Bound::Unbounded)).next();
        // NUL is the lowest byte: what lies below a path comes right behind it.
        next.is_some_and(|next| next.strip_prefix(&*key).is_some_and(|rest| rest.first().is_none_or(|b| *b == 0)))
            || (0..key.len()).any(|end| key[end] == 0 && self.0.contains(&key[..end]))
    }
}
