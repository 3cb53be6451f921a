//! Finds the usernames that a text mentions.

use crate::values::Content;

/// Maximum number of names that one message mentions; further names are plain text.
const MAX_MENTIONS: usize = 50;

impl Content {
    /// Returns the names after an `@`, in lower case, without duplicates. The database
    /// resolves them to members. A dot or dash at the end may belong to the sentence,
    /// so such a name is returned both with it and without it.
    pub fn mentions(&self) -> Vec<String> {
        let is_username_char = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let text = self.as_str();
        let mut mentions = Vec::new();
        for (at, _) in text.match_indices('@') {
            let (before, after) = text.split_at(at);
            // An `@` after a letter or digit is part of an email address.
            if before.ends_with(|c: char| c.is_alphanumeric()) {
                continue;
            }
            let after = after.get(1..).unwrap_or_default();
            let end = after.find(|c: char| !is_username_char(c)).unwrap_or(after.len());
            let name = after.get(..end).unwrap_or_default();
            for name in [name, name.trim_end_matches(['.', '-'])] {
                let name = name.to_ascii_lowercase();
                if (2..=32).contains(&name.len()) && !mentions.contains(&name) && mentions.len() < MAX_MENTIONS {
                    mentions.push(name);
                }
            }
        }
        mentions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mention_is_an_at_sign_outside_an_email_address() {
        let mentions = |text: &str| Content::try_from(text.to_owned()).expect("content").mentions();
        assert_eq!(mentions("Hey @Bob, ask (@carol_2) or @bob"), ["bob", "carol_2"]);
        assert_eq!(mentions("It was @bob."), ["bob.", "bob"]);
        assert_eq!(mentions("@everyone!"), ["everyone"]);
        assert!(mentions("mail a@bob.example, é@bob, @ bob, @x, @@").is_empty());
        assert_eq!(mentions("@bob@carol"), ["bob"]);
        assert_eq!(mentions(&(0..99).map(|n| format!("@user{n} ")).collect::<String>()).len(), MAX_MENTIONS);
    }
}
