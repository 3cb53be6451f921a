import { type ReactNode, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { IconButton } from '../ui/Button';
import { copy } from '../ui/copy';
import { attempt } from '../view';
import styles from './Markdown.module.css';

/** Code, coloured once the colours are fetched. */
export function CodeBlock({ code, language }: { readonly code: string; readonly language: string }) {
  const { t } = useTranslation();
  const [coloured, setColoured] = useState<ReactNode>(null);
  const name = language.trim().split(/\s/)[0]?.toLowerCase() ?? '';
  useEffect(() => {
    if (!name) return;
    let isOver = false;
    import('./highlight').then(
      ({ highlight }) => !isOver && setColoured(highlight(code, name)),
      () => {},
    );
    return () => {
      isOver = true;
    };
  }, [code, name]);
  return (
    <div className={styles.block}>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keys */}
      <pre tabIndex={0}>
        <code>{coloured ?? code}</code>
      </pre>
      <IconButton
        icon="copy"
        label={t('copy')}
        size={16}
        className={styles.copy ?? ''}
        onClick={() => attempt(() => copy(code))}
      />
    </div>
  );
}
