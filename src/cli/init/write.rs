//! What init leaves behind, and what it says of that: the configuration, the password's file, a service. All of it at the end, and what
//! was made before something failed goes again.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use rustix::process::geteuid;
use secrecy::SecretString;
use towline::{
    config::{self, Config, ConfigError, Draft, EditError, PasswordSource, draft},
    service::Scope,
};

use super::{Args, Service, ask::Ask, password};
use crate::cli::{Context, Exit, Failure, out::Out, service};

/// The configuration that is added to or begun: the one that is found, else the machine's for root and one's own for everybody else.
pub(super) fn config_file(context: &Context, args: &Args) -> Result<PathBuf, Failure> {
    let looked = match Config::find(context.config.as_deref(), &Context::env) {
        Ok(file) => return Ok(std::path::absolute(file)?),
        Err(ConfigError::NotFound { looked }) => looked,
        Err(e) => return Err(Failure::config(e)),
    };
    let machine = match args.service {
        Some(Service::System) => true,
        Some(Service::User) => false,
        _ => geteuid().is_root(),
    };
    let file = if machine { looked.last() } else { looked.first() };
    let file = file.ok_or_else(|| Failure::said(Exit::Config, "it is not known where a configuration would be"))?;
    Ok(std::path::absolute(file)?)
}

/// Whether the service that is wished for can be had with the other wishes.
pub(super) fn service_possible(args: &Args) -> Result<(), Failure> {
    let usage = |words: &str, hint: &str| Err(Failure::said(Exit::Usage, words).with_hint(Some(hint.to_owned())));
    match args.service {
        Some(Service::System) if args.password_store == password::Store::Keyring => usage(
            "the machine's service has no keyring",
            "leave --password-store away: root keeps the password, and systemd hands it to the service",
        ),
        Some(Service::User | Service::System) if !password::is_there_at_once(args) => usage(
            "the service could not start: its password is not where it will look for it yet",
            "leave --service away, do what is said at the end, and then `towline service install`",
        ),
        Some(Service::System) if !geteuid().is_root() => usage(
            "the machine's service is installed by root",
            "sudo towline init --service system; or --service user for your own",
        ),
        Some(Service::System) if args.password_file.is_some() => usage(
            "the machine's service runs as another user, who cannot read your password's file",
            "give the password with --password-stdin or --password-env: root keeps it, and systemd hands it to the service",
        ),
        _ => Ok(()),
    }
}

/// The remote as it would be in the configuration.
pub(super) fn remote(draft: &Draft, file: &Path) -> Result<config::Remote, Failure> {
    let config = draft.config(file).map_err(refused)?;
    let remote = config.remotes.get(&draft.remote).cloned();
    remote.ok_or_else(|| Failure::said(Exit::Failed, "the remote that was drafted is not there"))
}

/// Whether the draft fits into the configuration, and its password's file is free.
pub(super) fn fits(draft: &Draft, args: &Args, file: &Path) -> Result<(), Failure> {
    draft.config(file).map_err(refused)?;
    let kept = password::file(&draft.remote, file);
    if password::is_kept(args) && fs::symlink_metadata(&kept).is_ok() {
        let hint = format!(
            "if it has this account's password, say --password-file {}; else call the server something else with --remote NAME",
            kept.display()
        );
        return Err(Failure::said(Exit::Config, format_args!("{} is there already; nothing was written", kept.display()))
            .with_hint(Some(hint)));
    }
    Ok(())
}

/// What is said of a configuration that cannot take the draft.
pub(super) fn refused(error: EditError) -> Failure {
    let hint = match &error {
        EditError::WouldNotLoad { .. } => "nothing was written; choose other names with --remote and --mirror, or another --path",
        error => error.hint(),
    };
    let hint = hint.to_owned();
    Failure::config(error).with_hint(Some(hint))
}

/// Which service is wanted at the end.
pub(super) async fn service(ask: &mut Ask, args: &Args) -> Result<Option<Scope>, Failure> {
    match args.service {
        Some(Service::User) => return Ok(Some(Scope::User)),
        Some(Service::System) => return Ok(Some(Scope::System)),
        Some(Service::None) => return Ok(None),
        None => {}
    }
    // The machine's service has neither this user's keyring nor files.
    let own = args.password_file.is_some() || args.password_store == password::Store::Keyring;
    if !ask.somebody || !password::is_there_at_once(args) || own && geteuid().is_root() {
        return Ok(None);
    }
    let (scope, question) = if geteuid().is_root() {
        (Scope::System, "Run it as a service of this machine from now on (as the user towline)?")
    } else {
        (Scope::User, "Run it as a service of yours from now on?")
    };
    Ok(ask.yes(question).await?.then_some(scope))
}

/// What was made, which goes again unless it is kept.
#[derive(Default)]
struct Made {
    files: Vec<PathBuf>,
    /// The outermost first.
    dirs: Vec<PathBuf>,
}

