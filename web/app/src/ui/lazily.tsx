import { type ComponentType, createElement, use } from 'react';

/** Forgets what could not be fetched, of each part. */
const failed = new Set<() => void>();

/** A part that is fetched when it is first shown. As React's `lazy`, but one that could not be fetched can be asked for again. */
export function lazily<Props extends object>(load: () => Promise<ComponentType<Props>>): ComponentType<Props> {
  let loading: Promise<ComponentType<Props>> | null = null;
  const forget = () => {
    loading = null;
  };
  return function Lazily(props: Props) {
    loading ??= load().catch((failure) => {
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
