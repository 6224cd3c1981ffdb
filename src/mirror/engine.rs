//! The loop. Each turn: keep watching, look where something changed, plan and start what may be done, tell; then wait
//! for the first of an event, an ended job, a command, an alarm.

mod asking;
mod attending;
mod copying;
mod dry;
mod ending;
mod guarding;
mod housing;
mod looking;
mod planning;
mod recovering;
mod releasing;
mod scrubbing;
mod settling;
mod studying;
mod telling;
mod trashing;
#[cfg(test)]
mod truth;
mod turns;
mod waiting;

use std::{collections::VecDeque, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

pub use asking::account_at_rest;
pub(super) use dry::observe;
pub use dry::{DryRun, DryRunError, dry_run};
pub use guarding::reject;
use waiting::{finished, hear, listen};

use super::{
    Command, Event, Handle, MirrorError, Pause, Settings, Until,
    books::Books,
    crew::{Crew, Task},
    drift::Care,
    look::Seen,
    marker::{Bond, Stand},
    neighbours::Neighbours,
    retry::Link,
    schedule::Schedule,
    siblings::Digests,
    status::{Counters, Errors, HaltNote, MirrorStatus, WatchStatus},
    unseen::Unseen,
    worker::put::{self, Load},
};
use crate::{
    index::{FURTHEST_RETRY, Index, IndexError, Tally},
    model::{Abilities, Job, MovedDir, Operation, PathSet, RelPath, RootIdentity, UnixMillis},
    plan::{Approval, Policy, Removals},
    remote::Remote,
    scan::{Patterns, Reach, Rules, Skipped},
    watch::{Settle, WatchError, Watcher},
};

/// Rows planned at once. The larger, the more is planned as one whole; 4,096 rows are planned in a few milliseconds.
const WINDOW: usize = 4096;
/// Jobs are promised so many at once: a crash leaves no more than these in doubt, besides those that run.
const PROMISES: usize = 64;
/// A missing root is looked for again after this.
const ROOT_AGAIN: Duration = Duration::from_secs(2);
/// How often the root's identity is looked at.
const GLANCE: Duration = Duration::from_secs(5);
/// A watcher that could not be started is tried again after this.
const WATCH_AGAIN: Duration = Duration::from_secs(30);
/// The full-scan interval while the kernel does not tell of everything.
const SCAN_UNWATCHED: Duration = Duration::from_secs(60);
/// Running jobs get this long to finish when the mirror is stopped.
const WIND_DOWN: Duration = Duration::from_secs(2);
/// Deletes of the last so long count towards the budget together with those that are planned.
const RECENT: Duration = Duration::from_secs(600);
/// In a single pass a path is given up after so many attempts, and so is the link.
const PASS_ATTEMPTS: u32 = 3;

/// How far the planner went through the pending rows.
#[derive(Clone, Debug, PartialEq)]
enum Pass {
    Over,
    /// Fills come first, in preorder.
    Fill {
        after: Option<RelPath>,
    },
    /// Then removals, from the end.
    Vacate {
        before: Option<RelPath>,
    },
}

/// What is known of the local root.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rooted {
    Unknown,
    Missing,
    Here { identity: RootIdentity, empty: bool },
}

