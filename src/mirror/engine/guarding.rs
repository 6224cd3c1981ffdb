//! The engine's brake: when removals wait for a person, and what a person can say to that. And what else is found out before
//! a pass begins.

use tokio::time::Instant;

use super::{Mirror, RECENT, Rooted};
use crate::{
    blocking,
    index::{Index, IndexError, Note},
    mirror::{ApproveError, Command, Event, look, status::HaltNote},
    model::{RootIdentity, UnixMillis},
    plan::{self, Approval, Changed, Facts, Halt, Removals, Root},
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
        let changed = self.changed().await?;
        let approval = self.approval.and_then(|a| a.after(std::mem::take(&mut self.approved_done), deletes.files, changed.files));
        if approval != self.approval {
            self.approval = approval;
            self.books.with(move |index| index.set_note(Note::Approval, approval.as_ref())).await?;
        }
        let facts = Facts {
            root: match (self.root, self.known_root) {
                (Rooted::Here { identity, .. }, Some(known)) if self.renamed || !known.is_like(&identity) => {
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
            changed,
        };
        // Before anything was looked at there is nothing to conclude from, and nothing to warn of.
        let halt = if self.root == Rooted::Unknown { None } else { plan::guard(&facts, self.settings.budget) };
        let halt = self.marker_halt().or(halt);
        self.removals = match halt {
            Some(Halt::ContentLost { .. }) => Removals::HeldWithChanges,
            Some(_) => Removals::Held,
            None if !self.looked => Removals::Held,
            None => Removals::Allowed,
        };
        self.set_halt(halt).await
    }

    /// What would be overwritten, if that is so much that it is looked at more closely.
    async fn changed(&mut self) -> Result<Changed, IndexError> {
        let changes = self.books.with(|index| index.changes(Changed::ORDINARY)).await?;
        let (place, sample) = (self.settings.place(), changes.sample);
        let looked = sample.len() as u64;
        let empty = if looked == 0 { Ok(0) } else { blocking::run(move || look::nulls(&place, &sample)).await };
        // Of those that have a size as many as of the sample.
        let nulls = (changes.files - changes.emptied).saturating_mul(empty.unwrap_or(0)) / looked.max(1);
        Ok(Changed { files: changes.files, spoilt: changes.emptied + nulls })
    }

    /// A session is open. If something new became known of the server by it, what was promised on what was known before is
    /// planned anew.
    pub(super) async fn opened(&mut self) -> Result<(), IndexError> {
        self.link.opened();
        self.note_marker().await?;
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
            tracing::warn!(mirror = %self.settings.name, "halted: {halt}; {}", halt.hint(&self.settings.name));
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
            Command::Turn(answer) => {
                // Whoever asked may not wait any more.
                let _ = answer.send(());
            }
            Command::Account { path, look, answer } => return self.asked(path, look, answer).await,
            command @ (Command::Pause(..)
            | Command::Resume(_)
            | Command::Retry(..)
            | Command::Queue(..)
            | Command::Log { .. }) => {
                return self.attend(command).await;
            }
            Command::Reject(answer) => {
                let result = self.reject().await?;
                let _ = answer.send(result);
            }
            Command::Approve(answer) if self.halt.as_ref().is_some_and(|note| note.halt.is_of_marker()) => {
                self.take_over().await?;
                let _ = answer.send(Ok(0));
            }
            Command::Overwrite(prefix, answer) => {
                let wall = self.wall();
                let released = self.books.with(move |index| index.give_up_drift(prefix.as_ref(), wall)).await?;
                tracing::info!(mirror = %self.settings.name, released, "what was changed on the server may be overwritten");
                self.stale = true;
                self.untold = true;
                let _ = answer.send(released as u64);
            }
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
                    let changes = self.books.with(|index| index.changes(Changed::ORDINARY)).await?.files;
                    let approval = Approval { deletes, root: None, changes };
                    self.approval = Some(approval);
                    self.approved_done = 0;
                    self.recent_deletes.clear();
                    self.note_root(root.or(self.known_root)).await?;
                    self.books.with(move |index| index.set_note(Note::Approval, Some(&approval))).await?;
                    self.stale = true;
                    tracing::info!(mirror = %self.settings.name, deletes, "removals were approved");
                }
                let _ = answer.send(result);
            }
        }
        Ok(())
    }

    /// Drops the removals that wait: what they would have removed stays on the server, and is not ours any more.
    async fn reject(&mut self) -> Result<Result<u64, ApproveError>, IndexError> {
        match &self.halt {
            None => return Ok(Err(ApproveError::NothingHalted)),
            Some(HaltNote { halt: Halt::RootMissing, .. }) => return Ok(Err(ApproveError::RootMissing)),
            Some(note) if !note.halt.can_be_rejected() => return Ok(Err(ApproveError::NoRemovals)),
            Some(_) => {}
        }
        self.withdraw().await?;
        if let Rooted::Here { identity, .. } = self.root {
            self.known_root = Some(identity);
        }
        (self.approval, self.approved_done) = (None, 0);
        self.recent_deletes.clear();
        let (known, wall) = (self.known_root, self.wall());
        let kept = self.books.with(move |index| reject(index, known, wall)).await?;
        self.stale = true;
        self.untold = true;
        self.guard().await?;
        tracing::info!(mirror = %self.settings.name, files = kept, "removals were rejected: the files stay on the server");
        Ok(Ok(kept))
    }
}

/// Drops the removals that wait, where `root` is the root from here on. How many files stay on the server.
///
/// # Errors
/// When the index cannot be written.
pub fn reject(index: &mut Index, root: Option<RootIdentity>, now: UnixMillis) -> Result<u64, IndexError> {
    let kept = index.disown(now)?;
    index.set_note(Note::Root, root.as_ref())?;
    index.set_note(Note::Approval, None::<&Approval>)?;
    index.set_note(Note::Hold, None::<&HaltNote>)?;
    Ok(kept)
}
