//! Uploading and reading files. Files are private and limited in size, and never run as
//! pages of our origin.

use chat_test::{ApiResponse, PNG, TestApp, TestUser};
use http::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

fn form(files: &[(&str, &[u8])]) -> Form {
    files.iter().fold(Form::new(), |form, (name, bytes)| {
        form.part("file", Part::bytes(bytes.to_vec()).file_name((*name).to_owned()))
    })
}

async fn upload(user: &TestUser, form: Form) -> ApiResponse {
    let request = user.request(Method::POST, "/api/upload").multipart(form);
    ApiResponse::read(request.send().await.expect("an answer")).await
}

async fn read(user: &TestUser, file: &Value, header: Option<(&str, &str)>) -> ApiResponse {
    let mut request = user.request(Method::GET, file["url"].as_str().expect("a url"));
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    ApiResponse::read(request.send().await.expect("an answer")).await
}

#[tokio::test]
async fn a_file_is_private_until_a_message_shares_it() {
    let app = TestApp::start().await;
    let [alice, bob, dave] = app.sign_in(["alice", "bob", "dave"]).await;
    let files = upload(&alice, form(&[("fox.png", PNG), ("note.txt", b"hello")])).await.expect(201).json();
    assert_eq!((&files[0]["filename"], &files[0]["mime_type"]), (&json!("fox.png"), &json!("image/png")));
    assert_eq!((&files[1]["size"], &files[1]["mime_type"]), (&json!(5), &json!("text/plain; charset=utf-8")));
    assert_eq!(read(&alice, &files[0], None).await.expect(200).bytes, PNG);
    read(&bob, &files[0], None).await.expect_problem(404);

    let mut bobs = bob.listen().await;
    let team = alice.chat_id("team").await;
    let body = json!({ "content": "", "files": [files[1]["id"], files[0]["id"]] });
    let sent = alice.post(&format!("/api/chats/{team}/messages"), body).await.expect(201).json();
    assert_eq!(sent["files"], json!([files[1], files[0]]), "in the sender's order");
    assert_eq!(bobs.next().await.data["message"], sent);
    assert_eq!(bob.get(&format!("/api/chats/{team}/messages?limit=1")).await.json()["items"][0], sent);
    assert_eq!(read(&bob, &files[0], None).await.expect(200).bytes, PNG);
    read(&dave, &files[0], None).await.expect_problem(404);

    // A user who has left the chat cannot read its files, even with a cached copy.
    let etag = read(&bob, &files[0], None).await.header("etag").to_owned();
    assert_eq!(read(&bob, &files[0], Some(("if-none-match", &etag))).await.status, 304);
    bob.post(&format!("/api/chats/{team}/leave"), json!({})).await.expect(204);
    read(&bob, &files[0], Some(("if-none-match", &etag))).await.expect_problem(404);
}

#[tokio::test]
async fn a_user_cannot_send_another_users_file() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let files = upload(&alice, form(&[("a.txt", b"mine")])).await.expect(201).json();
    let team = format!("/api/chats/{}/messages", bob.chat_id("team").await);
    for id in [files[0]["id"].clone(), json!(999_999)] {
        let problem = bob.post(&team, json!({ "content": "x", "files": [id] })).await.expect_problem(422);
        assert_eq!(problem["errors"][0]["field"], "files");
    }
    let eleven = vec![files[0]["id"].clone(); 11];
    alice.post(&team, json!({ "content": "x", "files": eleven })).await.expect_problem(422);
}