/// One mirror: its state between turns.
pub struct Mirror<R: Remote, W> {
    settings: Settings,
    remote: Arc<R>,
    books: Books,
    start_watch: StartWatch<W>,
    watcher: Option<W>,
    /// A watcher that is being started: it visits every directory.
    starting: Option<JoinHandle<Result<W, WatchError>>>,
    /// Which root the watcher watches.
    watched: Option<RootIdentity>,
    watch_again: Instant,
    /// A look at the root's identity, every few seconds: no event tells of a flipped symlink or a mount.
    glance: Option<JoinHandle<Option<RootIdentity>>>,
    glance_at: Instant,
    watch: WatchStatus,
    settle: Settle,
    rules: Option<Rules>,
    /// Files that only grow.
    growing: Patterns,
    /// What is known of the files by reading, here and in other mirrors of the directory.
    digests: Digests,
    /// Where followed links lead.
    reach: Reach,
    looking: Option<mpsc::Receiver<Seen>>,
    /// What the running scan looks at: whole tree or not.
    looking_at_all: bool,
    next_full: Instant,
    /// A full scan came to its end since the start.
    looked: bool,
    /// The server holds nothing yet, so nothing can have moved: uploads start while the first scan runs.
    fresh: bool,
    root: Rooted,
    known_root: Option<RootIdentity>,
    /// The configuration names another root than the one that is known.
    renamed: bool,
    /// The index knows by which name it is configured.
    named: bool,
    /// Somebody said that no job is to start.
    pause: Option<Pause>,
    halt: Option<HaltNote>,
    approval: Option<Approval>,
    /// Deletes done under the approval since it was last reckoned up.
    approved_done: u64,
    recent_deletes: VecDeque<(Instant, u64)>,
    removals: Removals,
    pass: Pass,
    /// The pass is for removals alone, since the server is full.
    make_room: bool,
    /// Something changed since the last pass began.
    stale: bool,
    /// The last pass left rows out that wait for something,
    left_out: bool,
    /// and something was done, or under way, that they may wait for.
    acting: bool,
    /// Planned, not promised yet; dropped when something fails or changes.
    backlog: VecDeque<Operation>,
    schedule: Schedule,
    /// Edits that were noticed and are not planned yet.
    edited: Vec<RelPath>,
    doubts: VecDeque<Doubt>,
    doubtful: PathSet,
    /// Files that turned out to be other than what was observed: nothing is done there before they were looked at again.
    unsure: PathSet,
    /// Those of them that the running scan looks at.
    reviewed: PathSet,
    /// Directories that the running look has seen while there was another name for them, with their inodes.
    met: Vec<(RelPath, u64)>,
    /// Those that seemed to have two names, and were looked at once more.
    doubled: PathSet,
    /// What the server was known to do when jobs were last promised.
    abilities: Abilities,
    /// The index was told that the server folds case.
    folds: bool,
    /// The server did not set permissions that it was asked for.
    mode_unset: bool,
    trash: trashing::Trash,
    release: releasing::Releasing,
    scrub: scrubbing::Scrubbing<R::Session>,
    /// When the server may be studied, if it is to be.
    study_at: Instant,
    crew: Crew<R>,
    /// Directories that looked moved when the pass began.
    moved: Vec<MovedDir>,
    /// Who else has something on this server.
    neighbours: Arc<Neighbours>,
    /// What binds the index to the directory on the server, as it is noted there.
    bond: Option<Bond>,
    readied: mpsc::UnboundedReceiver<()>,
    link: Link,
    status: watch::Sender<Arc<MirrorStatus>>,
    commands: mpsc::Receiver<Command>,
    // What is told.
    tally: Tally,
    counters: Counters,
    errors: Errors,
    skipped: Skipped,
    unseen: Unseen,
    last_success: Option<UnixMillis>,
    last_full_scan: Option<UnixMillis>,
    told: Instant,
    untold: bool,
    next_retry: Option<UnixMillis>,
    /// When the last pass began: what became due since then is planned by the next.
    planned_at: UnixMillis,
    /// Whether the index holds a note of the link's wait.
    link_noted: bool,
    /// Who asked for an account of a path and waits for a look.
    asks: Vec<asking::Ask>,
}

/// A job of which nobody knows what became of it.
struct Doubt {
    job: Job,
    /// How often the server was asked in vain.
    asked: u32,
    /// When it may be asked again.
    ask_at: Instant,
}

/// Starts the watcher; on a blocking thread, since it may have to visit every directory. `None`: nothing is watched (one pass).
pub type StartWatch<W> = Option<Arc<dyn Fn(PathBuf) -> Result<W, WatchError> + Send + Sync>>;

impl<R: Remote, W: Watcher> Mirror<R, W> {
    /// A mirror over `index` and `remote`, and the handle on it.
    ///
    /// # Errors
    /// When an ignore pattern is wrong.
    pub fn new(
        settings: Settings,
        index: Index,
        remote: Arc<R>,
        start_watch: StartWatch<W>,
    ) -> Result<(Self, Handle), MirrorError> {
        let rules = Rules::new(&settings.source, &settings.patterns())?;
        let growing = Patterns::new(&settings.append)?;
        let (status, status_rx) =
            watch::channel(Arc::new(MirrorStatus { name: settings.name.clone(), ..MirrorStatus::default() }));
        let (command_tx, commands) = mpsc::channel(8);
        let (crew, readied) = Crew::new(Arc::clone(&remote), &settings.seats);
        let (now, abilities) = (Instant::now(), remote.abilities());
        let digests = settings.siblings.join(index.file().to_owned());
        let mirror = Self {
            remote,
            abilities,
            folds: false,
            mode_unset: false,
            trash: trashing::Trash::new(now),
            release: releasing::Releasing::default(),
            scrub: scrubbing::Scrubbing::new(settings.scrub, now),
            study_at: now,
            crew,
            bond: None,
            readied,
            link: Link::new(),
            settle: Settle::new(settings.quiet),
            books: Books::new(index),
            start_watch,
            watcher: None,
            starting: None,
            watched: None,
            watch_again: now,
            glance: None,
            glance_at: now + GLANCE,
            watch: WatchStatus::default(),
            rules: Some(rules),
            growing,
            digests,
            reach: Reach::default(),
            looking: None,
            looking_at_all: false,
            next_full: now,
            looked: false,
            fresh: false,
            root: Rooted::Unknown,
            known_root: None,
            renamed: false,
            named: false,
            pause: None,
            halt: None,
            approval: None,
            approved_done: 0,
            recent_deletes: VecDeque::new(),
            removals: Removals::Held,
            pass: Pass::Over,
            make_room: false,
            stale: true,
            left_out: false,
            acting: false,
            backlog: VecDeque::new(),
            moved: Vec::new(),
            neighbours: Arc::new(Neighbours::new(&settings.neighbours)),
            schedule: Schedule::default(),
            edited: Vec::new(),
            doubts: VecDeque::new(),
            doubtful: PathSet::default(),
            unsure: PathSet::default(),
            reviewed: PathSet::default(),
            met: Vec::new(),
            doubled: PathSet::default(),
            status,
            commands,
            tally: Tally::default(),
            counters: Counters::default(),
            errors: Errors::default(),
            skipped: Skipped::default(),
            unseen: Unseen::default(),
            last_success: None,
            last_full_scan: None,
            told: now,
            untold: true,
            next_retry: None,
            planned_at: UnixMillis(i64::MIN),
            link_noted: false,
            asks: Vec::new(),
            settings,
        };
        Ok((mirror, Handle { status: status_rx, commands: command_tx }))
    }

