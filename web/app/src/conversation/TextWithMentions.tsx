import { createContext, Fragment, type MouseEvent, useContext, useMemo } from 'react';
import { Link, useLocation } from 'wouter';
import { isChannel } from '../store/chatState';
import { parseChatId, useChatState } from '../store/hooks';
import { openPopup } from '../ui/popup';
import { splitChannelLinks } from './channelLinks';
import styles from './Markdown.module.css';
import { splitMentions } from './mentions';

/** The name that mentions all members. */
const EVERYONE = 'everyone';

/** Whom a text mentions, as the server found it. */
export interface MentionTargets {
  /** The ids of the users. */
  readonly ids: readonly number[];
  /** Whether the text mentions all members. */
  readonly everyone: boolean;
}

/** Provides whom the rendered text mentions. */
export const MentionTargetsContext = createContext<MentionTargets>({ ids: [], everyone: false });

/** Whom an unsent text probably mentions: users known here. The server decides whether it mentions everyone. */
export function useProbableMentions(text: string): MentionTargets {
  const ids = useChatState(({ users }) => {
    if (!text.includes('@')) return [];
    const lowerText = text.toLowerCase();
    return [...users.values()]
      .filter(({ username }) => lowerText.includes(`@${username.toLowerCase()}`))
      .map(({ id }) => id);
  });
  return useMemo(() => ({ ids, everyone: false }), [ids]);
}

/** Plain text in which mentions stand out, and names of channels are links. */
export function TextWithMentions({ text }: { readonly text: string }) {
  if (text.includes('@')) return <Mentions text={text} />;
  return text.includes('#') ? <ChannelLinks text={text} /> : text;
}

/** Plain text in which the names of the user's channels are links. */
function ChannelLinks({ text }: { readonly text: string }) {
  const channels = useChatState(({ chats }) => [...chats.values()].filter(isChannel));
  const byName = new Map(channels.map((chat) => [chat.name.toLowerCase(), chat.id]));
  return splitChannelLinks(text, (name) => byName.has(name)).map((part, nth) =>
    part.name === null ? (
      <Fragment key={nth}>{part.text}</Fragment>
    ) : (
      <Link key={nth} href={`/chats/${byName.get(part.name.toLowerCase())}`} className={styles.mention}>
        {part.text}
      </Link>
    ),
  );
}

function Mentions({ text }: { readonly text: string }) {
  const { ids, everyone } = useContext(MentionTargetsContext);
  const mentioned = useChatState(({ users }) => ids.map((id) => users.get(id)));
  const byName = new Map(mentioned.flatMap((user) => (user ? [[user.username.toLowerCase(), user.id]] : [])));
  const isMentioned = (name: string) => (name === EVERYONE ? everyone : byName.has(name));
  return splitMentions(text, isMentioned).map((part, nth) =>
    part.username === null ? (
      <Fragment key={nth}>{part.text.includes('#') ? <ChannelLinks text={part.text} /> : part.text}</Fragment>
    ) : (
      <Mention key={nth} userId={byName.get(part.username.toLowerCase()) ?? null} text={part.text} />
    ),
  );
}

/** A mention of a user, or of everyone with `null`. */
function Mention({ userId, text }: { readonly userId: number | null; readonly text: string }) {
  const isMe = useChatState(({ me }) => userId === null || me.id === userId);
  const [path] = useLocation();
  const className = `${styles.mention} ${isMe ? styles.mentionMe : ''}`;
  if (userId === null) {
    return (
      <span className={className} data-mention>
        {text}
      </span>
    );
  }
  const open = ({ currentTarget: anchor }: MouseEvent<HTMLElement>) =>
    openPopup({ kind: 'user', anchor, userId, chatId: parseChatId(path) });
  return (
    <button type="button" className={className} data-mention onClick={open}>
      {text}
    </button>
  );
}
