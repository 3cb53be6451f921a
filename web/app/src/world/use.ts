import type { ChatRow, Message, User } from '@confab/sdk';
import { createContext, useContext } from 'react';
import { useStore } from 'zustand';
import { useShallow } from 'zustand/react/shallow';
import type { House } from './house';
import type { World } from './world';

/** The house that a screen belongs to. */
export const HouseContext = createContext<House | null>(null);

/** The house; only inside it. */
export function useHouse(): House {
  const house = useContext(HouseContext);
  if (!house) throw new Error('this belongs inside a house');
  return house;
}

/** A part of the world, followed as it changes. */
export function useWorld<Part>(part: (world: World) => Part): Part {
  return useStore(
    useHouse().store,
    useShallow(({ world }) => {
      if (!world) throw new Error('the world is not there yet');
      return part(world);
    }),
  );
}

/** The chat that an address of the page is about. */
export function chatIdOf(path: string): number | null {
  const id = /^\/chats\/(\d+)(?:\/|$)/.exec(path)?.[1];
  return id === undefined ? null : Number(id);
}

/** How a person is called. */
export function nameOf(user: Pick<User, 'display_name' | 'username'> | undefined): string {
  return user ? user.display_name || user.username : '…';
}

/** The other one of a direct chat. */
export function peerOf(world: World, row: ChatRow): number | null {
  return row.pair?.find((id) => id !== world.me.id) ?? null;
}

/** How a chat is called: a direct one after the other person, a group without a name after its people. */
export function titleOf(world: World, row: ChatRow): string {
  const peer = peerOf(world, row);
  if (peer !== null) return nameOf(world.people.get(peer));
  if (row.name) return row.name;
  const others = world.members.get(row.id)?.filter(({ id }) => id !== world.me.id);
  return others?.slice(0, 3).map(nameOf).join(', ') || '…';
}

/** When anything last happened in a chat. */
export function activityOf(row: ChatRow): string {
  return row.last_message?.created_at ?? row.created_at;
}

/** What a message says in one line. */
export function lineOf(message: Message): string {
  const words = message.content
    .replace(/^```\w*$/gm, '')
    .replace(/^>\s?/gm, '')
    .replace(/\*\*|~~|`{1,3}/g, '')
    .replace(/\s+/g, ' ');
  return words.trim() || message.files.map(({ filename }) => filename).join(', ');
}
