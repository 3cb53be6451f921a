//! The events that GitHub, and Gitea and Forgejo in the same form, deliver to a webhook.
//! <https://docs.github.com/en/webhooks/webhook-events-and-payloads>

use super::{WebhookMessage, fit, fit_embeds, fit_url};
use chat_core::messages::{Embed, EmbedAuthor};
use serde_json::Value;

/// Maximum number of commits of a push that are listed.
const MAX_COMMITS: usize = 10;

/// Maximum length of a quoted text, in characters.
const MAX_QUOTE_CHARS: usize = 500;

/// Colors of what was opened, completed, and closed.
const GREEN: u32 = 0x2D_A4_4E;
const PURPLE: u32 = 0x82_50_DF;
const RED: u32 = 0xCF_22_2E;

/// Describes an event as a message. An event of a kind that is not known here is described by
/// its name and action.
pub(crate) fn describe(event: &str, delivery: Option<&str>, payload: &Value) -> WebhookMessage {
    let text = |path: &str| payload.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let action = text("/action").replace('_', " ");
    let summary = match event {
        "ping" => Summary::new(format!("This chat receives the events: {}", text("/zen"))).with_url(text("/hook/url")),
        "push" => describe_push(payload),
        "create" | "delete" => {
            let verb = if event == "create" { "Created" } else { "Deleted" };
            Summary::new(format!("{verb} {} {}", text("/ref_type"), text("/ref")))
        }
        "issues" => Summary::of_item(payload, "/issue", "Issue", &action),
        "issue_comment" => Summary::of_comment(payload, "/issue", "Comment on"),
        "pull_request" => {
            let is_merged = payload.pointer("/pull_request/merged").is_some_and(|merged| merged == true);
            let action = if action == "closed" && is_merged { "merged" } else { &action };
            Summary::of_item(payload, "/pull_request", "Pull request", action)
        }
        "pull_request_review" => {
            let state = text("/review/state").replace('_', " ");
            Summary::new(format!("Review of #{}: {state}", number_at(payload, "/pull_request/number")))
                .with_url(text("/review/html_url"))
                .with_quote(text("/review/body"))
        }
        "pull_request_review_comment" => Summary::of_comment(payload, "/pull_request", "Comment on the changes of"),
        "commit_comment" => Summary::new(format!("Comment on the commit {}", short_id(text("/comment/commit_id"))))
            .with_url(text("/comment/html_url"))
            .with_quote(text("/comment/body")),
        "discussion" => Summary::of_item(payload, "/discussion", "Discussion", &action),
        "discussion_comment" => Summary::of_comment(payload, "/discussion", "Comment on"),
        "release" => Summary::new(format!("Release {} {action}", text("/release/tag_name")))
            .with_url(text("/release/html_url"))
            .with_quote(text("/release/body")),
        "star" => Summary::new(if action == "deleted" { "Removed the star" } else { "Starred the repository" }),
        "watch" => Summary::new("Watches the repository"),
        "fork" => Summary::new(format!("Forked the repository to {}", text("/forkee/full_name")))
            .with_url(text("/forkee/html_url")),
        "workflow_run" => Summary::of_run(payload, "/workflow_run", &action),
        "check_run" => Summary::of_run(payload, "/check_run", &action),
        "status" => Summary::new(format!("{}: {}", text("/context"), text("/state"))).with_url(text("/target_url")),
        "deployment_status" => Summary::new(format!(
            "Deployment to {}: {}",
            text("/deployment/environment"),
            text("/deployment_status/state").replace('_', " ")
        ))
        .with_url(text("/deployment_status/target_url")),
        "member" => {
            Summary::new(format!("Member {} {action}", text("/member/login"))).with_url(text("/member/html_url"))
        }
        "public" => Summary::new("Made the repository public"),
        other => Summary::new(format!("{} {action}", other.replace('_', " ")).trim().to_owned()),
    };
    summary.into_message(payload, delivery)
}

/// What a message about an event says.
#[derive(Debug, Default)]
struct Summary {
    title: String,
    url: Option<String>,
    description: String,
    color: Option<u32>,
}

impl Summary {
    fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    fn with_url(self, url: &str) -> Self {
        Self { url: fit_url(Some(url.to_owned())), ..self }
    }

    fn with_quote(self, text: &str) -> Self {
        Self { description: fit(text.trim(), MAX_QUOTE_CHARS), ..self }
    }

