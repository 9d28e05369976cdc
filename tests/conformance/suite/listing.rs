use core_model::{
    ConversationId, ConversationOrder, ExecutionStatus, Row, Store,
    port::{ListPage, ListQuery},
};

use super::{
    Subject,
    fixture::{metadata, summary},
    steps::claim,
};
use crate::Tested;

const ORDERS: [ConversationOrder; 4] = [
    ConversationOrder::Created,
    ConversationOrder::Updated,
    ConversationOrder::CreatedDescending,
    ConversationOrder::UpdatedDescending,
];

const STATUSES: [ExecutionStatus; 8] = [
    ExecutionStatus::Idle,
    ExecutionStatus::Running,
    ExecutionStatus::Paused,
    ExecutionStatus::WaitingForConfirmation,
    ExecutionStatus::Finished,
    ExecutionStatus::Error,
    ExecutionStatus::Stuck,
    ExecutionStatus::Deleting,
];

/// Conversations some of which share their times, of all statuses but one.
async fn populate(store: &dyn Store) -> Vec<Row> {
    let mut rows = Vec::new();
    for number in 0..23 {
        let made = metadata(number * 37 % 10);
        store.create(&made).await.unwrap();
        let mut claim = claim(store, made.id).await;
        let status = STATUSES[(number % 7) as usize];
        let summary = summary(status, 100 + number * 13 % 8);
        claim.log.append(Vec::new(), summary).await.unwrap();
        rows.push(store.row(made.id).await.unwrap().unwrap());
    }
    rows
}

async fn page(
    store: &dyn Store,
    order: ConversationOrder,
    status: Option<ExecutionStatus>,
    first: Option<ConversationId>,
    limit: usize,
) -> ListPage {
    let query = ListQuery {
        status,
        first,
        limit,
        order,
    };
    store.list(&query).await.unwrap()
}

fn is_in_order(order: ConversationOrder, rows: &[Row]) -> bool {
    match order {
        ConversationOrder::Created => rows.is_sorted_by_key(|row| row.created_at),
        ConversationOrder::Updated => rows.is_sorted_by_key(|row| row.updated_at),
        ConversationOrder::CreatedDescending => {
            rows.is_sorted_by(|a, b| a.created_at >= b.created_at)
        }
        ConversationOrder::UpdatedDescending => {
            rows.is_sorted_by(|a, b| a.updated_at >= b.updated_at)
        }
    }
}

fn by_id(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_unstable_by_key(|row| row.id);
    rows
}

#[tokio::test]
async fn pages_show_each_conversation_once_and_in_order() {
    let subject = Tested::empty();
    let store = subject.store().as_ref();
    let rows = populate(store).await;
    let statuses = STATUSES.into_iter().map(Some).chain([None]);
    for (order, status) in ORDERS
        .iter()
        .flat_map(|order| statuses.clone().map(|status| (*order, status)))
    {
        let all = page(store, order, status, None, 100).await;
        assert!(is_in_order(order, &all.rows), "{order:?}");
        assert_eq!(all.next, None);
        let wanted = rows
            .iter()
            .filter(|row| status.is_none_or(|status| row.status == status));
        let wanted: Vec<Row> = wanted.copied().collect();
        assert_eq!(store.count(status).await.unwrap(), wanted.len() as u64);
        assert_eq!(by_id(all.rows.clone()), by_id(wanted));
        for limit in [1, 2, 5, all.rows.len().max(1)] {
            let (mut found, mut first) = (Vec::new(), None);
            loop {
                let page = page(store, order, status, first, limit).await;
                assert!(page.rows.len() == limit || page.next.is_none());
                found.extend(page.rows);
                first = page.next;
                if first.is_none() {
                    break;
                }
            }
            assert_eq!(found, all.rows, "{order:?}, {status:?}, {limit} a page");
        }
    }
}

#[tokio::test]
async fn a_page_begins_where_it_is_asked_to() {
    let subject = Tested::empty();
    let store = subject.store().as_ref();
    populate(store).await;
    for order in ORDERS {
        let all = page(store, order, None, None, 100).await.rows;
        for (at, row) in all.iter().enumerate() {
            let from = page(store, order, None, Some(row.id), 100).await;
            assert_eq!(from.rows, all[at..]);
        }
        let gone = Some(ConversationId::random());
        let from_start = page(store, order, None, gone, 5).await;
        assert_eq!(from_start.rows, all[..5]);
        assert_eq!(from_start.next, Some(all[5].id));
        // One that the filter leaves out still tells where the page begins.
        let filtered = page(store, order, Some(all[20].status), Some(all[3].id), 100).await;
        let expected = all[3..].iter().filter(|row| row.status == all[20].status);
        assert_eq!(filtered.rows, expected.copied().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn the_list_is_the_same_for_a_server_that_starts_later() {
    let mut subject = Tested::empty();
    populate(subject.store().as_ref()).await;
    let mut before = Vec::new();
    for order in ORDERS {
        before.push(page(subject.store().as_ref(), order, None, None, 100).await);
    }
    subject.store().close().await.unwrap();
    subject = subject.reopen();
    for (order, before) in ORDERS.into_iter().zip(before) {
        let after = page(subject.store().as_ref(), order, None, None, 100).await;
        assert_eq!(after, before, "{order:?}");
    }
}
