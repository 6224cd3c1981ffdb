//! `towline check`: is the configuration right, and with `--online`, does each server let us in?
//!
//! With `--json` one object is printed, whatever is wrong. Keys may be added; these stay:
//!
//! - `exit`: the exit code, 0 where all is right
//! - `files`: the configuration's files in the order in which they are read
//! - `variables`: the environment variables that are laid over them
//! - `faults`: what is wrong in them, each with `file` (or `$VARIABLE`), `line`, `column` (from 1; 0 in a variable), `message`, and `hint`
//!   or null
//! - `error`: null, or `what` and `hint` where nothing could be read, or nothing is there to be mirrored
//! - `mirrors`: each with `mirror`, `source`, `server`, `path`, `tls` (with `--online`, or null), `warnings`, and `problems`: each with
//!   `what`, `hint` or null, and `exit`, the code that it amounts to

use std::io::Write;

use serde::Serialize;
use towline::{
    clock,
    config::{self, Config, ConfigError, PasswordSource},
    ftps::Profile,
    mirror::Seats,
    remote::{Class, Remote, Session, ftps::FtpsRemote},
    scan::Root,
};

use super::{Context, Exit, Failure, assemble, out::Out};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  towline --config towline.toml check --online\n  towline check --json | jq .faults     for scripts: 0 right, 78 written wrong, else the worst of what was found"
)]
pub(super) struct Args {
    /// Log in to each server, too; a mirror's directory on the server is made if it is missing
    #[arg(long)]
    online: bool,
    /// Everything, as JSON
    #[arg(long)]
    json: bool,
}

/// All that there is to say.
#[derive(Debug, Default, Serialize)]
struct Report {
    exit: u8,
    files: Vec<String>,
    variables: Vec<String>,
    faults: Vec<Fault>,
    error: Option<Problem>,
    mirrors: Vec<Mirror>,
}

#[derive(Debug, Serialize)]
struct Fault {
    file: String,
    line: usize,
    column: usize,
    message: String,
    hint: Option<&'static str>,
}

/// What is to be said of one mirror.
#[derive(Debug, Serialize)]
struct Mirror {
    mirror: String,
    source: String,
    server: String,
    path: String,
    tls: Option<&'static str>,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Problem {
    what: String,
    hint: Option<String>,
    #[serde(serialize_with = "code")]
    exit: Exit,
}

fn code<S: serde::Serializer>(exit: &Exit, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(*exit as u8)
}

pub(super) async fn check(mut context: Context, args: Args) -> Result<Exit, Failure> {
    let mut report = Report::default();
    if let Ok(file) = Config::find(context.config.as_deref(), &Context::env) {
        report.files = Config::files(&file).unwrap_or_default().iter().map(|file| file.display().to_string()).collect();
    }
    report.variables = Config::overrides();
    let checked = checked(&mut context, &args, &mut report).await;
    if !args.json {
        return checked;
    }
    let exit = match checked {
        Ok(exit) => exit,
        Err(failure) if failure.is_closed_pipe() => return Err(failure),
        Err(failure) => {
            match failure.error().downcast_ref() {
                Some(ConfigError::Invalid { faults }) => report.faults = faults.iter().map(Fault::of).collect(),
                _ => report.error = Some(Problem::of(&failure)),
            }
            failure.exit
        }
    };
    report.exit = exit as u8;
    let json = serde_json::to_string_pretty(&report).map_err(Failure::failed)?;
    writeln!(context.out, "{json}")?;
    Ok(exit)
}

/// Notes in `report` what is found; and says it, mirror by mirror, unless it is for a program.
async fn checked(context: &mut Context, args: &Args, report: &mut Report) -> Result<Exit, Failure> {
    let config = assemble::config(context)?;
    let state_dir = assemble::state_dir(context)?;
    let mut worst = Exit::Done;
    if !args.json {
        for file in &report.files {
            writeln!(context.out, "read {file}")?;
        }
        for variable in &report.variables {
            writeln!(context.out, "read ${variable}")?;
        }
    }
    for mirror in &config.mirrors {
        let remote = assemble::remote_of(&config, mirror)?;
        let mut found = Mirror::of(mirror, remote);
        if !args.json {
            let Mirror { mirror, source, server, path, .. } = &found;
            writeln!(context.out, "{mirror}: {source} -> {server}{path}")?;
        }
        if let Err(e) = Root::open(&mirror.source) {
            found.problems.push(Problem { what: e.to_string(), hint: Some(e.hint().to_owned()), exit: Exit::Failed });
        }
        if let Err(failure) = assemble::settings(mirror, Seats::new(1), &state_dir) {
            found.problems.push(Problem::of(&failure));
        }
        match server(remote, &mirror.path, args.online).await {
            Err(failure) => found.problems.push(Problem::of(&failure)),
            Ok(server) => {
                if args.online {
                    login(&mut found, &server).await;
                }
                found.warnings = server.warnings(clock::now());
            }
        }
        worst = found.problems.iter().map(|problem| problem.exit).fold(worst, Exit::max);
        if !args.json {
            found.print(&mut context.out)?;
        }
        report.mirrors.push(found);
    }
    if worst == Exit::Done && !args.json {
        writeln!(context.out, "configuration is right")?;
    }
    Ok(worst)
}

impl Fault {
    fn of(fault: &config::Fault) -> Self {
        let config::Fault { file, line, column, message, hint } = fault;
        Self { file: file.display().to_string(), line: *line, column: *column, message: message.clone(), hint: *hint }
    }
}

impl Problem {
    fn of(failure: &Failure) -> Self {
        Self { what: failure.cause(), hint: failure.hint().map(str::to_owned), exit: failure.exit }
    }
}

impl Mirror {
    fn of(mirror: &config::Mirror, remote: &config::Remote) -> Self {
        Self {
            mirror: mirror.name.clone(),
            source: mirror.source.display().to_string(),
            server: format!("ftps://{}@{}:{}", remote.user, remote.host, remote.port),
            path: mirror.path.clone(),
            tls: None,
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn print(&self, out: &mut Out) -> Result<(), Failure> {
        if let Some(tls) = self.tls {
            writeln!(out, "  logged in over {tls}")?;
        }
        for problem in &self.problems {
            writeln!(out, "  {}", problem.what)?;
            if let Some(hint) = &problem.hint {
                writeln!(out, "    {hint}")?;
            }
        }
        for warning in &self.warnings {
            writeln!(out, "  warning: {warning}")?;
        }
        Ok(())
    }
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

async fn login(found: &mut Mirror, server: &FtpsRemote) {
    match server.connect().await {
        Ok(session) => {
            found.tls = Some(session.tls_version());
            session.close().await;
        }
        Err(e) => {
            let what = if e.class == Class::Refused { "logged in, but the directory cannot be used" } else { "no login" };
            let problem = Problem { what: format!("{what}: {e}"), hint: e.hint.map(str::to_owned), exit: Exit::of(e.class) };
            found.problems.push(problem);
        }
    }
}
