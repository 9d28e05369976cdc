use core_model::{
    budget::Spent,
    shared_budget::{DaySpending, PeriodBudget, SharedBudgets},
};

use super::Subject;
use crate::Tested;

fn spending(key: Option<&str>, day: &str, tokens: u64) -> DaySpending {
    DaySpending {
        key: key.map(str::to_owned),
        day: day.parse().unwrap(),
        spent: Spent {
            tokens,
            cost_usd: 0.5,
            ..Spent::default()
        },
    }
}

#[tokio::test]
async fn what_was_spent_adds_up_and_stays() {
    let mut subject = Tested::empty();
    let first = vec![
        spending(None, "2026-12-01", 1),
        spending(Some("ci"), "2026-12-01", 10),
    ];
    subject.store().add_spending(first).await.unwrap();
    subject = subject.reopen();
    let second = vec![
        spending(Some("ci"), "2026-12-01", 100),
        spending(Some("ci"), "2026-12-02", 1_000),
    ];
    subject.store().add_spending(second).await.unwrap();
    for _ in 0..2 {
        let record = subject.store().spending().await.unwrap();
        let days: Vec<_> = record.by_day.days().collect();
        let mut both = spending(Some("ci"), "2026-12-01", 110);
        both.spent.cost_usd = 1.0;
        let expected = [
            spending(None, "2026-12-01", 1),
            both,
            spending(Some("ci"), "2026-12-02", 1_000),
        ];
        assert_eq!(days, expected);
        assert_eq!(record.budgets, None);
        subject = subject.reopen();
    }
}

#[tokio::test]
async fn limits_are_replaced_and_taken_back() {
    let mut subject = Tested::empty();
    let budgets = SharedBudgets {
        server: PeriodBudget {
            max_tokens: Some(5),
            ..PeriodBudget::default()
        },
        ..SharedBudgets::default()
    };
    for expected in [Some(budgets), Some(SharedBudgets::default()), None] {
        let store = subject.store();
        store.set_budgets(expected.clone()).await.unwrap();
        subject = subject.reopen();
        let record = subject.store().spending().await.unwrap();
        assert_eq!(record.budgets, expected);
    }
}
