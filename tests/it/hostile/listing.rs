//! Listings without end, cut short, in clear, or with names that lead out of their directory. Nothing may be concluded from them.

use tokio::io::AsyncWriteExt;
use towline::{ftps::proto::listing, remote::Class};

use super::{
    guest::{Data, Guest, drip, flood, silence},
    scene::{Scene, scene},
};

/// A listing may be this long, and what lies in the buffers on the way; it is not kept.
const ALL: u64 = (listing::MAX_BYTES as u64) + (4 << 20);

pub(super) fn scenes() -> Vec<Scene> {
    vec![
        floods("endless_listing", b"type=file;size=1; a-name-of-some-length\r\n")
            .fails(Class::Protocol, &["listing above"])
            .pushes(ALL)
            .and_binary(76),
        floods("endless_listing_of_traversals", b"type=file;size=1; ../../a-name\r\n")
            .fails(Class::Protocol, &["listing above"])
            .pushes(ALL),
        floods("listing_line_without_end", b"type=").fails(Class::Protocol, &["listing with a line above"]).and_binary(76),
        lists_as("listing_drips", |guest, mut data| async move {
            drip(&mut data, b"type=file;size=1; ../a-name\r\n").await;
            drop(guest);
            None
        })
        .impatient()
        .fails(Class::Transient, &["in time: transfer stalled"])
        .and_binary(3),
        lists_as("silence_in_the_listing", |mut guest, data| async move {
            guest.silence().await;
            drop(data);
            None
        })
        .impatient()
        .fails(Class::Transient, &["in time: transfer stalled"]),
        lists_as("150_for_ever_and_no_listing", |mut guest, data| async move {
            guest.repeat("150 soon").await;
            drop(data);
            None
        })
        .impatient()
        .fails(Class::Transient, &["in time: transfer stalled"]),
        lists_as("listing_cut_without_close_notify", |mut guest, mut data| async move {
            data.write_all(b"type=file;size=1; a\r\n").await.ok()?;
            data.flush().await.ok()?;
            drop(data);
            guest.say("226 that is all").await?;
            guest.go_on().await
        })
        // One name is enough to know that the directory is not empty; that none shows would prove nothing.
        .fails(Class::NotEmpty, &["not empty"])
        .and_binary(3),
        lists_as("listing_of_names_that_lead_out", |mut guest, mut data| async move {
            for name in ["../x", "/etc/passwd", "a/b", "..", ".", "nul\0l", "car\rriage", ""] {
                data.write_all(format!("type=file;size=1; {name}\r\n").as_bytes()).await.ok()?;
            }
            data.shutdown().await.ok()?;
            silence(&mut data).await;
            guest.say("226 that is all").await?;
            guest.go_on().await
        })
        .fails(Class::Refused, &["RMD was refused"])
        .and_binary(3),
        scene("listing_in_clear", |mut guest| async move {
            mlsd(&mut guest).await?;
            let mut data = guest.clear_data().await?;
            data.write_all(b"type=file;size=1; a\r\n").await.ok()?;
            silence(&mut data).await;
            guest.silence().await
        })
        .lists()
        .fails(Class::Tls, &["not TLS"]),
        scene("endless_mlst", |mut guest| async move {
            guest.until("RMD").await?;
            guest.say("550 no").await?;
            guest.until("MLST").await?;
            guest.say("250-here").await?;
            guest.flood(b" type=file; ../x\r\n").await
        })
        .lists()
        .fails(Class::Protocol, &["reply above"]),
    ]
}

/// Refuses RMD and waits for the listing that follows.
async fn mlsd(guest: &mut Guest) -> Option<()> {
    guest.until("RMD").await?;
    guest.say("550 not that one").await?;
    guest.until("MLSD").await?;
    guest.say("150 listing").await
}

/// A listing that repeats `line` as fast as the client takes it.
fn floods(name: &'static str, line: &'static [u8]) -> Scene {
    lists_as(name, move |mut guest, mut data| async move {
        flood(&guest.house.clone(), &mut data, line).await;
        guest.say("426 broken off").await?;
        guest.go_on().await
    })
}

/// Refuses RMD, and does with the data connection of the listing what `then` says.
fn lists_as<F>(name: &'static str, then: impl Fn(Guest, Data) -> F + Clone + Send + Sync + 'static) -> Scene
where
    F: Future<Output = Option<()>> + Send + 'static,
{
    scene(name, move |mut guest| {
        let then = then.clone();
        async move {
            mlsd(&mut guest).await?;
            let data = guest.data().await?;
            then(guest, data).await
        }
    })
    .lists()
}
