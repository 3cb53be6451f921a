//! Parses `test.rest`, so that the file that developers open in their editor's REST
//! client is also tested.
//!
//! The format is the one of editors: requests between `###` lines, `@name = value`
//! variables, and `# @name` for a request whose response later requests use as
//! `{{name.response.body.$.path}}`. We add comments that editors ignore:
//! `# expect 201` and `# expect $.path value`.

use http::Method;
use serde_json::Value;
use std::collections::HashMap;

/// One request of the file.
#[derive(Debug, Clone)]
pub struct Request {
    /// The title after `###`.
    pub title: String,
    /// The name by which later requests use the response.
    pub name: Option<String>,
    /// The HTTP method.
    pub method: Method,
    /// The request target, with variables not yet substituted.
    pub target: String,
    /// The headers, with variables not yet substituted.
    pub headers: Vec<(String, String)>,
    /// The body, with variables not yet substituted.
    pub body: String,
    /// The expected status.
    pub status: u16,
    /// The expected parts of the response body: a path and a JSON value each.
    pub expected_body: Vec<(String, Value)>,
}

/// Variables, and the responses so far.
#[derive(Debug, Default)]
pub struct Scope {
    variables: HashMap<String, String>,
    answers: HashMap<String, Value>,
}

/// Parses the file. Panics with a message about the line that is invalid.
pub fn parse(text: &str) -> (Scope, Vec<Request>) {
    let mut scope = Scope::default();
    let mut requests = Vec::new();
    for (nth, section) in text.split("\n###").enumerate() {
        let (title, rest) = section.split_once('\n').unwrap_or((section, ""));
        let rest = if nth == 0 { section } else { rest };
        if let Some(request) = parse_section(title.trim_start_matches('#').trim(), rest, &mut scope) {
            requests.push(request);
        }
    }
    (scope, requests)
}

fn parse_section(title: &str, text: &str, scope: &mut Scope) -> Option<Request> {
    let (mut name, mut status, mut expected_body) = (None, None, Vec::new());
    let mut lines = text.lines();
    let first = loop {
        let line = lines.next()?.trim_end();
        if let Some(variable) = line.strip_prefix('@') {
            let (key, value) = variable.split_once('=').expect("a variable is @name = value");
            let value = scope.substitute(value.trim());
            scope.variables.insert(key.trim().into(), value);
        } else if let Some(comment) = line.strip_prefix('#') {
            let comment = comment.trim();
            if let Some(given) = comment.strip_prefix("@name ") {
                name = Some(given.trim().to_owned());
            } else if let Some(expected) = comment.strip_prefix("expect ") {
                match expected.split_once(' ') {
                    Some((path, value)) => {
                        let value = serde_json::from_str(value).unwrap_or_else(|_| panic!("not JSON: {value}"));
                        expected_body.push((path.to_owned(), value));
                    }
                    None => status = expected.parse().ok(),
                }
            }
        } else if !line.is_empty() {
            break line;
        }
    };
    let (method, target) = first.split_once(' ').unwrap_or_else(|| panic!("not a request line: {first}"));
    let mut headers = Vec::new();
    for line in lines.by_ref().take_while(|line| !line.trim().is_empty()) {
        let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("not a header: {line}"));
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    let body = lines.collect::<Vec<_>>().join("\n").trim().to_owned();
    Some(Request {
        title: title.to_owned(),
        name,
        method: method.parse().expect("a method"),
        target: target.trim().to_owned(),
        headers,
        body,
        status: status.unwrap_or_else(|| panic!("`{title}` has no `# expect` status")),
        expected_body,
    })
}

impl Scope {
    /// Sets a variable and overrides the value in the file.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    /// Stores a response body under its request's name.
    pub fn remember(&mut self, name: &str, body: Value) {
        self.answers.insert(name.to_owned(), body);
    }

    /// Replaces each `{{…}}` with its value.
    pub fn substitute(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (key, after) = after.split_once("}}").unwrap_or_else(|| panic!("unclosed `{{{{` in {text}"));
            filled.push_str(before);
            filled.push_str(&self.value(key.trim()));
            rest = after;
        }
        filled + rest
    }

    fn value(&self, key: &str) -> String {
        if let Some((name, path)) = key.split_once(".response.body.") {
            let answer = self.answers.get(name).unwrap_or_else(|| panic!("no response named {name} yet"));
            return match value_at(answer, path) {
                Value::String(text) => text.clone(),
                Value::Null => panic!("{key} is not in {answer}"),
                other => other.to_string(),
            };
        }
        self.variables.get(key).cloned().unwrap_or_else(|| panic!("no variable {key}"))
    }
}

/// Returns the value at a path such as `$.items[0].id`.
pub fn value_at<'a>(value: &'a Value, path: &str) -> &'a Value {
    let path = path.trim_start_matches('$').replace('[', ".").replace(']', "");
    path.split('.').filter(|part| !part.is_empty()).fold(value, |value, part| match part.parse::<usize>() {
        Ok(index) => &value[index],
        Err(_) => &value[part],
    })
}
