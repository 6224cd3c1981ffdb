//! `towline approve`: release the removals that wait.

use std::io::Write;

use towline::control::client::Client;

use super::{Context, Exit, Failure, assemble};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  towline approve site")]
pub(super) struct Args {
    /// The mirror's name
    mirror: String,
}

pub(super) async fn approve(mut context: Context, args: Args) -> Result<Exit, Failure> {
    let socket = assemble::socket(&context)?;
    let approved = Client::new(&socket).approve(&args.mirror).await.map_err(Failure::failed)?;
    let files = if approved.deletes == 1 { "file" } else { "files" };
    writeln!(context.out, "{}: the removal of {} {files} goes on", args.mirror, approved.deletes)?;
    Ok(Exit::Done)
}
