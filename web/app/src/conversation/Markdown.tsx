import type { User } from '@confab/sdk';
import type { Token, Tokens } from 'marked';
import { Fragment, type MouseEvent, memo, type ReactNode, useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { useChatState } from '../store/hooks';
import { useUiStore } from '../uiStore';
import { CodeBlock } from './CodeBlock';
import styles from './Markdown.module.css';
import { lex } from './markdownLexer';
import { splitMentions } from './mentions';

/** Maximum length of a text, in characters. Longer texts are shown as plain text. */
const MAX_LENGTH = 20_000;

/** Maximum number of markers outside of code. The lexer takes seconds for thousands of markers. */
const MAX_MARKERS = 400;

/** Maximum nesting depth. Deeper nesting is shown as plain text. */
const MAX_DEPTH = 12;

/** The name that mentions all members. */
const EVERYONE = 'everyone';

/** The allowed link protocols. */
const PROTOCOLS = new Set(['http:', 'https:', 'mailto:']);

/** Renders Markdown as React elements, never as HTML. */
export const Markdown = memo(function Markdown({ text }: { readonly text: string }) {
  const tokens = useMemo(() => parse(text), [text]);
  if (tokens === null) return <p className={styles.plain}>{text}</p>;
  const isEmojiOnly = text.length <= 24 && /^(?:\p{RGI_Emoji}\s*){1,3}$/v.test(text);
  return (
    <div className={`${styles.text} ${isEmojiOnly ? styles.emojiOnly : ''}`}>
      {tokens.map((token, nth) => renderBlock(token, nth, 0))}
    </div>
  );
});

function parse(text: string): Token[] | null {
  const markerCount = text.replace(/^```[\s\S]*?^```/gm, '').match(/[*_~`[\]<]/g)?.length ?? 0;
  if (text.length > MAX_LENGTH || markerCount > MAX_MARKERS) return null;
  try {
    return lex(text);
  } catch {
    return null;
  }
}

function renderBlocks(tokens: readonly Token[] | undefined, depth: number): ReactNode {
  return tokens?.map((token, nth) => renderBlock(token, nth, depth));
}

function renderBlock(token: Token, key: number, depth: number): ReactNode {
  if (depth > MAX_DEPTH) return <p key={key}>{token.raw}</p>;
  switch (token.type) {
    case 'space':
    case 'def':
      return null;
    case 'code':
      return <CodeBlock key={key} code={(token as Tokens.Code).text} language={(token as Tokens.Code).lang ?? ''} />;
    case 'heading':
      return (
        <p key={key} className={styles.heading} data-depth={(token as Tokens.Heading).depth}>
          {renderInlines((token as Tokens.Heading).tokens, depth + 1)}
        </p>
      );
    case 'checkbox':
      return <Fragment key={key}>{(token as Tokens.Checkbox).checked ? '☑ ' : '☐ '}</Fragment>;
    case 'hr':
      return <hr key={key} />;
    case 'blockquote':
      return <blockquote key={key}>{renderBlocks((token as Tokens.Blockquote).tokens, depth + 1)}</blockquote>;
    case 'list':
      return renderList(token as Tokens.List, key, depth);
    case 'table':
      return renderTable(token as Tokens.Table, key, depth);
    case 'paragraph':
      return <p key={key}>{renderInlines((token as Tokens.Paragraph).tokens, depth + 1)}</p>;
    case 'text': {
      const { tokens, text } = token as Tokens.Text;
      return (
        <Fragment key={key}>{tokens ? renderInlines(tokens, depth + 1) : <TextWithMentions text={text} />}</Fragment>
      );
    }
    default:
      return <p key={key}>{token.raw}</p>;
  }
}

function renderList(token: Tokens.List, key: number, depth: number): ReactNode {
  const items = token.items.map((item, nth) => <li key={nth}>{renderBlocks(item.tokens, depth + 1)}</li>);
  if (!token.ordered) return <ul key={key}>{items}</ul>;
  return (
    <ol key={key} start={Number(token.start) || 1}>
      {items}
    </ol>
  );
}

function renderTable(token: Tokens.Table, key: number, depth: number): ReactNode {
  const renderCells = (row: readonly Tokens.TableCell[], Cell: 'th' | 'td') =>
    row.map((cell, nth) => (
      <Cell key={nth} style={{ textAlign: cell.align ?? undefined }}>
        {renderInlines(cell.tokens, depth + 1)}
      </Cell>
    ));
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable element must be reachable by keyboard
    <div key={key} className={styles.scroll} tabIndex={0}>
      <table>
        <thead>
          <tr>{renderCells(token.header, 'th')}</tr>
        </thead>
        <tbody>
          {token.rows.map((row, nth) => (
            <tr key={nth}>{renderCells(row, 'td')}</tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function renderInlines(tokens: readonly Token[] | undefined, depth: number, isLink = false): ReactNode {
  return tokens?.map((token, nth) => renderInline(token, nth, depth, isLink));
}

/** The text of a link mentions nobody. */
function renderInline(token: Token, key: number, depth: number, isLink: boolean): ReactNode {
  if (depth > MAX_DEPTH) return token.raw;
  if (token.type === 'checkbox') return renderBlock(token, key, depth);
  const renderChildren = (inLink = isLink) => renderInlines((token as { tokens?: Token[] }).tokens, depth + 1, inLink);
  switch (token.type) {
    case 'strong':
      return <strong key={key}>{renderChildren()}</strong>;
    case 'em':
      return <em key={key}>{renderChildren()}</em>;
    case 'del':
      return <del key={key}>{renderChildren()}</del>;
    case 'codespan':
      return <code key={key}>{(token as Tokens.Codespan).text}</code>;
    case 'br':
      return <br key={key} />;
    case 'link':
      return (
        <SafeLink
          key={key}
          href={(token as Tokens.Link).href}
          raw={token.raw}
          label={renderChildren(true)}
          text={getPlainText(token)}
        />
      );
    case 'image':
      // Remote images are not loaded: a request would reveal the reader to the image's server.
      return (
        <SafeLink
          key={key}
          href={(token as Tokens.Image).href}
          raw={token.raw}
          label={(token as Tokens.Image).text}
          text={(token as Tokens.Image).text}
        />
      );
    case 'escape':
    case 'text':
      return (token as { tokens?: Token[] }).tokens ? (
        <Fragment key={key}>{renderChildren()}</Fragment>
      ) : isLink ? (
        unescapeEntities((token as Tokens.Text).text)
      ) : (
        <TextWithMentions key={key} text={unescapeEntities((token as Tokens.Text).text)} />
      );
    default:
      return <Fragment key={key}>{token.raw}</Fragment>;
  }
}

/** A link that asks first if its text shows another address. */
export function SafeLink(props: {
  readonly href: string;
  readonly raw: string;
  readonly label: ReactNode;
  /** The label without formatting. */
  readonly text: string;
}) {
  const { href, raw, label, text } = props;
  const { t } = useTranslation();
  const openModal = useUiStore((ui) => ui.openModal);
  const url = URL.canParse(href) ? new URL(href) : null;
  if (url === null || !PROTOCOLS.has(url.protocol)) return raw;
  const confirm = (event: MouseEvent) => {
    if (!showsAnotherHost(text, url)) return;
    event.preventDefault();
    openModal({
      kind: 'confirm',
      title: t('link.title'),
      text: t('link.text', { host: url.host || href, text: text.trim() }),
      confirmLabel: t('link.open'),
      action: async () => window.open(href, '_blank', 'noopener,noreferrer'),
    });
  };
  return (
    <a href={href} target="_blank" rel="noopener noreferrer nofollow" onClick={confirm} onAuxClick={confirm}>
      {label || href}
    </a>
  );
}

/** An address in the text of a link: the name of its host. */
const SHOWN_HOST = /(?:^|[^\p{L}\p{N}.@-])((?:[\p{L}\p{N}-]+\.)+\p{L}{2,})(?![\p{L}\p{N}])/giu;

/** The ends of names of files, which look like names of hosts. */
const FILE_NAME =
  /^[^/]*\.(?:c|cpp|css|csv|gif|go|h|html?|java|jpe?g|jsx?|json|log|md|pdf|php|png|py|rb|rs|sh|sql|svg|toml|tsx?|txt|xml|ya?ml|zip)$/iu;

/** Whether the text of a link contains an address with another host than the one that the link opens. */
function showsAnotherHost(text: string, url: URL): boolean {
  if (url.protocol === 'mailto:') return false;
  const withoutWww = (host: string) => host.toLowerCase().replace(/^www\./, '');
  const isOther = (shown: string) => {
    if (FILE_NAME.test(shown) && !text.includes('://')) return false;
    const host = URL.canParse(`https://${shown}`) ? new URL(`https://${shown}`).hostname : shown;
    return withoutWww(host) !== withoutWww(url.hostname);
  };
  // Characters that are not visible could hide an address.
  return [...text.replace(/\p{Cf}/gu, '').matchAll(SHOWN_HOST)].some((match) => isOther(match[1] ?? ''));
}

/** Returns the text of a token without formatting. */
function getPlainText(token: Token): string {
  const { tokens, text, raw } = token as { tokens?: Token[]; text?: string; raw: string };
  return tokens ? tokens.map(getPlainText).join('') : unescapeEntities(text ?? raw);
}

/** The lexer leaves HTML entities escaped. Only these five are unescaped. */
const ENTITIES: Readonly<Record<string, string>> = {
  '&amp;': '&',
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&#39;': "'",
};

const unescapeEntities = (text: string) =>
  text.replace(/&(?:amp|lt|gt|quot|#39);/g, (entity) => ENTITIES[entity] ?? entity);

/** Plain text with mentions. */
function TextWithMentions({ text }: { readonly text: string }) {
  return text.includes('@') ? <Mentions text={text} /> : text;
}

function Mentions({ text }: { readonly text: string }) {
  const usernames = useChatState(({ users }) => getUsernames(users));
  const isUsername = (name: string) => name === EVERYONE || usernames.has(name);
  return splitMentions(text, isUsername).map((part, nth) =>
    part.username === null ? (
      <Fragment key={nth}>{part.text}</Fragment>
    ) : (
      <Mention key={nth} username={part.username.toLowerCase()} text={part.text} />
    ),
  );
}

/** Lower-case usernames, computed once per map of users. */
const usernameCache = new WeakMap<object, ReadonlySet<string>>();

function getUsernames(users: ReadonlyMap<number, User>): ReadonlySet<string> {
  const known = usernameCache.get(users) ?? new Set([...users.values()].map((user) => user.username.toLowerCase()));
  usernameCache.set(users, known);
  return known;
}

function Mention({ username, text }: { readonly username: string; readonly text: string }) {
  const isMe = useChatState(({ me }) => me.username.toLowerCase() === username);
  return (
    <span className={`${styles.mention} ${isMe || username === EVERYONE ? styles.mentionMe : ''}`} data-mention>
      {text}
    </span>
  );
}
