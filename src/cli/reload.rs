//! `towline reload`: has the daemon read its configuration anew.

use std::io::Write;

use towline::control::client::{Client, ClientError};

use super::{Context, Exit, Failure, assemble};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "A mirror that is as it was goes on undisturbed; one that is another now is started anew, with what is known of it. A\n\
                  configuration that cannot be used changes nothing. SIGHUP does the same, but tells only the log.\n\n\
                  Example:\n  towline check && towline reload"
)]
pub(super) struct Args {}

pub(super) async fn reload(mut context: Context, Args {}: Args) -> Result<Exit, Failure> {
    let socket = assemble::socket(&context)?;
    let reloaded = Client::new(&socket).reload().await.map_err(|e| match e {
        ClientError::Refused(_) => Failure::config(e).with_hint(Some("nothing was changed: the daemon goes on with what it had")),
        e => Failure::new(Exit::Unavailable, e),
    })?;
    for (names, word) in [
        (&reloaded.started, "started"),
        (&reloaded.restarted, "started anew"),
        (&reloaded.stopped, "stopped; what it has put on the server stays there"),
        (&reloaded.untouched, "as it was"),
    ] {
        for name in names {
            writeln!(context.out, "{name}: {word}")?;
        }
    }
    Ok(Exit::Done)
}
