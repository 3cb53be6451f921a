import 'emoji-picker-element';
import data from 'emoji-picker-element-data/en/emojibase/data.json?url';
import { useEffect, useRef } from 'react';
import styles from './EmojiPicker.module.css';

/** All emoji, to search and to pick from. */
export function EmojiPicker({ onPick }: { readonly onPick: (emoji: string) => void }) {
  const place = useRef<HTMLDivElement>(null);
  const pick = useRef(onPick);
  pick.current = onPick;
  useEffect(() => {
    const picker = document.createElement('emoji-picker');
    picker.setAttribute('data-source', data);
    picker.className = styles.picker ?? '';
    const onClick = (event: Event) => {
      const { unicode } = (event as CustomEvent<{ unicode?: string }>).detail;
      if (unicode) pick.current(unicode);
    };
    picker.addEventListener('emoji-click', onClick);
    place.current?.append(picker);
    return () => picker.remove();
  }, []);
  return <div ref={place} />;
}
