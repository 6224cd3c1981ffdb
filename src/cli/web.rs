//! `towline web`: the page, on loopback, as long as this runs. The daemon is asked over its socket, as by every other verb.

use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tokio_util::sync::CancellationToken;
use towline::control::{
    client::Client,
    web::{self, Token},
};

use super::{Context, Exit, Failure, assemble, signals::Signals};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The address has a token in it: whoever has that can do what the page can, as long as this runs. Others are refused, and other\n\
                  machines cannot reach it. From another machine: ssh -L 4711:127.0.0.1:4711 HOST towline web --port 4711 --no-open\n\n\
                  Example:\n  towline web                    opens the page; Ctrl-C ends it\n  towline web --no-open          prints its address"
)]
pub(super) struct Args {
    /// The port on 127.0.0.1 [default: any that is free]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// Only print the address
    #[arg(long)]
    no_open: bool,
}

pub(super) async fn web(mut context: Context, args: Args) -> Result<Exit, Failure> {
    let mut signals = Signals::new()?;
    let socket = assemble::socket(&context)?;
    // Said now, not by an empty page.
    Client::new(&socket).status().await.map_err(|e| Failure::new(Exit::Unavailable, e))?;
    let listener = web::bind(args.port)
        .await
        .map_err(|e| Failure::failed(anyhow::Error::new(e).context(format!("cannot listen on 127.0.0.1:{}", args.port))))?;
    let (token, port) = (Token::random()?, listener.local_addr()?.port());
    let address = format!("http://127.0.0.1:{port}/{}/", token.as_str());
    writeln!(context.out, "{address}")?;
    context.out.flush()?;
    let _way = if args.no_open { None } else { open(&assemble::state_dir(&context)?, &address) };
    let stop = CancellationToken::new();
    tokio::select! {
        served = web::serve(listener, &socket, token, stop.clone()) => served?,
        () = signals.received() => stop.cancel(),
    }
    Ok(Exit::Done)
}

/// A file that leads to the page; it goes with this.
struct Way(PathBuf);

impl Drop for Way {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Has the desktop open the page. Everybody may read the arguments of a command, so it is told of a file that leads there, which only
/// its owner can read. Where there is no desktop the address was printed.
fn open(dir: &Path, address: &str) -> Option<Way> {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let way = Way(dir.join(format!("web-{}.html", std::process::id())));
    let _ = fs::remove_file(&way.0);
    let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(&way.0).ok()?;
    let page = format!(
        "<!doctype html><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"0; url={address}\"><title>Towline</title>\n"
    );
    file.write_all(page.as_bytes()).ok()?;
    let mut command = Command::new(opener);
    command.arg(&way.0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    // It ends by itself, and soon.
    std::thread::spawn(move || child.wait());
    Some(way)
}
