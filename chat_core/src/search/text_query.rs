//! Parses the text of a search box, and compares it with the words of a message.

use super::words::{is_single_character, words};

/// Minimum length of a word that may be any part of a longer word, in characters. A
/// shorter one is found where a word begins.
const MIN_PART_CHARACTERS: usize = 3;

/// How exactly the words of a message match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Every word of the query may be a part of a word.
    Parts = 1,
    /// Every word of the query is a word of the message; the last one may be incomplete.
    Words = 2,
}

/// A parsed search text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TextQuery {
    /// A message matches if it matches one of these.
    pub(super) alternatives: Vec<Alternative>,
}

/// Terms that a message must contain, in any order, and terms that it must not contain.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Alternative {
    terms: Vec<Term>,
    excluded: Vec<Term>,
}

/// One or more adjacent words.
#[derive(Debug, PartialEq, Eq)]
struct Term {
    /// The words, between single spaces.
    words: String,
    /// Whether the words stand in quotation marks, so that no word is only a part.
    is_quoted: bool,
    /// Whether the last word may be incomplete, because the user is still typing.
    is_last: bool,
}

impl TextQuery {
    /// Parses words, `"a phrase"`, `-excluded` and `or`. Returns `None` if the text has no
    /// words.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let pieces = split(text);
        let (mut alternatives, mut current, mut has_words) = (Vec::new(), Alternative::default(), false);
        for (index, piece) in pieces.iter().enumerate() {
            let is_last = index + 1 == pieces.len();
            // At the end of the text, another word is still being typed.
            if pieces.len() > 1 && !piece.is_quoted && !piece.is_excluded && piece.text.eq_ignore_ascii_case("or") {
                alternatives.push(std::mem::take(&mut current));
                continue;
            }
            let words = words(piece.text).trim().to_owned();
            if words.is_empty() {
                continue;
            }
            has_words = true;
            let terms = if piece.is_excluded { &mut current.excluded } else { &mut current.terms };
            terms.push(Term {
                words,
                is_quoted: piece.is_quoted,
                is_last: is_last && !piece.is_closed && !piece.is_excluded,
            });
        }
        alternatives.push(current);
        alternatives.retain(|alternative| !alternative.terms.is_empty());
        has_words.then_some(Self { alternatives })
    }

    /// The rank of a message with these words; `None` if it does not match.
    pub(super) fn rank(&self, words: &str) -> Option<Rank> {
        [Rank::Words, Rank::Parts].into_iter().find(|rank| {
            self.alternatives.iter().any(|alternative| {
                alternative.included(*rank).iter().all(|part| words.contains(part))
                    && !alternative.excluded().iter().any(|part| words.contains(part))
            })
        })
    }

    /// A condition on the lexemes of an entry that every match of this rank fulfils, as a
    /// `tsquery`. `None` if there is none.
    pub(super) fn lexemes(&self, rank: Rank) -> Option<String> {
        let alternatives = self.alternatives.iter().map(|alternative| {
            let lexemes: Vec<String> = alternative.terms.iter().flat_map(|term| term.lexemes(rank)).collect();
            (!lexemes.is_empty()).then(|| format!("({})", lexemes.join(" & ")))
        });
        alternatives.collect::<Option<Vec<_>>>().map(|all| format!("({})", all.join(" | ")))
    }
}

impl Alternative {
    /// The texts that the words of a match of this rank contain.
    pub(super) fn included(&self, rank: Rank) -> Vec<String> {
        self.terms.iter().map(|term| term.part(rank)).collect()
    }

    /// The texts that the words of no match contain.
    pub(super) fn excluded(&self) -> Vec<String> {
        self.excluded.iter().map(|term| term.part(Rank::Words)).collect()
    }
}

impl Term {
    /// The text that the words of a match contain, with a space where a word must begin or
    /// end.
    fn part(&self, rank: Rank) -> String {
        let Self { words, .. } = self;
        let may_begin_inside = {
            let first = words.split(' ').next().unwrap_or_default();
            first.chars().count() >= MIN_PART_CHARACTERS && !is_single_character(first)
        };
        match rank {
            Rank::Parts if !self.is_quoted && may_begin_inside => words.clone(),
            Rank::Parts if !self.is_quoted => format!(" {words}"),
            _ if self.is_last => format!(" {words}"),
            _ => format!(" {words} "),
        }
    }

