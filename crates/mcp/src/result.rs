//! What a call gave, as an observation.

use base64::{Engine, engine::general_purpose::STANDARD};
use core_model::{Content, Observation};
use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};
use serde_json::{Map, Value};
use workspace::ToolFiles;

/// Of all texts of a result together, in characters; what is more is in a file.
const LONGEST_TEXT: usize = 30_000;
/// In bytes of Base64; providers take about this much.
const LARGEST_IMAGE: usize = 5 * 1024 * 1024;
const MOST_IMAGES: usize = 10;
const IMAGE_TYPES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];
pub(crate) const OBSERVATION_KIND: &str = "MCPToolObservation";

/// An observation of a tool that the model calls `name`.
pub(crate) fn text_observation(name: &str, text: impl Into<String>, is_error: bool) -> Observation {
    observation(name, vec![Content::text(text)], is_error)
}

/// What a server answered. Writes what is too much for a model into files, which blocks.
pub(crate) fn read(name: &str, result: CallToolResult, files: &ToolFiles) -> Observation {
    let mut reader = Reader {
        name,
        files,
        content: Vec::new(),
        images: 0,
        files_made: 0,
    };
    let has_text = result
        .content
        .iter()
        .any(|block| matches!(block, ContentBlock::Text(_)));
    for block in result.content {
        reader.block(block);
    }
    if let Some(structured) = result.structured_content.filter(|_| !has_text) {
        let text = serde_json::to_string_pretty(&structured);
        reader.text(text.unwrap_or_else(|_| structured.to_string()));
    }
    if reader.content.is_empty() {
        reader.text("[The tool gave no output.]".to_owned());
    }
    reader.shorten();
    observation(name, reader.content, result.is_error.unwrap_or(false))
}

fn observation(name: &str, content: Vec<Content>, is_error: bool) -> Observation {
    let mut fields = Map::new();
    fields.insert("tool_name".to_owned(), name.into());
    fields.insert("kind".to_owned(), OBSERVATION_KIND.into());
    Observation {
        content,
        is_error,
        fields,
    }
}

struct Reader<'a> {
    name: &'a str,
    files: &'a ToolFiles,
    content: Vec<Content>,
    images: usize,
    files_made: usize,
}

impl Reader<'_> {
    fn block(&mut self, block: ContentBlock) {
        match block {
            ContentBlock::Text(text) => self.text(text.text),
            ContentBlock::Image(image) => self.binary(&image.mime_type, image.data, "image"),
            ContentBlock::Audio(audio) => self.binary(&audio.mime_type, audio.data, "audio"),
            ContentBlock::Resource(embedded) => match embedded.resource {
                ResourceContents::TextResourceContents { uri, text, .. } => {
                    self.text(format!("[Resource {uri}]\n{text}"));
                }
                ResourceContents::BlobResourceContents {
                    uri,
                    mime_type,
                    blob,
                    ..
                } => {
                    self.text(format!("[Resource {uri}]"));
                    let kind = mime_type.unwrap_or_default();
                    self.binary(&kind, blob, "resource");
                }
                _ => self.text("[A resource of a kind that is not known here.]".to_owned()),
            },
            ContentBlock::ResourceLink(link) => {
                let description = link.description.unwrap_or_default();
                let more = if description.is_empty() { "" } else { ": " };
                self.text(format!(
                    "[Resource `{}` at {}{more}{description}]",
                    link.name, link.uri
                ));
            }
            _ => self.text("[Content of a kind that is not known here.]".to_owned()),
        }
    }

    fn text(&mut self, text: String) {
        // Some stores and providers refuse it.
        self.content
            .push(Content::text(text.replace('\0', "\u{fffd}")));
    }

    /// An image that models can see, or else a file.
    fn binary(&mut self, kind: &str, data: String, what: &str) {
        let kind = kind.trim().to_ascii_lowercase();
        let bytes = STANDARD.decode(data.trim()).ok();
        let is_image = IMAGE_TYPES.contains(&kind.as_str());
        if is_image && bytes.is_some() && data.len() <= LARGEST_IMAGE && self.images < MOST_IMAGES {
            self.images += 1;
            self.content.push(Content::Image {
                cache_prompt: false,
                image_urls: vec![format!("data:{kind};base64,{}", data.trim())],
            });
            return;
        }
        let Some(bytes) = bytes else {
            return self.text(format!("[The tool gave {what} data that cannot be read.]"));
        };
        let ending = kind.rsplit('/').next().unwrap_or_default();
        let is_plain = !ending.is_empty() && ending.len() <= 8;
        let is_plain = is_plain && ending.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let file = self.keep(&bytes, if is_plain { ending } else { "bin" });
        let kind = if kind.is_empty() { "unknown" } else { &kind };
        self.text(match file {
            Ok(path) => format!("[The tool gave {what} data ({kind}); it is in the file {path}]"),
            Err(error) => {
                format!("[The tool gave {what} data ({kind}) that could not be stored: {error}]")
            }
        });
    }

    /// Keeps the beginning and the end of texts that are too much together.
    fn shorten(&mut self) {
        let length = |content: &Content| content.as_text().map_or(0, |text| text.chars().count());
        let total: usize = self.content.iter().map(length).sum();
        if total <= LONGEST_TEXT {
            return;
        }
        let texts: Vec<&str> = self.content.iter().filter_map(Content::as_text).collect();
        let all = texts.join("\n");
        let place = match self.keep(all.as_bytes(), "txt") {
            Ok(path) => format!("all of it is in the file {path}"),
            Err(error) => format!("it could not be stored: {error}"),
        };
        let chars: Vec<char> = all.chars().collect();
        let half = LONGEST_TEXT / 2;
        let head: String = chars[..half].iter().collect();
        let tail: String = chars[chars.len() - half..].iter().collect();
        let left_out = chars.len() - 2 * half;
        let short =
            format!("{head}\n[… {left_out} characters are left out here; {place} …]\n{tail}");
        self.content.retain(|content| content.as_text().is_none());
        self.content.insert(0, Content::text(short));
    }

    fn keep(&mut self, bytes: &[u8], ending: &str) -> std::io::Result<String> {
        self.files_made += 1;
        let stamp = uuid::Uuid::now_v7().simple();
        let name = format!(
            "mcp/outputs/{}-{stamp}-{}.{ending}",
            self.name, self.files_made
        );
        self.files.replace(&name, bytes)?;
        Ok(self.files.path(&name).display().to_string())
    }
}

