//! A random history: edits while the mirror runs, while it is down and while it does something, with what may go wrong. It
//! must end with both sides equal. The same seed gives the same edits and faults; on threads they may meet differently, in a
//! simulation everything is the same.

use std::{sync::PoisonError, time::Duration};

use towline::{
    mirror::Publish,
    model::{Disposal, Retention, Versions},
    remote::{
        Class,
        memory::{
            Fault, Faults, Options, Primitive,
            tree::{Manners, Node},
        },
    },
    scan::View,
};

use super::{
    ground::Ears,
    stage::{End, Scene, Stage, Tale, Wrong},
};

/// What may go wrong in a history.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mix {
    /// How the watcher fails.
    pub ears: Ears,
    /// So many of a hundred calls of the server go wrong.
    pub faults: u32,
    /// Whether the mirror is killed.
    pub crashes: bool,
    /// So many of a hundred calls of the server meet an edit.
    pub meanwhile: u32,
    /// Whether the server takes names that differ in case only for one.
    pub fold: Fold,
    /// When changes become visible.
    pub publish: Publish,
    /// All of it on one thread, and every edit when the disk's clock has ticked: the same seed lives the same.
    pub simulated: bool,
}

/// What names that differ in case only are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fold {
    /// Two.
    #[default]
    No,
    /// One to the server; here there are never two of them at once.
    Apart,
    /// One to the server; here there are often two.
    Twins,
}

/// Lives history number `seed` of this kind.
pub fn live(mix: Mix, seed: u64) -> Result<Tale, Wrong> {
    traced(mix, seed).map(|(tale, _)| tale)
}

/// Lives history number `seed` of this kind twice, simulated: everything must be the same.
pub fn live_twice(mix: Mix, seed: u64) -> Result<Tale, Wrong> {
    let mix = Mix { simulated: true, ..mix };
    let ((tale, once), (_, again)) = (traced(mix, seed)?, traced(mix, seed)?);
    let parts =
        once.iter().zip(&again).position(|(a, b)| a != b).or((once.len() != again.len()).then_some(once.len().min(again.len())));
    match parts {
        None => Ok(tale),
        Some(at) => {
            let show = |trace: &[String]| trace[at.saturating_sub(12)..trace.len().min(at + 6)].join("\n  ");
            Err(format!("lived twice, it differs at step {at}:\n  {}\nand\n  {}", show(&once), show(&again)))
        }
    }
}

fn traced(mix: Mix, seed: u64) -> Result<(Tale, Vec<String>), Wrong> {
    let mut random = fastrand::Rng::with_seed(seed);
    let (edits, connections) = (random.u64(..), random.usize(1..=4));
    // Every other server copies what is replaced, and one of each two computes checksums.
    let manners =
        Manners { fold_case: mix.fold != Fold::No, copies: seed.is_multiple_of(2), sums: seed % 4 < 2, ..Manners::default() };
    let options = Options { manners, strict: true, unknown: false };
    let mut stage = Stage::with(edits, mix.fold, mix.ears, connections, View::default(), options);
    // The engine's own chances, too.
    fastrand::seed(seed);
    stage.simulated = mix.simulated;
    stage.ground().ticks = mix.simulated;
    stage.remote.count_marker();
    stage.publish = mix.publish;
    if seed.is_multiple_of(3) {
        stage.disposal = Disposal::Remove;
    }
    let versions = if seed % 4 < 2 { Versions::Copied } else { Versions::Always };
    // What is removed early in a history expires in it.
    stage.retention = Retention { age: Duration::from_secs(1200), bytes: 1 << 20, versions };
    let told = History { mix, random, rounds: 0, stage: &stage }.play();
    told.and_then(|()| Ok((stage.tale(), stage.trace()?))).map_err(|wrong| format!("{wrong}\n{}", stage.story()))
}

struct History<'s> {
    mix: Mix,
    random: fastrand::Rng,
    /// So many bursts of edits are still to come.
    rounds: usize,
    stage: &'s Stage,
}

