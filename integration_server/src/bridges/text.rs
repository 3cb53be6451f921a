//! Text: between the Markdown of Confab and the marks of other networks. WhatsApp and Google Chat have
//! the same marks.

use chat_core::values::is_bidi_control;

/// Maximum number of characters between two marks. It bounds the work.
const MAX_SPAN_CHARS: usize = 1_000;

/// Maximum number of marks of one text without an end that are searched for. It bounds the work:
/// the marks after them stay as they are.
const MAX_OPEN_MARKS: usize = 64;

/// The longest mark.
const MAX_MARK_CHARS: usize = 2;

/// The marks of Markdown, longest first, and those of other networks.
const FROM_MARKDOWN: [(&str, &str); 4] = [("**", "*"), ("__", "*"), ("~~", "~"), ("*", "_")];

/// The marks of other networks and those of Markdown.
const TO_MARKDOWN: [(&str, &str); 2] = [("*", "**"), ("~", "~~")];

/// Replaces the marks of Markdown. Code stays as it is.
pub(crate) fn from_markdown(text: &str) -> String {
    replace_marks_outside_code(text, &FROM_MARKDOWN)
}

/// Replaces the marks of another network.
pub(crate) fn to_markdown(text: &str) -> String {
    replace_marks_outside_code(text, &TO_MARKDOWN)
}

/// The name of the sender before a text, in bold. A name is one line, so it cannot pretend to be
/// the text of somebody else.
pub(crate) fn sender_prefix(name: &str) -> String {
    let visible: String =
        name.chars().filter(|c| !c.is_control() && !is_bidi_control(*c) && !"*<>".contains(*c)).collect();
    match visible.trim() {
        "" => String::new(),
        name => format!("*{name}*: "),
    }
}

/// Splits a text into messages of at most this length, at the end of a line or of a word if there is one.
pub(crate) fn split(text: &str, max_chars: usize) -> Vec<&str> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some((limit, _)) = rest.char_indices().nth(max_chars) {
        let head = &rest[..limit];
        // Not so early that many short messages would follow.
        let at = [head.rfind('\n'), head.rfind(' ')].into_iter().flatten().find(|at| *at > limit / 2);
        let (part, after) = rest.split_at(at.map_or(limit, |at| at + 1));
        parts.push(part);
        rest = after;
    }
    if !rest.trim().is_empty() || parts.is_empty() {
        parts.push(rest);
    }
    parts
}

fn replace_marks_outside_code(text: &str, marks: &[(&str, &str)]) -> String {
    let mut open_marks = 0;
    replace_outside_code(text, |part, output| replace_lines(part, marks, &mut open_marks, output))
}

/// Replaces the parts of a text that are no code.
pub(crate) fn replace_outside_code(text: &str, mut replace: impl FnMut(&str, &mut String)) -> String {
    let mut output = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(start) = rest.find('`') {
        let fence = if rest[start..].starts_with("```") { "```" } else { "`" };
        let inside = &rest[start + fence.len()..];
        let Some(end) = inside.find(fence) else { break };
        replace(&rest[..start], &mut output);
        let code_end = start + fence.len() + end + fence.len();
        output.push_str(&rest[start..code_end]);
        rest = &rest[code_end..];
    }
    replace(rest, &mut output);
    output
}

fn replace_lines(text: &str, marks: &[(&str, &str)], open_marks: &mut usize, output: &mut String) {
    for line in text.split_inclusive('\n') {
        replace_marks(line, marks, open_marks, output);
    }
}

/// Replaces pairs of marks around words of one line.
fn replace_marks(line: &str, marks: &[(&str, &str)], open_marks: &mut usize, output: &mut String) {
    let mut rest = line;
    let mut before = ' ';
    while let Some(next) = rest.chars().next() {
        // The signs in a URL are no marks.
        if !before.is_alphanumeric() && (rest.starts_with("https://") || rest.starts_with("http://")) {
            let end = rest.find(|c: char| c.is_whitespace() || "<>|)".contains(c)).unwrap_or(rest.len());
            output.push_str(&rest[..end]);
            (before, rest) = (' ', &rest[end..]);
            continue;
        }
        // A row of signs is no mark.
        if "*_~".contains(next) {
            let row = rest.len() - rest.trim_start_matches(next).len();
            if row > MAX_MARK_CHARS {
                output.push_str(&rest[..row]);
                (before, rest) = (next, &rest[row..]);
                continue;
            }
        }
        let is_searched = !before.is_alphanumeric() && *open_marks < MAX_OPEN_MARKS;
        let pair = marks.iter().filter(|_| is_searched).find_map(|(from, to)| {
            let inner = rest.strip_prefix(from)?;
            let end = find_end(inner, from);
            if end.is_none() {
                *open_marks += 1;
            }
            Some((*from, *to, &inner[..end?]))
        });
        if let Some((from, to, inner)) = pair {
            output.push_str(to);
            // The same marks do not nest.
            let others: Vec<(&str, &str)> = marks.iter().filter(|(mark, _)| *mark != from).copied().collect();
            replace_marks(inner, &others, open_marks, output);
            output.push_str(to);
            rest = &rest[from.len() * 2 + inner.len()..];
            before = ' ';
        } else {
            output.push(next);
            before = next;
            rest = &rest[next.len_utf8()..];
        }
    }
}

