import type { ChatRow } from '@confab/sdk';
import { activityOf } from '../world/use';
import type { World } from '../world/world';

/** The groups of the list. */
export type Section = 'channels' | 'people';

const sectionOf = ({ type }: ChatRow): Section =>
  type === 'private_channel' || type === 'public_channel' ? 'channels' : 'people';

/** The chats of a section: channels by name, where they are looked for; people by when anything last happened. */
export function chatsOf(world: World, section: Section): ChatRow[] {
  const rows = [...world.chats.values()].filter((row) => sectionOf(row) === section);
  if (section === 'channels') return rows.sort((one, other) => one.name.localeCompare(other.name));
  return rows.sort((one, other) => activityOf(other).localeCompare(activityOf(one)));
}

/** All chats as the list shows them, top to bottom. */
export function chatsInOrder(world: World): ChatRow[] {
  return [...chatsOf(world, 'channels'), ...chatsOf(world, 'people')];
}
