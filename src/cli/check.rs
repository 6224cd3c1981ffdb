//! `towline check`: is the configuration right, and with `--online`, does each server let us in?

use std::io::Write;

use towline::{
    ftps::Profile,
    remote::{Remote, Session},
};

use super::{Context, Exit, Failure, assemble};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  towline --config towline.toml check --online")]
pub(super) struct Args {
    /// Log in to each server, too; a mirror's directory on the server is made if it is missing
    #[arg(long)]
    online: bool,
}

pub(super) async fn check(mut context: Context, args: Args) -> Result<Exit, Failure> {
    let config = assemble::config(&context)?;
    let mut worst = Exit::Done;
    for mirror in &config.mirrors {
        let remote = assemble::remote_of(&config, mirror)?;
        writeln!(
            context.out,
            "{}: {} -> ftps://{}@{}:{}{}",
            mirror.name,
            mirror.source.display(),
            remote.user,
            remote.host,
            remote.port,
            mirror.path
        )?;
        if !mirror.source.is_dir() {
            writeln!(context.out, "  the local directory is missing: nothing is mirrored until it is there")?;
            worst = worst.max(Exit::Failed);
        }
        if args.online {
            worst = worst.max(login(&mut context, remote, &mirror.path).await?);
        }
    }
    if worst == Exit::Done {
        writeln!(context.out, "configuration is right")?;
    }
    Ok(worst)
}

async fn login(context: &mut Context, remote: &towline::config::Remote, path: &str) -> Result<Exit, Failure> {
    let server = assemble::server(remote, path, Profile::default(), |_| {})?;
    match server.connect().await {
        Ok(session) => {
            writeln!(context.out, "  logged in over {}", session.tls_version())?;
            session.close().await;
            Ok(Exit::Done)
        }
        Err(e) => {
            writeln!(context.out, "  no login: {e}")?;
            if let Some(hint) = e.hint {
                writeln!(context.out, "    {hint}")?;
            }
            Ok(Exit::of(e.class))
        }
    }
}
