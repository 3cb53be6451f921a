import type { Message } from '@confab/sdk';
import { memo, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Avatar } from '../ui/Avatar';
import { IconButton } from '../ui/Button';
import { copy } from '../ui/copy';
import { Icon } from '../ui/Icon';
import { Menu, MenuItem, MenuLine } from '../ui/Menu';
import { attempt, useView } from '../view';
import { briefTime, clockTime, dayName, exactTime } from '../words/time';
import { lineOf, nameOf, useHouse, useWorld } from '../world/use';
import { Attachments } from './Attachments';
import { EmojiButton } from './EmojiButton';
import { Markdown } from './Markdown';
import styles from './Message.module.css';
import { MessageEditor } from './MessageEditor';
import { Reactions } from './Reactions';
import { Receipts } from './Receipts';

const QUICK = ['👍', '❤️', '😂'] as const;

/** So much is shown of what is to be deleted, in characters. */
const QUOTED = 120;

interface MessageRowProps {
  readonly message: Message;
  readonly rowKey: string;
  readonly isFirst: boolean;
  readonly isNewDay: boolean;
  readonly isNew: boolean;
  readonly isActive: boolean;
  readonly isMarked: boolean;
  /** What it is to say, while it is written anew. */
  readonly edited: string | null;
  readonly onEdited: (text: string) => void;
  readonly onActive: (key: string) => void;
  readonly onLock: (key: string | null) => void;
  readonly onReply: (message: Message) => void;
  readonly onEdit: (message: Message | null) => void;
  readonly onGo: (messageId: number) => void;
}

/** One message, with what belongs above and below it. */
export const MessageRow = memo(function MessageRow(props: MessageRowProps) {
  const { message, rowKey, isFirst, isNewDay, isNew, isActive, isMarked, edited } = props;
  const { t } = useTranslation();
  const author = useWorld(({ people }) => people.get(message.sender_id ?? 0));
  const isMine = useWorld(({ me }) => me.id === message.sender_id);
  const callsMe = useWorld(({ me }) => !isMine && (message.mentions_everyone || message.mentions.includes(me.id)));
  const name = message.sender_id === null ? t('people.gone') : nameOf(author);
  const isDeleted = message.deleted_at !== null;
  const remove = useRemoval(message);
  const says = isDeleted ? t('message.deleted') : lineOf(message);
  return (
    <>
      {isNewDay && (
        <p className={styles.day}>
          <span>{dayName(message.created_at)}</span>
        </p>
      )}
      {isNew && (
        <p className={styles.new}>
          <span>{t('timeline.newLine')}</span>
        </p>
      )}
      <article
        tabIndex={-1}
        className={styles.message}
        data-first={isFirst}
        data-calls={callsMe}
        data-marked={isMarked}
        data-active={isActive}
        data-message={message.id}
        aria-label={`${name}, ${says}, ${exactTime(message.created_at)}`}
        onPointerEnter={() => props.onActive(rowKey)}
        onFocus={() => props.onActive(rowKey)}
      >
        {message.reply_to !== null && <Quote message={message} onGo={props.onGo} />}
        <div className={styles.side}>
          {isFirst ? (
            <Avatar user={author} size={38} />
          ) : (
            <time dateTime={message.created_at}>{briefTime(message.created_at)}</time>
          )}
        </div>
        <div className={styles.body}>
          {isFirst && (
            <p className={styles.head}>
              <strong>{name}</strong>
              <time dateTime={message.created_at} title={exactTime(message.created_at)}>
                {clockTime(message.created_at)}
              </time>
              {message.pinned && <Icon name="pin" size={13} />}
            </p>
          )}
          {isDeleted ? (
            <p className={styles.deleted}>{t('message.deleted')}</p>
          ) : edited !== null ? (
            <MessageEditor
              message={message}
              text={edited}
              onText={props.onEdited}
              onDone={() => props.onEdit(null)}
              onEmptied={remove}
            />
          ) : (
            <>
              {message.content && <Markdown text={message.content} />}
              {message.edited_at && <Edited message={message} />}
              <Attachments files={message.files} />
              <Reactions message={message} />
            </>
          )}
          {isMine && <Receipts message={message} />}
        </div>
        {isActive && !isDeleted && edited === null && <Actions {...props} isMine={isMine} />}
      </article>
    </>
  );
});

/** That a message said something else before; who may see what, can. */
function Edited({ message }: { readonly message: Message }) {
  const { t } = useTranslation();
  const open = useView((view) => view.open);
  const mayRule = useMayRule(message);
  const look = { className: styles.edited, title: exactTime(message.edited_at ?? '') };
  if (!mayRule) return <small {...look}>{t('message.edited')}</small>;
  return (
    <button type="button" {...look} onClick={() => open({ kind: 'edits', messageId: message.id })}>
      {t('message.edited')}
    </button>
  );
}

