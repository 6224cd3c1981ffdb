//! Where the mirror lives on the server: what follows from its marker, and from another directory there.

use super::Mirror;
use crate::{
    index::{IndexError, Note},
    mirror::marker::{Bond, Stand},
    model::PathSet,
    plan::{Approval, Halt},
    remote::Remote,
    watch::Watcher,
};

impl<R: Remote, W: Watcher> Mirror<R, W> {
    /// What the marker says against removals, or against everything.
    pub(super) fn marker_halt(&self) -> Option<Halt> {
        match self.crew.marking().stand() {
            Stand::Foreign(found) => Some(Halt::MarkerForeign { found }),
            Stand::Missing => Some(Halt::MarkerMissing),
            Stand::Unknown | Stand::Ours | Stand::Elsewhere => None,
        }
    }

    /// A session looked at the marker: what it wrote is noted, and a halt that is over ends.
    pub(super) async fn note_marker(&mut self) -> Result<(), IndexError> {
        let bond = self.crew.marking().bond();
        if self.bond.as_ref() != Some(&bond) {
            self.note_bond(bond).await?;
        }
        let halted = self.halt.as_ref().is_some_and(|note| note.halt.is_of_marker());
        self.stale |= halted && self.marker_halt().is_none();
        Ok(())
    }

    /// A session found that the directory is not what it was taken for.
    pub(super) async fn unbound(&mut self) -> Result<(), IndexError> {
        self.replan();
        self.guard().await
    }

    /// The next session looks again, and writes another turn.
    pub(super) async fn renew_marker(&mut self) -> Result<(), IndexError> {
        let bond = self.crew.marking().bond().next(fastrand::u64(1..));
        self.note_bond(bond.clone()).await?;
        self.crew.marking().bind(bond);
        Ok(())
    }

    /// A person says that the directory is this mirror's, whatever its marker says.
    pub(super) async fn take_over(&mut self) -> Result<(), IndexError> {
        let bond = Bond { takes_over: true, ..self.crew.marking().bond() };
        tracing::info!(mirror = %self.settings.name, target = %self.crew.marking().target(), "the directory on the server is taken over");
        self.bind(bond).await
    }

    /// The configuration names another directory, and nothing of it is known: nothing that was recorded is there, and nothing
    /// is removed from it. No job may run meanwhile.
    pub(super) async fn move_house(&mut self) -> Result<(), IndexError> {
        let target = self.crew.marking().target();
        tracing::warn!(mirror = %self.settings.name, %target, "another directory on a server than so far: it is mirrored to as if it were the first time");
        self.withdraw().await?;
        self.doubts.clear();
        self.release = super::releasing::Releasing::default();
        self.doubtful = PathSet::default();
        self.approval = None;
        let wall = self.wall();
        self.books
            .with(move |index| {
                index.set_note(Note::Approval, None::<&Approval>)?;
                index.start_elsewhere(wall)
            })
            .await?;
        let bond = self.crew.marking().bond().moved(target);
        self.bind(bond).await
    }

    async fn bind(&mut self, bond: Bond) -> Result<(), IndexError> {
        self.note_bond(bond.clone()).await?;
        self.crew.marking().bind(bond);
        self.replan();
        self.untold = true;
        Ok(())
    }

    async fn note_bond(&mut self, bond: Bond) -> Result<(), IndexError> {
        self.bond = Some(bond.clone());
        self.books.with(move |index| index.set_note(Note::Marker, Some(&bond))).await
    }
}
