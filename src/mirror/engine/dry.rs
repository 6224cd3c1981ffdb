//! A dry run: look once, plan everything, do nothing.

use super::trashing;
use crate::{
    blocking::Priority,
    clock,
    index::{Index, IndexError, Note},
    mirror::{
        Publish, Settings,
        likes::{Search, Ways},
        look::{self, Seen},
        neighbours::Neighbours,
        siblings::Digests,
    },
    model::{Abilities, Digest, Done, How, Job, Kind, Operation, Outcome, PathSet, RelPath, RootIdentity, Settlement},
    plan::{self, Changed, Facts, Halt, Policy, Removals, Root, Stage, Step},
    scan::{Company, Found, Patterns, RootError, Rules, RulesError},
    watch::Dirty,
};

/// What a dry run came to, besides its steps.
#[derive(Debug)]
pub struct DryRun {
    /// Why removals would wait, if they would.
    pub halt: Option<Halt>,
    /// Removals that would wait.
    pub held: usize,
    /// What is gone here and would be left on the server.
    pub left: usize,
    /// Places that could not be looked at.
    pub unseen: Vec<String>,
}

/// Why a dry run did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum DryRunError {
    /// The index cannot be used.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// An ignore pattern is wrong.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The local directory cannot be looked at.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The scan broke off.
    #[error("the scan failed: {0}")]
    Scan(Box<str>),
}

/// Looks at the local directory once and plans what would be done, without a server; each planned step is handed to
/// `each`, in the order of the plan. `index` should be a copy: what is seen is noted in it. What the server is known to be able to do says
/// which files would not be sent as a whole.
///
/// # Errors
/// When the index or the ignore rules cannot be used, or the root cannot be read.
pub async fn dry_run(
    settings: &Settings,
    mut index: Index,
    abilities: Abilities,
    mut each: impl FnMut(Step) + Send,
) -> Result<DryRun, DryRunError> {
    let copies = abilities.copies == Some(true);
    let ways = Ways { copies, patches: copies && abilities.patches == Some(true), takes: settings.publish == Publish::Each };
    let growing = Patterns::new(&settings.append)?;
    let grows = |path: &RelPath| !copies && settings.publish == Publish::Each && growing.has(path);
    let known = index.note::<RootIdentity>(Note::Root)?;
    let renamed = index.note::<String>(Note::Source)?.is_some_and(|known| known != settings.source_name());
    let (found, empty, unseen) = observe(settings, &mut index).await?;
    let mut unread = index.undigested(usize::MAX >> 1)?;
    let neighbours = Neighbours::new(&settings.neighbours);
    if copies {
        unread.extend(index.undigested_alike(usize::MAX >> 1)?);
        unread.extend(neighbours.undigested(&index, usize::MAX >> 1)?);
    }
    if ways.takes {
        unread.extend(index.undigested_trashed(usize::MAX >> 1)?);
    }
    unread.sort_by(|a, b| a.0.cmp(&b.0));
    unread.dedup();
    let mut digests = look::digest(settings.place(), unread, Digests::default());
    while let Some(Seen::Digest(path, print, digest)) = digests.recv().await {
        index.note_digest(&path, &print, digest)?;
    }
    let deletes = index.deletes()?;
    let facts = Facts {
        root: match known {
            Some(known) if renamed || !known.is_like(&found) => Root::Replaced { recorded: known, found },
            _ => Root::Same,
        },
        root_empty: empty,
        waiting: deletes.files,
        recorded: deletes.recorded,
        recent: 0,
        // What a running mirror would find out by reading.
        changed: Changed::default(),
        approved: None,
    };
    let halt = plan::guard(&facts, settings.budget);
    let removals = if halt.is_some() { Removals::Held } else { Removals::Allowed };
    let policy = Policy { removals: trashing::as_planned(settings.disposal, removals), abilities: Abilities::UNKNOWN };
    let mut left = 0;
    loop {
        let mut window = index.window(None, usize::MAX >> 1, clock::now())?;
        if removals == Removals::Allowed && settings.publish == Publish::Each {
            window.moved = index.moved_dirs()?;
        }
        let mut plan = plan::plan(&window, &Stage::All, policy, &PathSet::default());
        let search = Search::of(&window.rows, &plan.steps, ways, grows);
        let known = search.ask(&index, &neighbours, |_| true)?;
        search.tell(known, &mut plan.steps);
        let is_of_dirs =
            |operation: &Operation| matches!(operation, Operation::RenameDir { .. } | Operation::Rotate { kind: Kind::Dir, .. });
        let renames = plan.steps.iter().any(|step| is_of_dirs(&step.operation));
        if renames {
            pretend(&mut index, &plan.steps)?;
        }
        for step in plan.steps {
            if trashing::is_left(settings.disposal, &step) {
                left += 1;
            } else {
                each(trashing::disposed(settings.disposal, step, clock::now()));
            }
        }
        // What is in a directory that is renamed is planned when it was.
        if !renames {
            return Ok(DryRun { halt, held: plan.held, left, unseen });
        }
    }
}

/// Notes `steps` as if they had been done.
fn pretend(index: &mut Index, steps: &[Step]) -> Result<(), IndexError> {
    let operations: Vec<Operation> = steps.iter().map(|step| step.operation.clone()).collect();
    let jobs = index.begin(&operations, clock::now())?;
    let settled = |job: Job| {
        let done = match &job.operation {
            Operation::Put { print, equal_to, .. } => {
                Done::Holds { print: *print, digest: equal_to.unwrap_or(Digest([0; 32])), sent: 0, how: How::Sent }
            }
            _ => Done::AsPlanned,
        };
        Settlement { job: job.id, outcome: Outcome::Done(done), retry_at: None }
    };
    let settlements: Vec<Settlement> = jobs.into_iter().map(settled).collect();
    index.settle(&settlements, clock::now())
}

/// Looks at the local directory once and notes what is there; says which it is, whether it is empty, and what could not be
/// looked at.
pub(in crate::mirror) async fn observe(
    settings: &Settings,
    index: &mut Index,
) -> Result<(RootIdentity, bool, Vec<String>), DryRunError> {
    let rules = Rules::new(&settings.source, &settings.patterns())?;
    let mut seen = look::scan(settings.place(), rules, Dirty::Everything, index.reader()?, Priority::Normal, Company::default());
    let mut root = None;
    let mut unseen = Vec::new();
    loop {
        match seen.recv().await {
            Some(Seen::Root { identity, empty }) => root = Some((identity, empty)),
            Some(Seen::NoRoot(e)) => return Err(e.into()),
            Some(Seen::Batch(batch)) => {
                let mut observations = Vec::with_capacity(batch.len());
                for found in batch {
                    match found {
                        Found::Seen(observation) => observations.push(observation),
                        Found::Link { .. } => {}
                        Found::Problem { path, trouble } => {
                            unseen.push(format!("{}: {trouble}", path.map(|p| p.to_string()).unwrap_or_default()));
                        }
                    }
                }
                index.observe(&observations, clock::now())?;
            }
            Some(Seen::Scanned { .. }) => break,
            Some(Seen::Unknown(e)) => return Err(e.into()),
            Some(Seen::Failed { why, .. }) => return Err(DryRunError::Scan(why.into())),
            Some(Seen::Digest(..) | Seen::Digested) | None => return Err(DryRunError::Scan("it ended unexpectedly".into())),
        }
    }
    let (identity, empty) = root.ok_or_else(|| DryRunError::Scan("it said nothing of the root".into()))?;
    Ok((identity, empty, unseen))
}
