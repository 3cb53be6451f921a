import { Component, type ReactNode, Suspense } from 'react';
import { useTranslation } from 'react-i18next';
import { Button } from './Button';
import styles from './Fence.module.css';
import { askAgain } from './lazily';

/** Keeps what goes wrong inside from what is outside, as when a part of the page cannot be fetched. */
export class Fence extends Component<
  {
    readonly children: ReactNode;
    readonly fallback?: ReactNode;
    /** Stands in for what broke, where there is no room to say so. */
    readonly instead?: () => ReactNode;
  },
  { readonly error: unknown }
> {
  override state: { readonly error: unknown } = { error: null };

  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  readonly #again = () => {
    askAgain();
    this.setState({ error: null });
  };

  override render(): ReactNode {
    const { children, fallback } = this.props;
    if (this.state.error === null) return <Suspense fallback={fallback}>{children}</Suspense>;
    if (this.props.instead) return this.props.instead();
    return <Broken onAgain={this.#again} />;
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
