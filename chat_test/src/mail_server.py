"""An SMTP server for tests. It prints its port, then each mail as a line of JSON, until its input ends.

What it answers depends on the recipient: `refused…` is refused for good, `busy…` is refused for now the first two
times, and the connection of the first mail to `lost…` breaks after the mail came. With an argument `user:password`,
clients have to authenticate.
"""

import asyncio
import collections
import email
import email.policy
import json
import sys

from aiosmtpd.smtp import SMTP, AuthResult

attempts = collections.Counter()


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        attempts[address] += 1
        if address.startswith("refused"):
            return "550 5.1.1 no such user"
        if address.startswith("busy") and attempts[address] <= 2:
            return "451 4.3.2 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        body = {part.get_content_type(): part.get_content() for part in message.walk() if not part.is_multipart()}
        print(json.dumps({
            "to": envelope.rcpt_tos[0],
            "from": envelope.mail_from,
            "headers": {name.lower(): str(value) for name, value in message.items()},
            "text": body.get("text/plain"),
            "html": body.get("text/html"),
            "user": session.auth_data.decode() if session.authenticated else None,
        }), flush=True)
        if envelope.rcpt_tos[0].startswith("lost") and attempts[envelope.rcpt_tos[0]] == 1:
            server.transport.abort()
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    given = data.login + b":" + data.password
    return AuthResult(success=given == sys.argv[1].encode(), handled=False, auth_data=data.login)


async def main():
    options = {}
    if len(sys.argv) > 1:
        options = {"auth_required": True, "auth_require_tls": False, "authenticator": authenticate}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Handler(), **options), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
