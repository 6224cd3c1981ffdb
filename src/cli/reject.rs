//! `towline reject`: drop the removals that wait. Tells the daemon; where none runs, it is done in the state.

use std::io::Write;

use towline::{
    clock,
    control::client::{Client, ClientError},
    index::Note,
    mirror::{self, ApproveError, index_file},
    model::RootIdentity,
    plan::Halt,
};

use super::{Context, Exit, Failure, approve::Held, assemble, show};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The files stay on the server, and the mirror forgets that it has put them there: it neither changes nor \
                  removes them until something of their name is here again.\n\nExample:\n  towline reject site"
)]
pub(super) struct Args {
    /// The mirror's name
    mirror: String,
}

pub(super) async fn reject(mut context: Context, args: Args) -> Result<Exit, Failure> {
    let socket = assemble::socket(&context)?;
    let files = match Client::new(&socket).reject(&args.mirror).await {
        Ok(rejected) => rejected.files,
        Err(e @ ClientError::NotRunning { .. }) => {
            // Without a configuration there is nothing but the daemon that could have been meant.
            let Ok(config) = assemble::config(&context) else { return Err(Failure::new(Exit::Unavailable, e)) };
            assemble::select(&config, std::slice::from_ref(&args.mirror))?;
            at_rest(&context, &args.mirror)?
        }
        Err(e @ ClientError::NoSuchMirror(_)) => return Err(Failure::usage(e)),
        Err(e @ ClientError::Refused(_)) => return Err(Failure::failed(e)),
        Err(e) => return Err(Failure::new(Exit::Unavailable, e)),
    };
    let files = show::count(files, "file", "files");
    writeln!(
        context.out,
        "{}: the removal of {files} is dropped; what would have been removed stays on the server, and is not the mirror's any more",
        args.mirror
    )?;
    Ok(Exit::Done)
}

fn at_rest(context: &Context, name: &str) -> Result<u64, Failure> {
    let house = assemble::House::open(context)?;
    let file = index_file(&house.state_dir, name);
    if !file.exists() {
        return Err(Failure::failed(ApproveError::NothingHalted));
    }
    let config = house.mirrors(&[name.to_owned()])?;
    let mut index = house.index(config[0])?;
    let unusable = |e| Failure::state(&file, e);
    let root = match index.note::<Held>(Note::Hold).map_err(unusable)?.map(|held| held.halt) {
        None => return Err(Failure::failed(ApproveError::NothingHalted)),
        Some(Halt::RootMissing) => return Err(Failure::failed(ApproveError::RootMissing)),
        Some(halt) if !halt.can_be_rejected() => return Err(Failure::failed(ApproveError::NoRemovals)),
        Some(Halt::RootReplaced { found, .. }) => Some(found),
        Some(_) => index.note::<RootIdentity>(Note::Root).map_err(unusable)?,
    };
    mirror::reject(&mut index, root, clock::now()).map_err(unusable)
}
