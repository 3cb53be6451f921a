/** An `@` with a name. An `@` after an ASCII letter or digit is part of an email address. */
const MENTION = /(?<![A-Za-z0-9/@])@([a-z0-9][a-z0-9_.-]*)/gi;

/** Maximum number of characters after a name that may belong to it. */
const MAX_NAME_ENDS = 3;

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
  for (const match of text.matchAll(MENTION)) {
    const username = findUsername(match[1] ?? '', isUsername);
    const word = /\S*$/.exec(text.slice(0, match.index))?.[0] ?? '';
    if (username === null || word.includes('://') || word.startsWith('www.')) continue;
    if (match.index > end) parts.push({ text: text.slice(end, match.index), username: null });
    end = match.index + 1 + username.length;
    parts.push({ text: text.slice(match.index, end), username });
  }
  if (end < text.length) parts.push({ text: text.slice(end), username: null });
  return parts;
}

/** A dot, dash or underscore at the end may belong to the name or to the sentence. */
function findUsername(name: string, isUsername: (name: string) => boolean): string | null {
  const shortest = name.replace(/[._-]+$/, '').length;
  for (let length = Math.min(name.length, shortest + MAX_NAME_ENDS); length >= shortest; length -= 1) {
    const candidate = name.slice(0, length);
    if (isUsername(candidate.toLowerCase())) return candidate;
  }
  return null;
}