/// The kind and the arguments of a call, as they are logged.
pub(crate) fn action(arguments: Map<String, Value>) -> Map<String, Value> {
    let mut action = Map::new();
    action.insert("data".to_owned(), Value::Object(arguments));
    action.insert("kind".to_owned(), "MCPToolAction".into());
    action
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tempfile::tempdir;

    use super::*;

    fn observed(result: Value, files: &ToolFiles) -> Value {
        let result: CallToolResult = serde_json::from_value(result).unwrap();
        json!(read("add", result, files))
    }

    #[test]
    fn texts_images_and_resources_are_shown() {
        let folder = tempdir().unwrap();
        let files = ToolFiles::new(folder.path());
        let seen = observed(
            json!({"isError": true, "content": [
                {"type": "text", "text": "3"},
                {"type": "image", "mimeType": "image/png", "data": "aGk="},
                {"type": "resource", "resource": {"uri": "a://b", "text": "t"}},
                {"type": "resource_link", "uri": "a://c", "name": "c"},
            ], "structuredContent": {"sum": 3}}),
            &files,
        );
        let text = |text: &str| json!({"type": "text", "cache_prompt": false, "text": text});
        assert_eq!(
            seen,
            json!({
                "content": [
                    text("3"),
                    {"type": "image", "cache_prompt": false,
                     "image_urls": ["data:image/png;base64,aGk="]},
                    text("[Resource a://b]\nt"),
                    text("[Resource `c` at a://c]"),
                ],
                "is_error": true, "tool_name": "add", "kind": "MCPToolObservation",
            })
        );
        let structured = observed(
            json!({"content": [], "structuredContent": {"sum": 3}}),
            &files,
        );
        assert_eq!(structured["content"][0]["text"], "{\n  \"sum\": 3\n}");
        let empty = observed(json!({"content": []}), &files);
        assert_eq!(empty["content"][0]["text"], "[The tool gave no output.]");
    }

    #[test]
    fn what_is_too_much_is_in_a_file() {
        let folder = tempdir().unwrap();
        let files = ToolFiles::new(folder.path());
        let long = "ab".repeat(20_000);
        let seen = observed(json!({"content": [{"type": "text", "text": long}]}), &files);
        let text = seen["content"][0]["text"].as_str().unwrap();
        assert!(text.chars().count() < 31_000 && text.contains("10000 characters are left out"));
        let path = text
            .split("in the file ")
            .nth(1)
            .unwrap()
            .split(' ')
            .next()
            .unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), long);
        let sound =
            json!({"content": [{"type": "audio", "mimeType": "audio/wav", "data": "aGk="}]});
        let text = observed(sound, &files)["content"][0]["text"].clone();
        let path = text.as_str().unwrap().split("in the file ").nth(1).unwrap();
        assert_eq!(std::fs::read(path.trim_end_matches(']')).unwrap(), b"hi");
    }
}
