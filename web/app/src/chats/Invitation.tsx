import type { InvitePreview } from '@confab/sdk';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import rooms from '../Rooms.module.css';
import { Button } from '../ui/Button';
import { Icon } from '../ui/Icon';
import { attempt } from '../view';
import { wordsOf } from '../words/failure';
import { useHouse } from '../world/use';

/** An invitation that came as a link. */
export function Invitation({ code }: { readonly code: string }) {
  const { t } = useTranslation();
  const house = useHouse();
  const [, go] = useLocation();
  const [preview, setPreview] = useState<InvitePreview | null>(null);
  const [refusal, setRefusal] = useState<string | null>(null);

  useEffect(() => {
    house.client.api.invites.preview(code).then(setPreview, (error) => setRefusal(wordsOf(error)));
  }, [code, house]);

  const accept = () =>
    attempt(async () => {
      const chat = await house.client.api.invites.accept(code);
      await house.admit(chat.id);
      go(`/chats/${chat.id}`);
    });

  return (
    <main className={rooms.nothing} aria-busy={!preview && !refusal}>
      <Icon name={refusal ? 'warn' : 'people'} size={40} />
      {preview && (
        <>
          <h1>{t('invite.to', { name: preview.chat.name })}</h1>
          <p>
            {t('people.count', { count: preview.chat.member_count })}
            {preview.chat.description && ` · ${preview.chat.description}`}
          </p>
          <div>
            <Button look="main" onClick={accept}>
              {t('chats.join')}
            </Button>
          </div>
        </>
      )}
      {refusal && (
        <>
          <h1>{t('invite.wrong')}</h1>
          <p>{refusal}</p>
          <Button onClick={() => go('/')}>{t('back')}</Button>
        </>
      )}
    </main>
  );
}
