//! `towline doctor`: what a server can do, and what follows from that. It needs no daemon and disturbs none: it takes no state lock,
//! and its findings are kept beside those of the daemon, who reads them at its next start.
//!
//! With `--json` one object is printed. Keys may be added; these stay:
//!
//! - `remote`, `server` (host and port), `path` (where it was tried), `tls`, `greeting`
//! - `certificate-expires`: RFC 3339, or null
//! - `probed`: null, or `at` (RFC 3339) and `verdict` (`complete`, `cut-short`, `no-directory`)
//! - `rows`: each with `key`, `what`, `found`, `grade` (`fine`, `weak`, `unknown`), and for a weakness `consequence`, `remedy`
//! - `profile`: the findings themselves; what is not known is null

use std::io::Write;

use serde_json::json;
use towline::{
    clock,
    config::Config,
    ftps::{
        Verdict,
        doctor::{Grade, Row, rows},
    },
    remote::ftps::Examined,
};

use super::{Context, Exit, Failure, assemble, out::Out, show};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  towline doctor web            what the server can do\n  towline doctor web --fresh    try it all anew"
)]
pub(super) struct Args {
    /// Which [remote.NAME] of the configuration
    remote: String,
    /// Everything, as JSON
    #[arg(long)]
    json: bool,
    /// Try everything anew, whatever is known
    #[arg(long)]
    fresh: bool,
    /// Where on the server to try it, in a directory .towline-probe that is removed again [default: the first mirror's path, or /]
    #[arg(long, value_name = "DIR")]
    path: Option<String>,
}

pub(super) async fn doctor(mut context: Context, args: Args) -> Result<Exit, Failure> {
    let config = assemble::config(&context)?;
    let name = &args.remote;
    let remote = config.remotes.get(name).ok_or_else(|| {
        let known = config.remotes.keys().cloned().collect::<Vec<_>>().join(", ");
        Failure::said(Exit::Usage, format_args!("there is no remote called {name:?}; there is: {known}"))
    })?;
    let path = args.path.clone().unwrap_or_else(|| first_path(&config, name));
    let profiles = assemble::profiles(&assemble::state_dir(&context)?)?;
    let server = assemble::known_server(remote, &path, &profiles).await?;
    let examined = server.examine(args.fresh, clock::now()).await.map_err(|e| {
        let (exit, hint) = (Exit::of(e.class), e.hint);
        Failure::new(exit, e).with_hint(hint)
    })?;
    let place = Place { remote: name, server: format!("{}:{}", remote.host, remote.port), path: &path };
    if args.json {
        let json = serde_json::to_string_pretty(&object(&place, &examined)).map_err(Failure::failed)?;
        writeln!(context.out, "{json}")?;
    } else {
        print(&mut context.out, &place, &examined)?;
    }
    Ok(Exit::Done)
}

/// The path of the first mirror to this remote.
fn first_path(config: &Config, remote: &str) -> String {
    config.mirrors.iter().find(|mirror| mirror.remote == remote).map_or_else(|| "/".to_owned(), |mirror| mirror.path.clone())
}

/// What was examined.
struct Place<'a> {
    remote: &'a str,
    server: String,
    path: &'a str,
}

fn object(place: &Place<'_>, examined: &Examined) -> serde_json::Value {
    let Examined { tls, certificate_expires, greeting, profile } = examined;
    let probed = profile.probed.map(|probed| json!({ "at": date(probed.at.0.div_euclid(1000)), "verdict": probed.verdict }));
    json!({
        "remote": place.remote,
        "server": place.server,
        "path": place.path,
        "tls": tls,
        "certificate-expires": certificate_expires.map(date),
        "greeting": greeting,
        "probed": probed,
        "rows": rows(profile),
        "profile": profile,
    })
}

fn print(out: &mut Out, place: &Place<'_>, examined: &Examined) -> Result<(), Failure> {
    let Examined { tls, certificate_expires, greeting, profile } = examined;
    writeln!(out, "{}: {}, {tls}", place.remote, place.server)?;
    writeln!(out, "  greets       {greeting}")?;
    if let Some(at) = certificate_expires {
        writeln!(out, "  certificate  valid until {}", date(*at))?;
    }
    match profile.probed {
        None => writeln!(out, "  probed       not yet: another conversation is about to")?,
        Some(probed) => {
            let how = match probed.verdict {
                Verdict::Complete => "",
                Verdict::Begun => "; the rest follows when there is nothing to upload",
                Verdict::CutShort => "; it was cut short, and is tried again after an hour",
                Verdict::NoDirectory => {
                    "; the account cannot write there, so that little is known. Let it, or give another --path"
                }
            };
            writeln!(out, "  probed       {}{how}", show::ago(probed.at, clock::now()))?;
        }
    }
    writeln!(out)?;
    let rows = rows(profile);
    let width = rows.iter().map(|row| row.what.chars().count()).max().unwrap_or(0);
    for row in &rows {
        print_row(out, row, width)?;
    }
    let weak = rows.iter().filter(|row| row.grade == Grade::Weak).count();
    match weak {
        0 => writeln!(out, "\nno weakness was found")?,
        n => writeln!(out, "\n{}", show::count(n as u64, "weakness, marked with !", "weaknesses, marked with !"))?,
    }
    Ok(())
}

pub(super) fn print_row(out: &mut Out, row: &Row, width: usize) -> Result<(), Failure> {
    let mark = match row.grade {
        Grade::Fine => ' ',
        Grade::Weak => '!',
        Grade::Unknown => '?',
    };
    writeln!(out, "{mark} {:<width$}  {}", row.what, row.found)?;
    for line in [row.consequence, row.remedy].into_iter().flatten() {
        writeln!(out, "  {:<width$}  -> {line}", "")?;
    }
    Ok(())
}

/// Seconds since the Unix epoch, as RFC 3339.
fn date(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |at| at.to_string())
}
