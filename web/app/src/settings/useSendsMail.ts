import { useEffect, useState } from 'react';
import { useChatStore } from '../store/hooks';

/** Whether the server sends mail; false until that is known. */
export function useSendsMail(): boolean {
  const { api } = useChatStore().client;
  const [sendsMail, setSendsMail] = useState(false);
  useEffect(() => {
    let isCancelled = false;
    api.getConfig().then(
      ({ mail }) => {
        if (!isCancelled) setSendsMail(mail);
      },
      // What needs mail stays hidden.
      () => {},
    );
    return () => {
      isCancelled = true;
    };
  }, [api]);
  return sendsMail;
}
