//! The password: where it comes from now, and where the daemon will find it. It is never an argument, and never printed.

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use towline::{
    config::{self, PasswordSource},
    service::Scope,
};

use super::{Args, ask::Ask};
use crate::cli::{Exit, Failure};

/// Where the daemon is to find the password.
// Doc comments at the variants would make the help twice as long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Store {
    // In a file beside the configuration that nobody else can read.
    File,
    // In a credential that systemd hands to the service.
    Credential,
    // In the environment variable of --password-env.
    Env,
    // In the keyring of the user's session.
    Keyring,
}

/// Whether the flags go together.
pub(super) fn usable(args: &Args) -> Result<(), Failure> {
    if args.password_store == Store::Env && args.password_env.is_none() {
        return Err(Failure::said(Exit::Usage, "--password-store env needs --password-env VAR, which names the variable"));
    }
    Ok(())
}

/// What says it without anybody being asked.
const FLAGS: &str = "--password-file FILE, --password-env VAR or --password-stdin";

/// Whether there will be one: it is given, or somebody can be asked.
pub(super) fn can_be_had(ask: &Ask, args: &Args) -> Result<(), Failure> {
    if ask.somebody || args.password_file.is_some() || args.password_env.is_some() || args.password_stdin {
        return Ok(());
    }
    Err(Failure::said(Exit::Usage, "nobody is there to be asked for: the password")
        .with_hint(Some(format!("say it with {FLAGS}"))))
}

/// The file that a password is kept in, beside the configuration.
pub(super) fn file(remote: &str, config: &Path) -> PathBuf {
    let config = std::path::absolute(config).unwrap_or_else(|_| config.to_owned());
    config.with_file_name(format!("{remote}.pass"))
}

/// Whether the password is to be written into a file of its own.
pub(super) fn is_kept(args: &Args) -> bool {
    args.password_store == Store::File && args.password_file.is_none()
}

/// Whether the daemon can be started right behind.
pub(super) fn is_there_at_once(args: &Args) -> bool {
    matches!(args.password_store, Store::File | Store::Keyring)
}

/// Where the daemon will find it. The machine's `service` runs as another user: systemd hands it over.
pub(super) fn place(args: &Args, service: Option<Scope>, remote: &str, config: &Path) -> Result<PasswordSource, Failure> {
    Ok(match (args.password_store, &args.password_file, &args.password_env) {
        (Store::Keyring, ..) => PasswordSource::Keyring(remote.to_owned()),
        (Store::Credential, ..) => PasswordSource::Credential(remote.to_owned()),
        (Store::File, None, _) if service == Some(Scope::System) => PasswordSource::Credential(remote.to_owned()),
        (Store::Env, _, Some(name)) => PasswordSource::Env(name.clone()),
        (_, Some(given), _) => PasswordSource::File(std::path::absolute(given)?),
        _ => PasswordSource::File(file(remote, config)),
    })
}

/// The password, from where the flags say, or asked for.
pub(super) async fn read(ask: &mut Ask, args: &Args, user: &str) -> Result<SecretString, Failure> {
    let source = match (&args.password_file, &args.password_env) {
        (Some(file), _) => Some(PasswordSource::File(std::path::absolute(file)?)),
        (None, Some(name)) => Some(PasswordSource::Env(name.clone())),
        (None, None) => None,
    };
    if let Some(source) = source {
        return source.read().map_err(|e| {
            let hint = e.hint();
            Failure::config(e).with_hint(Some(hint))
        });
    }
    if args.password_stdin {
        let line = ask.piped().await?;
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        return config::password(line)
            .map_err(|why| Failure::said(Exit::Config, format_args!("standard input holds no password: {why}")));
    }
    loop {
        let line = ask.hidden(&format!("Password of {user} (not shown)"), FLAGS).await?;
        match config::password(&line) {
            Ok(password) => return Ok(password),
            Err(why) => super::ask::say(&format!("  expected a password: {why}\n")),
        }
    }
}

/// Whether a person types it, and may type it once more.
pub(super) fn is_typed(ask: &Ask, args: &Args) -> bool {
    ask.somebody && args.password_file.is_none() && args.password_env.is_none() && !args.password_stdin
}
