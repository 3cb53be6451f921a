import { Lexer, type MarkedOptions, type Token, Tokenizer, type TokenizerThis, type Tokens } from 'marked';

type MarkedExtensions = NonNullable<MarkedOptions['extensions']>;

/**
 * Parses the Markdown of a message. It differs from GitHub's Markdown in six ways: a quote ends at the first line without
 * `>`, as in Discord; emphasis may border on a letter with full-width punctuation, as in `**「重要」**です`; an
 * address in the text ends where Chinese, Japanese or Korean text begins; there are no link definitions, which would
 * hide lines such as `[10:23]: yes`; `||text||` is a spoiler; and a
 * table has no row with more cells than its header.
 */
export function lex(text: string): Token[] {
  return Lexer.lex(endQuotes(text), { gfm: true, breaks: true, tokenizer: new MessageTokenizer(), extensions });
}

/** Text that is hidden until the reader asks for it. */
export interface SpoilerToken {
  readonly type: 'spoiler';
  readonly raw: string;
  readonly tokens: Token[];
}

/** `||text||`, also over several lines, but not over a paragraph. */
const SPOILER = /^\|\|(?=\S)((?:[^|]|\|(?!\|))+?)\|\|/;

const extensions: MarkedExtensions = {
  inline: [
    function tokenizeSpoiler(this: TokenizerThis, source: string): SpoilerToken | undefined {
      const match = SPOILER.exec(source);
      if (!match) return undefined;
      return { type: 'spoiler', raw: match[0], tokens: this.lexer.inlineTokens(match[1] ?? '') };
    },
  ],
  startInline: [(source: string) => source.indexOf('||')],
  renderers: {},
  childTokens: {},
};

/** Full-width punctuation, such as 。 、 「 」 （ ）. */
const WIDE_PUNCTUATION = '\\u3000-\\u303f\\uff00-\\uff0f\\uff1a-\\uff20\\uff3b-\\uff40\\uff5b-\\uff65';

/** What ends an address: white space or full-width punctuation. */
export const WORD_END = new RegExp(`[\\s${WIDE_PUNCTUATION}]`);

/** Chinese, Japanese and Korean letters, which end the name of a host. */
const CJK_LETTERS = '\\u1100-\\u11ff\\u3040-\\u30ff\\u3400-\\u4dbf\\u4e00-\\u9fff\\uac00-\\ud7af';
export const CJK_LETTER = new RegExp(`[${CJK_LETTERS}]`);

/** Emphasis that begins or ends with full-width punctuation. */
const WIDE_STRONG = new RegExp(
  `^\\*\\*((?:[${WIDE_PUNCTUATION}][^*\\n]*[^*\\s])|(?:[^*\\s][^*\\n]*[${WIDE_PUNCTUATION}]))\\*\\*`,
);

/** The end of an address: full-width punctuation, or a wide letter in the name of the host. */
const END_OF_ADDRESS = new RegExp(`[${WIDE_PUNCTUATION}]|(?<=^(?:[a-z]+://)?[^/?#]*)[${CJK_LETTERS}]`, 'i');

class MessageTokenizer extends Tokenizer {
  override def(): undefined {
    return undefined;
  }

  /** A row with more cells than the header would lose them: such a text is no table. */
  override table(source: string): Tokens.Table | undefined {
    const token = super.table(source);
    const [header = '', , ...rows] = token?.raw.trimEnd().split('\n') ?? [];
    const columns = countCells(header);
    return rows.some((row) => countCells(row) > columns) ? undefined : token;
  }

  override emStrong(source: string, maskedSource: string, previous?: string): Tokens.Em | Tokens.Strong | undefined {
    const match = WIDE_STRONG.exec(source);
    if (!match) return super.emStrong(source, maskedSource, previous);
    const text = match[1] ?? '';
    return { type: 'strong', raw: match[0], text, tokens: this.lexer.inlineTokens(text) };
  }

  override url(source: string): Tokens.Link | undefined {
    const token = super.url(source);
    const end = token?.raw.search(END_OF_ADDRESS) ?? -1;
    return token && end > 0 ? super.url(token.raw.slice(0, end)) : token;
  }
}

/** Counts the cells of a row of a table. */
const countCells = (row: string) =>
  row
    .trim()
    .replace(/^\||(?<!\\)\|$/g, '')
    .match(/(?<!\\)\|/g)?.length ?? 0;

/** Ends each quote where a line without `>` follows. */
export function endQuotes(text: string): string {
  if (!text.includes('>')) return text;
  let fence: string | null = null;
  let wasQuote = false;
  const lines: string[] = [];
  for (const line of text.split('\n')) {
    const marker = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1] ?? null;
    const isCode = fence !== null || marker !== null;
    if (fence === null) fence = marker;
    else if (marker?.startsWith(fence)) fence = null;
    const isQuote = !isCode && /^ {0,3}>/.test(line);
    if (wasQuote && !isQuote && line.trim() !== '') lines.push('');
    lines.push(line);
    wasQuote = isQuote;
  }
  return lines.join('\n');
}