impl History<'_> {
    fn play(mut self) -> Result<(), Wrong> {
        self.edit(12);
        self.rounds = self.random.usize(2..6);
        while self.rounds > 0 {
            self.misbehave();
            let stage = self.stage;
            let end = stage.live(async |scene| self.direct(scene).await)?;
            stage.check_visible()?;
            stage.ground().log.push(format!("{end:?}"));
            self.edit(5);
        }
        self.stage.rest_with_twins()?;
        self.stage.conclude()?;
        self.check_trash()
    }

    /// What is in the trash was whole once, and the index knows of it.
    fn check_trash(&self) -> Result<(), Wrong> {
        let known = self.stage.index()?.places().map_err(|e| e.to_string())?;
        for (place, node) in self.stage.remote.trash() {
            let whole = match &node {
                Node::File { body, .. } => self.stage.ground().knows(body),
                Node::Dir | Node::Link { .. } => true,
            };
            if !whole || !known.contains(&place) {
                return Err(format!("{place} in the trash: whole {whole}, known {}", known.contains(&place)));
            }
        }
        Ok(())
    }

    /// One life.
    async fn direct(&mut self, scene: &mut Scene<'_>) -> Result<End, Wrong> {
        while self.rounds > 0 {
            self.pass_time(scene).await?;
            self.rounds -= 1;
            self.edit(8);
            let chance = self.random.u32(..100);
            if chance < 5 || (chance < 40 && self.mix.crashes) {
                self.pass_time(scene).await?;
                return Ok(if chance < 5 { End::Stopped } else { End::Killed });
            }
        }
        scene.reach_sync().await?;
        Ok(End::Stopped)
    }

    async fn pass_time(&mut self, scene: &mut Scene<'_>) -> Result<(), Wrong> {
        match self.random.u8(..5) {
            0 | 1 => {
                scene.watch(Duration::from_secs(600), true).await?;
            }
            2 => {
                let span = Duration::from_millis(self.random.u64(..2000));
                scene.watch(span, false).await?;
            }
            3 => {
                for _ in 0..self.random.usize(..200) {
                    tokio::task::yield_now().await;
                }
            }
            _ => {
                // The disk does not know of simulated time: it gets some that is real.
                for _ in 0..self.random.usize(..6) {
                    std::thread::sleep(Duration::from_millis(4));
                    tokio::task::yield_now().await;
                }
            }
        }
        Ok(())
    }

    fn edit(&mut self, most: usize) {
        for _ in 0..self.random.usize(..=most) {
            self.stage.ground().edit();
        }
    }

    /// Tells the server how to behave in the life that comes.
    fn misbehave(&mut self) {
        let mut random = self.random.fork();
        let (mix, ground, doom) = (self.mix, self.stage.shared_ground(), self.stage.doom.clone());
        let killed_at = (mix.crashes && random.bool()).then(|| random.u64(..40));
        self.stage.remote.set_faults(Faults::script(move |number, primitive| {
            if random.u32(..100) < mix.meanwhile {
                ground.lock().unwrap_or_else(PoisonError::into_inner).edit();
            }
            if killed_at == Some(number) {
                doom.at(number);
                return if random.bool() { Fault::LostReply } else { Fault::Cut };
            }
            if random.u32(..100) < mix.faults { fault(&mut random, primitive) } else { Fault::None }
        }));
    }
}

fn fault(random: &mut fastrand::Rng, primitive: Primitive) -> Fault {
    match (random.u8(..12), primitive) {
        (0, _) => Fault::Fail(Class::Transient),
        (1, _) => Fault::Fail(Class::Protocol),
        (2, Primitive::Connect) => Fault::Fail(Class::Busy),
        (3, Primitive::Connect) => Fault::Fail(Class::Tls),
        // A server that cannot set a time is taken as it is, and the times differ.
        (2, Primitive::Store | Primitive::MakeDir | Primitive::Copy) => Fault::Fail(Class::Full),
        (
            3,
            Primitive::Store | Primitive::Rename | Primitive::Copy | Primitive::MakeDir | Primitive::RemoveFile | Primitive::Size,
        ) => Fault::Fail(Class::Refused),
        (4..=7, _) => Fault::LostReply,
        _ => Fault::Cut,
    }
}
