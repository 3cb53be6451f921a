import { Field } from '../ui/Field';

/** Chooses the key file of a service account. */
export function KeyFileField(props: {
  readonly label: string;
  readonly hint: string;
  readonly onChange: (file: File | null) => void;
  readonly required?: boolean;
}) {
  const { label, hint, onChange, required } = props;
  return (
    <Field
      label={label}
      hint={hint}
      type="file"
      accept="application/json,.json"
      onChange={(event) => onChange(event.target.files?.[0] ?? null)}
      required={required}
    />
  );
}
