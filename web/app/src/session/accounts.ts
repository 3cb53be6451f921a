import { type Me, memoryStorage, Session, type Signin, type Signup } from '@confab/sdk';

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
    return JSON.parse(localStorage.getItem(ACCOUNTS) ?? '[]') as Account[];
  } catch {
    return [];
  }
};

const sessionOf = (id: number) => new Session('', { name: String(id) });

/** Everybody who is signed in on this device. */
export function accounts(): Account[] {
  return read().filter(({ id }) => sessionOf(id).isSignedIn);
}

/** The person of this tab, if they are signed in still. */
export function here(): Account | null {
  const id = Number(sessionStorage.getItem(HERE));
  return accounts().find((account) => account.id === id) ?? null;
}

/** Makes this tab somebody's. */
export function enter(account: Account): Session {
  sessionStorage.setItem(HERE, String(account.id));
  localStorage.setItem(ACCOUNTS, JSON.stringify([account, ...read().filter(({ id }) => id !== account.id)]));
  return sessionOf(account.id);
}

/** Makes this tab nobody's. */
export function leave(): void {
  sessionStorage.removeItem(HERE);
}

/** Signs in, and makes this tab theirs. Throws `ApiError` and `NetworkError`. */
export function signIn(body: Signin): Promise<Account> {
  return admit((session) => session.signIn(body));
}

/** Makes an account, and makes this tab theirs. */
export function signUp(body: Signup): Promise<Account> {
  return admit((session) => session.signUp(body));
}

/** A session is kept under the name of its person, who is known once it has begun. */
async function admit(begin: (session: Session) => Promise<Me>): Promise<Account> {
  const kept = memoryStorage();
  const me = await begin(new Session('', { storage: kept, name: 'new' }));
  localStorage.setItem(`confab.session.${me.id}`, kept.getItem('confab.session.new') ?? '');
  const account = { id: me.id, username: me.username, displayName: me.display_name };
  enter(account);
  return account;
}
