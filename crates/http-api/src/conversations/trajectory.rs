mod zip;

use std::io;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        Method,
        header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING},
    },
    web,
};
use agent_runtime::Conversation;
use bytes::Bytes;
use core_model::{ConversationId, Record, Seq};
use futures_util::stream;
use paperclip::actix::api_v2_operation;
use serde_json::{Value, json};

use self::zip::ZipWriter;
use crate::{
    failure::Failure,
    operation::{Kind, Operation, Tag, both, handler},
    reply::Download,
    request::{Path, Server},
};

const CONTENT: &str = "application/octet-stream";

pub(super) const DOWNLOAD_TRAJECTORY: Operation = Operation {
    paths: both!("/file/download-trajectory/{conversation_id}"),
    kind: Kind::Download { content: CONTENT },
    difference: Some(
        "Events and settings in the reference's layout, without the files that its tools and its server keep \
         beside them.",
    ),
    ..Operation::get(
        "download_trajectory",
        Tag::Conversations,
        handler!(download_trajectory),
    )
};

/// Download a conversation
///
/// A ZIP archive with one folder: `events/event-00000-….json` and so on, one file an event as it stands in the
/// log, and the conversation's details in `base_state.json` and `meta.json`. Secrets are masked.
#[api_v2_operation]
async fn download_trajectory(
    server: Server,
    path: Path<ConversationId>,
    request: HttpRequest,
) -> Result<Download, Failure> {
    let conversation = server.runtime.open(path.0).await?;
    let folder = path.0.to_string().replace('-', "");
    let mut response = HttpResponse::Ok();
    response
        .content_type(CONTENT)
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_ENCODING, "identity"))
        .insert_header((
            CONTENT_DISPOSITION,
            format!("attachment; filename=\"{folder}.zip\""),
        ));
    if request.method() == Method::HEAD {
        return Ok(Download(response.finish()));
    }
    let archive = Archive::new(conversation, folder)?;
    let chunks = stream::try_unfold(Some(archive), |archive| async {
        match archive {
            Some(archive) => archive.next().await.map(Some),
            None => Ok::<_, io::Error>(None),
        }
    });
    Ok(Download(response.streaming(chunks)))
}

/// An archive on its way to a client: at most one stretch of the log is in memory.
struct Archive {
    conversation: Conversation,
    folder: String,
    details: Vec<(&'static str, Value)>,
    zip: ZipWriter,
    next: Seq,
    /// What is logged later is not in it.
    end: Seq,
}

impl Archive {
    fn new(conversation: Conversation, folder: String) -> Result<Self, Failure> {
        let info = serde_json::to_value(conversation.info())
            .map_err(|error| agent_runtime::RuntimeError::Internal(error.to_string()))?;
        let meta = json!({
            "id": folder,
            "title": info["title"],
            "created_at": info["created_at"],
            "updated_at": info["updated_at"],
            "tags": info["tags"],
            "forked_from_conversation_id": info["forked_from_conversation_id"],
            "forked_from_event_id": info["forked_from_event_id"],
        });
        Ok(Self {
            end: conversation.log_end(),
            conversation,
            folder,
            details: vec![("base_state.json", info), ("meta.json", meta)],
            zip: ZipWriter::default(),
            next: Seq(0),
        })
    }

    /// Its next bytes, and what is left of it.
    async fn next(mut self) -> io::Result<(Bytes, Option<Self>)> {
        let read = self.conversation.records(self.next, self.end).await;
        let records = read.map_err(io::Error::other)?;
        let last = records.last().map(|record| record.seq.after(1));
        self.next = last.unwrap_or(self.end);
        // Compressing takes time that others need on this thread.
        let packed = web::block(move || self.pack(&records)).await;
        packed.map_err(io::Error::other)?
    }

    fn pack(mut self, records: &[Record]) -> io::Result<(Bytes, Option<Self>)> {
        let mut bytes = Vec::new();
        for (name, details) in std::mem::take(&mut self.details) {
            let name = format!("{}/{name}", self.folder);
            bytes.extend(self.zip.entry(&name, details.to_string().as_bytes())?);
        }
        for record in records {
            let id = file_name(&record.head.id.0);
            let name = format!("{}/events/event-{:05}-{id}.json", self.folder, record.seq.0);
            bytes.extend(self.zip.entry(&name, record.bytes.trim_ascii_end())?);
        }
        if self.next < self.end {
            return Ok((bytes.into(), Some(self)));
        }
        bytes.extend(self.zip.end());
        Ok((bytes.into(), None))
    }
}

/// An event's id as a part of a file's name: imported ones may be anything.
fn file_name(id: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    id.chars()
        .take(64)
        .map(|c| if plain(c) { c } else { '_' })
        .collect()
}