#[tokio::test]
async fn byte_ranges_of_a_file_can_be_read() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let file = upload(&alice, form(&[("abc.txt", b"abcdefghij")])).await.expect(201).json()[0].clone();
    for (range, part, content_range) in [
        ("bytes=2-4", "cde", "bytes 2-4/10"),
        ("bytes=7-", "hij", "bytes 7-9/10"),
        ("bytes=-2", "ij", "bytes 8-9/10"),
        ("bytes=8-99", "ij", "bytes 8-9/10"),
    ] {
        let reply = read(&alice, &file, Some(("range", range))).await.expect(206);
        assert_eq!((reply.bytes.as_slice(), reply.header("content-range")), (part.as_bytes(), content_range));
    }
    let reply = read(&alice, &file, Some(("range", "bytes=10-"))).await;
    assert_eq!(reply.header("content-range"), "bytes */10");
    reply.expect_problem(416);
    let etag = read(&alice, &file, None).await.header("etag").to_owned();
    let path = format!("/api/files/{}", file["id"]);
    for (name, value, status) in [
        ("if-none-match", "*", 304),
        ("if-none-match", &*format!("\"other\", W/{etag}"), 304),
        ("if-none-match", "\"other\"", 200),
        ("if-match", &*etag, 200),
        ("if-match", "*", 200),
        ("if-match", "\"other\"", 412),
        ("if-match", &*format!("W/{etag}"), 412),
    ] {
        assert_eq!(read(&alice, &file, Some((name, value))).await.status, status, "{name}: {value}");
    }
    let head = alice.request(Method::HEAD, &path).header("range", "bytes=0-2").send().await.expect("an answer");
    assert_eq!((head.status().as_u16(), &head.headers()["content-length"]), (200, &"10".parse().expect("a value")));
    assert_eq!(read(&alice, &file, Some(("range", "lines=1"))).await.expect(200).bytes, b"abcdefghij");
}

#[tokio::test]
async fn content_that_could_run_as_a_page_is_only_downloaded() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let html = b"<!DOCTYPE html><script>alert(1)</script>";
    let svg = br#"<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>"#;
    let files = upload(&alice, form(&[("x.html", html), ("x.png", svg), ("y.png", PNG)])).await.expect(201).json();
    for nth in [0, 1] {
        let reply = read(&alice, &files[nth], None).await.expect(200);
        assert!(reply.header("content-disposition").starts_with("attachment"));
        assert_eq!(reply.header("content-type"), "application/octet-stream");
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        assert!(reply.header("content-security-policy").contains("sandbox"));
    }
    assert!(read(&alice, &files[2], None).await.header("content-disposition").starts_with("inline"));
}

#[tokio::test]
async fn folders_are_removed_from_filenames() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let names =
        [("../../etc/passwd", "passwd"), ("..\\..\\boot.ini", "boot.ini"), ("naïve résumé.pdf", "naïve résumé.pdf")];
    for (given, kept) in names {
        let file = upload(&alice, form(&[(given, b"x")])).await.expect(201).json()[0].clone();
        assert_eq!(file["filename"], kept);
        read(&alice, &file, None).await.expect(200);
    }
    let keys: Vec<String> = sqlx::query_scalar("select blob_key from files").fetch_all(&app.db).await.expect("keys");
    assert!(keys.iter().all(|key| key.len() == 32 && key.bytes().all(|b| b.is_ascii_hexdigit())));
    assert_eq!(std::fs::read_dir(&app.files).expect("the store").count(), keys.len());
}

#[tokio::test]
async fn a_file_over_the_size_limit_is_rejected_and_not_stored() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let large = vec![0u8; 25 * 1024 * 1024 + 1];
    upload(&alice, form(&[("ok.txt", b"kept?"), ("large.bin", &large)])).await.expect_problem(413);
    let rows: i64 = sqlx::query_scalar("select count(*) from files").fetch_one(&app.db).await.expect("a count");
    assert_eq!(rows, 0);
    assert_eq!(std::fs::read_dir(&app.files).expect("the store").count(), 0);

    // Repeat it without a content length: the server counts the bytes as they arrive.
    let chunks = futures_util::stream::iter((0..26).map(|_| Ok::<_, std::io::Error>(vec![0u8; 1024 * 1024])));
    let part = Part::stream(reqwest::Body::wrap_stream(chunks)).file_name("stream.bin");
    upload(&alice, Form::new().part("file", part)).await.expect_problem(413);
    assert_eq!(std::fs::read_dir(&app.files).expect("the store").count(), 0);
}

#[tokio::test]
async fn a_body_without_a_form_or_a_file_is_rejected() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    upload(&alice, Form::new().text("file", "no filename, so no file")).await.expect_problem(422);
    upload(&alice, form(&[("x", b"1".as_slice()); 11])).await.expect_problem(422);
    for (kind, body) in [
        ("multipart/form-data; boundary=b", "--b\r\nrubbish"),
        (
            "multipart/form-data; boundary=b",
            "--b\r\ncontent-disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\ncut off",
        ),
    ] {
        let request = alice.request(Method::POST, "/api/upload").header("content-type", kind).body(body);
        ApiResponse::read(request.send().await.expect("an answer")).await.expect_problem(400);
    }
    for kind in ["application/json", "multipart/form-data"] {
        let request = alice.request(Method::POST, "/api/upload").header("content-type", kind).body("{}");
        ApiResponse::read(request.send().await.expect("an answer")).await.expect_problem(415);
    }
    // An empty file is valid.
    let file = upload(&alice, form(&[("empty", b"")])).await.expect(201).json()[0].clone();
    assert_eq!(file["size"], 0);
    assert_eq!(read(&alice, &file, None).await.expect(200).bytes, b"");
}

