//! `towline trust`: the certificate of a server, what is to be said of it, and with `--pin` its key into the configuration.
//! The daemon never does that by itself.

use std::{io::Write, path::Path};

use jiff::Timestamp;
use serde::Serialize;
use towline::{
    clock,
    config::{self, NewPin},
    ftps::{CertificateProblem, Presented, Profile, TlsVersion},
    remote::RemoteError,
};

use super::{Context, Exit, Failure, assemble, out::Out, show};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The pin must come from the server that you mean: compare it with what its operator tells you, by another way.\n\n\
                  Example:\n  towline trust web              show it; 0 trusted, 76 not\n  \
                  towline trust web --pin        add the key to the configuration\n  \
                  towline trust web --json | jq -r .pin"
)]
pub(super) struct Args {
    /// The remote's name
    remote: String,
    /// Write the presented key into the configuration, in the file that defines the remote; asks nothing
    #[arg(long)]
    pin: bool,
    /// With --pin: drop the pins that are there
    #[arg(long, requires = "pin")]
    replace: bool,
    /// Everything, as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn trust(mut context: Context, args: Args) -> Result<Exit, Failure> {
    let (config, file) = assemble::any_config(&context)?;
    let remote = config.remotes.get(&args.remote).ok_or_else(|| unknown(&config, &args.remote))?;
    let presented = inspect(remote).await?;
    let report = Report::new(remote, &presented, clock::now().0.div_euclid(1000));
    let written = if args.pin { Some(write(&file, remote, &presented, args.replace)?) } else { None };
    let exit = if report.trusted || written.is_some() { Exit::Done } else { Exit::Protocol };
    if args.json {
        let json = serde_json::to_string_pretty(&WithResult { report, written }).map_err(Failure::failed)?;
        writeln!(context.out, "{json}")?;
        return Ok(exit);
    }
    print(&mut context.out, &report)?;
    match written {
        Some(written) => print_written(&mut context.out, &report, &written)?,
        None => writeln!(context.out, "{}", report.next)?,
    }
    Ok(exit)
}

fn unknown(config: &config::Config, name: &str) -> Failure {
    let known: Vec<_> = config.remotes.keys().map(String::as_str).collect();
    if known.is_empty() {
        return Failure::said(Exit::Usage, format_args!("there is no remote called {name:?}, nor any other"));
    }
    Failure::said(Exit::Usage, format_args!("there is no remote called {name:?}; there is: {}", known.join(", ")))
}

/// What the server presents.
async fn inspect(remote: &config::Remote) -> Result<Presented, Failure> {
    look(remote).await?.map_err(|e| {
        let (class, hint) = (e.class, e.hint);
        Failure::new(Exit::of(class), e).with_hint(hint)
    })
}

/// The same, with the failure as it is. Neither the password nor our own certificate is needed, so none is read; a proxy's may be.
pub(super) async fn look(remote: &config::Remote) -> Result<Result<Presented, RemoteError>, Failure> {
    let mut remote = remote.clone();
    remote.tls.client = None;
    let of_proxy = remote.proxy.as_ref().and_then(|proxy| proxy.user.as_ref()).map(|(_, source)| source.clone());
    let secrets = assemble::secrets(&remote, |source| of_proxy.as_ref() == Some(source)).await?;
    let server = assemble::server(&remote, secrets, "/", Profile::default(), |_| {})?;
    Ok(server.inspect().await)
}

/// What there is to say.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    remote: String,
    host: String,
    port: u16,
    /// The version of TLS, in words.
    tls: &'static str,
    subject: String,
    issuer: String,
    names: Vec<String>,
    /// In Unix seconds, as the next.
    not_before: i64,
    not_after: i64,
    /// Negative when it has expired.
    days_left: i64,
    /// The certificate's, in pairs of hexadecimal digits.
    sha256: String,
    /// The public key's, as the configuration wants it.
    pub(super) pin: String,
    chain_length: usize,
    /// How many keys the configuration pins, and whether this is one of them.
    pins: usize,
    pinned: bool,
    /// Whether a chain leads to a root, for the right name, at this time; if not, why.
    verified: bool,
    problem: Option<String>,
    /// Whether the configuration as it is trusts this server.
    trusted: bool,
    /// What to do now.
    next: String,
}

#[derive(Serialize)]
struct WithResult {
    #[serde(flatten)]
    report: Report,
    /// What `--pin` did.
    written: Option<Written>,
}

/// What became of the configuration.
#[derive(Debug, Serialize)]
struct Written {
    /// The file; none where all of it was there already.
    file: Option<String>,
    /// Whether `trust = "pin"` was needed, since the chain does not verify.
    alone: bool,
}

