//! The cost of the queries of the first screen in a small and in a large database: a
//! page of history, the list of chats with unread counts, and a search.

use crate::{environment::Environment, report::Report};
use chat_core::{
    UserId, chats,
    messages::{self, Position},
    search,
};
use fixtures::scale::{self, LARGE, Scale};
use std::time::Duration;
use tokio::time::Instant;

/// A hundredth of the messages, with the same number of users and chats.
const SMALL: Scale = Scale { messages: LARGE.messages / 100, ..LARGE };

/// Number of runs per query. The result is the median.
const TIMES: usize = 41;

pub(crate) async fn run(report: &mut Report) {
    let small = measure(report, "10,000 messages", SMALL).await;
    let large = measure(report, "1,000,000 messages", LARGE).await;
    for ((what, small), (_, large)) in small.into_iter().zip(large) {
        report.add_row("scale", &format!("{what}: 1,000,000 / 10,000 messages"), large / small, "×");
    }
}

/// Returns the median time of each query, in milliseconds.
async fn measure(report: &mut Report, label: &str, scale: Scale) -> Vec<(&'static str, f64)> {
    let Environment { db, .. } = &Environment::create(1).await;
    scale::seed(db, scale).await.expect("a seeded database");
    let alice: UserId = 1.try_into().expect("an id");
    let general = 1.try_into().expect("an id");
    let mut rows = Vec::new();
    for what in
        ["a page of history", "the list of 250 chats with its counts", "an unread count", "a search for a rare word"]
    {
        let mut times = Vec::with_capacity(TIMES);
        for _ in 0..TIMES {
            let mut connection = db.acquire().await.expect("a connection");
            let begun = Instant::now();
            match what {
                "a page of history" => {
                    let page = messages::load_page(&mut connection, alice, general, Position::Newest, 50)
                        .await
                        .expect("a page");
                    assert_eq!(page.messages.len(), 50);
                }
                "the list of 250 chats with its counts" => {
                    assert!(chats::list(&mut connection, alice).await.expect("a list").len() > 200);
                }
                "an unread count" => {
                    let sql = "select unread_count(m, read_position(m)) from chat_members m where chat_id = 1 and user_id = 1";
                    let _: i64 = sqlx::query_scalar(sql).fetch_one(&mut *connection).await.expect("a count");
                }
                _ => {
                    let text = Some("nowhere to be found".to_owned().try_into().expect("a text"));
                    let query = search::SearchQuery {
                        text,
                        chat_id: None,
                        from: None,
                        contains: None,
                        before: None,
                        after: None,
                        order: search::SearchOrder::Best,
                    };
                    search::search_messages(db, alice, None, &query, None, 50).await.expect("hits");
                }
            }
            times.push(begun.elapsed());
        }
        times.sort_unstable();
        let median = times.get(TIMES / 2).map_or(f64::NAN, Duration::as_secs_f64) * 1e3;
        report.add_row("scale", &format!("{label}: {what}"), median, "ms");
        rows.push((what, median));
    }
    rows
}
