//! The searchable form of a text: its words, as every search compares them.

use icu_casemap::CaseMapper;
use icu_normalizer::{ComposingNormalizer, DecomposingNormalizer};
use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{
        DefaultIgnorableCodePoint, EmojiModifier, EmojiPresentation, ExtendedPictographic, GeneralCategory,
        GeneralCategoryGroup, Script,
    },
};

/// Maximum length of a word, in characters; a longer one counts as several words.
const MAX_WORD_CHARACTERS: usize = 64;

/// Maximum size of the words of a text, in bytes; some characters stand for many.
const MAX_BYTES: usize = 64 * 1024;

/// Returns the words of a text, in lower case and without accents, each between single
/// spaces, with a space at both ends. Empty if the text has no words.
///
/// A character of a script that is written without spaces, such as Han, is a word of its
/// own, and so is an emoji.
pub(crate) fn words(text: &str) -> String {
    let mut words = Words::default();
    let simplified = simplify(text);
    let mut before = '\0';
    let mut rest = simplified.as_str();
    while let Some(c) = rest.chars().next() {
        if words.text.len() >= MAX_BYTES {
            break;
        }
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        let previous = std::mem::replace(&mut before, c);
        if let Some(joined) = skip_inside_word(previous, c, rest) {
            rest = joined;
            continue;
        }
        match kind(c) {
            Kind::Letter => words.push(c),
            Kind::Word => words.push_word(c),
            Kind::Mark => words.push_mark(c),
            Kind::Separator => match (words.is_open, c, rest.chars().next().map(kind)) {
                // "don't" is one word.
                (true, '\'' | '\u{2019}', Some(Kind::Letter)) if !words.text.ends_with(['+', '#']) => {}
                // `C#` and `C++`.
                (true, '#' | '+', next) if next != Some(Kind::Letter) => words.push(c),
                (true, '+', _) if words.text.ends_with('+') => words.push(c),
                _ => words.end(),
            },
        }
    }
    words.finish()
}

/// Returns the rest of the text after something that does not end the word before it: the
/// comma of `1,000`, and the marks of emphasis within a word, as in `re**start**ed`.
fn skip_inside_word(previous: char, c: char, rest: &str) -> Option<&str> {
    let is_letter = |c: char| kind(c) == Kind::Letter;
    match c {
        ',' if previous.is_ascii_digit() => {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            (digits == 3).then_some(rest)
        }
        '*' | '~' if is_letter(previous) => rest.strip_prefix(c).filter(|after| after.starts_with(is_letter)),
        _ => None,
    }
}

/// Whether a word is one character of a script that is written without spaces, or an
/// emoji.
pub(super) fn is_single_character(word: &str) -> bool {
    word.chars().next().is_some_and(|c| kind(c) == Kind::Word)
}

/// Folds case, and removes what a person who searches does not type: accents and
/// differences of encoding.
fn simplify(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let decomposed = DecomposingNormalizer::new_nfkd().normalize(text);
    let folded = CaseMapper::new().fold_string(&decomposed);
    let mut simplified = String::with_capacity(folded.len());
    for c in folded.chars().filter(|c| !is_accent(*c) && !is_ignorable(*c)) {
        match base_letters(c) {
            Some(letters) => simplified.push_str(letters),
            None => simplified.push(to_hiragana(c)),
        }
    }
    ComposingNormalizer::new_nfc().normalize(&simplified).into_owned()
}

/// Marks that people leave out: accents of the European scripts, vowel points of Hebrew
/// and Arabic. In other scripts a mark is a part of the letter.
fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5c7}' | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{65f}' | '\u{670}')
}

/// Characters that change only how others look: soft hyphens, joiners, skin tones. A
/// space of no width still separates words.
fn is_ignorable(c: char) -> bool {
    c != '\u{200b}'
        && (CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
            || CodePointSetData::new::<EmojiModifier>().contains(c))
}

/// Latin letters with a stroke or joined, which Unicode does not decompose.
fn base_letters(c: char) -> Option<&'static str> {
    Some(match c {
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'đ' | 'ð' => "d",
        'ħ' => "h",
        'ı' => "i",
        'ł' => "l",
        'ŧ' => "t",
        'þ' => "th",
        _ => return None,
    })
}

