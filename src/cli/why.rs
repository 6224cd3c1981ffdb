//! `towline why PATH`: everything that is known of one path. Asks the daemon, which looks first; where none runs, the state
//! is read as it is.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use towline::{
    clock,
    control::{
        Question,
        client::{Client, ClientError},
    },
    index::Reader,
    mirror::{Account, PathState, Seats, Side, account_at_rest, index_file},
    model::{ProofWay, UnixMillis},
};

use super::{
    Context, Exit, Failure, assemble,
    place::{self, Spot},
    show,
};

/// A look may take this long; then the answer comes without it, and says so.
const LOOK: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  towline why ~/site/draft.tmp     ignored by which rule, parked for which reason, on the server since what"
)]
pub(super) struct Args {
    /// A path here, or below the mirror's directory
    path: PathBuf,
    /// The mirror that holds the path, where that is not clear from the path
    #[arg(long, value_name = "NAME")]
    mirror: Option<String>,
    /// Everything, as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn why(context: Context, args: Args) -> Result<Exit, Failure> {
    tell(context, &args.path, args.mirror.as_deref(), args.json, true).await
}

/// Prints how `path` is; `all` with what that rests on.
pub(super) async fn tell(
    mut context: Context,
    path: &Path,
    mirror: Option<&str>,
    json: bool,
    all: bool,
) -> Result<Exit, Failure> {
    let config = assemble::config(&context)?;
    let spot = place::find(&config, path, mirror)?;
    let question = Question { path: spot.path.clone(), look: true, within: LOOK };
    let client = Client::new(&assemble::socket(&context)?);
    let account = match client.account(&spot.mirror.name, &question).await {
        Err(ClientError::NotRunning { .. }) => at_rest(&context, spot)?,
        answer => answer.map_err(refused)?,
    };
    if json {
        let json = serde_json::to_string_pretty(&account).map_err(Failure::failed)?;
        writeln!(context.out, "{json}")?;
    } else {
        write_account(&mut context.out, &account, all, clock::now())?;
    }
    Ok(Exit::Done)
}

pub(super) fn refused(e: ClientError) -> Failure {
    match e {
        ClientError::NoSuchMirror(_) => Failure::usage(e)
            .with_hint(Some("the daemon has another configuration than this file: restart it, or name its file with --config")),
        ClientError::Refused(_) => Failure::failed(e),
        e => Failure::new(Exit::Unavailable, e),
    }
}

/// What the state says while no daemon runs.
fn at_rest(context: &Context, spot: Spot<'_>) -> Result<Account, Failure> {
    let state_dir = assemble::state_dir(context)?;
    let file = index_file(&state_dir, &spot.mirror.name);
    if !file.exists() {
        return Err(Failure::said(Exit::Failed, format_args!("the mirror {} has never run", spot.mirror.name))
            .with_hint(Some("start the daemon with `towline run`, or run `towline sync`")));
    }
    let settings = assemble::settings(spot.mirror, Seats::new(1), &state_dir)?;
    let reader = Reader::open(&file).map_err(|e| Failure::state(&file, e))?;
    account_at_rest(&settings, &reader, spot.path, clock::now()).map_err(|e| Failure::state(&file, e))
}

/// One path, for people.
pub(super) fn write_account(out: &mut impl Write, account: &Account, all: bool, now: UnixMillis) -> io::Result<()> {
    let path = if account.path.is_empty() { "everything" } else { &account.path };
    writeln!(out, "{}: {path}: {}", account.mirror, account.state.as_str())?;
    if let Some(why) = &account.why {
        writeln!(out, "  why        {why}")?;
    }
    if let Some(hint) = &account.hint {
        writeln!(out, "             {hint}")?;
    }
    for job in &account.in_flight {
        match job.size.filter(|size| *size > 0) {
            Some(size) => {
                writeln!(out, "  {:<10} {} ({} of {})", job.verb, job.path, show::bytes(job.sent.min(size)), show::bytes(size))?;
            }
            None => writeln!(out, "  {:<10} {}", job.verb, job.path)?,
        }
    }
    if account.pending_below > 0 {
        let below = show::count(account.pending_below, "change", "changes");
        writeln!(out, "  below      {below} not on the server yet")?;
    }
    if let Some(since) = account.since {
        write!(out, "  pending    since {}", show::ago(since, now))?;
        match account.retry_at {
            Some(at) => writeln!(out, "; attempt {} in {}", account.attempts + 1, show::span(at.since(now)))?,
            None => writeln!(out)?,
        }
    }
    if all {
        write_sides(out, account, now)?;
    }
    Ok(())
}

fn write_sides(out: &mut impl Write, account: &Account, now: UnixMillis) -> io::Result<()> {
    let side = |side: &Option<Side>| side.as_ref().map_or_else(|| "nothing".to_owned(), |side| words(side, now));
    if account.path.is_empty() || matches!(account.state, PathState::Ignored | PathState::Skipped) {
        return Ok(());
    }
    let looked = if account.looked { "just now" } else { "when it was last looked at" };
    writeln!(out, "  here       {} ({looked})", side(&account.here))?;
    writeln!(out, "  server     {}", side(&account.there))?;
    match account.proof {
        Some(proof) => writeln!(out, "  proven     {}, {}", show::ago(proof.at, now), proven(proof.way)),
        None if account.there.as_ref().is_some_and(|there| there.kind == "file") => {
            writeln!(out, "  proven     when it was sent, by its size; not since")
        }
        None => Ok(()),
    }
}

fn proven(way: ProofWay) -> &'static str {
    match way {
        ProofWay::Size => "by its size, and its time where the server keeps it",
        ProofWay::Checksum => "by a checksum of the server's",
        ProofWay::Reading => "read back",
    }
}

fn words(side: &Side, now: UnixMillis) -> String {
    let kind = match side.kind.as_str() {
        "dir" => "a directory",
        "link" => "a symbolic link",
        _ => "a file",
    };
    let size = side.size.map(|size| format!(" of {}", show::bytes(size))).unwrap_or_default();
    let modified = side.modified.map(|at| format!(", modified {}", show::ago(at, now))).unwrap_or_default();
    format!("{kind}{size}{modified}")
}
