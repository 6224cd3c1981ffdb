//! `towline check`: is the configuration right, and with `--online`, does each server let us in?

use std::io::Write;

use towline::{
    clock,
    config::{self, PasswordSource},
    ftps::Profile,
    mirror::Seats,
    remote::{Class, Remote, Session, ftps::FtpsRemote},
    scan::Root,
};

use super::{Context, Exit, Failure, assemble, out::Out};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  towline --config towline.toml check --online")]
pub(super) struct Args {
    /// Log in to each server, too; a mirror's directory on the server is made if it is missing
    #[arg(long)]
    online: bool,
}

pub(super) async fn check(mut context: Context, args: Args) -> Result<Exit, Failure> {
    let config = assemble::config(&context)?;
    let state_dir = assemble::state_dir(&context)?;
    let mut worst = Exit::Done;
    for mirror in &config.mirrors {
        let remote = assemble::remote_of(&config, mirror)?;
        let (here, path) = (mirror.source.display(), &mirror.path);
        writeln!(context.out, "{}: {here} -> ftps://{}@{}:{}{path}", mirror.name, remote.user, remote.host, remote.port)?;
        if let Err(e) = Root::open(&mirror.source) {
            writeln!(context.out, "  {e}\n    {}", e.hint())?;
            worst = worst.max(Exit::Failed);
        }
        if let Err(failure) = assemble::settings(mirror, Seats::new(1), &state_dir) {
            worst = worst.max(show(&mut context.out, &failure)?);
        }
        worst = worst.max(match server(remote, &mirror.path, args.online).await {
            Err(failure) => show(&mut context.out, &failure)?,
            Ok(server) => {
                let exit = if args.online { login(&mut context.out, &server).await? } else { Exit::Done };
                for warning in server.warnings(clock::now()) {
                    writeln!(context.out, "  warning: {warning}")?;
                }
                exit
            }
        });
    }
    if worst == Exit::Done {
        writeln!(context.out, "configuration is right")?;
    }
    Ok(worst)
}

/// The remote, with all that has to be on this machine for it: certificates, and the password as far as it can be read without
/// a side effect. Where a service gets it from the service manager, a shell has none.
async fn server(remote: &config::Remote, path: &str, online: bool) -> Result<FtpsRemote, Failure> {
    let now = |source: &PasswordSource| online || matches!(source, PasswordSource::File(_));
    let secrets = assemble::secrets(remote, now).await?;
    let mut remote = remote.clone();
    // A key that cannot be opened now.
    remote.tls.client = remote.tls.client.filter(|client| client.key_password.as_ref().is_none_or(now));
    assemble::server(&remote, secrets, path, Profile::default(), |_| {})
}

fn show(out: &mut Out, failure: &Failure) -> Result<Exit, Failure> {
    writeln!(out, "  {}", failure.cause())?;
    if let Some(hint) = failure.hint() {
        writeln!(out, "    {hint}")?;
    }
    Ok(failure.exit)
}

async fn login(out: &mut Out, server: &FtpsRemote) -> Result<Exit, Failure> {
    match server.connect().await {
        Ok(session) => {
            writeln!(out, "  logged in over {}", session.tls_version())?;
            session.close().await;
            Ok(Exit::Done)
        }
        Err(e) => {
            let what = if e.class == Class::Refused { "logged in, but the directory cannot be used" } else { "no login" };
            writeln!(out, "  {what}: {e}")?;
            if let Some(hint) = e.hint {
                writeln!(out, "    {hint}")?;
            }
            Ok(Exit::of(e.class))
        }
    }
}
