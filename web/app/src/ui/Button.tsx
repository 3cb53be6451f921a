import type { ComponentProps } from 'react';
import styles from './Button.module.css';
import { Icon, type IconName } from './Icon';

/** A button with a text label. */
export function Button({
  variant = 'secondary',
  className,
  ...rest
}: ComponentProps<'button'> & { readonly variant?: 'secondary' | 'primary' | 'dangerText' | 'danger' | 'ghost' }) {
  return <button type="button" className={`${styles.button} ${styles[variant]} ${className ?? ''}`} {...rest} />;
}

/** A button with an icon and an accessible name. */
export function IconButton({
  icon,
  label,
  className,
  size = 20,
  ...rest
}: Omit<ComponentProps<'button'>, 'children'> & {
  readonly icon: IconName;
  readonly label: string;
  readonly size?: number;
}) {
  return (
    <button
      type="button"
      data-tooltip={label}
      aria-label={label}
      className={`${styles.icon} ${className ?? ''}`}
      {...rest}
    >
      <Icon name={icon} size={size} />
    </button>
  );
}
