use core_model::{LineHead, NewRecord};

use super::{
    error::{ImportError, io_at},
    file,
    folder::EventFile,
};

/// An event's file as a line of a log, or why it is not an event.
///
/// # Errors
/// When the file cannot be read; not for its content, nor because it is not a file.
pub(super) fn read(event: &EventFile) -> Result<Result<NewRecord, String>, ImportError> {
    match file::read(&event.path) {
        Ok(text) => Ok(encode(&text)),
        Err(error) if file::is_not_a_file(&error) => Ok(Err(error.to_string())),
        Err(error) => Err(io_at(&event.path)(error)),
    }
}

fn encode(text: &[u8]) -> Result<NewRecord, String> {
    if text.trim_ascii().is_empty() {
        return Err("the file is empty".to_owned());
    }
    let head = LineHead::parse(text)?.to_head();
    Ok(NewRecord {
        head,
        bytes: compact(text).into(),
    })
}

/// JSON on one line: without the white space between its parts, all else byte for byte.
fn compact(json: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for &byte in json {
        if in_string {
            line.push(byte);
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            line.push(byte);
            in_string = byte == b'"';
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_byte_for_byte() {
        let text = br#"{
            "id" : "1", "timestamp": "2026-11-22T19:39:09", "source": "user",
            "kind": "New\u0045vent",
            "number": 1.50e+300, "big": 123456789012345678901234567890,
            "text": "a  \"b\\\" : { \\", "nothing": [ ], "x": "\u00fc\ud83d\ude00 	"
        }"#;
        // A raw tab is no JSON: strings have none.
        assert!(encode(text).is_err());
        let text = String::from_utf8_lossy(text).replace(" \t\"", "\"");
        let record = encode(text.as_bytes()).unwrap();
        assert_eq!(record.head.kind, "NewEvent");
        assert_eq!(
            record.bytes,
            concat!(
                r#"{"id":"1","timestamp":"2026-11-22T19:39:09","source":"user","#,
                r#""kind":"New\u0045vent","number":1.50e+300,"#,
                r#""big":123456789012345678901234567890,"#,
                r#""text":"a  \"b\\\" : { \\","nothing":[],"x":"\u00fc\ud83d\ude00"}"#
            )
        );
    }

    #[test]
    fn what_is_no_event_says_why() {
        assert_eq!(encode(b" \n").unwrap_err(), "the file is empty");
        for text in [
            &b"{\"id\":\"1\",\"timestamp\":\"2026-11-22T19:39:09\",\"sour"[..],
            b"null",
            b"{\"id\":\"1\"}",
            b"{\"id\":\"1\",\"timestamp\":\"2026-11-22\",\"source\":\"user\",\"kind\":\"X\",\"n\":NaN}",
        ] {
            assert!(encode(text).is_err(), "{}", String::from_utf8_lossy(text));
        }
    }
}
