import type { ChatBridge } from '@confab/sdk';
import { type FormEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { getDisplayName, useChatState, useChatStore } from '../store/hooks';
import { Button } from '../ui/Button';
import { Field, FormError, SelectField } from '../ui/Field';
import { withToast } from '../ui/toast';
import { useAction } from '../ui/useAction';
import styles from './BridgeNotice.module.css';

/** What the bridges of a chat need: nothing while messages are sent as usual. */
export function BridgeNotices({ chatId }: { readonly chatId: number }) {
  const bridges = useChatState((state) => state.bridges.get(chatId));
  return bridges?.map((bridge) => <BridgeNotice key={bridge.id} bridge={bridge} />);
}

function BridgeNotice({ bridge }: { readonly bridge: ChatBridge }) {
  const { t } = useTranslation();
  const ghost = useChatState(({ users }) => users.get(bridge.ghost_id));
  const [isOpen, setOpen] = useState(false);
  const chatStore = useChatStore();
  const resume = () =>
    withToast(async () => {
      await chatStore.client.api.bridges.setPaused(bridge.bridge_id, bridge.id, false);
      await chatStore.loadBridges(bridge.chat_id);
    });
  const network = t(`networks.${bridge.network}`);
  const isWindowOpen = bridge.window_until !== null && Date.parse(bridge.window_until) > Date.now();
  if (bridge.state === 'disabled') return <p className={styles.notice}>{t('bridges.disabledHere', { network })}</p>;
  if (bridge.paused_reason)
    return (
      <div className={styles.notice}>
        <p>{t(`bridges.paused.${bridge.paused_reason}`, { network })}</p>
        {bridge.is_own && <Button onClick={resume}>{t('bridges.resume')}</Button>}
      </div>
    );
  if (bridge.state !== 'connected') return <p className={styles.notice}>{t('bridges.notWorking', { network })}</p>;
  if (bridge.event_access === 'mentions' && bridge.is_space)
    return <p className={styles.notice}>{t('bridges.mentionsOnly', { network })}</p>;
  if (isWindowOpen || !bridge.capabilities.needs_templates) return null;
  return (
    <div className={styles.notice}>
      <p>
        {t(bridge.window_until ? 'bridges.windowClosed' : 'bridges.windowNotOpened', {
          network,
          name: getDisplayName(ghost),
        })}
      </p>
      <Button onClick={() => setOpen((now) => !now)} aria-expanded={isOpen}>
        {t('bridges.template')}
      </Button>
      {isOpen && <TemplateForm bridge={bridge} onSent={() => setOpen(false)} />}
    </div>
  );
}

function TemplateForm({ bridge, onSent }: { readonly bridge: ChatBridge; readonly onSent: () => void }) {
  const { t } = useTranslation();
  const { chats } = useChatStore().client.api;
  const { error, run } = useAction();
  const [index, setIndex] = useState(0);
  const [values, setValues] = useState<readonly string[]>([]);
  const template = bridge.templates[index];
  if (!template) return <p>{t('bridges.noTemplates')}</p>;
  const parameters = Array.from({ length: template.parameter_count }, (_, nth) => values[nth] ?? '');
  const preview = parameters.reduce(
    (text, value, nth) => text.replaceAll(`{{${nth + 1}}}`, value || `{{${nth + 1}}}`),
    template.body,
  );
  const send = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      const { name, language } = template;
      await chats.sendTemplate(bridge.chat_id, { bridge_id: bridge.bridge_id, name, language, parameters });
      onSent();
    });
  };
  return (
    <form className={styles.form} onSubmit={send}>
      <SelectField
        label={t('bridges.templateChoice')}
        value={index}
        onChange={(event) => {
          setIndex(Number(event.target.value));
          setValues([]);
        }}
      >
        {bridge.templates.map(({ name, language }, nth) => (
          <option key={`${name} ${language}`} value={nth}>
            {`${name} (${language})`}
          </option>
        ))}
      </SelectField>
      {parameters.map((value, nth) => (
        <Field
          // The parameters have no other identity than their position.
          key={`${index} ${String(nth)}`}
          label={t('bridges.parameter', { nth: nth + 1 })}
          value={value}
          onChange={(event) => setValues(parameters.map((old, at) => (at === nth ? event.target.value : old)))}
          maxLength={1000}
          required
        />
      ))}
      <p className={styles.preview}>{preview}</p>
      <FormError>{error}</FormError>
      <div>
        <Button type="submit">{t('bridges.sendTemplate')}</Button>
      </div>
    </form>
  );
}
