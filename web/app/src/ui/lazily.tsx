import { type ComponentType, createElement, use } from 'react';

/** Forgets what could not be fetched, of each part. */
const failed = new Set<() => void>();

/** Style sheets that could not be fetched. The bundler's loader asks for each once. */
const unstyled = new Set<string>();

addEventListener(
  'error',
  ({ target }) => {
    if (!(target instanceof HTMLLinkElement) || target.rel !== 'stylesheet') return;
    unstyled.add(target.href);
    target.remove();
  },
  true,
);

/** Fetches what is missing of how the page looks. */
function restyle(): Promise<unknown> {
  const missing = [...unstyled];
  unstyled.clear();
  return Promise.all(
    missing.map(
      (href) =>
        new Promise((resolve, reject) => {
          const link = document.createElement('link');
          link.rel = 'stylesheet';
          link.href = href;
          link.onload = resolve;
          link.onerror = () => reject(new Error('a style sheet could not be fetched'));
          document.head.append(link);
        }),
    ),
  );
}

/** A part that is fetched when it is first shown. As React's `lazy`, but one that could not be fetched can be asked for again. */
export function lazily<Props extends object>(load: () => Promise<ComponentType<Props>>): ComponentType<Props> {
  let loading: Promise<ComponentType<Props>> | null = null;
  const forget = () => {
    loading = null;
  };
  return function Lazily(props: Props) {
    loading ??= restyle()
      .then(load)
      .catch((failure) => {
        failed.add(forget);
        throw failure;
      });
    return createElement(use(loading), props);
  };
}

/** Parts that could not be fetched are fetched when they are shown next. */
export function askAgain(): void {
  for (const forget of failed) forget();
  failed.clear();
}
