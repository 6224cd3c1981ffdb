//! `towline pause` and `towline resume`. Tells the daemon; where none runs, it is noted in the state, for the next one.

use std::{io::Write, time::Duration};

use towline::{
    clock, config,
    control::client::{Client, ClientError},
    index::Index,
    mirror::{
        Pause, index_file,
        pause::{self, LONGEST},
    },
    model::UnixMillis,
};

use super::{Context, Exit, Failure, assemble, show, undo::duration, why::refused};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "No job starts from then on, and what is being sent comes to its end. The mirror goes on watching: what changes meanwhile\n\
                  is sent when it goes on. A restart does not end a pause, and `towline sync` leaves a paused mirror alone.\n\n\
                  Example:\n  towline pause --for 2h      every mirror; goes on by itself\n  \
                  towline pause site          until `towline resume site`"
)]
pub(super) struct PauseArgs {
    /// Only these mirrors
    #[arg(value_name = "MIRROR")]
    mirrors: Vec<String>,
    /// For so long, such as 30m or 2h [default: until `towline resume`]
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    span: Option<Duration>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  towline resume           every mirror\n  towline resume site")]
pub(super) struct ResumeArgs {
    /// Only these mirrors
    #[arg(value_name = "MIRROR")]
    mirrors: Vec<String>,
}

pub(super) async fn pause(mut context: Context, args: PauseArgs) -> Result<Exit, Failure> {
    if args.span.is_some_and(|span| span < Duration::from_secs(1) || span > LONGEST) {
        return Err(Failure::said(Exit::Usage, "a pause takes a second at least, and a year at most"));
    }
    let client = Client::new(&assemble::socket(&context)?);
    let told = match running(&client, &args.mirrors).await? {
        Some(names) => {
            let mut told = Vec::new();
            for name in names {
                let pause = client.pause(&name, args.span).await.map_err(refused)?;
                told.push((name, pause));
            }
            told
        }
        None => at_rest(&context, &args.mirrors, |index, now| {
            let pause = Pause::new(now, args.span);
            pause::note_pause(index, Some(pause), now).map(|before| pause.instead_of(before))
        })?,
    };
    for (name, pause) in told {
        writeln!(context.out, "{name}: paused {}", show::paused(&name, &pause, clock::now()))?;
    }
    Ok(Exit::Done)
}

pub(super) async fn resume(mut context: Context, args: ResumeArgs) -> Result<Exit, Failure> {
    let client = Client::new(&assemble::socket(&context)?);
    let told = match running(&client, &args.mirrors).await? {
        Some(names) => {
            let mut told = Vec::new();
            for name in names {
                let resumed = client.resume(&name).await.map_err(refused)?;
                told.push((name, resumed.was_paused));
            }
            told
        }
        None => {
            at_rest(&context, &args.mirrors, |index, now| pause::note_pause(index, None, now).map(|before| before.is_some()))?
        }
    };
    for (name, was_paused) in told {
        writeln!(context.out, "{name}: {}", if was_paused { "goes on" } else { "was not paused" })?;
    }
    Ok(Exit::Done)
}

/// The mirrors of the running daemon called `names`, or all; nothing where none runs.
pub(super) async fn running(client: &Client, names: &[String]) -> Result<Option<Vec<String>>, Failure> {
    let status = match client.status().await {
        Err(ClientError::NotRunning { .. }) => return Ok(None),
        status => status.map_err(refused)?,
    };
    let known: Vec<String> = status.mirrors.into_iter().map(|mirror| mirror.name).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        let known = known.join(", ");
        return Err(Failure::said(Exit::Usage, format_args!("there is no mirror called {unknown:?}; there is: {known}")));
    }
    Ok(Some(if names.is_empty() { known } else { names.to_vec() }))
}

/// Does something to the state of each mirror called one of `names`, or of all, while no daemon runs.
pub(super) fn at_rest<T>(
    context: &Context,
    names: &[String],
    mut change: impl FnMut(&mut Index, UnixMillis) -> Result<T, towline::index::IndexError>,
) -> Result<Vec<(String, T)>, Failure> {
    let house = assemble::House::open(context)?;
    let one = |mirror: &config::Mirror| {
        let changed = change(&mut house.index(mirror)?, clock::now());
        let file = index_file(&house.state_dir, &mirror.name);
        Ok((mirror.name.clone(), changed.map_err(|e| Failure::state(&file, e))?))
    };
    house.mirrors(names)?.into_iter().map(one).collect()
}
