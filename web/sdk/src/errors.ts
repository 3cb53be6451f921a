import type { Problem } from './wire/types.gen.js';

/** The server refused, and said why. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    /** The HTTP status. */
    readonly status: number,
    /** A word for programs, as in `not_found`. */
    readonly code: string,
    /** A sentence for people. */
    detail: string,
    /** What is wrong with which field. */
    readonly errors: Problem['errors'] = [],
    /** How long to wait before the next try, in milliseconds, if the server says so. */
    readonly retryAfterMs: number | null = null,
  ) {
    super(detail);
  }

  /** Whether the same request may succeed in a moment. */
  get isRetryable(): boolean {
    return this.status === 429 || this.status >= 500;
  }

  /** Reads a refusal, whoever sent it: a proxy on the way may not speak our JSON. */
  static async from(response: Response): Promise<ApiError> {
    const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
    const retryAfterMs = Number.isFinite(seconds) ? seconds * 1000 : null;
    const problem = (await response.json().catch(() => null)) as Partial<Problem> | null;
    const detail = problem?.detail ?? `the server answered ${response.status}`;
    return new ApiError(response.status, problem?.code ?? 'unknown', detail, problem?.errors, retryAfterMs);
  }
}

/** Nobody could be reached. */
export class NetworkError extends Error {
  override readonly name = 'NetworkError';
}

/** Whether trying again is right: nobody was reached, or it passes. */
export function isRetryable(error: unknown): boolean {
  return error instanceof NetworkError || (error instanceof ApiError && error.isRetryable);
}
