import { type ReactNode, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { IconButton } from '../ui/Button';
import { copyToClipboard } from '../ui/clipboard';
import { withToast } from '../ui/toast';
import styles from './Markdown.module.css';

/** Maximum length of highlighted code, in characters: some patterns take seconds for longer code. */
const MAX_HIGHLIGHTED_LENGTH = 3_000;

/** A code block, highlighted once the highlighter is loaded. */
export function CodeBlock({ code, language }: { readonly code: string; readonly language: string }) {
  const { t } = useTranslation();
  const [highlighted, setHighlighted] = useState<ReactNode>(null);
  const name = language.trim().split(/\s/)[0]?.toLowerCase() ?? '';
  useEffect(() => {
    if (!name || code.length > MAX_HIGHLIGHTED_LENGTH) return;
    let isCancelled = false;
    import('./highlight').then(
      ({ highlight }) => !isCancelled && setHighlighted(highlight(code, name)),
      () => {},
    );
    return () => {
      isCancelled = true;
    };
  }, [code, name]);
  return (
    <div className={styles.codeBlock}>
      {/* At the start, because the toolbar of the message is at the end. */}
      <p className={styles.codeHeader}>
        <IconButton icon="copy" label={t('copy')} size={14} onClick={() => withToast(() => copyToClipboard(code))} />
        {language.trim()}
      </p>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable element must be reachable by keyboard */}
      <pre tabIndex={0}>
        <code>{highlighted ?? code}</code>
      </pre>
    </div>
  );
}