#[tokio::test]
async fn an_image_has_dimensions_and_a_thumbnail_for_its_viewers() {
    let app = TestApp::start().await;
    let [alice, bob, dave] = app.sign_in(["alice", "bob", "dave"]).await;
    let lying = b"\x89PNG\r\n\x1a\nand then words".as_slice();
    let files = upload(&alice, form(&[("fox.png", PNG), ("lying.png", lying)])).await.expect(201).json();
    let (fox, lying) = (&files[0], &files[1]);
    assert_eq!((&fox["width"], &fox["height"]), (&json!(2), &json!(3)));
    assert_eq!(lying["mime_type"], "application/octet-stream");
    assert!(lying["width"].is_null() && lying["thumbnail_url"].is_null());
    let team = alice.chat_id("team").await;
    let body = json!({ "content": "", "files": [fox["id"]] });
    let sent = alice.post(&format!("/api/chats/{team}/messages"), body).await.expect(201).json();
    assert_eq!(&sent["files"][0], fox);
    let small = fox["thumbnail_url"].as_str().expect("a thumbnail");
    let reply = bob.get(small).await.expect(200);
    assert_eq!(reply.header("content-type"), "image/jpeg");
    assert!(reply.bytes.starts_with(b"\xff\xd8\xff"));
    assert_eq!(reply.header("content-security-policy"), "default-src 'none'; sandbox");
    let etag = reply.header("etag").to_owned();
    assert_eq!(
        bob.request(Method::GET, small).header("if-none-match", etag).send().await.expect("an answer").status(),
        304
    );
    dave.get(small).await.expect_problem(404);
    let words = upload(&alice, form(&[("note.txt", b"hello")])).await.expect(201).json();
    alice.get(&format!("/api/files/{}/thumbnail", words[0]["id"])).await.expect_problem(404);
    // After the message is deleted, only the uploader can read the file and its thumbnail.
    alice.delete(&format!("/api/messages/{}", sent["id"])).await.expect(204);
    bob.get(small).await.expect_problem(404);
    alice.get(small).await.expect(200);
    assert_eq!(std::fs::read_dir(&app.files).expect("the store").count(), 4, "three uploads and a thumbnail");
}

/// Sends the body of an upload as it is, and returns the response.
async fn upload_raw(user: &TestUser, body: impl Into<reqwest::Body>) -> ApiResponse {
    let request = user.request(Method::POST, "/api/upload").header("content-type", "multipart/form-data; boundary=b");
    ApiResponse::read(request.body(body).send().await.expect("an answer")).await
}

#[tokio::test]
async fn a_form_whose_part_header_never_ends_is_rejected_early() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    for start in ["", "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nX-Long: "] {
        let endless = futures_util::stream::iter(
            (0..2_000).map(|n| Ok::<_, std::io::Error>(if n == 0 { start.to_owned() } else { "x".repeat(8 * 1024) })),
        );
        let problem = upload_raw(&alice, reqwest::Body::wrap_stream(endless)).await.expect_problem(400);
        assert_eq!(problem["code"], "malformed");
    }
    // A large file is no such form.
    upload(&alice, form(&[("large.bin", &vec![7; 5 << 20])])).await.expect(201);
}

#[tokio::test]
async fn every_file_of_a_form_is_stored_or_the_form_is_rejected() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let part = |name: &[u8]| {
        let mut part = b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"".to_vec();
        part.extend_from_slice(name);
        part.extend_from_slice(b"\"\r\n\r\nhello\r\n");
        part
    };
    let body = |second: &[u8]| [part(b"one.txt"), part(second), b"--b--\r\n".to_vec()].concat();
    upload_raw(&alice, body(b"\xe9t\xe9.txt")).await.expect_problem(400);
    let files = upload_raw(&alice, body("café %22a%22%0D%0A.txt".as_bytes())).await.expect(201).json();
    assert_eq!((&files[0]["filename"], &files[1]["filename"]), (&json!("one.txt"), &json!("café \"a\".txt")));
}
