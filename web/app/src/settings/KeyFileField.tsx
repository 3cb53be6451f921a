import { useEffect, useRef } from 'react';
import { Field } from '../ui/Field';

/** Chooses the key file of a service account. */
export function KeyFileField(props: {
  readonly label: string;
  readonly hint: string;
  /** The chosen file; null empties the field. */
  readonly file: File | null;
  readonly onChange: (file: File | null) => void;
  readonly required?: boolean;
}) {
  const { label, hint, file, onChange, required } = props;
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    // Only an element can empty the field of a file.
    if (file === null && input.current) input.current.value = '';
  }, [file]);
  return (
    <Field
      ref={input}
      label={label}
      hint={hint}
      type="file"
      accept="application/json,.json"
      onChange={(event) => onChange(event.target.files?.[0] ?? null)}
      required={required}
    />
  );
}