/// Finds the mark that closes a span: after a visible character, and not inside a word.
fn find_end(inner: &str, mark: &str) -> Option<usize> {
    if inner.starts_with(char::is_whitespace) {
        return None;
    }
    let limit = inner.char_indices().nth(MAX_SPAN_CHARS).map_or(inner.len(), |(at, _)| at);
    let mut from = 0;
    loop {
        let at = from + inner[from..limit].find(mark)?;
        let after = &inner[at + mark.len()..];
        let is_end = at > 0
            && !inner[..at].ends_with(char::is_whitespace)
            && !after.starts_with(char::is_alphanumeric)
            // A longer mark is another mark.
            && !after.starts_with(&mark[..1])
            && !inner[..at].ends_with(&mark[..1]);
        if is_end {
            return Some(at);
        }
        from = at + mark.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn marks_are_replaced_and_code_stays() {
        for (markdown, marked) in [
            ("**bold** and *italic* and ~~gone~~", "*bold* and _italic_ and ~gone~"),
            ("__bold__ _italic_", "*bold* _italic_"),
            ("**bold with *italic* inside**", "*bold with _italic_ inside*"),
            ("2 * 3 * 4, a*b*c, **", "2 * 3 * 4, a*b*c, **"),
            ("`**code**` ```\n*x*\n``` **b**", "`**code**` ```\n*x*\n``` *b*"),
            ("*** *** ****bold**** ***", "*** *** ****bold**** ***"),
            ("an open ` **tick**", "an open ` *tick*"),
            ("**two\nlines**", "**two\nlines**"),
            ("https://a.example/__init__.py/*x* *b*", "https://a.example/__init__.py/*x* _b_"),
            ("**https://a.example** [x](https://b.example/_y_)", "*https://a.example* [x](https://b.example/_y_)"),
        ] {
            assert_eq!(from_markdown(markdown), marked, "{markdown}");
        }
        for (marked, markdown) in [
            ("*bold* _italic_ ~gone~", "**bold** _italic_ ~~gone~~"),
            ("5*3*2 and * star", "5*3*2 and * star"),
            ("```*x*```", "```*x*```"),
        ] {
            assert_eq!(to_markdown(marked), markdown, "{marked}");
        }
    }

    #[test]
    fn a_text_of_any_shape_is_converted_in_linear_time() {
        for shape in ["x", "*", "*a ", "*a*", "`", "**_~~", " *a", "*a,_b"] {
            let text = shape.repeat(65_536 / shape.len());
            // With a quadratic algorithm this would take minutes.
            assert_eq!(letters(&from_markdown(&text)), letters(&text));
            assert_eq!(letters(&to_markdown(&text)), letters(&text));
        }
    }

    #[test]
    fn a_long_text_is_split_at_words() {
        let text = "word ".repeat(2_000);
        let parts = split(&text, 4_096);
        assert!(parts.len() == 3 && parts.iter().all(|part| part.chars().count() <= 4_096));
        assert!(parts.iter().all(|part| part.ends_with(' ')));
        assert_eq!(parts.concat(), text);
        assert_eq!(split("short", 4_096), ["short"]);
        assert_eq!(split(&"ü".repeat(5_000), 4_096).iter().map(|part| part.chars().count()).sum::<usize>(), 5_000);
    }

    #[test]
    fn a_name_cannot_look_like_another_message() {
        assert_eq!(sender_prefix("Ann*\n\u{202e}*Bob"), "*AnnBob*: ");
        assert_eq!(sender_prefix("<users/all>"), "*users/all*: ");
        assert_eq!(sender_prefix("\u{202e}"), "");
    }

    fn letters(text: &str) -> String {
        text.chars().filter(|c| !"*_~".contains(*c)).collect()
    }

    proptest! {
        #[test]
        fn no_letter_is_lost_on_the_way_there_and_back(text in "[a-c *_~`\n]{0,80}|\\PC{0,60}") {
            let there = from_markdown(&text);
            prop_assert_eq!(letters(&there), letters(&text));
            prop_assert_eq!(letters(&to_markdown(&there)), letters(&text));
        }
    }
}