    /// The lexemes of the words that must be complete, or of which the beginning is known.
    fn lexemes(&self, rank: Rank) -> Vec<String> {
        let part = self.part(rank);
        let (begins, ends) = (part.starts_with(' '), part.ends_with(' '));
        let count = self.words.split(' ').count();
        let lexeme = |(index, word): (usize, &str)| {
            let is_complete = index + 1 < count || ends;
            let prefix = if is_complete { "" } else { ":*" };
            (index > 0 || begins).then(|| format!("'{word}'{prefix}"))
        };
        self.words.split(' ').enumerate().filter_map(lexeme).collect()
    }
}

/// A word or a phrase as the user wrote it.
struct Piece<'a> {
    text: &'a str,
    is_quoted: bool,
    /// Whether the quotation ends.
    is_closed: bool,
    is_excluded: bool,
}

fn split(text: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut rest) = (Vec::new(), text.trim_start());
    while !rest.is_empty() {
        // Not `--option`.
        let unsigned = rest.strip_prefix('-').filter(|word| !word.starts_with('-'));
        let is_excluded = unsigned.is_some();
        let word = unsigned.unwrap_or(rest);
        let (piece, after) = match word.strip_prefix('"') {
            Some(quoted) => {
                let (text, after) = quoted.split_once('"').unwrap_or((quoted, ""));
                let is_closed = text.len() < quoted.len();
                (Piece { text, is_quoted: true, is_closed, is_excluded }, after)
            }
            None => {
                let end = word.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(word.len());
                let (text, after) = word.split_at(end);
                (Piece { text, is_quoted: false, is_closed: false, is_excluded }, after)
            }
        };
        pieces.push(piece);
        rest = after.trim_start();
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(query: &str, text: &str) -> Option<Rank> {
        TextQuery::parse(query).expect("a query").rank(&words(text))
    }

    #[test]
    fn words_match_in_any_order_and_as_parts() {
        assert_eq!(rank("server crashed", "the crashed Server"), Some(Rank::Words));
        assert_eq!(rank("crash server", "the server crashed"), Some(Rank::Parts));
        assert_eq!(rank("ash ser", "the server crashed"), Some(Rank::Parts));
        assert_eq!(rank("server cra", "the server crashed"), Some(Rank::Words), "the last word may be incomplete");
        assert_eq!(rank("ip", "TCP/IP"), Some(Rank::Words));
        assert_eq!(rank("ip", "a ship"), None, "two letters begin a word");
        assert_eq!(rank("tcp/ip", "ip and tcp"), None, "joined words are adjacent");
    }

    #[test]
    fn phrases_exclusions_and_alternatives() {
        assert_eq!(rank("\"quick brown\"", "a quick brown fox"), Some(Rank::Words));
        assert_eq!(rank("\"quick bro\"", "a quick brown fox"), None);
        assert_eq!(rank("\"quick bro", "a quick brown fox"), Some(Rank::Words), "still being typed");
        assert_eq!(rank("fox -quick", "a quick brown fox"), None);
        assert_eq!(rank("fox -qui", "a quick brown fox"), Some(Rank::Words));
        assert_eq!(rank("--quick", "a quick brown fox"), Some(Rank::Words), "an option of a command");
        assert_eq!(rank("cat or fox", "a quick brown fox"), Some(Rank::Words));
        assert_eq!(rank("fox or", "a quick brown fox"), Some(Rank::Words), "another word is being typed");
        assert_eq!(rank("or", "this or that"), Some(Rank::Words));
        assert_eq!(rank("-fox", "a bird"), None, "an exclusion alone finds nothing");
        assert!(["", "-", "--", "\"\"", "|&!()"].iter().all(|text| TextQuery::parse(text).is_none()));
    }

    #[test]
    fn the_index_is_asked_for_whole_words_and_beginnings() {
        let lexemes = |query: &str, rank| TextQuery::parse(query).expect("a query").lexemes(rank);
        assert_eq!(lexemes("red fox", Rank::Words).as_deref(), Some("(('red' & 'fox':*))"));
        assert_eq!(lexemes("red fox", Rank::Parts), None);
        assert_eq!(lexemes("上海 node.js", Rank::Parts).as_deref(), Some("(('上' & '海':* & 'js':*))"));
        assert_eq!(lexemes("ip or fox", Rank::Parts), None, "one alternative has no condition");
    }

    proptest::proptest! {
        #[test]
        fn a_text_finds_itself(text in "\\PC{1,30}") {
            let quoted = text.replace(['"', '-'], " ");
            if let Some(query) = TextQuery::parse(&format!("\"{quoted}\"")) {
                proptest::prop_assert_eq!(query.rank(&words(&quoted)), Some(Rank::Words));
            }
        }
    }
}
