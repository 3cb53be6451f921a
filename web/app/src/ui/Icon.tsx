/** Stroked paths on a 20 by 20 grid. */
const PATHS = {
  add: 'M10 4v12M4 10h12',
  addReaction:
    'M15.5 9.8a6.5 6.5 0 1 1-5.3-5.3M6.8 8.3v.4M11.4 8.3v.4M6.3 11.4c1.4 2.2 4.2 2.2 5.6 0M15.5 2.5v5M13 5h5',
  back: 'M12 4l-6 6 6 6',
  bell: 'M5 14h10l-1.4-2V8.6a3.6 3.6 0 0 0-7.2 0V12L5 14zM8.5 16.5h3',
  bookmark: 'M6 3.5h8v13l-4-3-4 3z',
  check: 'M4.5 10.5l3.5 3.5 7.5-8',
  checks: 'M2 10.5L5.5 14 12 6.5M9.5 13l1 1L18 6.5',
  chevron: 'M5.5 8l4.5 4.5L14.5 8',
  close: 'M5 5l10 10M15 5L5 15',
  copy: 'M7 7h8.5v8.5H7zM4.5 13V4.5H13',
  down: 'M10 4v11M5.5 10.5L10 15l4.5-4.5',
  edit: 'M4 16l.8-3.4L13.2 4.2l2.6 2.6-8.4 8.4L4 16z',
  emoji: 'M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM7.5 8.3v.4M12.5 8.3v.4M7 11.5c1.5 2.4 4.5 2.4 6 0',
  eyeOff: 'M3 10s2.5-4.5 7-4.5c1 0 2 .2 2.8.6M17 10s-2.5 4.5-7 4.5c-1 0-2-.2-2.8-.6M4 4l12 12',
  file: 'M5.5 3h6L15 6.5V17H5.5zM11 3v4h4',
  forward: 'M12 5l4.5 4.5L12 14M16.5 9.5H9a5.5 5.5 0 0 0-5.5 5.5v.5',
  gear: 'M4 6.5h7M15 6.5h1M4 13.5h1M9 13.5h7M13 8.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM7 15.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4z',
  hash: 'M4 7.5h12.5M3.5 12.5H16M8.5 3.5L7 16.5M13 3.5l-1.5 13',
  info: 'M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM10 9.2v4M10 6.7v.1',
  join: 'M8 4h7.5v12H8M3.5 10h8M8.5 7l3 3-3 3',
  leave: 'M12 4H4.5v12H12M8 10h8.5M13.5 7l3 3-3 3',
  link: 'M8.5 11.5l3-3M7 9L4.8 11.2a2.8 2.8 0 0 0 4 4L11 13M13 11l2.2-2.2a2.8 2.8 0 0 0-4-4L9 7',
  lock: 'M5 9h10v7.5H5zM7 9V6.8a3 3 0 0 1 6 0V9',
  minus: 'M4 10h12',
  more: 'M5 10h.01M10 10h.01M15 10h.01',
  mute: 'M4 4l12 12M6.4 8.6V12L5 14h9M8 5.6a3.6 3.6 0 0 1 5.6 3V10.5M8.5 16.5h3',
  open: 'M8 4.5H4.5v11h11V12M11 4.5h4.5V9M9 11l6.2-6.2',
  people:
    'M7.5 9.5a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6zM2.5 16c.4-3 2.3-4.5 5-4.5s4.6 1.5 5 4.5M13 4.3a2.6 2.6 0 0 1 0 4.9M14.5 11.9c1.7.5 2.7 1.9 3 4.1',
  person: 'M10 9.5a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4zM4 17c.5-3.6 2.8-5.4 6-5.4s5.5 1.8 6 5.4',
  pin: 'M8 3.5h4l-.5 5 2.5 2.5H6l2.5-2.5zM10 11v5.5',
  play: 'M6.5 4.5l9 5.5-9 5.5z',
  plug: 'M7 3v4M13 3v4M5 7h10v2.5a5 5 0 0 1-10 0zM10 14.5V17',
  reply: 'M8 5L3.5 9.5 8 14M3.5 9.5H11a5.5 5.5 0 0 1 5.5 5.5v.5',
  search: 'M9 14.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11zM13 13l3.5 3.5',
  send: 'M3.5 10L16.5 4l-4 12.5-3-5zM9.5 11.5l3-3.5',
  shield: 'M10 3l6 2v4.5c0 3.6-2.4 6.1-6 7.5-3.6-1.4-6-3.9-6-7.5V5zM7.5 9.8l1.8 1.8 3.3-3.4',
  star: 'M10 3l2.1 4.4 4.9.6-3.6 3.3.9 4.8L10 13.7l-4.3 2.4.9-4.8L3 8l4.9-.6z',
  trash: 'M4 6h12M8 6V4h4v2M5.5 6l.7 10.5h7.6L14.5 6',
  warn: 'M10 3.5l7.5 13h-15zM10 8.5v3.5M10 14.2v.1',
} as const;

/** The name of an icon. */
export type IconName = keyof typeof PATHS;

/** Icons that point along the text, and are mirrored in a text from right to left. */
const MIRRORED: readonly IconName[] = ['back', 'forward', 'join', 'leave', 'reply', 'send'];

/** A decorative icon. The parent provides the accessible name. */
export function Icon({ name, size = 20 }: { readonly name: IconName; readonly size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 20 20"
      data-mirrored={MIRRORED.includes(name) || undefined}
      fill="none"
      stroke="currentColor"
      strokeWidth={name === 'more' ? 2.6 : 1.6}
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
