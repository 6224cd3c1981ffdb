//! `towline approve`: release the removals that wait, or overwrite what was changed on the server. Tells the daemon; where
//! none runs, leaves word for the next pass.

use std::{io::Write, path::Path};

use serde::Deserialize;
use towline::{
    clock,
    control::client::{Client, ClientError},
    index::{Index, IndexError, Note},
    mirror::{ApproveError, index_file, marker::Bond, source_name},
    model::{RelPath, RootIdentity},
    plan::{Approval, Changed, Halt},
};

use super::{Context, Exit, Failure, assemble, show};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  towline approve site            what `towline status` says is halted\n  towline approve site a/b.html   overwrite the server's copy, which somebody else changed\n  towline approve site .          likewise for all such"
)]
pub(super) struct Args {
    /// The mirror's name
    mirror: String,
    /// A file that is parked since somebody else changed it on the server, or `towline undo` put an old version back there, or a
    /// directory with such files, relative to the mirror's directory: the server's copy is overwritten. `.` is all of them
    path: Option<String>,
}

pub(super) async fn approve(mut context: Context, args: Args) -> Result<Exit, Failure> {
    if let Some(path) = &args.path {
        return overwrite(context, &args.mirror, path).await;
    }
    let socket = assemble::socket(&context)?;
    let (deletes, when) = match Client::new(&socket).approve(&args.mirror).await {
        Ok(approved) => (approved.deletes, ""),
        Err(e @ ClientError::NotRunning { .. }) => {
            // Without a configuration there is nothing but the daemon that could have been meant.
            let Ok(config) = assemble::config(&context) else { return Err(Failure::new(Exit::Unavailable, e)) };
            assemble::select(&config, std::slice::from_ref(&args.mirror))?;
            (leave_word(&context, &args.mirror)?, " with the next `towline sync` or `towline run`")
        }
        Err(e @ ClientError::NoSuchMirror(_)) => return Err(Failure::usage(e)),
        Err(e @ ClientError::Refused(_)) => return Err(Failure::failed(e)),
        Err(e) => return Err(Failure::new(Exit::Unavailable, e)),
    };
    if deletes == 0 {
        writeln!(context.out, "{}: approved; it goes on{when}", args.mirror)?;
        return Ok(Exit::Done);
    }
    writeln!(context.out, "{}: the removal of {} goes on{when}", args.mirror, show::count(deletes, "file", "files"))?;
    Ok(Exit::Done)
}

async fn overwrite(mut context: Context, mirror: &str, path: &str) -> Result<Exit, Failure> {
    let path = Some(path.trim_end_matches('/')).filter(|path| !matches!(*path, "" | "."));
    let prefix = path
        .map(RelPath::new)
        .transpose()
        .map_err(|e| Failure::said(Exit::Usage, format_args!("the path is none in a mirror: {e}")))?;
    let socket = assemble::socket(&context)?;
    let (paths, when) = match Client::new(&socket).overwrite(mirror, path).await {
        Ok(overwritten) => (overwritten.paths, ""),
        Err(e @ ClientError::NotRunning { .. }) => {
            let Ok(config) = assemble::config(&context) else { return Err(Failure::new(Exit::Unavailable, e)) };
            assemble::select(&config, std::slice::from_ref(&mirror.to_owned()))?;
            let house = assemble::House::open(&context)?;
            let file = index_file(&house.state_dir, mirror);
            if !file.exists() {
                return Err(Failure::failed(ApproveError::NothingHalted));
            }
            let config = house.mirrors(&[mirror.to_owned()])?;
            let released = house.index(config[0])?.give_up_drift(prefix.as_ref(), clock::now());
            let released = released.map_err(|e| Failure::state(&file, e))?;
            (released as u64, " with the next `towline sync` or `towline run`")
        }
        Err(e @ ClientError::NoSuchMirror(_)) => return Err(Failure::usage(e)),
        Err(e @ ClientError::Refused(_)) => return Err(Failure::failed(e)),
        Err(e) => return Err(Failure::new(Exit::Unavailable, e)),
    };
    if paths == 0 {
        return Err(Failure::said(
            Exit::Failed,
            "nothing there is parked because somebody else changed it on the server, or an old version was put back",
        ));
    }
    writeln!(context.out, "{mirror}: {} on the server will be overwritten{when}", show::count(paths, "file", "files"))?;
    Ok(Exit::Done)
}

/// Why removals wait, as the last pass noted it.
#[derive(Deserialize)]
pub(super) struct Held {
    pub(super) halt: Halt,
}

/// Approves what the last pass held back. How many files that are.
fn leave_word(context: &Context, mirror: &str) -> Result<u64, Failure> {
    let house = assemble::House::open(context)?;
    let file = index_file(&house.state_dir, mirror);
    if !file.exists() {
        return Err(Failure::failed(ApproveError::NothingHalted));
    }
    let config = house.mirrors(&[mirror.to_owned()])?;
    let mut index = house.index(config[0])?;
    release(&mut index, &config[0].source).map_err(|e| Failure::state(&file, e))?.map_err(Failure::failed)
}

/// As a running mirror does it.
fn release(index: &mut Index, source: &Path) -> Result<Result<u64, ApproveError>, IndexError> {
    let root = match index.note::<Held>(Note::Hold)?.map(|held| held.halt) {
        None => return Ok(Err(ApproveError::NothingHalted)),
        Some(Halt::RootMissing) => return Ok(Err(ApproveError::RootMissing)),
        Some(Halt::MarkerForeign { .. } | Halt::MarkerMissing) => {
            let bond = index.note::<Bond>(Note::Marker)?.map(|bond| Bond { takes_over: true, ..bond });
            index.set_note(Note::Marker, bond.as_ref())?;
            return Ok(Ok(0));
        }
        Some(Halt::RootReplaced { found, .. }) => Some(found),
        Some(Halt::RootEmptied { .. } | Halt::ContentLost { .. } | Halt::OverBudget { .. }) => {
            index.note::<RootIdentity>(Note::Root)?
        }
    };
    let deletes = index.deletes()?.files;
    index.set_note(Note::Root, root.as_ref())?;
    let changes = index.changes(Changed::ORDINARY)?.files;
    index.set_note(Note::Approval, Some(&Approval { deletes, root: None, changes }))?;
    index.set_note(Note::Source, Some(&source_name(source)))?;
    Ok(Ok(deletes))
}
