import type { CustomStatus } from '@confab/sdk';
import { type FormEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useCustomStatus } from '../members/CustomStatus';
import lists from '../sidebar/lists.module.css';
import { useChatState, useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { Dialog } from '../ui/Dialog';
import { Field, FormError, SelectField } from '../ui/Field';
import { useAction } from '../ui/useAction';
import { useUiStore } from '../uiStore';
import styles from './StatusDialog.module.css';

/** When a status ends. `keep` is the end that it has. */
const ENDS = ['never', 'halfHour', 'hour', 'fourHours', 'today', 'keep'] as const;

type End = (typeof ENDS)[number];

const PRESETS = [
  { key: 'meeting', emoji: '📅', end: 'hour' },
  { key: 'lunch', emoji: '🥪', end: 'halfHour' },
  { key: 'focus', emoji: '🎧', end: 'fourHours' },
  { key: 'sick', emoji: '🤒', end: 'today' },
  { key: 'vacation', emoji: '🌴', end: 'never' },
] as const satisfies readonly { readonly key: string; readonly emoji: string; readonly end: End }[];

const MINUTE_MS = 60_000;

/** Returns when a status ends that is set now; null if the user ends it. */
function getEnd(end: End, current: CustomStatus | null): string | null {
  switch (end) {
    case 'halfHour':
      return new Date(Date.now() + 30 * MINUTE_MS).toISOString();
    case 'hour':
      return new Date(Date.now() + 60 * MINUTE_MS).toISOString();
    case 'fourHours':
      return new Date(Date.now() + 240 * MINUTE_MS).toISOString();
    case 'today':
      return new Date(new Date().setHours(24, 0, 0, 0)).toISOString();
    case 'keep':
      return current?.expires_at ?? null;
    case 'never':
      return null;
  }
}

/** Sets the user's custom status. */
export function StatusDialog() {
  const { t } = useTranslation();
  const { api } = useChatStore().client;
  const closeModal = useUiStore((ui) => ui.closeModal);
  const me = useChatState((state) => state.me);
  const current = useCustomStatus(me);
  const [text, setText] = useState(current?.text ?? '');
  const [emoji, setEmoji] = useState(current?.emoji ?? '');
  const [end, setEnd] = useState<End>(current?.expires_at ? 'keep' : 'never');
  const { error, run } = useAction();
  const save = async (custom_status: CustomStatus | null) => {
    if (await run(() => api.me.update({ custom_status }))) closeModal();
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void save({ text: text.trim(), emoji: emoji.trim() || null, expires_at: getEnd(end, current) });
  };
  return (
    <Dialog title={t('status.title')} onClose={closeModal}>
      <form className={lists.form} onSubmit={submit}>
        <div className={styles.fields}>
          <Field
            label={t('status.text')}
            value={text}
            onChange={({ target }) => setText(target.value)}
            maxLength={100}
            required
            dir="auto"
            autoComplete="off"
          />
          <Field
            label={t('status.emoji')}
            value={emoji}
            onChange={({ target }) => setEmoji(target.value)}
            maxLength={32}
            autoComplete="off"
          />
        </div>
        <div className={styles.presets}>
          {PRESETS.map((preset) => (
            <Button
              key={preset.key}
              onClick={() => {
                setText(t(`status.presets.${preset.key}`));
                setEmoji(preset.emoji);
                setEnd(preset.end);
              }}
            >
              {preset.emoji} {t(`status.presets.${preset.key}`)}
            </Button>
          ))}
        </div>
        <SelectField label={t('status.end')} value={end} onChange={({ target }) => setEnd(target.value as End)}>
          {ENDS.filter((one) => one !== 'keep' || current?.expires_at).map((one) => (
            <option key={one} value={one}>
              {t(`status.ends.${one}`)}
            </option>
          ))}
        </SelectField>
        <FormError>{error}</FormError>
        <div className={lists.actions}>
          {current && <Button onClick={() => save(null)}>{t('status.clear')}</Button>}
          <Button type="submit" variant="primary">
            {t('save')}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