impl Report {
    /// Pure; `now` in Unix seconds.
    pub(super) fn new(remote: &config::Remote, presented: &Presented, now: i64) -> Self {
        let pinned = remote.tls.pins.iter().any(|pin| presented.pin == (*pin).into());
        let verified = presented.verification.is_ok();
        let trusted = match remote.tls.trust {
            config::Trust::Chain => verified && (pinned || remote.tls.pins.is_empty()),
            config::Trust::Pin => pinned,
        };
        let sha256: Vec<_> = presented.sha256.iter().map(|byte| format!("{byte:02X}")).collect();
        Self {
            remote: remote.name.clone(),
            host: remote.host.clone(),
            port: remote.port,
            tls: match presented.version {
                TlsVersion::V12 => "TLS 1.2",
                TlsVersion::V13 => "TLS 1.3",
            },
            subject: presented.subject.clone(),
            issuer: presented.issuer.clone(),
            names: presented.names.clone(),
            not_before: presented.not_before,
            not_after: presented.not_after,
            days_left: presented.not_after.saturating_sub(now).div_euclid(86_400),
            sha256: sha256.join(":"),
            pin: presented.pin.to_string(),
            chain_length: presented.chain_length,
            pins: remote.tls.pins.len(),
            pinned,
            verified,
            problem: presented.verification.as_ref().err().map(CertificateProblem::why),
            trusted,
            next: next(remote, presented, pinned, trusted),
        }
    }
}

/// What to do, in words.
fn next(remote: &config::Remote, presented: &Presented, pinned: bool, trusted: bool) -> String {
    let name = &remote.name;
    let compare = "compare the pin with what the server's operator tells you, by another way";
    if trusted {
        return "trusted: there is nothing to do".to_owned();
    }
    match &presented.verification {
        Err(problem) if pinned => format!(
            "not trusted: the key is pinned, but the chain has to verify as well\n  {}\n  \
             or `towline trust {name} --pin`: trust by pin alone",
            problem.hint()
        ),
        _ if !remote.tls.pins.is_empty() => format!(
            "not trusted: its key is none of those that are pinned\n  \
             if the key was changed on purpose ({compare}): `towline trust {name} --pin`, with --replace\n  \
             to drop the older pins; if not, somebody is in between"
        ),
        Err(problem) => format!(
            "not trusted: {}\n  {}\n  to trust this very key ({compare}): `towline trust {name} --pin`",
            problem.why(),
            problem.hint()
        ),
        // By pin alone, and without a pin: such a configuration does not load.
        Ok(()) => format!("not trusted: `towline trust {name} --pin` trusts this key"),
    }
}

pub(super) fn print(out: &mut Out, report: &Report) -> Result<(), Failure> {
    let Report { remote, host, port, tls, subject, issuer, sha256, pin, .. } = report;
    writeln!(out, "{remote}: {host}:{port} over {tls}")?;
    writeln!(out, "  subject    {subject}")?;
    let names = if report.names.is_empty() { "none".to_owned() } else { report.names.join(", ") };
    writeln!(out, "  names      {names}")?;
    writeln!(out, "  issuer     {issuer}")?;
    let left = match report.days_left {
        ..0 => "expired".to_owned(),
        0 => "less than a day left".to_owned(),
        days => format!("{} left", show::count(days.unsigned_abs(), "day", "days")),
    };
    writeln!(out, "  valid      {} to {}, {left}", date(report.not_before), date(report.not_after))?;
    writeln!(out, "  chain      {}", show::count(report.chain_length as u64, "certificate", "certificates"))?;
    writeln!(out, "  sha256     {sha256}")?;
    writeln!(out, "  pin        {pin}")?;
    let pinned = match (report.pinned, report.pins) {
        (true, _) => "yes".to_owned(),
        (false, 0) => "nothing is pinned".to_owned(),
        (false, n) => format!("no; {}", show::count(n as u64, "other key is", "other keys are")),
    };
    writeln!(out, "  pinned     {pinned}")?;
    let verified = report.problem.as_ref().map_or("yes".to_owned(), |problem| format!("no: {problem}"));
    writeln!(out, "  verified   {verified}")?;
    Ok(())
}

/// A day, in UTC.
fn date(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| format!("second {seconds}"), |at| at.strftime("%Y-%m-%d").to_string())
}

/// Writes the pin.
fn write(file: &Path, remote: &config::Remote, presented: &Presented, replace: bool) -> Result<Written, Failure> {
    let alone = presented.verification.is_err() && remote.tls.trust == config::Trust::Chain;
    let new = NewPin { pin: presented.pin.into(), replace, alone };
    let written = config::write_pin(file, &remote.name, &new).map_err(|e| {
        let hint = format!("{}: pin = [\"{}\"] in [remote.{}.tls]", e.hint(), presented.pin, remote.name);
        Failure::config(e).with_hint(Some(hint))
    })?;
    Ok(Written { file: written.map(|file| file.display().to_string()), alone })
}

fn print_written(out: &mut Out, report: &Report, written: &Written) -> Result<(), Failure> {
    match &written.file {
        Some(file) => {
            writeln!(out, "pinned: {file} has the pin now")?;
            if written.alone {
                let problem = report.problem.as_deref().unwrap_or_default();
                writeln!(out, "  and trust = \"pin\", since the chain does not verify ({problem}): the pin alone counts")?;
            }
            writeln!(out, "  a daemon that runs goes by it from its next start on")?;
        }
        None => writeln!(out, "the pin was there already; nothing was written")?,
    }
    Ok(())
}

#[cfg(test)]
mod tests;
