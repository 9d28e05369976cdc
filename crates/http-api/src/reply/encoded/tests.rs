use super::*;

fn page(items: &[&'static str], next_page_id: Option<&str>) -> String {
    let items = items
        .iter()
        .map(|json| Encoded::<()>::new(Bytes::from_static(json.as_bytes())));
    let mut body = BufList::default();
    write_page(&mut body, items.collect::<Vec<_>>(), next_page_id);
    let chunks = std::iter::from_fn(|| body.next_chunk());
    String::from_utf8(chunks.flatten().collect()).unwrap()
}

#[test]
fn a_page_is_its_items_put_together() {
    let expected = json!({"items": [{"id": "a"}, {"id": "b"}], "next_page_id": "c"});
    let items = [r#"{"id":"a"}"#, r#"{"id":"b"}"#];
    assert_eq!(page(&items, Some("c")), expected.to_string());
    let expected = json!({"items": [], "next_page_id": null});
    assert_eq!(page(&[], None), expected.to_string());
}
