//! Uploads that the server lies about, breaks off, or never ends. Nothing of them may be published.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use towline::remote::Class;

use super::{
    guest::{Data, Guest, flood, silence},
    scene::{Scene, scene},
};

pub(super) fn scenes() -> Vec<Scene> {
    [lies(), breaks(), endless()].into_iter().flatten().collect()
}

/// Takes STOR, says 150, and the data connection.
async fn stor(guest: &mut Guest) -> Option<Data> {
    guest.until("STOR").await?;
    guest.say("150 send").await?;
    guest.data().await
}

/// Takes whole bodies, says 226 each time, keeps nothing, and answers SIZE with `reply`.
fn forgets(name: &'static str, size: &'static str, look: &'static str) -> Scene {
    scene(name, move |mut guest| async move {
        loop {
            guest.until("STOR").await?;
            guest.say("150 send").await?;
            guest.body().await?;
            guest.say("226 got it").await?;
            guest.until("SIZE").await?;
            guest.say(size).await?;
            if size.starts_with("550") {
                guest.until("MLST").await?;
                guest.say(look).await?;
            }
        }
    })
    .sends()
    .fails(Class::Refused, &[])
}

fn lies() -> Vec<Scene> {
    vec![
        forgets("size_says_less_after_226", "213 5", "").by_binary(3, &["the server holds 5 bytes"]),
        forgets("size_says_more_after_226", "213 99999999999", "").by_binary(3, &["the server holds 99999999999 bytes"]),
        forgets("size_says_nothing_after_226", "550 which file?", "550 no").by_binary(3, &["the server holds no file"]),
        forgets("size_is_a_directory_after_226", "550 no", "250-x\r\n type=dir; x\r\n250 x")
            .by_binary(3, &["the server holds no file"]),
        scene("size_is_no_number", |mut guest| async move {
            guest.until("SIZE").await?;
            guest.say("213 -1 or so").await?;
            guest.go_on().await
        })
        .sends()
        .fails(Class::Protocol, &["unexpected reply to SIZE"])
        .and_binary(76),
        scene("file_cut_short_with_226", |mut guest| async move {
            let mut data = stor(&mut guest).await?;
            data.read_exact(&mut [0; 1000]).await.ok()?;
            data.shutdown().await.ok()?;
            guest.say("226 got it").await?;
            silence(&mut data).await;
            guest.go_on().await
        })
        .large()
        .sends()
        .fails(Class::Protocol, &["success before the upload was complete"])
        .and_binary(76),
        scene("226_before_the_body", |mut guest| async move {
            guest.until("STOR").await?;
            guest.send("150 send\r\n226 got it\r\n").await?;
            let mut data = guest.data().await?;
            silence(&mut data).await;
            guest.go_on().await
        })
        .large()
        .sends()
        .fails(Class::Protocol, &["success before the upload was complete"]),
        scene("226_instead_of_a_data_connection", |mut guest| async move {
            guest.until("STOR").await?;
            guest.say("226 got it already").await?;
            let mut data = guest.data().await?;
            silence(&mut data).await;
            guest.go_on().await
        })
        .large()
        .sends()
        .fails(Class::Protocol, &["success before the upload was complete"]),
        scene("replies_out_of_order", |mut guest| async move {
            guest.until("STOR").await?;
            guest.send("226 got it\r\n150 send\r\n").await?;
            let mut data = guest.data().await?;
            silence(&mut data).await;
            guest.go_on().await
        })
        .large()
        .sends()
        .fails(Class::Protocol, &["success before the upload was complete"]),
        scene("a_final_reply_of_3xx", |mut guest| async move {
            guest.until("STOR").await?;
            guest.say("150 send").await?;
            guest.body().await?;
            guest.say("350 and now?").await?;
            guest.go_on().await
        })
        .sends()
        .fails(Class::Protocol, &["350 and now?"]),
        scene("rename_agreed_to_before_it_was_asked_for", |mut guest| async move {
            guest.until("RNFR").await?;
            guest.send("350 to what?\r\n250 renamed\r\n").await?;
            guest.go_on().await
        })
        .sends()
        .fails(Class::Transient, &["no command had asked for", "250 renamed"]),
    ]
}

