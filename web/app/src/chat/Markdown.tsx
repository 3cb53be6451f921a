import type { User } from '@confab/sdk';
import { lexer, type Token, type Tokens } from 'marked';
import { Fragment, memo, type ReactNode, useMemo } from 'react';
import { useWorld } from '../world/use';
import { CodeBlock } from './CodeBlock';
import styles from './Markdown.module.css';

/** A longer text is shown as it was written. */
const MOST_CHARS = 20_000;

/** Outside of code; the lexer takes seconds for thousands. */
const MOST_SIGNS = 400;

/** What nests deeper is shown as it was written. */
const MOST_DEPTH = 12;

/** Where a link may lead. */
const PROTOCOLS = new Set(['http:', 'https:', 'mailto:']);

const MENTION = /(?<![\w.@/])@([a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?)/gi;

/** What people wrote, as elements; never as HTML. */
export const Markdown = memo(function Markdown({ text }: { readonly text: string }) {
  const tokens = useMemo(() => read(text), [text]);
  if (tokens === null) return <p className={styles.plain}>{text}</p>;
  const isCheer = text.length <= 24 && /^(?:\p{RGI_Emoji}\s*){1,3}$/v.test(text);
  return (
    <div className={`${styles.text} ${isCheer ? styles.cheer : ''}`}>
      {tokens.map((token, nth) => block(token, nth, 0))}
    </div>
  );
});

function read(text: string): Token[] | null {
  const signs = text.replace(/^```[\s\S]*?^```/gm, '').match(/[*_~`[\]<]/g)?.length ?? 0;
  if (text.length > MOST_CHARS || signs > MOST_SIGNS) return null;
  try {
    return lexer(text, { gfm: true, breaks: true });
  } catch {
    return null;
  }
}

function blocks(tokens: readonly Token[] | undefined, depth: number): ReactNode {
  return tokens?.map((token, nth) => block(token, nth, depth));
}

function block(token: Token, key: number, depth: number): ReactNode {
  if (depth > MOST_DEPTH) return <p key={key}>{token.raw}</p>;
  switch (token.type) {
    case 'space':
    case 'def':
      return null;
    case 'code':
      return <CodeBlock key={key} code={(token as Tokens.Code).text} language={(token as Tokens.Code).lang ?? ''} />;
    case 'heading':
      return (
        <p key={key} className={styles.heading} data-depth={(token as Tokens.Heading).depth}>
          {inlines((token as Tokens.Heading).tokens, depth + 1)}
        </p>
      );
    case 'checkbox':
      return <Fragment key={key}>{(token as Tokens.Checkbox).checked ? '☑ ' : '☐ '}</Fragment>;
    case 'hr':
      return <hr key={key} />;
    case 'blockquote':
      return <blockquote key={key}>{blocks((token as Tokens.Blockquote).tokens, depth + 1)}</blockquote>;
    case 'list':
      return list(token as Tokens.List, key, depth);
    case 'table':
      return table(token as Tokens.Table, key, depth);
    case 'paragraph':
      return <p key={key}>{inlines((token as Tokens.Paragraph).tokens, depth + 1)}</p>;
    case 'text': {
      const { tokens, text } = token as Tokens.Text;
      return <Fragment key={key}>{tokens ? inlines(tokens, depth + 1) : <Words text={text} />}</Fragment>;
    }
    default:
      return <p key={key}>{token.raw}</p>;
  }
}

function list(token: Tokens.List, key: number, depth: number): ReactNode {
  const items = token.items.map((item, nth) => <li key={nth}>{blocks(item.tokens, depth + 1)}</li>);
  if (!token.ordered) return <ul key={key}>{items}</ul>;
  return (
    <ol key={key} start={Number(token.start) || 1}>
      {items}
    </ol>
  );
}

function table(token: Tokens.Table, key: number, depth: number): ReactNode {
  const cells = (row: readonly Tokens.TableCell[], Cell: 'th' | 'td') =>
    row.map((cell, nth) => (
      <Cell key={nth} style={{ textAlign: cell.align ?? undefined }}>
        {inlines(cell.tokens, depth + 1)}
      </Cell>
    ));
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keys
    <div key={key} className={styles.scroll} tabIndex={0}>
      <table>
        <thead>
          <tr>{cells(token.header, 'th')}</tr>
        </thead>
        <tbody>
          {token.rows.map((row, nth) => (
            <tr key={nth}>{cells(row, 'td')}</tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function inlines(tokens: readonly Token[] | undefined, depth: number): ReactNode {
  return tokens?.map((token, nth) => inline(token, nth, depth));
}

function inline(token: Token, key: number, depth: number): ReactNode {
  if (depth > MOST_DEPTH) return token.raw;
  if (token.type === 'checkbox') return block(token, key, depth);
  const inner = () => inlines((token as { tokens?: Token[] }).tokens, depth + 1);
  switch (token.type) {
    case 'strong':
      return <strong key={key}>{inner()}</strong>;
    case 'em':
      return <em key={key}>{inner()}</em>;
    case 'del':
      return <del key={key}>{inner()}</del>;
    case 'codespan':
      return <code key={key}>{(token as Tokens.Codespan).text}</code>;
    case 'br':
      return <br key={key} />;
    case 'link':
      return <Anchor key={key} href={(token as Tokens.Link).href} raw={token.raw} shown={inner()} />;
    case 'image':
      // Nothing is fetched from elsewhere: who reads would be seen reading.
      return (
        <Anchor key={key} href={(token as Tokens.Image).href} raw={token.raw} shown={(token as Tokens.Image).text} />
      );
    case 'escape':
    case 'text':
      return (token as { tokens?: Token[] }).tokens ? (
        <Fragment key={key}>{inner()}</Fragment>
      ) : (
        <Words key={key} text={unescaped((token as Tokens.Text).text)} />
      );
    default:
      return <Fragment key={key}>{token.raw}</Fragment>;
  }
}

function Anchor({ href, raw, shown }: { readonly href: string; readonly raw: string; readonly shown: ReactNode }) {
  const protocol = URL.canParse(href) ? new URL(href).protocol : null;
  if (protocol === null || !PROTOCOLS.has(protocol)) return raw;
  return (
    <a href={href} target="_blank" rel="noopener noreferrer nofollow">
      {shown || href}
    </a>
  );
}

/** The lexer leaves entities that Markdown knows; five of them are ever meant. */
const ENTITIES: Readonly<Record<string, string>> = {
  '&amp;': '&',
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&#39;': "'",
};

const unescaped = (text: string) => text.replace(/&(?:amp|lt|gt|quot|#39);/g, (entity) => ENTITIES[entity] ?? entity);

/** Plain words, with the people that they call. */
function Words({ text }: { readonly text: string }) {
  const parts = text.split(MENTION);
  if (parts.length === 1) return text;
  return parts.map((part, nth) =>
    nth % 2 === 1 ? <Mention key={nth} username={part} /> : <Fragment key={nth}>{part}</Fragment>,
  );
}

/** Made once for each that is known. */
const usernames = new WeakMap<object, ReadonlySet<string>>();

function usernamesOf(people: ReadonlyMap<number, User>): ReadonlySet<string> {
  const known = usernames.get(people) ?? new Set([...people.values()].map((user) => user.username.toLowerCase()));
  usernames.set(people, known);
  return known;
}

function Mention({ username }: { readonly username: string }) {
  const isMe = useWorld(({ me }) => me.username.toLowerCase() === username.toLowerCase());
  const isKnown = useWorld(({ people }) => usernamesOf(people).has(username.toLowerCase()));
  const isEveryone = username === 'everyone' || username === 'here';
  if (!isKnown && !isEveryone) return `@${username}`;
  return <span className={`${styles.mention} ${isMe || isEveryone ? styles.me : ''}`}>@{username}</span>;
}
