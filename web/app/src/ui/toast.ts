import { create } from 'zustand';
import { getErrorMessage } from '../locales/errorMessage';

/** The toast that is shown, if any. */
interface ToastState {
  readonly toast: { readonly text: string; readonly id: number } | null;
}

/** The store of the toast. */
export const useToast = create<ToastState>(() => ({ toast: null }));

/** Shows a temporary message. */
export function showToast(text: string): void {
  useToast.setState(({ toast }) => ({ toast: { text, id: (toast?.id ?? 0) + 1 } }));
}

/** Hides a toast, unless another one has replaced it. */
export function dismissToast(id: number): void {
  useToast.setState((state) => (state.toast?.id === id ? { toast: null } : state));
}

/** Runs an action and shows a toast if it fails. */
export async function withToast(action: () => Promise<unknown>): Promise<void> {
  try {
    await action();
  } catch (error) {
    showToast(getErrorMessage(error));
  }
}
