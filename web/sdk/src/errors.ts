import type { Problem } from './wire/types.gen.js';

/** An error response of the server. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    /** The HTTP status. */
    readonly status: number,
    /** A machine-readable code, as in `not_found`. */
    readonly code: string,
    /** A human-readable explanation. */
    detail: string,
    /** The validation errors by field. */
    readonly errors: Problem['errors'] = [],
    /** The server's `Retry-After`, in milliseconds. */
    readonly retryAfterMs: number | null = null,
  ) {
    super(detail);
  }

  /** Whether the same request may succeed later. */
  get isRetryable(): boolean {
    return this.status === 429 || this.status >= 500;
  }

  /** Reads an error response. A proxy's response may not be JSON. */
  static async from(response: Response): Promise<ApiError> {
    const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
    const retryAfterMs = Number.isFinite(seconds) ? seconds * 1000 : null;
    const problem = (await response.json().catch(() => null)) as Partial<Problem> | null;
    const detail = problem?.detail ?? `the server returned status ${response.status}`;
    return new ApiError(response.status, problem?.code ?? 'unknown', detail, problem?.errors, retryAfterMs);
  }
}

/** The server could not be reached. */
export class NetworkError extends Error {
  override readonly name = 'NetworkError';
}

/** The sign-up waits until the user opens the link in a mail. */
export class VerificationPendingError extends Error {
  override readonly name = 'VerificationPendingError';
}

/** The account was created, and an operator has to approve it before the user can sign in. */
export class ApprovalPendingError extends Error {
  override readonly name = 'ApprovalPendingError';
}

/** Whether a request that failed with this error should be retried. */
export function isRetryable(error: unknown): boolean {
  return error instanceof NetworkError || (error instanceof ApiError && error.isRetryable);
}
