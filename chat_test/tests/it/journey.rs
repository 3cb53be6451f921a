//! The main user journey, from sign-up to a stream that resumes without loss.

use chat_test::TestApp;
use serde_json::json;

#[tokio::test]
async fn two_users_sign_up_chat_and_resume_without_loss() {
    let app = TestApp::start().await;
    let (erin, frank) = (app.sign_up("erin").await, app.sign_up("frank").await);
    let mut franks = frank.listen().await;

    let found = erin.get("/api/users/search?q=frank").await.expect(200).json();
    assert_eq!(found["items"][0]["id"], frank.id);
    assert_eq!(found["items"][0]["email"], json!(null), "other users do not see the email address");

    let chat = erin.post("/api/chats", json!({ "type": "single", "user_id": frank.id })).await.expect(201).json();
    let received = franks.next().await;
    assert_eq!(received.kind, "chat.new");
    assert_eq!(received.data["chat"]["id"], chat["id"]);

    let id = chat["id"].as_i64().expect("an id");
    let sent = erin.say_in(id, "hello Frank").await;
    let received = franks.next().await;
    assert_eq!(received.kind, "message.new");
    assert_eq!(received.data["message"], sent, "the event has the message that the sender received");

    let left_at = franks.cursor().to_owned();
    drop(franks);
    for text in ["one", "two", "three"] {
        erin.say_in(id, text).await;
    }
    let mut franks = frank.resume(&left_at).await;
    assert_eq!(franks.ready.data["resumed"], true);
    let missed = franks.read_replay().await;
    assert_eq!(missed.iter().map(|event| event.text()).collect::<Vec<_>>(), ["one", "two", "three"]);

    erin.say_in(id, "live again").await;
    assert_eq!(franks.next().await.text(), "live again");
    app.stop().await;
}