/** Asks, and then deletes a message. */
function useRemoval(message: Message): () => void {
  const { t } = useTranslation();
  const house = useHouse();
  const open = useView((view) => view.open);
  return () =>
    open({
      kind: 'sure',
      chatId: message.chat_id,
      title: t('message.delete'),
      text: t('message.deleteSure', { text: lineOf(message).slice(0, QUOTED) }),
      verb: t('message.delete'),
      work: () => house.client.api.messages.remove(message.id),
      next: () => document.querySelector<HTMLElement>(`[data-message="${message.id}"]`),
    });
}

/** Whether a message is one's own, or one rules where it was said. */
function useMayRule({ sender_id, chat_id }: Message): boolean {
  return useWorld(({ me, chats }) => me.id === sender_id || (chats.get(chat_id)?.role ?? 'member') !== 'member');
}

/** What can be done with a message; there while it is pointed at. */
function Actions(props: MessageRowProps & { readonly isMine: boolean }) {
  const { message, rowKey, isMine, onLock } = props;
  const { t } = useTranslation();
  const house = useHouse();
  const say = useView((view) => view.say);
  const mayRemove = useMayRule(message);
  const remove = useRemoval(message);
  const lock = (isOpen: boolean) => onLock(isOpen ? rowKey : null);
  // A menu that goes with its row must not hold the others.
  useEffect(() => () => onLock(null), [onLock]);
  const { api } = house.client;
  return (
    <div className={styles.actions} role="toolbar" aria-label={t('message.actions')}>
      {QUICK.map((emoji) => (
        <button
          key={emoji}
          type="button"
          className={styles.quick}
          aria-label={t('reaction.add', { emoji })}
          onClick={() => attempt(() => house.react(message, emoji))}
        >
          {emoji}
        </button>
      ))}
      <EmojiButton
        trigger={<IconButton icon="emoji" label={t('reaction.pick')} size={18} />}
        onOpenChange={lock}
        onPick={(emoji) => attempt(() => house.react(message, emoji))}
      />
      <IconButton icon="reply" label={t('message.reply')} size={18} onClick={() => props.onReply(message)} />
      {isMine && <IconButton icon="edit" label={t('message.edit')} size={18} onClick={() => props.onEdit(message)} />}
      <Menu align="end" onOpenChange={lock} trigger={<IconButton icon="more" label={t('message.more')} size={18} />}>
        <MenuItem
          icon="pin"
          onClick={() =>
            attempt(() => (message.pinned ? api.messages.unpin(message.id) : api.messages.pin(message.id)))
          }
        >
          {message.pinned ? t('message.unpin') : t('message.pin')}
        </MenuItem>
        {message.content && (
          <MenuItem icon="copy" onClick={() => attempt(() => copy(message.content))}>
            {t('message.copy')}
          </MenuItem>
        )}
        <MenuItem
          icon="link"
          onClick={() =>
            attempt(async () => {
              await copy(`${location.origin}/chats/${message.chat_id}/${message.id}`);
              say(t('message.linkCopied'));
            })
          }
        >
          {t('message.link')}
        </MenuItem>
        {mayRemove && (
          <>
            <MenuLine />
            <MenuItem icon="trash" isDangerous onClick={remove}>
              {t('message.delete')}
            </MenuItem>
          </>
        )}
      </Menu>
    </div>
  );
}

/** What a message answers. */
function Quote({ message, onGo }: { readonly message: Message; readonly onGo: (messageId: number) => void }) {
  const { t } = useTranslation();
  const house = useHouse();
  const id = message.reply_to ?? 0;
  const here = useWorld(
    ({ timelines }) => timelines.get(message.chat_id)?.messages.find((one) => one.id === id) ?? null,
  );
  const [fetched, setFetched] = useState<Message | null>(null);
  const quoted = here ?? fetched;
  const author = useWorld(({ people }) => people.get(quoted?.sender_id ?? 0));
  const isHere = here !== null;
  useEffect(() => {
    if (isHere) return;
    let isOver = false;
    house.quote(id).then(
      (found) => !isOver && setFetched(found),
      () => {},
    );
    return () => {
      isOver = true;
    };
  }, [isHere, id, house]);
  return (
    <button type="button" className={styles.quote} onClick={() => onGo(id)} aria-label={t('message.goToQuoted')}>
      <Icon name="quote" size={14} />
      {quoted && (
        <>
          <Avatar user={author} size={16} />
          <strong>{nameOf(author)}</strong>
          <span>{quoted.deleted_at ? t('message.deleted') : lineOf(quoted)}</span>
        </>
      )}
    </button>
  );
}
