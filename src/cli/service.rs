//! `towline service`: Towline as a service of systemd, or launchd.

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
};

use rustix::process::geteuid;
use towline::{
    config::{self, Config},
    control::client::Client,
    mirror::MirrorStatus,
    service::{
        Installed, Removed, Scope, ServiceError, Told, Values,
        launchd::{self, Launchd},
        systemd::{self, Systemd},
    },
};

use super::{Context, Exit, Failure, assemble};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  sudo towline service install       the machine's service: /etc/towline/towline.toml, user towline\n  \
                  towline service install --user     your own: ~/.config/towline/towline.toml\n  \
                  towline service install --print    shows the unit, changes nothing"
)]
pub(super) struct Args {
    #[command(subcommand)]
    order: Order,
}

#[derive(Debug, clap::Subcommand)]
enum Order {
    /// Install and start the service; done already, nothing is changed
    #[command(after_help = "Example:\n  sudo towline service install\n  towline service install --user --print")]
    Install(InstallArgs),
    /// Stop and remove the service; configuration, state and its user stay
    #[command(after_help = "Example:\n  sudo towline service uninstall\n  sudo towline service uninstall --purge")]
    Uninstall(UninstallArgs),
    /// Show what the service manager and the daemon say: 0 runs, 1 does not
    #[command(after_help = "Example:\n  towline service status --user")]
    Status(ScopeArgs),
}

#[derive(Debug, clap::Args)]
struct ScopeArgs {
    /// The machine's service [default: for root]
    #[arg(long, conflicts_with = "user")]
    system: bool,
    /// Your own service [default: for everyone else]
    #[arg(long)]
    user: bool,
}

#[derive(Debug, clap::Args)]
struct InstallArgs {
    #[command(flatten)]
    scope: ScopeArgs,
    /// Show the unit, and change nothing
    #[arg(long)]
    print: bool,
    /// Overwrite a unit that was changed by hand
    #[arg(long)]
    force: bool,
    /// The program that the service runs [default: this one]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct UninstallArgs {
    #[command(flatten)]
    scope: ScopeArgs,
    /// Remove a unit that was changed by hand
    #[arg(long)]
    force: bool,
    /// Remove what the machine's service leaves behind, too: /etc/towline, its state, its drop-ins, the user towline
    #[arg(long)]
    purge: bool,
}

pub(super) async fn service(context: Context, Args { order }: Args) -> Result<Exit, Failure> {
    match order {
        Order::Install(args) => install(context, &args),
        Order::Uninstall(args) => uninstall(context, &args),
        Order::Status(args) => status(context, args.scope()).await,
    }
}

impl ScopeArgs {
    fn scope(&self) -> Scope {
        if self.system || (!self.user && geteuid().is_root()) { Scope::System } else { Scope::User }
    }
}

/// The service manager of this machine.
enum Manager {
    Systemd(Systemd),
    Launchd(Launchd),
}

impl Manager {
    fn of(scope: Scope) -> Result<Self, Failure> {
        let launchd = cfg!(target_os = "macos");
        Ok(match scope {
            Scope::System if launchd => Self::Launchd(Launchd::system()),
            Scope::System => Self::Systemd(Systemd::system()),
            Scope::User if launchd => Self::Launchd(Launchd::user(&home()?, geteuid().as_raw())),
            Scope::User => Self::Systemd(Systemd::user(&user_config()?)),
        })
    }

    fn file(&self) -> &Path {
        match self {
            Self::Systemd(manager) => manager.file(),
            Self::Launchd(manager) => &manager.file,
        }
    }

    fn text(&self, scope: Scope, values: &Values) -> String {
        match self {
            Self::Systemd(_) => systemd::unit(scope, values),
            Self::Launchd(_) => launchd::plist(scope, values),
        }
    }

    fn install(&self, values: &Values, force: bool) -> Result<Installed, ServiceError> {
        match self {
            Self::Systemd(manager) => manager.install(values, force),
            Self::Launchd(manager) => manager.install(values, force),
        }
    }

