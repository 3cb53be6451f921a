import { useTranslation } from 'react-i18next';
import { Dialog } from '../ui/Dialog';
import { useUiStore } from '../uiStore';
import styles from './ShortcutsDialog.module.css';

const SHORTCUTS = ['switcher', 'search', 'previous', 'next', 'editLast', 'send', 'newLine', 'escape', 'help'] as const;

const isMac = navigator.platform.startsWith('Mac');

const KEY_LABELS: Record<(typeof SHORTCUTS)[number], string> = {
  switcher: isMac ? '⌘ K' : 'Ctrl K',
  search: isMac ? '⌘ ⇧ F' : 'Ctrl Shift F',
  previous: 'Alt ↑',
  next: 'Alt ↓',
  editLast: '↑',
  send: 'Enter',
  newLine: 'Shift Enter',
  escape: 'Esc',
  help: isMac ? '⌘ /' : 'Ctrl /',
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
