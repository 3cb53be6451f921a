import { Component, type ReactNode, Suspense } from 'react';
import { useTranslation } from 'react-i18next';
import { Button } from './Button';
import styles from './Fence.module.css';

/** Keeps what goes wrong inside from what is outside, as when a part of the page cannot be fetched. */
export class Fence extends Component<
  { readonly children: ReactNode; readonly fallback?: ReactNode },
  { readonly error: unknown }
> {
  override state: { readonly error: unknown } = { error: null };

  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  override render(): ReactNode {
    const { children, fallback } = this.props;
    if (this.state.error === null) return <Suspense fallback={fallback}>{children}</Suspense>;
    return <Broken onAgain={() => this.setState({ error: null })} />;
  }
}

function Broken({ onAgain }: { readonly onAgain: () => void }) {
  const { t } = useTranslation();
  return (
    <div role="alert" className={styles.broken}>
      <p>{t('broken.title')}</p>
      <span>
        <Button onClick={onAgain}>{t('again')}</Button>
        <Button look="main" onClick={() => location.reload()}>
          {t('broken.reload')}
        </Button>
      </span>
    </div>
  );
}
