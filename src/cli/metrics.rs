//! `towline metrics`: what the running daemon says to Prometheus.

use std::io::Write;

use towline::control::client::Client;

use super::{Context, Exit, Failure, assemble};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "In the text format of Prometheus, for the textfile collector of its node exporter; the names are in docs/metrics.md. Where no\n\
                  daemon runs nothing is printed, and it ends with 69: leave an empty file then, and let an alert notice.\n\n\
                  Example:\n  towline metrics > /var/lib/node_exporter/towline.prom.new && mv /var/lib/node_exporter/towline.prom{.new,}"
)]
pub(super) struct Args {}

pub(super) async fn metrics(mut context: Context, Args {}: Args) -> Result<Exit, Failure> {
    let client = Client::new(&assemble::socket(&context)?);
    let text = client.metrics().await.map_err(|e| Failure::new(Exit::Unavailable, e))?;
    context.out.write_all(text.as_bytes())?;
    Ok(Exit::Done)
}