    /// About an issue, a pull request or a discussion.
    fn of_item(payload: &Value, path: &str, what: &str, action: &str) -> Self {
        let text =
            |field: &str| payload.pointer(&format!("{path}/{field}")).and_then(Value::as_str).unwrap_or_default();
        let title = format!("{what} #{} {action}: {}", number_at(payload, &format!("{path}/number")), text("title"));
        let color = match action {
            "opened" | "reopened" | "created" => Some(GREEN),
            "merged" | "answered" => Some(PURPLE),
            "closed" | "deleted" => Some(RED),
            _ => None,
        };
        let summary = Self::new(title).with_url(text("html_url"));
        let summary =
            if action == "opened" || action == "created" { summary.with_quote(text("body")) } else { summary };
        Self { color, ..summary }
    }

    /// About a comment on an item.
    fn of_comment(payload: &Value, path: &str, what: &str) -> Self {
        let text = |path: &str| payload.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let action = match text("/action") {
            "created" => String::new(),
            other => format!(" {other}"),
        };
        let title = text(&format!("{path}/title"));
        Self::new(format!("{what} #{}{action}: {title}", number_at(payload, &format!("{path}/number"))))
            .with_url(text("/comment/html_url"))
            .with_quote(if action.is_empty() { text("/comment/body") } else { "" })
    }

    /// About a run of a workflow or a check.
    fn of_run(payload: &Value, path: &str, action: &str) -> Self {
        let text =
            |field: &str| payload.pointer(&format!("{path}/{field}")).and_then(Value::as_str).unwrap_or_default();
        let outcome = match text("conclusion") {
            "" => action,
            conclusion => conclusion,
        };
        let color = match outcome {
            "success" => Some(GREEN),
            "failure" | "timed_out" | "startup_failure" => Some(RED),
            _ => None,
        };
        let url = if text("html_url").is_empty() { text("details_url") } else { text("html_url") };
        Self { color, ..Self::new(format!("{}: {}", text("name"), outcome.replace('_', " "))).with_url(url) }
    }

    fn into_message(self, payload: &Value, delivery: Option<&str>) -> WebhookMessage {
        let text = |path: &str| payload.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty());
        let place = text("/repository/full_name").or_else(|| text("/organization/login"));
        let title = place.map_or(self.title.clone(), |place| format!("[{place}] {}", self.title));
        let author = text("/sender/login").map(|name| EmbedAuthor {
            name: fit(name, 256),
            url: fit_url(text("/sender/html_url").map(str::to_owned)),
        });
        let embed = Embed {
            author,
            title: Some(fit(&title, 256)),
            url: self.url,
            description: Some(self.description).filter(|text| !text.is_empty()),
            color: self.color,
            ..Embed::default()
        };
        WebhookMessage {
            embeds: fit_embeds([embed]),
            // GitHub's ids are UUIDs. A longer one would not fit.
            nonce: delivery.filter(|id| id.len() <= 57).map(|id| format!("github-{id}")),
            ..WebhookMessage::default()
        }
    }
}

fn describe_push(payload: &Value) -> Summary {
    let text = |path: &str| payload.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let reference = text("/ref");
    let branch =
        reference.strip_prefix("refs/heads/").or_else(|| reference.strip_prefix("refs/tags/")).unwrap_or(reference);
    let is = |field: &str| payload.get(field).is_some_and(|value| value == true);
    let commits = payload.get("commits").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let title = match commits.len() {
        _ if is("deleted") => format!("Deleted {branch}"),
        0 if is("created") => format!("Created {branch}"),
        1 => format!("1 commit to {branch}"),
        count if is("forced") => format!("Forced push of {count} commits to {branch}"),
        count => format!("{count} commits to {branch}"),
    };
    let lines = commits.iter().take(MAX_COMMITS).map(|commit| {
        let field = |path: &str| commit.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let subject = field("/message").lines().next().unwrap_or_default();
        let id = short_id(field("/id"));
        let id = match fit_url(Some(field("/url").to_owned())) {
            Some(url) => format!("[`{id}`]({url})"),
            None => format!("`{id}`"),
        };
        format!("{id} {} – {}", escape(&fit(subject, 100)), escape(&fit(field("/author/name"), 64)))
    });
    let mut lines: Vec<String> = lines.collect();
    if commits.len() > MAX_COMMITS {
        lines.push(format!("… and {} more", commits.len() - MAX_COMMITS));
    }
    Summary { description: fit(&lines.join("\n"), 4_096), ..Summary::new(title).with_url(text("/compare")) }
}

fn number_at(payload: &Value, path: &str) -> String {
    payload.pointer(path).and_then(Value::as_i64).map(|number| number.to_string()).unwrap_or_default()
}

/// The first characters of the id of a commit.
fn short_id(id: &str) -> &str {
    id.get(..7).unwrap_or(id)
}

/// Escapes what has a meaning in Markdown.
fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, c| {
        if "\\`*_~[]<>|".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
        escaped
    })
}
