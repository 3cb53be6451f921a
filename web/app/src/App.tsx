import { useEffect, useMemo, useState } from 'react';
import { kept } from './kept';
import { Rooms } from './Rooms';
import { type Account, accounts, enter, here, leave } from './session/accounts';
import { SignIn } from './session/SignIn';
import { Fence } from './ui/Fence';
import { forgetFiles } from './ui/files';
import { useView } from './view';
import { House } from './world/house';
import { HouseContext } from './world/use';

/** Somebody's rooms, or the door. */
export function App() {
  const [account, setAccount] = useState(begin);
  const house = useMemo(() => account && new House(account, enter(account)), [account]);

  useEffect(() => {
    if (!house) return;
    void house.open();
    const goOut = () => {
      leave();
      setAccount(null);
    };
    const stopState = house.client.on('state', ({ to }) => to === 'unauthorized' && goOut());
    const stopSession = house.session.on('changed', ({ isSignedIn }) => !isSignedIn && goOut());
    return () => {
      stopState();
      stopSession();
      house.close();
      house.session.close();
      forgetFiles(house);
      useView.getState().close();
    };
  }, [house]);

  if (!house) return <SignIn onEntered={setAccount} />;
  return (
    <Fence>
      <HouseContext value={house} key={house.account.id}>
        <Rooms />
      </HouseContext>
    </Fence>
  );
}

/**
 * Who a new tab belongs to: whoever it was, or the only one who is signed in on this
 * device. Where the server offers a demo world, a second window is there to be a
 * second person, so it asks; the page says so before the server is asked.
 */
function begin(): Account | null {
  const known = here();
  if (known) return known;
  const [only, ...others] = accounts();
  const isDemo = kept.getItem('confab.demo') === 'true';
  return only && others.length === 0 && !isDemo ? only : null;
}
