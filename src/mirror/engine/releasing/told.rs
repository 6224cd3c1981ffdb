//! What came of each task of a release, and what follows from it for what is staged.

use tokio::time::Instant;

use super::{AGAIN, Mirror, Withheld, Work};
use crate::{
    mirror::{engine::settling::Turn, release::Part, worker::publish::Told},
    model::{Done, Job, Operation, Outcome},
    remote::{Class, Remote},
    watch::Watcher,
};

impl<R: Remote, W: Watcher> Mirror<R, W> {
    /// Takes what came of one task.
    pub(in crate::mirror::engine) fn take_told(&mut self, work: &Work, told: Told, turn: &mut Turn) {
        let objects = told.objects();
        let Told { settled, kept, left, aside, look_again, trouble, mode_unset, .. } = told;
        match &trouble {
            Some(e) if !e.session_survives() || e.class == Class::Full => self.link_failed(e),
            _ => self.link_works(),
        }
        if mode_unset && !std::mem::replace(&mut self.mode_unset, true) {
            tracing::warn!(mirror = %self.settings.name, "the server does not set permissions (SITE CHMOD)");
        }
        turn.aside.extend(aside);
        look_again.into_iter().for_each(|path| self.look_again(path));
        self.untold = true;
        match work {
            Work::Prove(_) => {
                kept.into_iter().for_each(|part| self.release.keep(part));
                self.release.unproven.extend(left);
                self.stale = true;
            }
            Work::Discard(_) => self.release.unwanted.extend(left),
            Work::Review(_) if objects => match trouble {
                Some(e) if e.session_survives() => {
                    let (why, hint) =
                        (format!("the server does not say what it holds: {e}"), e.hint.unwrap_or_default().to_owned());
                    self.release.withheld = Some(Withheld { why, hint, waits: true, since: self.wall() });
                    self.release.again = Some(Instant::now() + AGAIN);
                }
                _ => self.stale = true,
            },
            Work::Review(_) => self.release.reviewed = Some(left),
            Work::Publish(_) | Work::Finish(_) => {
                let (done, behind) = (settled.len(), kept.len() + left.len());
                let mirror = &self.settings.name;
                match (behind, left.len()) {
                    (0, _) => tracing::info!(%mirror, changes = done, "published"),
                    (_, 0) => tracing::warn!(%mirror, changes = done, behind, "published, but for what the server refused"),
                    _ => {
                        tracing::warn!(%mirror, behind, "publishing was cut off: the rest follows as soon as the server answers");
                    }
                }
                turn.restaged.extend(kept.iter().map(|part| part.job.id));
                kept.into_iter().for_each(|part| self.release.keep(part));
                self.release.cut = left;
                self.release.assessed = false;
                self.stale = true;
            }
        }
        settled.into_iter().for_each(|(job, outcome)| self.part_ended(job, outcome, turn));
    }

    /// Nothing was tried: what the task was for is still to be done.
    pub(in crate::mirror::engine) fn not_tried(&mut self, work: Work) {
        match work {
            Work::Prove(parts) => self.release.unproven.extend(parts),
            Work::Discard(parts) => self.release.unwanted.extend(parts),
            Work::Review(_) => self.release.assessed = false,
            Work::Publish(parts) | Work::Finish(parts) => self.release.cut = parts,
        }
    }

    /// A file is on the server under its temporary name.
    pub(in crate::mirror::engine) fn staged(&mut self, job: &Job, done: &Done) {
        if let Done::Staged { print, digest, .. } = done {
            let mut job = job.clone();
            if let Operation::Put { print: planned, .. } = &mut job.operation {
                *planned = *print;
            }
            self.release.keep(Part { job, digest: Some(*digest), recorded: Vec::new(), sets_aside: false });
            self.release.assessed = false;
        }
    }

    fn part_ended(&mut self, job: Job, outcome: Outcome, turn: &mut Turn) {
        if let Outcome::InDoubt(_) = outcome {
            self.doubt(job.clone());
        }
        if !matches!(outcome, Outcome::Done(_)) {
            self.replan();
        }
        self.trash.heard(&job.operation);
        self.count(&job.operation, &outcome);
        turn.settled.push((job, outcome));
    }
}
