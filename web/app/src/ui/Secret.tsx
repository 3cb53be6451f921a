import { useTranslation } from 'react-i18next';
import { Button } from './Button';
import { copyToClipboard } from './clipboard';
import styles from './Secret.module.css';
import { showToast, withToast } from './toast';

/** A secret that is shown once, with a button to copy it. */
export function Secret({ text, hint }: { readonly text: string; readonly hint: string }) {
  const { t } = useTranslation();
  const copy = () =>
    withToast(async () => {
      await copyToClipboard(text);
      showToast(t('copied'));
    });
  return (
    <output className={styles.secret}>
      <p>{hint}</p>
      <code>{text}</code>
      <div>
        <Button onClick={copy}>{t('copy')}</Button>
      </div>
    </output>
  );
}
