//! The engine's brake: when removals wait for a person, and what a person can say to that. And what else is found out before
//! a pass begins.

use tokio::time::Instant;

use super::{Mirror, RECENT, Rooted};
use crate::{
    index::{IndexError, Note},
    mirror::{ApproveError, Command, Event, status::HaltNote},
    plan::{self, Approval, Facts, Halt, Removals, Root},
    remote::Remote,
    watch::Watcher,
};

impl<R: Remote, W: Watcher> Mirror<R, W> {
    /// Decides whether removals are allowed in the pass that begins.
    pub(super) async fn guard(&mut self) -> Result<(), IndexError> {
        let now = Instant::now();
        while self.recent_deletes.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > RECENT) {
            self.recent_deletes.pop_front();
        }
        let deletes = self.books.with(|index| index.deletes()).await?;
        let approval = self.approval.and_then(|a| a.after(std::mem::take(&mut self.approved_done), deletes.files));
        if approval != self.approval {
            self.approval = approval;
            self.books.with(move |index| index.set_note(Note::Approval, approval.as_ref())).await?;
        }
        let facts = Facts {
            root: match (self.root, self.known_root) {
                (Rooted::Here { identity, .. }, Some(known)) if identity != known => {
                    Root::Replaced { recorded: known, found: identity }
                }
                (Rooted::Here { .. }, _) => Root::Same,
                (Rooted::Missing | Rooted::Unknown, _) => Root::Missing,
            },
            root_empty: matches!(self.root, Rooted::Here { empty: true, .. }),
            waiting: deletes.files,
            recorded: deletes.recorded,
            recent: self.recent_deletes.iter().map(|(_, n)| n).sum(),
            approved: approval,
        };
        // Before anything was looked at there is nothing to conclude from, and nothing to warn of.
        let halt = if self.root == Rooted::Unknown { None } else { plan::guard(&facts, self.settings.budget) };
        self.removals = if halt.is_some() || !self.looked { Removals::Held } else { Removals::Allowed };
        self.set_halt(halt).await
    }

    /// A session is open. If something new became known of the server by it, what was promised on what was known before is
    /// planned anew.
    pub(super) async fn opened(&mut self) -> Result<(), IndexError> {
        self.link.opened();
        let abilities = self.remote.abilities();
        if abilities != self.abilities {
            self.abilities = abilities;
            self.withdraw().await?;
        }
        Ok(())
    }

    /// Tells the index whether the server folds case, as soon as that is known.
    pub(super) async fn tell_folding(&mut self) -> Result<(), IndexError> {
        let folds = self.remote.abilities().folds();
        if folds != self.folds {
            self.folds = folds;
            self.books.with(move |index| index.fold(folds)).await?;
        }
        Ok(())
    }

    async fn set_halt(&mut self, halt: Option<Halt>) -> Result<(), IndexError> {
        if halt.as_ref() == self.halt.as_ref().map(|note| &note.halt) {
            return Ok(());
        }
        let same_kind = halt.as_ref().map(std::mem::discriminant) == self.halt.as_ref().map(|n| std::mem::discriminant(&n.halt));
        let since = self.halt.as_ref().filter(|_| same_kind).map_or_else(|| self.wall(), |note| note.since);
        if let Some(halt) = &halt
            && !same_kind
        {
            tracing::warn!(mirror = %self.settings.name, "removals are halted: {halt}; {}", halt.hint(&self.settings.name));
            self.tell_observer(&Event::Halted(halt.clone()));
        }
        if halt.is_some() && !same_kind {
            self.withdraw().await?;
        }
        self.halt = halt.map(|halt| HaltNote { halt, since });
        self.untold = true;
        let note = self.halt.clone();
        self.books.with(move |index| index.set_note(Note::Hold, note.as_ref())).await
    }

    pub(super) async fn obey(&mut self, command: Command) -> Result<(), IndexError> {
        match command {
            Command::Undo { undo, dry_run, answer } => {
                let _ = answer.send(self.undo(undo, dry_run).await?);
            }
            Command::Approve(answer) => {
                let result = match &self.halt {
                    None => Err(ApproveError::NothingHalted),
                    Some(HaltNote { halt: Halt::RootMissing, .. }) => Err(ApproveError::RootMissing),
                    Some(_) => Ok(self.books.with(|index| index.deletes()).await?.files),
                };
                if let Ok(deletes) = result {
                    let root = match self.root {
                        Rooted::Here { identity, .. } => Some(identity),
                        _ => None,
                    };
                    // The root that was found is the known one from here on; what is left to approve are the deletes.
                    let approval = Approval { deletes, root: None };
                    self.approval = Some(approval);
                    self.known_root = root.or(self.known_root);
                    self.approved_done = 0;
                    self.recent_deletes.clear();
                    let known = self.known_root;
                    self.books
                        .with(move |index| {
                            index.set_note(Note::Root, known.as_ref())?;
                            index.set_note(Note::Approval, Some(&approval))
                        })
                        .await?;
                    self.stale = true;
                    tracing::info!(mirror = %self.settings.name, deletes, "removals were approved");
                }
                let _ = answer.send(result);
            }
        }
        Ok(())
    }
}
