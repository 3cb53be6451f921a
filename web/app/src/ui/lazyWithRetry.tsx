import { type ComponentType, createElement, use } from 'react';

/** Callbacks that reset the chunks that failed to load. */
const failedLoads = new Set<() => void>();

/** Style sheets that failed to load. The bundler's loader requests each only once. */
const failedStylesheets = new Set<string>();

addEventListener(
  'error',
  ({ target }) => {
    if (!(target instanceof HTMLLinkElement) || target.rel !== 'stylesheet') return;
    failedStylesheets.add(target.href);
    target.remove();
  },
  true,
);

/** Loads the failed style sheets again. */
function reloadStylesheets(): Promise<unknown> {
  const hrefs = [...failedStylesheets];
  failedStylesheets.clear();
  return Promise.all(
    hrefs.map(
      (href) =>
        new Promise((resolve, reject) => {
          const link = document.createElement('link');
          link.rel = 'stylesheet';
          link.href = href;
          link.onload = resolve;
          link.onerror = () => reject(new Error('a style sheet failed to load'));
          document.head.append(link);
        }),
    ),
  );
}

/**
 * A chunk that is loaded when one of its components is first rendered. Unlike React's
 * `lazy`, a failed load can be retried, and a chunk that is already loaded renders
 * without suspending.
 */
export class LazyModule<Module> {
  readonly #load: () => Promise<Module>;
  #loading: Promise<Module> | null = null;
  #module: Module | null = null;

  constructor(load: () => Promise<Module>) {
    this.#load = load;
  }

  /** Loads the chunk before it is needed. */
  preload(): Promise<Module> {
    this.#loading ??= reloadStylesheets()
      .then(this.#load)
      .then(
        (module) => {
          this.#module = module;
          return module;
        },
        (failure) => {
          failedLoads.add(() => {
            this.#loading = null;
          });
          throw failure;
        },
      );
    return this.#loading;
  }

  /** Returns a component of the chunk. */
  component<Props extends object>(pick: (module: Module) => ComponentType<Props>): ComponentType<Props> {
    return (props) => createElement(pick(this.#module ?? use(this.preload())), props);
  }
}

/** Wraps the default export of a chunk. */
export function lazyWithRetry<Props extends object>(
  load: () => Promise<{ readonly default: ComponentType<Props> }>,
): ComponentType<Props> {
  return new LazyModule(load).component((module) => module.default);
}

/** Resets failed chunks, so that they are loaded again on the next render. */
export function retryFailedLoads(): void {
  for (const reset of failedLoads) reset();
  failedLoads.clear();
}
