//! `towline wait`: until a path, or everything, is on the server as it is here. What was so when it was started is looked at
//! before anything is believed.

use std::{io::Write, path::PathBuf, time::Duration};

use tokio::time::{Instant, sleep};
use towline::{
    clock,
    control::{Question, WITHIN, client::Client},
    mirror::Account,
    model::RelPath,
};

use super::{
    Context, Exit, Failure, assemble, place,
    why::{refused, write_account},
};

/// Between two questions.
const AGAIN: Duration = Duration::from_millis(200);
/// The longest time that can be waited.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  make && towline wait --timeout 5m && curl https://www.example.com/\n\n\
                  Exit codes: 0 it is on the server as it is here; 1 not within the timeout; 3 it does not get there by itself\n\
                  (ignored, skipped, parked, held back); 69 no daemon runs.")]
pub(super) struct Args {
    /// A path here, or below the mirror's directory [default: everything, in every mirror]
    path: Option<PathBuf>,
    /// The mirror that holds the path; without a path: that mirror alone
    #[arg(long, value_name = "NAME")]
    mirror: Option<String>,
    /// Give up after so long, such as 30s or 5m [default: never]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    /// How each path was at the end, as JSON
    #[arg(long)]
    json: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|_| "give a number and a unit, such as 30s or 5m".to_owned())?;
    Duration::try_from(span).map(|span| span.min(LONGEST)).map_err(|_| "a duration is not negative".to_owned())
}

pub(super) async fn wait(mut context: Context, args: Args) -> Result<Exit, Failure> {
    let client = Client::new(&assemble::socket(&context)?);
    let end = Instant::now() + args.timeout.unwrap_or(LONGEST);
    let spots: Vec<(String, Option<RelPath>)> = match (&args.path, &args.mirror) {
        (Some(path), mirror) => {
            let config = assemble::config(&context)?;
            let spot = place::find(&config, path, mirror.as_deref())?;
            vec![(spot.mirror.name.clone(), spot.path)]
        }
        (None, Some(mirror)) => vec![(mirror.clone(), None)],
        (None, None) => {
            let status = client.status().await.map_err(refused)?;
            status.mirrors.into_iter().map(|mirror| (mirror.name, None)).collect()
        }
    };
    // At the same time: what came to one mirror while another was waited for would not be covered.
    let mut waits = tokio::task::JoinSet::new();
    for (at, (mirror, path)) in spots.into_iter().enumerate() {
        let client = client.clone();
        waits.spawn(async move { (at, settle(&client, &mirror, path, end).await) });
    }
    let mut ended = Vec::new();
    while let Some(one) = waits.join_next().await {
        let (at, account) = one.map_err(Failure::failed)?;
        ended.push((at, account?));
    }
    ended.sort_by_key(|(at, _)| *at);
    let accounts: Vec<Account> = ended.into_iter().map(|(_, account)| account).collect();
    if args.json {
        let json = serde_json::to_string_pretty(&accounts).map_err(Failure::failed)?;
        writeln!(context.out, "{json}")?;
    } else {
        for account in &accounts {
            write_account(&mut context.out, account, false, clock::now())?;
        }
    }
    Ok(accounts.iter().map(exit).max().unwrap_or(Exit::Done))
}

fn exit(account: &Account) -> Exit {
    match account.state {
        state if state.is_settled() && account.looked => Exit::Done,
        state if state.is_stuck() => Exit::SomeFailed,
        _ => Exit::Failed,
    }
}

/// Waits until `path` is settled, is stuck, or `end` has come; and says how it is then. `looked` says that it was looked at
/// since this began.
async fn settle(client: &Client, mirror: &str, path: Option<RelPath>, end: Instant) -> Result<Account, Failure> {
    let mut looked = false;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        // Whole seconds, and no less than one: a look is asked for at least once.
        let within = Duration::from_secs(left.as_secs().max(1)).min(WITHIN);
        let question = Question { path: path.clone(), look: !looked, within };
        let mut account = client.account(mirror, &question).await.map_err(refused)?;
        looked |= account.looked;
        account.looked = looked;
        if (looked && (account.state.is_settled() || account.state.is_stuck())) || left.is_zero() {
            return Ok(account);
        }
        sleep(AGAIN.min(left)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_in_the_configuration() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("99999999999s"), Ok(LONGEST));
        for wrong in ["", "5", "soon", "-1s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