impl Made {
    fn dir(&mut self, dir: &Path) -> io::Result<()> {
        let missing: Vec<_> = dir.ancestors().take_while(|dir| !dir.exists()).map(Path::to_owned).collect();
        for dir in missing.into_iter().rev() {
            fs::create_dir(&dir)?;
            self.dirs.push(dir);
        }
        Ok(())
    }

    /// Lets the service's user read the configuration, if it was made, whatever root's umask is.
    fn open(&self, configuration: &Path) -> io::Result<()> {
        let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
        self.dirs.iter().try_for_each(|dir| allow(dir, 0o755))?;
        if self.files.iter().any(|file| file == configuration) { allow(configuration, 0o644) } else { Ok(()) }
    }

    fn keep(mut self) {
        self.files.clear();
        self.dirs.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
        for dir in self.dirs.iter().rev() {
            let _ = fs::remove_dir(dir);
        }
    }
}

/// Writes the password, if it is to be kept, and the configuration.
pub(super) fn write(
    out: &mut Out,
    draft: &Draft,
    file: &Path,
    args: &Args,
    service: Option<Scope>,
    secret: &SecretString,
) -> Result<(), Failure> {
    let cannot = |what: &Path, e: io::Error| {
        let error = anyhow::Error::new(e).context(format!("cannot write {}; nothing was left", what.display()));
        Failure::config(error)
            .with_hint(Some("run it as the user that the directory belongs to, or name another file with --config"))
    };
    let mut made = Made::default();
    if let Some(dir) = file.parent() {
        made.dir(dir).map_err(|e| cannot(dir, e))?;
    }
    let kept = password::file(&draft.remote, file);
    if password::is_kept(args) {
        draft::write_password(&kept, secret).map_err(|e| cannot(&kept, e))?;
        made.files.push(kept.clone());
    }
    if let PasswordSource::Keyring(name) = &draft.password {
        config::keep_in_keyring(name, secret).map_err(|e| {
            let hint = e.hint();
            Failure::config(e).with_hint(Some(hint))
        })?;
    }
    let is_new = !file.exists();
    draft.write(file).map_err(refused)?;
    if is_new {
        made.files.push(file.to_owned());
    }
    if service == Some(Scope::System) {
        made.open(file).map_err(|e| cannot(file, e))?;
    }
    let private = match &draft.password {
        _ if password::is_kept(args) => format!(", and {} with the password (chmod 600)", kept.display()),
        PasswordSource::Keyring(name) => format!("; the password is in your keyring, under {name}"),
        _ => String::new(),
    };
    made.keep();
    writeln!(out, "written: {}{private}", file.display())?;
    Ok(())
}

/// The service, if one is wanted, and what a person can do now.
pub(super) fn finish(mut context: Context, draft: &Draft, file: &Path, wanted: Option<Scope>) -> Result<Exit, Failure> {
    let Draft { remote, mirror, source, .. } = draft;
    match &draft.password {
        PasswordSource::Credential(name) if wanted.is_none() => {
            let out = &mut context.out;
            writeln!(out, "The password is kept nowhere yet. For the machine's service, as root:")?;
            writeln!(
                out,
                "  systemd-creds encrypt --name={name} - /etc/credstore.encrypted/{name}     (type it, then Ctrl-D twice)"
            )?;
            writeln!(out, "  systemctl edit --force towline      with: [Service]  LoadCredentialEncrypted={name}")?;
            writeln!(out, "  towline service install")?;
            return Ok(Exit::Done);
        }
        PasswordSource::Env(name) => writeln!(context.out, "The variable {name} must be set wherever Towline runs.")?,
        _ => {}
    }
    let Some(scope) = wanted else {
        writeln!(
            context.out,
            "Now `towline sync {mirror}` sends it once, `towline run` keeps it equal, `towline service install` has that done for good."
        )?;
        writeln!(context.out, "A daemon that runs takes it up with `towline reload`.")?;
        return Ok(Exit::Done);
    };
    let mut credential = None;
    if scope == Scope::System {
        writeln!(context.out, "The service runs as the user towline, who must be able to read {}.", source.display())?;
        credential = Some((remote.clone(), password::file(remote, file)));
    }
    let installed = service::install_for(context, scope, file, credential.as_ref());
    installed.map_err(|failure| {
        let hint = failure.hint().map(|hint| format!("{hint}; ")).unwrap_or_default();
        failure.with_hint(Some(format!("{hint}the configuration is written, and works: `towline sync`, `towline run`")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_goes_unless_it_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        for kept in [false, true] {
            let mut made = Made::default();
            let deep = dir.path().join("a/b");
            made.dir(&deep).unwrap();
            fs::write(deep.join("file"), "").unwrap();
            made.files.push(deep.join("file"));
            if kept {
                made.keep();
            } else {
                drop(made);
            }
            assert_eq!((deep.join("file").exists(), dir.path().join("a").exists()), (kept, kept));
        }
    }
}
