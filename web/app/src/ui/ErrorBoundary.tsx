import { Component, type ReactNode, Suspense } from 'react';
import { useTranslation } from 'react-i18next';
import { Button } from './Button';
import styles from './ErrorBoundary.module.css';
import { retryFailedLoads } from './lazyWithRetry';

/** Contains rendering errors of its children, such as a chunk that failed to load. */
export class ErrorBoundary extends Component<
  {
    readonly children: ReactNode;
    readonly fallback?: ReactNode;
    /** Replaces the default error message where there is no room for it. */
    readonly renderError?: () => ReactNode;
  },
  { readonly error: unknown }
> {
  override state: { readonly error: unknown } = { error: null };

  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  readonly #retry = () => {
    retryFailedLoads();
    this.setState({ error: null });
  };

  override render(): ReactNode {
    const { children, fallback } = this.props;
    if (this.state.error === null) return <Suspense fallback={fallback}>{children}</Suspense>;
    if (this.props.renderError) return this.props.renderError();
    return <ErrorFallback onRetry={this.#retry} />;
  }
}

function ErrorFallback({ onRetry }: { readonly onRetry: () => void }) {
  const { t } = useTranslation();
  return (
    <div role="alert" className={styles.fallback}>
      <p>{t('errorBoundary.title')}</p>
      <span>
        <Button onClick={onRetry}>{t('retry')}</Button>
        <Button variant="primary" onClick={() => location.reload()}>
          {t('errorBoundary.reload')}
        </Button>
      </span>
    </div>
  );
}