    /// Runs until `stop`, or, for one pass, until nothing is left that can be done now. The last status is returned.
    ///
    /// # Errors
    /// When the index cannot be used; jobs that were running are in doubt then and are asked for at the next start.
    pub async fn run(mut self, until: Until, stop: CancellationToken) -> Result<Arc<MirrorStatus>, MirrorError> {
        self.recover(until).await?;
        loop {
            self.wake_retries();
            self.keep_watching();
            // In this order: between two looks something is planned, however fast the tree changes.
            self.start_jobs().await?;
            self.look_if_due().await?;
            self.tell().await?;
            if until == Until::Settled && self.pass_is_over().await? {
                break;
            }
            let alarm = self.alarm();
            tokio::select! {
                // What is ready at once is taken in this order, so that a simulation lives the same twice. What comes first is
                // rare, or needs a turn of its own before there is more of it; what may come as fast as somebody writes is last,
                // and every turn takes some of it.
                biased;
                () = stop.cancelled() => break,
                Some(command) = self.commands.recv() => self.obey(command).await?,
                started = finished(&mut self.starting) => self.watching(started),
                seen = finished(&mut self.glance) => self.glanced(seen.ok().flatten()),
                Some(()) = self.readied.recv() => self.opened().await?,
                slice = finished(&mut self.scrub.running) => self.scrubbed(slice.ok()).await?,
                // `None`: somebody waits for a session, and the turn gives up what is idle.
                ended = self.crew.next() => if let Some((task, end)) = ended {
                    self.settle(task, end).await?;
                },
                seen = hear(&mut self.looking) => self.note(seen).await?,
                hint = listen(&mut self.watcher) => self.hear(hint),
                () = sleep_until(alarm) => {}
            }
            self.hear_more().await;
        }
        self.wind_down().await
    }

    /// The wall clock.
    pub(super) fn wall(&self) -> UnixMillis {
        (self.settings.clock)()
    }

    /// Plans again when a path's backoff is over.
    fn wake_retries(&mut self) {
        let wall = self.wall();
        // Once is enough: while the server cannot be used nothing is planned, and this would come true at every turn.
        if !self.stale && self.next_retry.is_some_and(|at| at <= wall || at.since(wall) > FURTHEST_RETRY) {
            self.next_retry = None;
            self.stale = true;
            self.untold = true;
        }
    }

    fn doubt(&mut self, job: Job) {
        for path in job.operation.touches() {
            self.doubtful.insert(path.clone());
        }
        self.doubts.push_back(Doubt { job, asked: 0, ask_at: Instant::now() });
    }

    /// A doubt that may be asked about now.
    fn next_doubt(&mut self, now: Instant) -> Option<Doubt> {
        let at = self.doubts.iter().position(|doubt| doubt.ask_at <= now)?;
        self.doubts.remove(at)
    }

    /// Plans ahead and starts what may start. Doubts come first: nothing is planned on a path that is in doubt.
    async fn start_jobs(&mut self) -> Result<(), IndexError> {
        let now = Instant::now();
        self.crew.trim(now);
        if self.yields_scrub(now) {
            self.scrub.stop(now);
        }
        if !self.is_paused().await? {
            self.start_due(now).await?;
        }
        self.crew.make_way();
        self.crew.keep_warm(now);
        Ok(())
    }