    /// Has the service get a credential; says whether that is new to it.
    fn load_credential(&self, name: &str, file: &Path) -> Result<bool, Failure> {
        match self {
            Self::Systemd(manager) => manager.load_credential(name, file).map_err(failed),
            Self::Launchd(_) => Err(Failure::said(Exit::Failed, "launchd hands no passwords to services")
                .with_hint(Some("use password = { command = [...] }, or a service of your own (--service user)"))),
        }
    }

    /// Starts it anew, if it can.
    fn restart(&self) -> Result<(), Failure> {
        match self {
            Self::Systemd(manager) => manager.restart().map_err(failed),
            Self::Launchd(_) => Ok(()),
        }
    }

    fn uninstall(&self, force: bool) -> Result<Removed, ServiceError> {
        match self {
            Self::Systemd(manager) => manager.uninstall(force),
            Self::Launchd(manager) => manager.uninstall(force),
        }
    }

    fn status(&self) -> Result<Told, ServiceError> {
        match self {
            Self::Systemd(manager) => manager.status(),
            Self::Launchd(manager) => manager.status(),
        }
    }
}

/// Installs the service for the configuration `file`, which is there; `credential`, a name and a file, is handed to it.
pub(super) fn install_for(
    mut context: Context,
    scope: Scope,
    file: &Path,
    credential: Option<&(String, PathBuf)>,
) -> Result<Exit, Failure> {
    let manager = Manager::of(scope)?;
    let was_there = manager.file().exists();
    let anew = match credential {
        Some((name, file)) => manager.load_credential(name, file)? && was_there,
        None => false,
    };
    if usual(scope)?.0 != file {
        context.config = Some(file.to_owned());
    }
    let args = InstallArgs {
        scope: ScopeArgs { system: scope == Scope::System, user: scope == Scope::User },
        print: false,
        force: false,
        program: None,
    };
    let exit = install(context, &args)?;
    if anew {
        manager.restart()?;
    }
    Ok(exit)
}

fn install(mut context: Context, args: &InstallArgs) -> Result<Exit, Failure> {
    let scope = args.scope.scope();
    let manager = Manager::of(scope)?;
    let program = args.program.clone().map_or_else(env::current_exe, std::path::absolute)?;
    let whole = |path: &Option<PathBuf>| path.as_deref().map(std::path::absolute).transpose();
    let values = Values { program, config: whole(&context.config)?, state: whole(&context.state_dir)? };
    if args.print {
        write!(context.out, "{}", manager.text(scope, &values))?;
        return Ok(Exit::Done);
    }
    let config = match &values.config {
        Some(config) => config.clone(),
        None => usual(scope)?.0,
    };
    // A daemon that cannot start would be all that this makes.
    if let Err(e) = fs::metadata(&config) {
        let why = format!("{}: {e}", config.display());
        return Err(
            Failure::said(Exit::Config, why).with_hint(Some("write the configuration first, and try it with `towline check`"))
        );
    }
    let installed = manager.install(&values, args.force).map_err(failed)?;
    let file = manager.file().display();
    match installed {
        Installed::New => writeln!(context.out, "installed as {file}, enabled and started")?,
        Installed::Changed => writeln!(context.out, "{file} was written anew, and the service started anew")?,
        Installed::Started => writeln!(context.out, "{file} is as it should be; enabled and started")?,
        Installed::Already => writeln!(context.out, "{file} is as it should be, and the service runs: nothing to do")?,
    }
    Ok(Exit::Done)
}

