//! Puts what can be had in an order that the server accepts: a depth-first walk over what needs what, without recursion,
//! which gives up a move wherever it closes a cycle.

use super::{Plan, Policy, Stage, Step, Why, moves::Moves, survey::Survey};
use crate::model::{Digest, Entry, Fingerprint, Kind, Operation, RelPath};

/// How many moves of a cycle are looked at for the one that is cheapest to send.
const CHOICES: usize = 8;

/// Plans a surveyed window.
///
/// # Errors
/// With a directory that cannot be renamed as a whole, by its new name: its move closes a cycle with none of a file in it.
pub(super) fn order(survey: Survey<'_>, moves: Moves, stage: &Stage, policy: Policy) -> Result<Plan, Vec<RelPath>> {
    let count = survey.sites.len();
    let mut walk = Walk {
        moves,
        states: vec![State::New; 2 * count],
        cursors: vec![0; 2 * count],
        vacated: vec![0; survey.groups.len()],
        survey,
        stack: Vec::new(),
        given_up: Vec::new(),
        trailing: false,
        plan: Plan::default(),
    };
    // Servers make a link only to what is there.
    for links in [false, true] {
        for i in 0..count {
            let site = &walk.survey.sites[i];
            if site.fills.is_some_and(|kind| (kind == Kind::Link) == links) && !site.fill_stuck {
                walk.reach(Node::fill(i));
            }
        }
    }
    for i in 0..count {
        walk.record(i);
    }
    walk.plan.parked = std::mem::take(&mut walk.survey.parked);
    walk.spare();
    for i in (0..count).rev() {
        let site = &walk.survey.sites[i];
        let wanted = site.draining || !(matches!(stage, Stage::Fill { .. }) || walk.survey.spares);
        if wanted && site.vacates.is_some() && !site.vacate_stuck {
            walk.trailing = !site.draining;
            walk.reach(walk.vacating(i).unwrap_or(Node::vacate(i)));
        }
    }
    walk.count_left_out(stage, policy);
    if walk.given_up.is_empty() { Ok(walk.plan) } else { Err(walk.given_up) }
}

/// One step that may be taken: to fill a site or to vacate it. A rename is the filling of its target.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Node(usize);

impl Node {
    fn fill(site: usize) -> Self {
        Self(2 * site)
    }

    fn vacate(site: usize) -> Self {
        Self(2 * site + 1)
    }

    fn site(self) -> usize {
        self.0 / 2
    }

    fn fills(self) -> bool {
        self.0.is_multiple_of(2)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    /// On the stack.
    Open,
    /// In the plan.
    Done,
}

struct Walk<'a> {
    survey: Survey<'a>,
    moves: Moves,
    states: Vec<State>,
    /// How many needs of each node are known to be met; kept when a node is taken off the stack unfinished.
    cursors: Vec<usize>,
    /// How many leading members of each group of twins are vacated: each member is passed once, not once for each twin.
    vacated: Vec<usize>,
    stack: Vec<Node>,
    /// Directories, by their new names, that cannot be renamed in any order.
    given_up: Vec<RelPath>,
    /// Nothing waits for the removals any more.
    trailing: bool,
    plan: Plan,
}

