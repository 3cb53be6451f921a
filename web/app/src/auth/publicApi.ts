import { createChatClient } from '@confab/sdk';

/** The API for visitors who are not signed in. */
export const { api } = createChatClient({ getToken: async () => null, shareConnection: false });