fn breaks() -> Vec<Scene> {
    vec![
        scene("reset_in_the_body", |mut guest| async move {
            let mut data = stor(&mut guest).await?;
            data.read_exact(&mut [0; 1000]).await.ok()?;
            data.into_inner().into_inner().0.reset();
            guest.go_on().await
        })
        .large()
        .sends()
        .impatient()
        .fails(Class::Transient, &["the data connection broke"])
        .and_binary(3),
        scene("550_behind_the_body", |mut guest| async move {
            guest.until("STOR").await?;
            guest.say("150 send").await?;
            guest.body().await?;
            guest.say("550 on second thoughts, no").await?;
            guest.go_on().await
        })
        .sends()
        .fails(Class::Refused, &["STOR failed: 550 on second thoughts, no"])
        .and_binary(3),
        scene("control_connection_closed_in_the_body", |mut guest| async move {
            let mut data = stor(&mut guest).await?;
            data.read_exact(&mut [0; 1000]).await.ok()?;
            drop(guest);
            silence(&mut data).await
        })
        .large()
        .sends()
        .fails(Class::Transient, &["closed the control connection"]),
        scene("421_in_the_body", |mut guest| async move {
            let mut data = stor(&mut guest).await?;
            data.read_exact(&mut [0; 1000]).await.ok()?;
            guest.say("421 closing time").await?;
            silence(&mut data).await;
            guest.silence().await
        })
        .large()
        .sends()
        .fails(Class::Transient, &["421 closing time"]),
    ]
}

fn endless() -> Vec<Scene> {
    vec![
        scene("silence_after_stor", |mut guest| async move {
            guest.until("STOR").await?;
            guest.silence().await
        })
        .impatient()
        .logs_in()
        .fails(Class::Transient, &["in time: TLS handshake of the data connection"])
        .and_binary(3),
        scene("body_never_read", |mut guest| async move {
            let data = stor(&mut guest).await?;
            guest.silence().await;
            drop(data);
            None
        })
        .large()
        .impatient()
        .sends()
        .fails(Class::Transient, &["in time: transfer stalled"]),
        scene("no_final_reply", |mut guest| async move {
            guest.until("STOR").await?;
            guest.say("150 send").await?;
            guest.body().await?;
            guest.silence().await
        })
        .impatient()
        .sends()
        .fails(Class::Transient, &["in time: final reply"]),
        scene("final_reply_drips", |mut guest| async move {
            guest.until("STOR").await?;
            guest.say("150 send").await?;
            guest.body().await?;
            guest.drip(b"226-got it\r\n").await
        })
        .impatient()
        .sends()
        // Which wait is named depends on when the first byte came.
        .fails(Class::Transient, &["did not answer in time"]),
        scene("150_for_ever", |mut guest| async move {
            guest.until("STOR").await?;
            guest.say("150 send").await?;
            guest.body().await?;
            guest.repeat("150 soon").await
        })
        .impatient()
        .sends()
        .fails(Class::Transient, &["in time: final reply"])
        .and_binary(3),
        scene("150_as_fast_as_can_be", |mut guest| async move {
            guest.until("STOR").await?;
            guest.say("150 send").await?;
            guest.body().await?;
            guest.flood(b"150 send\r\n").await
        })
        .sends()
        .fails(Class::Protocol, &["150"])
        .and_binary(76),
        scene("150_instead_of_a_handshake", |mut guest| async move {
            guest.until("STOR").await?;
            guest.flood(b"125 opening\r\n").await
        })
        .logs_in()
        .fails(Class::Protocol, &["125"]),
        scene("upload_answered_by_a_flood", |mut guest| async move {
            let mut data = stor(&mut guest).await?;
            flood(&guest.house.clone(), &mut data, &[7; 4096]).await;
            guest.silence().await
        })
        .large()
        .sends()
        .impatient()
        .fails(Class::Transient, &["data where it should take some"]),
        scene("data_connection_never_closed", |mut guest| async move {
            let mut data = stor(&mut guest).await?;
            let mut body = Vec::new();
            data.read_to_end(&mut body).await.ok()?;
            guest.say("550 but the data connection stays").await?;
            guest.go_on().await;
            drop(data);
            None
        })
        .sends()
        .fails(Class::Refused, &["550 but"]),
    ]
}
