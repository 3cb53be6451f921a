import { useTranslation } from 'react-i18next';
import { Dialog } from '../ui/Dialog';
import { useView } from '../view';
import styles from './Shortcuts.module.css';

const KEYS = ['switcher', 'search', 'previous', 'next', 'editLast', 'send', 'line', 'escape', 'help'] as const;

const isMac = navigator.platform.startsWith('Mac');

const SIGNS: Record<(typeof KEYS)[number], string> = {
  switcher: isMac ? '⌘ K' : 'Ctrl K',
  search: isMac ? '⌘ ⇧ F' : 'Ctrl Shift F',
  previous: 'Alt ↑',
  next: 'Alt ↓',
  editLast: '↑',
  send: 'Enter',
  line: 'Shift Enter',
  escape: 'Esc',
  help: isMac ? '⌘ /' : 'Ctrl /',
};

/** What the keys do. */
export function Shortcuts() {
  const { t } = useTranslation();
  const close = useView((view) => view.close);
  return (
    <Dialog title={t('keys.title')} onClose={close}>
      <dl className={styles.keys}>
        {KEYS.map((key) => (
          <div key={key}>
            <dt>{t(`keys.${key}`)}</dt>
            <dd>
              <kbd>{SIGNS[key]}</kbd>
            </dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
