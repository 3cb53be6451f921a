import { type Me, Session, type Signin, type Signup } from '@confab/sdk';
import { kept, keptByTab } from '../kept';

/** Somebody who is signed in on this device. */
export interface Account {
  readonly id: number;
  readonly username: string;
  readonly displayName: string;
}

/** Who is signed in on this device, the latest first. */
const ACCOUNTS = 'confab.accounts';

/** Who this tab belongs to; a tab keeps its person when another signs in elsewhere. */
const HERE = 'confab.here';

const read = (): Account[] => {
  try {
    return JSON.parse(kept.getItem(ACCOUNTS) ?? '[]') as Account[];
  } catch {
    return [];
  }
};

/** Everybody who is signed in on this device. */
export function accounts(): Account[] {
  return read().filter(({ id }) => Session.isKept(String(id)));
}

/** The person of this tab, if they are signed in still. */
export function here(): Account | null {
  const id = Number(keptByTab.getItem(HERE));
  return accounts().find((account) => account.id === id) ?? null;
}

/** Makes this tab somebody's. */
export function enter(account: Account): Session {
  keptByTab.setItem(HERE, String(account.id));
  kept.setItem(ACCOUNTS, JSON.stringify([account, ...read().filter(({ id }) => id !== account.id)]));
  return new Session('', { name: String(account.id) });
}

/** Makes this tab nobody's. */
export function leave(): void {
  keptByTab.removeItem(HERE);
}

/** Signs in. Throws `ApiError` and `NetworkError`. */
export function signIn(body: Signin): Promise<Account> {
  return admit((session) => session.signIn(body));
}

/** Makes an account. Throws `ApiError` and `NetworkError`. */
export function signUp(body: Signup): Promise<Account> {
  return admit((session) => session.signUp(body));
}

async function admit(begin: (session: Session) => Promise<Me>): Promise<Account> {
  const session = new Session('', { name: (me) => String(me.id) });
  try {
    const me = await begin(session);
    return { id: me.id, username: me.username, displayName: me.display_name };
  } finally {
    session.close();
  }
}