/// Katakana and Hiragana write the same syllables.
fn to_hiragana(c: char) -> char {
    match c {
        'ァ'..='ヶ' => char::from_u32(u32::from(c) - 0x60).unwrap_or(c),
        _ => c,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Part of a word.
    Letter,
    /// A word of its own.
    Word,
    /// Belongs to the character before it.
    Mark,
    /// Between words.
    Separator,
}

fn kind(c: char) -> Kind {
    if c.is_ascii() {
        return if c.is_ascii_alphanumeric() { Kind::Letter } else { Kind::Separator };
    }
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    if GeneralCategoryGroup::Mark.contains(category) {
        return Kind::Mark;
    }
    if c.is_alphanumeric() {
        return if is_written_without_spaces(c) { Kind::Word } else { Kind::Letter };
    }
    let is_emoji = CodePointSetData::new::<EmojiPresentation>().contains(c)
        || CodePointSetData::new::<ExtendedPictographic>().contains(c);
    if is_emoji { Kind::Word } else { Kind::Separator }
}

/// Korean has spaces, but they do not separate a word from its particles.
fn is_written_without_spaces(c: char) -> bool {
    matches!(
        CodePointMapData::<Script>::new().get(c),
        Script::Han
            | Script::Hiragana
            | Script::Katakana
            | Script::Hangul
            | Script::Bopomofo
            | Script::Thai
            | Script::Lao
            | Script::Khmer
            | Script::Myanmar
    )
}

/// Words between single spaces, as they are written.
#[derive(Default)]
struct Words {
    text: String,
    /// The length of the last word, in characters.
    length: usize,
    /// Whether the next letter continues the last word.
    is_open: bool,
}

impl Words {
    fn push(&mut self, c: char) {
        if !self.is_open || self.length == MAX_WORD_CHARACTERS {
            self.push_word(c);
        } else {
            self.text.push(c);
            self.length += 1;
        }
        self.is_open = true;
    }

    fn push_word(&mut self, c: char) {
        self.text.extend([' ', c]);
        self.length = 1;
        self.is_open = false;
    }

    fn push_mark(&mut self, c: char) {
        if (1..MAX_WORD_CHARACTERS).contains(&self.length) {
            self.text.push(c);
            self.length += 1;
        }
    }

    fn end(&mut self) {
        self.length = 0;
        self.is_open = false;
    }

    fn finish(mut self) -> String {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_compared_without_case_accents_and_punctuation() {
        for (text, expected) in [
            ("The server CRASHED!", " the server crashed "),
            ("TCP/IP, node.js a_b c@d #e f=g", " tcp ip node js a b c d e f g "),
            ("Café Cafe\u{301} ÅNGSTRÖM Łódź", " cafe cafe angstrom lodz "),
            ("Straße STRASSE ﬁn Ⅳ ｗｉｄｅ", " strasse strasse fin iv wide "),
            ("İbrahim IBRAHIM ıbrahim", " ibrahim ibrahim ibrahim "),
            ("ΟΔΟΣ οδός", " οδοσ οδοσ "),
            ("C++ c++17 C# #tag a+b a#b", " c++ c++17 c# tag a b a b "),
            ("don't don’t 'quoted'", " dont dont quoted "),
            ("上海的会議", " 上 海 的 会 議 "),
            ("サーバー さーばー ｻｰﾊﾞｰ 회의를 ภาษา", " さ ー ば ー さ ー ば ー さ ー ば ー 회 의 를 ภ า ษ า "),
            ("1,000 2,5 12,345,678 1,0000", " 1000 2 5 12345678 1 0000 "),
            ("re**start**ed ~~gone~~ a*b **bold**", " restarted gone a b bold "),
            ("हिन्दी", " हिन्दी "),
            ("gut gemacht👍🏽🎉!", " gut gemacht 👍 🎉 "),
            ("so\u{ad}ft zero\u{200b}width", " soft zero width "),
            ("… — !?", ""),
            ("", ""),
        ] {
            assert_eq!(words(text), ComposingNormalizer::new_nfc().normalize(expected), "{text}");
        }
    }

    #[test]
    fn a_long_word_counts_as_several() {
        let many = words(&"x".repeat(150));
        assert_eq!(many.split_whitespace().map(str::len).collect::<Vec<_>>(), [64, 64, 22]);
        let marks = words(&format!("ก{}", "\u{e49}".repeat(500)));
        assert!(marks.chars().count() <= MAX_WORD_CHARACTERS + 2);
    }

    proptest::proptest! {
        #[test]
        fn words_have_single_spaces_and_stay_the_same(text in "\\PC{0,40}") {
            let once = words(&text);
            proptest::prop_assert!(!once.contains("  "));
            proptest::prop_assert!(once.is_empty() || (once.starts_with(' ') && once.ends_with(' ')));
            proptest::prop_assert_eq!(words(&once), once);
        }
    }
}
