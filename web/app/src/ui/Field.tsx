import type { ComponentProps, ReactNode } from 'react';
import { useId } from 'react';
import styles from './Field.module.css';

/** A line to write in, with its name above and what is wrong with it below. */
export function Field({
  label,
  hint,
  wrong,
  ...rest
}: ComponentProps<'input'> & {
  readonly label: string;
  readonly hint?: ReactNode;
  readonly wrong?: string | undefined;
}) {
  const id = useId();
  return (
    <div className={styles.field}>
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        className={styles.input}
        aria-invalid={wrong !== undefined}
        aria-describedby={wrong || hint ? `${id}-more` : undefined}
        {...rest}
      />
      {(wrong || hint) && (
        <p id={`${id}-more`} className={wrong ? styles.wrong : styles.hint}>
          {wrong ?? hint}
        </p>
      )}
    </div>
  );
}

/** What went wrong with a form as a whole. */
export function Refusal({ children }: { readonly children: ReactNode }) {
  return (
    <p role="alert" className={styles.refusal}>
      {children}
    </p>
  );
}
