use super::*;

#[test]
fn text_frames_are_those_of_the_codec() {
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
        let text = "x".repeat(length);
        let mut expected = BytesMut::new();
        encode(Message::Text(text.clone().into()), &mut expected).unwrap();
        let mut chunk = BufList::default();
        let frame = OutgoingFrame {
            position: None,
            json: text.into(),
        };
        FrameEncoding::WebSocket.frame(frame, &mut chunk).unwrap();
        let mut bytes = Vec::new();
        while let Some(part) = chunk.next_chunk() {
            bytes.extend_from_slice(&part);
        }
        assert!(bytes == expected, "{length}");
    }
}
