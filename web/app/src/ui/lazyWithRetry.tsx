import { type ComponentType, createElement, use } from 'react';

/** Forgets what could not be fetched, of each part. */
const failedLoads = new Set<() => void>();

/** Style sheets that could not be fetched. The bundler's loader asks for each once. */
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

/** Fetches what is missing of how the page looks. */
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
          link.onerror = () => reject(new Error('a style sheet could not be fetched'));
          document.head.append(link);
        }),
    ),
  );
}

/**
 * A file of the page that is fetched when something of it is first shown. As React's
 * `lazy`, but one that could not be fetched can be asked for again, and one that is
 * there already is shown at once.
 */
export class LazyModule<Module> {
  readonly #load: () => Promise<Module>;
  #loading: Promise<Module> | null = null;
  #module: Module | null = null;

  constructor(load: () => Promise<Module>) {
    this.#load = load;
  }

  /** Fetches it before it is wanted. */
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

  /** A component of it. */
  component<Props extends object>(pick: (module: Module) => ComponentType<Props>): ComponentType<Props> {
    return (props) => createElement(pick(this.#module ?? use(this.preload())), props);
  }
}

/** What a file of the page has to show. */
export function lazyWithRetry<Props extends object>(
  load: () => Promise<{ readonly default: ComponentType<Props> }>,
): ComponentType<Props> {
  return new LazyModule(load).component((module) => module.default);
}

/** Parts that could not be fetched are fetched when they are shown next. */
export function retryFailedLoads(): void {
  for (const reset of failedLoads) reset();
  failedLoads.clear();
}
