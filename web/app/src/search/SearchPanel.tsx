import type { Message, SearchQuery } from '@confab/sdk';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Button } from '../ui/Button';
import { Field, Refusal } from '../ui/Field';
import { Side } from '../ui/Side';
import { attempt } from '../view';
import { wordsOf } from '../words/failure';
import { useHouse } from '../world/use';
import { Hits } from './Hits';
import styles from './Hits.module.css';

/** A pause in typing after which is asked, in milliseconds. */
const PAUSE_MS = 250;

/** What is asked for, apart from the words. */
type Narrowed = Pick<SearchQuery, 'chat_id' | 'has'>;

interface Found {
  readonly messages: readonly Message[];
  readonly next: string | null;
}

/** Searches what was said, here or everywhere. */
export default function SearchPanel({ chatId }: { readonly chatId: number }) {
  const { t } = useTranslation();
  const house = useHouse();
  const [words, setWords] = useState('');
  const [isHere, setIsHere] = useState(false);
  const [hasFile, setHasFile] = useState(false);
  const [found, setFound] = useState<Found | null>(null);
  const [refusal, setRefusal] = useState<string | null>(null);

  const narrowed: Narrowed = { ...(isHere && { chat_id: chatId }), ...(hasFile && { has: 'file' }) };
  const narrowedKey = JSON.stringify(narrowed);
  useEffect(() => {
    const q = words.trim();
    setRefusal(null);
    if (!q) {
      setFound(null);
      return;
    }
    let isOver = false;
    const timer = setTimeout(async () => {
      try {
        const page = await house.client.api.search({ q, ...(JSON.parse(narrowedKey) as Narrowed), limit: 25 });
        if (isOver) return;
        house.people.know(page.items.flatMap(({ sender_id }) => sender_id ?? []));
        setFound({ messages: page.items, next: page.next });
      } catch (error) {
        if (!isOver) setRefusal(wordsOf(error));
      }
    }, PAUSE_MS);
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [words, narrowedKey, house]);

  const more = () =>
    attempt(async () => {
      if (!found?.next) return;
      const page = await house.client.api.searchOn(found.next);
      house.people.know(page.items.flatMap(({ sender_id }) => sender_id ?? []));
      // Something else may have been asked meanwhile.
      setFound((now) => (now === found ? { messages: [...found.messages, ...page.items], next: page.next } : now));
    });

  return (
    <Side title={t('search.title')} label={t('search.title')}>
      <search className={styles.form}>
        <Field
          label={t('search.words')}
          type="search"
          value={words}
          onChange={(event) => setWords(event.target.value)}
          autoFocus
        />
        <label>
          <input type="checkbox" checked={isHere} onChange={(event) => setIsHere(event.target.checked)} />
          {t('search.here')}
        </label>
        <label>
          <input type="checkbox" checked={hasFile} onChange={(event) => setHasFile(event.target.checked)} />
          {t('search.hasFile')}
        </label>
      </search>
      <Refusal>{refusal}</Refusal>
      <div aria-live="polite">
        {found &&
          (found.messages.length > 0 ? (
            <Hits messages={found.messages} withChat={!isHere} />
          ) : (
            <p className={styles.none}>{t('search.none')}</p>
          ))}
        {!found && <p className={styles.none}>{t('search.hint')}</p>}
      </div>
      {found?.next && <Button onClick={more}>{t('search.more')}</Button>}
    </Side>
  );
}
