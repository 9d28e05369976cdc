use uuid::Uuid;

use super::*;

fn id(number: u128) -> ConversationId {
    ConversationId(Uuid::from_u128(number))
}

fn row(created: i64, updated: i64, status: u8) -> Compact {
    Compact {
        created,
        updated,
        len: 0,
        bytes: 0,
        status,
    }
}

fn pages(rows: &Rows, order: ConversationOrder, status: Option<ExecutionStatus>) -> Vec<u128> {
    let mut query = ListQuery {
        status,
        first: None,
        limit: 2,
        order,
    };
    let mut found = Vec::new();
    loop {
        let page = rows.list(&query);
        found.extend(page.rows.iter().map(|row| row.id.0.as_u128()));
        match page.next {
            Some(next) => query.first = Some(next),
            None => return found,
        }
    }
}

#[test]
fn pages_follow_each_order_and_status() {
    let mut rows = Rows::default();
    for (number, created, updated, status) in [
        (1, 10, 99, 0),
        (2, 20, 50, 1),
        (3, 20, 70, 0),
        (4, 5, 60, 2),
        (5, 30, 30, 0),
    ] {
        rows.put(id(number), row(created, updated, status));
    }
    let all = |order| pages(&rows, order, None);
    assert_eq!(all(ConversationOrder::Created), [4, 1, 2, 3, 5]);
    assert_eq!(all(ConversationOrder::CreatedDescending), [5, 3, 2, 1, 4]);
    assert_eq!(all(ConversationOrder::Updated), [5, 2, 4, 3, 1]);
    assert_eq!(all(ConversationOrder::UpdatedDescending), [1, 3, 4, 2, 5]);
    let idle = Some(ExecutionStatus::Idle);
    assert_eq!(pages(&rows, ConversationOrder::Created, idle), [1, 3, 5]);
    assert_eq!((rows.count(None), rows.count(idle)), (5, 3));
}

#[test]
fn a_changed_row_moves_and_a_removed_one_is_gone() {
    let mut rows = Rows::default();
    rows.put(id(1), row(1, 1, 0));
    rows.put(id(2), row(2, 2, 0));
    assert_eq!(rows.put(id(1), row(1, 9, 1)), Some(row(1, 1, 0)));
    assert_eq!(pages(&rows, ConversationOrder::Updated, None), [2, 1]);
    assert_eq!(rows.count(Some(ExecutionStatus::Running)), 1);
    assert_eq!(rows.remove(id(1)), Some(row(1, 9, 1)));
    assert_eq!(pages(&rows, ConversationOrder::Created, None), [2]);
    assert_eq!((rows.count(None), rows.remove(id(1))), (1, None));
    // Its slot is used again.
    rows.put(id(3), row(3, 3, 0));
    assert_eq!(
        (
            pages(&rows, ConversationOrder::Created, None),
            rows.slots.len()
        ),
        (vec![2, 3], 2)
    );
    rows.remove(id(3));
    // A page that was to begin with what is gone begins at the start.
    let query = ListQuery {
        status: None,
        first: Some(id(1)),
        limit: 9,
        order: ConversationOrder::Created,
    };
    assert_eq!(rows.list(&query).rows.len(), 1);
}

#[test]
fn a_changed_row_forgets_its_info_and_the_bytes_in_use_are_known() {
    let mut rows = Rows::default();
    let place = |at, len| Place { at, len };
    rows.push(id(1), &row(1, 1, 0), place(64, 6));
    rows.push(id(2), &row(2, 2, 0), Place::default());
    rows.sort();
    assert_eq!(
        (rows.info(id(1)), rows.info(id(2)), rows.infos()),
        (Some(place(64, 6)), None, 10)
    );
    rows.set_info(id(2), place(74, 1));
    assert_eq!(rows.infos(), 15);
    rows.put(id(1), row(1, 1, 0));
    assert_eq!(rows.info(id(1)), Some(place(64, 6)), "nothing changed");
    rows.put(id(1), row(1, 1, 1));
    assert_eq!((rows.info(id(1)), rows.infos()), (None, 5));
    rows.set_info(id(1), place(79, 6));
    rows.remove(id(2));
    assert_eq!(rows.infos(), 10);
    rows.forget_infos();
    assert_eq!((rows.info(id(1)), rows.infos()), (None, 0));
}
