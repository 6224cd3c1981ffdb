//! `towline retry`: what failed is tried again at once. Tells the daemon; where none runs, it is noted in the state.

use std::{io::Write, path::PathBuf};

use towline::{control::client::Client, model::RelPath};

use super::{
    Context, Exit, Failure, assemble,
    pause::{at_rest, running},
    place, show,
    why::refused,
};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "What waits for its next attempt or is parked is due at once, as if it had never been tried; a server that is waited for, too.\n\
                  An old version that was put back stays: `towline approve MIRROR PATH` overwrites it.\n\n\
                  Example:\n  towline retry ~/site/docs        after its permissions on the server were mended\n  towline retry --all"
)]
pub(super) struct Args {
    /// A path here, or below the mirror's directory, with all that lies below it
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    path: Option<PathBuf>,
    /// Everything, in every mirror
    #[arg(long)]
    all: bool,
    /// The mirror that holds the path; with --all: that mirror alone
    #[arg(long, value_name = "NAME")]
    mirror: Option<String>,
}

pub(super) async fn retry(mut context: Context, args: Args) -> Result<Exit, Failure> {
    let client = Client::new(&assemble::socket(&context)?);
    let (names, path): (Vec<String>, Option<RelPath>) = match &args.path {
        Some(path) => {
            let config = assemble::config(&context)?;
            let spot = place::find(&config, path, args.mirror.as_deref())?;
            (vec![spot.mirror.name.clone()], spot.path)
        }
        None => (args.mirror.into_iter().collect(), None),
    };
    let (told, when) = match running(&client, &names).await? {
        Some(names) => {
            let mut told = Vec::new();
            for name in names {
                let retried = client.retry(&name, path.as_ref()).await.map_err(refused)?;
                told.push((name, retried.paths));
            }
            (told, "at once")
        }
        None => {
            let told = at_rest(&context, &names, |index, _| index.retry(path.as_ref()).map(|paths| paths as u64))?;
            (told, "with the next `towline sync` or `towline run`")
        }
    };
    for (name, paths) in told {
        match paths {
            0 => writeln!(context.out, "{name}: nothing there failed")?,
            _ => {
                let (is, paths) = (if paths == 1 { "is" } else { "are" }, show::count(paths, "path", "paths"));
                writeln!(context.out, "{name}: {paths} {is} tried again {when}")?;
            }
        }
    }
    Ok(Exit::Done)
}
