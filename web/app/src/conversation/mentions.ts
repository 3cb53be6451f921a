import { CJK_LETTER, WORD_END } from './markdownLexer';

/** An `@` with a name. An `@` after an ASCII letter or digit is part of an email address. */
const MENTION = /(?<![A-Za-z0-9/@])@([a-z0-9][a-z0-9_.-]*)/gi;

/** A part of a text: plain, or the mention of a user. */
export interface TextPart {
  readonly text: string;
  readonly username: string | null;
}

/**
 * Splits plain text at the mentions of known users. The server finds the same mentions
 * (`chat_core/src/mentions.rs`); both are tested with `fixtures/mentions.json`.
 */
export function splitMentions(text: string, isUsername: (name: string) => boolean): TextPart[] {
  const parts: TextPart[] = [];
  let end = 0;
  // The start of the word before the mention, and whether it is an address: each character is read once.
  let [scanned, wordStart, isUrl, isHost, slashes] = [0, 0, false, true, 0];
  for (const match of text.matchAll(MENTION)) {
    // A dot, dash or underscore at the end belongs to the sentence.
    const username = (match[1] ?? '').replace(/[._-]+$/, '');
    for (; scanned < match.index; scanned += 1) {
      const char = text.charAt(scanned);
      if (WORD_END.test(char)) [wordStart, isUrl, isHost, slashes] = [scanned + 1, false, true, 0];
      else if (isHost && CJK_LETTER.test(char)) [wordStart, isUrl] = [scanned + 1, false];
      else if (text.startsWith('://', scanned)) [isUrl, slashes] = [true, 2];
      else if (char === '/' && slashes > 0) slashes -= 1;
      else if (/[/?#]/.test(char)) isHost = false;
    }
    if (!isUsername(username.toLowerCase()) || isUrl || text.startsWith('www.', wordStart)) continue;
    if (match.index > end) parts.push({ text: text.slice(end, match.index), username: null });
    end = match.index + 1 + username.length;
    parts.push({ text: text.slice(match.index, end), username });
  }
  if (end < text.length) parts.push({ text: text.slice(end), username: null });
  return parts;
}