    /// What may be started while nobody says that nothing is to be.
    async fn start_due(&mut self, now: Instant) -> Result<(), IndexError> {
        if self.crew.len() == 0 && self.crew.marking().stand() == Stand::Elsewhere {
            self.move_house().await?;
        }
        while !self.tend_release(now).await? {
            self.start_others(now).await?;
            if !self.is_together() || !self.assess(now).await? {
                break;
            }
        }
        Ok(())
    }

    /// What no release is needed for, and what makes one ready.
    async fn start_others(&mut self, now: Instant) -> Result<(), IndexError> {
        while self.allowance(now) > 0
            && let Some(doubt) = self.next_doubt(now)
        {
            let recorded = self.recorded(&doubt.job).await?;
            let operation = doubt.job.operation.clone();
            let witnesses = self.books.with(move |index| index.witnesses(&operation)).await?;
            let care = Care { witnesses, ..self.care(recorded) };
            self.start_row(Task::Resolve(doubt.job, doubt.asked), care, Vec::new());
        }
        if self.allowance(now) > 0 || self.crew.len() > 0 {
            if self.is_together() {
                self.plan_release().await?;
            } else {
                self.plan_ahead().await?;
            }
            self.tend_trash(now).await?;
            self.tend_scrub(now).await?;
            self.tend_study(now);
        }
        while self.allowance(now) > 0
            && let Some(job) = self.next_job()
        {
            self.start_with_row(job).await?;
        }
        // What is short goes out behind what is being sent, without a pause in between. But if it is the turn of something that
        // cannot, one session is left to come free for it.
        let spare = !self.schedule.next_fits(put::follows);
        while self.may_follow(now, spare)
            && let Some(job) = self.schedule.next_that(put::follows)
        {
            let recorded = self.recorded(&job).await?;
            let load = Load { job, care: self.care(recorded), sent: Arc::default() };
            if let Err(load) = self.crew.hand(load, spare) {
                // The session has just become free.
                self.start(Task::Run(load.job), load.care.recorded);
            }
        }
        Ok(())
    }

    /// What is not planned on now: what is worked on, in doubt, or about to be looked at again.
    fn busy(&self) -> PathSet {
        let mut busy = self.schedule.busy().clone();
        for path in self.doubtful.iter().chain(self.unsure.iter()).chain(self.reviewed.iter()) {
            busy.insert(path.clone());
        }
        busy
    }

    fn policy(&self) -> Policy {
        Policy { removals: trashing::as_planned(self.settings.disposal, self.removals), abilities: self.remote.abilities() }
    }

    /// Whether another put may be handed to a task that puts, with one of those left alone if `spare`.
    fn may_follow(&mut self, now: Instant, spare: bool) -> bool {
        self.link.is_up() && self.allowance(now) == 0 && !self.crew.marking().bars() && self.crew.has_room(spare)
    }

    /// How many more tasks may be started.
    fn allowance(&mut self, now: Instant) -> usize {
        if self.crew.marking().bars() {
            return 0;
        }
        let taken = self.crew.len() + usize::from(self.scrub.running.is_some());
        self.link.allowance(taken, self.crew.share(), now)
    }

    /// Whether the observed side is whole enough to conclude from.
    fn may_plan(&self) -> bool {
        self.root != Rooted::Missing && (self.fresh || (self.looked && self.looking.is_none()))
    }

    /// When the loop must turn even if nothing happens.
    fn alarm(&self) -> Instant {
        let now = Instant::now();
        let retry = self.next_retry.filter(|_| !self.stale).map(|at| now + at.since(self.wall()));
        let doubt = self.doubts.iter().map(|doubt| doubt.ask_at).min().filter(|at| *at > now);
        // What is overdue waits for the end of the pause.
        let acts = self.pause.is_none();
        [
            Some(self.next_full).filter(|_| self.may_look()),
            self.settle.deadline().filter(|_| self.may_look()),
            self.unseen.wakes_at().filter(|_| self.may_look()),
            self.pause_ends(now),
            self.link.wakes_at().filter(|_| acts),
            self.crew.trims_at(),
            retry,
            doubt,
            self.trash.wakes_at(now),
            self.release.again.filter(|_| acts),
            self.scrub.wakes_at(now).filter(|_| self.settings.scrub.every.is_some() && self.start_watch.is_some()),
            Some(self.glance_at).filter(|_| self.glance.is_none() && self.start_watch.is_some()),
            Some(self.watch_again).filter(|_| self.start_watch.is_some() && self.watcher.is_none() && self.starting.is_none()),
            self.told_again(),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(now + Duration::from_secs(3600))
        .max(now + Duration::from_millis(1))
    }

    fn tell_observer(&self, event: &Event) {
        if let Some(observer) = &self.settings.observer {
            observer(event);
        }
    }
}