impl Walk<'_> {
    /// What needs nothing to be sent, or no more than permissions.
    fn record(&mut self, i: usize) {
        let site = &self.survey.sites[i];
        if site.blocked {
            return;
        }
        let path = &site.row.path;
        if let (true, Some(entry), Some(recorded)) = (site.settled, site.row.observed, site.row.recorded) {
            self.plan.records.push((path.clone(), entry.with_mode(recorded.mode())));
        }
        if let Some(mode) = site.remode {
            self.plan.steps.push(Step { operation: Operation::SetMode { path: path.clone(), mode }, why: Why::Mode });
        }
    }

    /// Plans `root` after everything that it needs.
    fn reach(&mut self, root: Node) {
        if self.states[root.0] != State::New {
            return;
        }
        self.open(root);
        while let Some(&top) = self.stack.last() {
            match self.next_need(top) {
                None => {
                    self.states[top.0] = State::Done;
                    self.stack.pop();
                    let step = self.step(top);
                    self.plan.steps.extend(step);
                }
                Some(need) if self.states[need.0] == State::New => self.open(need),
                Some(need) => self.break_cycle(need),
            }
        }
    }

    fn open(&mut self, node: Node) {
        if let Some(ring) = self.moves.ring_of(node.site()).filter(|_| node.fills()) {
            // It needs nothing else.
            ring.iter().for_each(|site| self.states[Node::fill(*site).0] = State::Done);
            self.plan.steps.push(self.rotation(ring));
            return;
        }
        self.states[node.0] = State::Open;
        self.stack.push(node);
    }

    fn rotation(&self, ring: &[usize]) -> Step {
        let bytes = |i: &usize| recorded(self.survey.sites[*i].row.recorded).map_or(0, |(print, _)| print.size);
        let mut names = ring.iter().map(|i| self.survey.sites[*i].row.path.clone());
        let is_dir = ring.iter().any(|i| self.survey.sites[*i].fills == Some(Kind::Dir));
        let (kind, bytes) = if is_dir { (Kind::Dir, 0) } else { (Kind::File, ring.iter().map(bytes).sum()) };
        let path = names.next().unwrap_or_else(|| self.survey.sites[0].row.path.clone());
        Step { operation: Operation::Rotate { path, others: names.collect(), kind, bytes }, why: Why::Moved }
    }

    /// The first need of `node` that is not met.
    fn next_need(&mut self, node: Node) -> Option<Node> {
        loop {
            let need = match self.need(node, self.cursors[node.0]) {
                Need::None => return None,
                Need::Met => None,
                Need::Of(need) => Some(need).filter(|need| *need != node && self.states[need.0] != State::Done),
            };
            if need.is_some() {
                return need;
            }
            self.cursors[node.0] += 1;
        }
    }

    /// The need number `n` of `node`.
    fn need(&mut self, node: Node, n: usize) -> Need {
        let i = node.site();
        let site = &self.survey.sites[i];
        if !node.fills() {
            return site.held_below.get(n).map_or(Need::None, |below| self.vacating(*below).into());
        }
        // What has to go before its directory is renamed.
        let first = self.moves.source_of(i).map_or(&[][..], |source| &self.survey.sites[source].held_below);
        if let Some(&below) = n.checked_sub(2).and_then(|n| first.get(n)) {
            return self.vacating(below).into();
        }
        let start = 2 + first.len();
        match (n, site.twins) {
            (0, _) => site.maker.map(Node::fill).into(),
            (1, _) => self.vacating(i).into(),
            (_, None) => Need::None,
            (_, Some(group)) => {
                let members = &self.survey.groups[group];
                let n = self.cursors[node.0].max(start + self.vacated[group]);
                self.cursors[node.0] = n;
                let Some(&twin) = members.get(n - start) else { return Need::None };
                let need = self.vacating(twin);
                if n - start == self.vacated[group] && need.is_none_or(|need| self.states[need.0] == State::Done) {
                    self.vacated[group] += 1;
                }
                need.into()
            }
        }
    }

    /// What vacates site `i`, if anything does.
    fn vacating(&self, i: usize) -> Option<Node> {
        let removal = || self.survey.sites[i].vacates.map(|_| Node::vacate(i));
        self.moves.target_of(i).map(Node::fill).or_else(removal)
    }

    /// Gives up a move of a file between `need`, which is on the stack, and the top, which needs it. There is one: only a move
    /// makes a removal need a fill. Whoever is in front of it on the stack needs its source vacated, and finds that
    /// easier now. Where only directories
    /// are moved, nothing comes of this plan.
    fn break_cycle(&mut self, need: Node) {
        let start = self.stack.iter().rposition(|n| *n == need).unwrap_or_default();
        let choices = (start..self.stack.len()).rev().filter(|at| self.moves_a(self.stack[*at], Kind::File)).take(CHOICES);
        match choices.min_by_key(|at| self.size(self.stack[*at])) {
            Some(at) => {
                self.moves.drop_to(self.stack[at].site());
                // The top itself needs the move at `start`; any other is needed by the node right in front of it.
                if at > start {
                    self.stack.drain(at..).for_each(|node| self.states[node.0] = State::New);
                }
            }
            None => {
                let dirs = self.stack[start..].iter().filter(|node| self.moves_a(**node, Kind::Dir));
                let dirs: Vec<RelPath> = dirs.map(|node| self.survey.sites[node.site()].row.path.clone()).collect();
                debug_assert!(!dirs.is_empty(), "a cycle without a move");
                self.given_up.extend(dirs);
                self.stack.last().into_iter().for_each(|top| self.cursors[top.0] += 1);
            }
        }
    }

    /// Whether `node` is the move of a file, or that of a directory.
    fn moves_a(&self, node: Node, kind: Kind) -> bool {
        let is_moved = |_: &usize| self.survey.sites[node.site()].fills == Some(kind);
        node.fills() && self.moves.source_of(node.site()).filter(is_moved).is_some()
    }

    fn size(&self, node: Node) -> u64 {
        match self.survey.sites[node.site()].row.observed {
            Some(Entry::File { print, .. }) => print.size,
            _ => 0,
        }
    }

    /// Keeps the sources that a waiting file may yet be renamed from, and the directories that hold them.
    fn spare(&mut self) {
        for i in (0..self.survey.sites.len()).rev() {
            let untouched = self.states[Node::vacate(i).0] == State::New;
            let site = &mut self.survey.sites[i];
            site.vacate_stuck |= self.moves.spared[i] && untouched && !site.draining;
            if site.vacate_stuck
                && let Some(holder) = site.holder
            {
                self.survey.sites[holder].vacate_stuck = true;
            }
        }
    }

    fn step(&self, node: Node) -> Option<Step> {
        let i = node.site();
        let site = &self.survey.sites[i];
        let path = site.row.path.clone();
        let (operation, why) = match (node.fills(), site.row.observed, site.vacates) {
            (true, Some(Entry::Dir { inode, mode }), _) => match self.moves.source_of(i) {
                Some(source) => {
                    let from = self.survey.sites[source].row.path.clone();
                    (Operation::RenameDir { from, to: path, inode }, Why::Moved)
                }
                None => (Operation::MakeDir { path, inode, mode }, self.why_filled(i)),
            },
            (true, Some(Entry::Link { target }), _) => (Operation::Link { path, target }, self.why_filled(i)),
            (true, Some(Entry::File { print, digest, mode }), _) => match self.moves.source_of(i) {
                Some(source) => {
                    let source = self.survey.sites[source].row;
                    let former = recorded(source.recorded);
                    let digest = digest.or(former.and_then(|(_, digest)| digest));
                    // Found by its content it may have a time of its own.
                    let retime = former.is_none_or(|(former, _)| former.mtime_ns != print.mtime_ns);
                    (Operation::Rename { from: source.path.clone(), to: path, print, digest, mode, retime }, Why::Moved)
                }
                None => {
                    let equal_to = self.equal_to(i, &print, digest);
                    let why = if equal_to.is_some() { Why::Touched } else { self.why_filled(i) };
                    (Operation::Put { path, print, equal_to, mode, like: None }, why)
                }
            },
            (false, observed, Some(kind)) => {
                let why = match observed {
                    Some(_) => Why::KindChanged,
                    None if self.trailing => Why::Vanished,
                    None => Why::InTheWay,
                };
                (if kind == Kind::Dir { Operation::RemoveDir { path } } else { Operation::RemoveFile { path } }, why)
            }
            _ => return None,
        };
        Some(Step { operation, why })
    }

    fn why_filled(&self, i: usize) -> Why {
        let site = &self.survey.sites[i];
        match (site.row.recorded, site.vacates) {
            (None, _) => Why::New,
            (Some(_), None) => Why::Changed,
            (Some(_), Some(_)) => Why::KindChanged,
        }
    }

    /// The content that the server holds at site `i`, if the file may have it still.
    fn equal_to(&self, i: usize, print: &Fingerprint, digest: Option<Digest>) -> Option<Digest> {
        let (former, held) = recorded(self.survey.sites[i].row.recorded)?;
        let may_be = former.size == print.size && digest.is_none_or(|digest| held == Some(digest));
        held.filter(|_| may_be && self.moves.target_of(i).is_none())
    }

    fn count_left_out(&mut self, stage: &Stage, policy: Policy) {
        let filling = matches!(stage, Stage::Fill { .. });
        self.plan.deferred += self.survey.hidden;
        let held = policy.removals.are_held();
        for (i, site) in self.survey.sites.iter().enumerate() {
            let holds = held && site.vacates.is_some() && !site.blocked && (site.in_the_way || !filling);
            self.plan.held += usize::from(holds);
            let vacates = site.vacates.is_some() && site.row.observed.is_none() && (!filling || site.draining) && !holds;
            let stays = site.vacate_stuck || (self.survey.spares && !site.draining);
            let left = vacates && stays && self.vacating(i).is_none_or(|node| self.states[node.0] == State::New);
            let stuck = site.fill_stuck && !site.is_parked();
            let waits = site.blocked && (site.settled || site.remode.is_some());
            self.plan.deferred += usize::from(stuck || waits || left);
        }
    }
}

enum Need {
    Of(Node),
    /// Nothing to wait for; look at the next one.
    Met,
    /// There are no more.
    None,
}

impl From<Option<Node>> for Need {
    fn from(node: Option<Node>) -> Self {
        node.map_or(Self::Met, Self::Of)
    }
}

fn recorded(entry: Option<Entry>) -> Option<(Fingerprint, Option<Digest>)> {
    match entry {
        Some(Entry::File { print, digest, .. }) => Some((print, digest)),
        _ => None,
    }
}
