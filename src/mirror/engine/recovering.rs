//! What a mirror begins with: what an earlier process of it left in the index.

use tokio::time::Instant;

use super::Mirror;
use crate::{
    index::{IndexError, Note},
    mirror::{Until, marker::Bond, pause},
    remote::Remote,
    watch::Watcher,
};

impl<R: Remote, W: Watcher> Mirror<R, W> {
    /// Takes up what an earlier process left: jobs in doubt, backoff, halts.
    pub(super) async fn recover(&mut self, until: Until) -> Result<(), IndexError> {
        self.recover_release().await?;
        let wall = self.wall();
        let turn = fastrand::u64(1..);
        let unused = Bond::new(self.settings.identity.clone(), self.remote.target());
        let source = self.settings.source_name();
        let (doubts, link, renamed, root, halt, approval, last_success, last_full_scan, tally, bond, pause) = self
            .books
            .with(move |index| {
                // Somebody who asks for a single pass wants everything tried; a daemon only what waits for nothing else.
                if until == Until::Settled {
                    index.start_over()?
                } else {
                    index.release()?
                };
                // Before any session writes it.
                let bond = index.note(Note::Marker)?.unwrap_or(unused).next(turn);
                index.set_note(Note::Marker, Some(&bond))?;
                Ok((
                    index.in_doubt()?,
                    index.note(Note::Link)?,
                    index.note::<String>(Note::Source)?.is_some_and(|known| known != source),
                    index.note(Note::Root)?,
                    index.note(Note::Hold)?,
                    index.note(Note::Approval)?,
                    index.note(Note::LastSuccess)?,
                    index.note(Note::LastFullScan)?,
                    index.tally(wall)?,
                    bond,
                    pause::paused(index, wall)?,
                ))
            })
            .await?;
        self.crew.marking().bind(bond.clone());
        self.bond = Some(bond);
        for job in doubts {
            self.doubt(job);
        }
        self.link_noted = link.is_some();
        // A single pass was asked for by somebody: it tries at once.
        if let Some(note) = link.filter(|_| until == Until::Stopped) {
            self.link.restore(note, self.wall(), Instant::now());
        }
        // A single pass was not told of by whoever paused; whoever asks for it is.
        self.pause = pause.filter(|_| until == Until::Stopped);
        (self.known_root, self.renamed, self.halt, self.approval) = (root, renamed, halt, approval);
        (self.last_success, self.last_full_scan) = (last_success, last_full_scan);
        self.fresh = tally.recorded_files == 0 && tally.pending_removals == 0;
        self.tally = tally;
        Ok(())
    }
}
