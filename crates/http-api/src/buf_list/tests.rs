use std::future::poll_fn;

use super::*;

#[test]
fn large_pieces_are_shared_and_all_comes_in_order() {
    let large = Bytes::from(vec![b'x'; SHARED_BYTES + 1]);
    let mut list = BufList::with_capacity(8);
    list.buffer().put_slice(b"[");
    list.push(large.clone());
    list.push(Bytes::from_static(b","));
    list.push(Bytes::from_static(b"y"));
    list.push(large.clone());
    let mut expected = [b"[", &large[..], b",y", &large[..]].concat();
    assert_eq!(list.len(), expected.len());
    let mut not_copied = 0;
    while let Some(piece) = list.next_chunk() {
        assert!((1..=CHUNK_BYTES).contains(&piece.len()));
        not_copied += usize::from(piece.as_ptr() == large.as_ptr());
        assert_eq!(expected.drain(..piece.len()).as_slice(), piece);
    }
    assert_eq!((not_copied, expected.len(), list.len()), (2, 0, 0));
}

#[actix_web::test]
async fn any_body_comes_in_chunks_that_share_its_bytes() {
    let whole = Bytes::from(vec![b'x'; 3 * CHUNK_BYTES + 1]);
    let mut body = Chunked::new(whole.clone());
    assert_eq!(body.size(), BodySize::Sized(whole.len() as u64));
    let mut at = 0;
    while let Some(piece) = poll_fn(|cx| Pin::new(&mut body).poll_next(cx)).await {
        let piece = piece.unwrap();
        assert_eq!(piece.as_ptr(), whole[at..].as_ptr());
        at += piece.len();
    }
    assert_eq!(at, whole.len());
}
