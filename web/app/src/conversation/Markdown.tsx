import type { Token, Tokens } from 'marked';
import { Fragment, type MouseEvent, memo, type ReactNode, useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { useUiStore } from '../uiStore';
import { CodeBlock } from './CodeBlock';
import styles from './Markdown.module.css';
import { lex, type SpoilerToken } from './markdownLexer';
import { Spoiler } from './Spoiler';
import { type MentionTargets, MentionTargetsContext, TextWithMentions } from './TextWithMentions';

/** Maximum length of a text, in characters. Longer texts are shown as plain text. */
const MAX_LENGTH = 20_000;

/** Maximum number of markers outside of code. The lexer takes seconds for thousands of markers. */
const MAX_MARKERS = 400;

/** Maximum nesting depth. Deeper nesting is shown as plain text. */
const MAX_DEPTH = 12;

/** The paths of pages that the frontend shows in the same tab. */
const OWN_PAGE = /^\/(?:chats\/\d+(?:\/\d+)?|invite\/[\w-]+|inbox)$/;

/** The allowed link protocols. */
const PROTOCOLS = new Set(['http:', 'https:', 'mailto:']);

/** Renders Markdown as React elements, never as HTML. No part of the text is hidden. */
export const Markdown = memo(function Markdown(props: {
  readonly text: string;
  /** Whom the text mentions; nobody if omitted. */
  readonly mentionTargets?: MentionTargets;
  /** What follows the text, in its last line if that is a paragraph. */
  readonly end?: ReactNode;
}) {
  const { text, mentionTargets = NOBODY, end } = props;
  const tokens = useMemo(() => parse(text), [text]);
  if (tokens === null) {
    return (
      <p className={styles.plain} dir="auto">
        {text}
        {end}
      </p>
    );
  }
  const last = tokens.findLast(({ type }) => type !== 'space');
  const isInLastLine = last?.type === 'paragraph';
  const isEmojiOnly = text.length <= 24 && /^(?:\p{RGI_Emoji}\s*){1,3}$/v.test(text);
  return (
    <MentionTargetsContext value={mentionTargets}>
      <div className={`${styles.text} ${isEmojiOnly ? styles.emojiOnly : ''}`}>
        {tokens.map((token, nth) => renderBlock(token, nth, 0, token === last && isInLastLine ? end : null))}
        {end && !isInLastLine && <p className={styles.end}>{end}</p>}
      </div>
    </MentionTargetsContext>
  );
});

const NOBODY: MentionTargets = { ids: [], everyone: false };

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

function renderBlock(token: Token, key: number, depth: number, end: ReactNode = null): ReactNode {
  if (depth > MAX_DEPTH) return renderRaw(token, key);
  switch (token.type) {
    case 'space':
      return null;
    case 'code':
      return <CodeBlock key={key} code={(token as Tokens.Code).text} language={(token as Tokens.Code).lang ?? ''} />;
    case 'heading': {
      const { tokens, depth: level } = token as Tokens.Heading;
      if (tokens.length === 0) return renderRaw(token, key);
      return (
        <p key={key} className={styles.heading} data-depth={level} dir="auto">
          {renderInlines(tokens, depth + 1)}
        </p>
      );
    }
    case 'checkbox':
      return <Fragment key={key}>{(token as Tokens.Checkbox).checked ? '☑ ' : '☐ '}</Fragment>;
    case 'hr':
      return <hr key={key} />;
    case 'blockquote': {
      const { tokens } = token as Tokens.Blockquote;
      if (tokens.length === 0) return renderRaw(token, key);
      return <blockquote key={key}>{renderBlocks(tokens, depth + 1)}</blockquote>;
    }
    case 'list':
      return renderList(token as Tokens.List, key, depth);
    case 'table':
      return renderTable(token as Tokens.Table, key, depth);
    case 'paragraph':
      return (
        <p key={key} dir="auto">
          {renderInlines((token as Tokens.Paragraph).tokens, depth + 1)}
          {end}
        </p>
      );
    case 'text': {
      const { tokens, text } = token as Tokens.Text;
      return (
        <Fragment key={key}>{tokens ? renderInlines(tokens, depth + 1) : <TextWithMentions text={text} />}</Fragment>
      );
    }
    default:
      return renderRaw(token, key);
  }
}

/** Shows what is not understood as it was written. */
function renderRaw({ raw }: Token, key: number): ReactNode {
  return (
    <p key={key} className={styles.plain} dir="auto">
      {raw.trimEnd()}
    </p>
  );
}

function renderList(token: Tokens.List, key: number, depth: number): ReactNode {
  const items = token.items.map((item, nth) => (
    <li key={nth} dir="auto">
      {renderBlocks(item.tokens, depth + 1)}
    </li>
  ));
  if (!token.ordered) return <ul key={key}>{items}</ul>;
  return (
    <ol key={key} start={token.start === '' ? 1 : token.start}>
      {items}
    </ol>
  );
}

function renderTable(token: Tokens.Table, key: number, depth: number): ReactNode {
  const renderCells = (row: readonly Tokens.TableCell[], Cell: 'th' | 'td') =>
    row.map((cell, nth) => (
      <Cell key={nth} style={{ textAlign: cell.align ?? undefined }} dir="auto">
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
    case 'spoiler':
      return <Spoiler key={key}>{renderInlines((token as SpoilerToken).tokens, depth + 1, isLink)}</Spoiler>;
    case 'link':
      return (
        <SafeLink
          key={key}
          href={(token as Tokens.Link).href}
          raw={token.raw}
          title={(token as Tokens.Link).title ?? undefined}
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
          title={(token as Tokens.Image).title ?? undefined}
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

/** A link that asks first if its text shows another address. A link to a page of Confab opens in the same tab. */
export function SafeLink(props: {
  readonly href: string;
  readonly raw: string;
  readonly title?: string | undefined;
  readonly label: ReactNode;
  /** The label without formatting. */
  readonly text: string;
}) {
  const { href, raw, title, label, text } = props;
  const { t } = useTranslation();
  const [, navigate] = useLocation();
  const { openModal, requestScroll } = useUiStore();
  const url = URL.canParse(href) ? new URL(href) : null;
  if (url === null || !PROTOCOLS.has(url.protocol)) return raw;
  const isOwnPage = url.origin === location.origin && OWN_PAGE.test(url.pathname);
  const confirm = (event: MouseEvent) => {
    const isPlainClick = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey;
    if (isOwnPage && isPlainClick) {
      event.preventDefault();
      requestScroll();
      return navigate(url.pathname);
    }
    if (isOwnPage || !showsAnotherHost(text, url)) return;
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
    <a
      href={href}
      title={title}
      target="_blank"
      rel="noopener noreferrer nofollow"
      onClick={confirm}
      onAuxClick={confirm}
    >
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