fn uninstall(mut context: Context, args: &UninstallArgs) -> Result<Exit, Failure> {
    let scope = args.scope.scope();
    let manager = Manager::of(scope)?;
    let machines = match &manager {
        Manager::Systemd(systemd) if scope == Scope::System => Some(systemd),
        _ => None,
    };
    if args.purge && machines.is_none() {
        return Err(Failure::said(Exit::Usage, "only the machine's service leaves a user and directories of the machine behind")
            .with_hint(Some("without --purge it says where your configuration and state are: remove them yourself")));
    }
    if args.purge && machines.is_some_and(Systemd::is_packaged) {
        return Err(Failure::said(Exit::Failed, "the service came with a package, which takes along what it left behind")
            .with_hint(Some("sudo apt purge towline; or without --purge, which stops and disables it")));
    }
    let file = manager.file().to_owned();
    let removed = manager.uninstall(args.force).map_err(failed)?;
    match removed {
        Removed::Unit => writeln!(context.out, "stopped, disabled, and {} removed", file.display())?,
        Removed::Disabled => {
            writeln!(context.out, "stopped and disabled; {} belongs to the package", file.display())?;
        }
        Removed::Nothing => writeln!(context.out, "{} is not there: nothing to do", file.display())?,
    }
    if let (true, Some(systemd)) = (args.purge, machines) {
        let gone = systemd.purge().map_err(failed)?;
        writeln!(context.out, "removed: {}", if gone.is_empty() { "nothing was left".to_owned() } else { gone.join(", ") })?;
        return Ok(Exit::Done);
    }
    let (config, state) = usual(scope)?;
    let user = if machines.is_some() { format!(", the user {}", systemd::SYSTEM_USER) } else { String::new() };
    writeln!(context.out, "kept: the configuration ({}), the state ({}){user}", config.display(), state.display())?;
    if machines.is_some() && removed != Removed::Disabled {
        writeln!(context.out, "`towline service uninstall --purge` removes these, too")?;
    }
    Ok(Exit::Done)
}

async fn status(mut context: Context, scope: Scope) -> Result<Exit, Failure> {
    let told = Manager::of(scope)?.status().map_err(failed)?;
    writeln!(context.out, "{}", told.words)?;
    let socket = match scope {
        Scope::System if cfg!(target_os = "linux") => PathBuf::from(systemd::SYSTEM_SOCKET),
        _ => assemble::own_socket(&context)?,
    };
    match Client::new(&socket).status().await {
        Ok(status) => writeln!(context.out, "{}: {}", socket.display(), phases(&status.mirrors))?,
        Err(e) => writeln!(context.out, "{e}")?,
    }
    Ok(if told.runs { Exit::Done } else { Exit::Failed })
}

/// One line of all mirrors.
fn phases(mirrors: &[MirrorStatus]) -> String {
    let each: Vec<_> = mirrors.iter().map(|mirror| format!("{} {}", mirror.name, mirror.phase.as_str())).collect();
    if each.is_empty() { "no mirror".to_owned() } else { each.join(", ") }
}

/// Where configuration and state of a service are, if nothing else was said.
fn usual(scope: Scope) -> Result<(PathBuf, PathBuf), Failure> {
    if scope == Scope::System {
        return Ok((systemd::SYSTEM_CONFIG.into(), systemd::SYSTEM_STATE.into()));
    }
    let config = match Config::find(None, &|name| if name == "TOWLINE_CONFIG" { None } else { Context::env(name) }) {
        Ok(found) => found,
        Err(_) => user_config()?.join("towline/towline.toml"),
    };
    let state = config::state_dir(None, &Context::env).map_err(Failure::config)?;
    Ok((config, state))
}

/// `$XDG_CONFIG_HOME`.
fn user_config() -> Result<PathBuf, Failure> {
    let named = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    named.map_or_else(|| Ok(home()?.join(".config")), Ok)
}

fn home() -> Result<PathBuf, Failure> {
    let home = env::var_os("HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    home.ok_or_else(|| Failure::said(Exit::Failed, "$HOME is not set: it is not known where your services are"))
}

fn failed(error: ServiceError) -> Failure {
    let hint = error.hint();
    Failure::failed(error).with_hint(Some(hint))
}
