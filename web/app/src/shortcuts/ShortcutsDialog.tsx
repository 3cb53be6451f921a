import { useTranslation } from 'react-i18next';
import { Dialog } from '../ui/Dialog';
import { formatShortcut, hasPhysicalKeyboard } from '../ui/keyboard';
import { useUiStore } from '../uiStore';
import styles from './ShortcutsDialog.module.css';

const SHORTCUTS = [
  'switcher',
  'search',
  'previous',
  'next',
  'editLast',
  'send',
  'newLine',
  'bold',
  'italic',
  'code',
  'link',
  'messageKeys',
  'escape',
  'help',
] as const;

const KEY_LABELS: Record<(typeof SHORTCUTS)[number], string> = {
  switcher: formatShortcut('k'),
  search: formatShortcut('shift f'),
  previous: 'Alt ↑',
  next: 'Alt ↓',
  editLast: '↑',
  send: hasPhysicalKeyboard() ? 'Enter' : formatShortcut('enter'),
  newLine: hasPhysicalKeyboard() ? 'Shift Enter' : 'Enter',
  escape: 'Esc',
  help: formatShortcut('/'),
  bold: formatShortcut('b'),
  italic: formatShortcut('i'),
  code: formatShortcut('e'),
  link: formatShortcut('k'),
  messageKeys: 'R E + U P Del',
};

/** The list of keyboard shortcuts. */
export function ShortcutsDialog() {
  const { t } = useTranslation();
  const closeModal = useUiStore((ui) => ui.closeModal);
  return (
    <Dialog title={t('shortcuts.title')} onClose={closeModal}>
      <dl className={styles.keys}>
        {SHORTCUTS.map((key) => (
          <div key={key}>
            <dt>{t(`shortcuts.${key}`)}</dt>
            <dd>
              <kbd>{KEY_LABELS[key]}</kbd>
            </dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
