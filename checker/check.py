"""Judges the journals of a run with faults by the delivery contract (C1 to C10).

It uses the standard library of Python only, and shares no code with the servers: it knows the contract and the
journals, and nothing of how events are stored or sent.

A run is a folder of files with one JSON object in each line:

sends.jsonl      what senders did: {"op": "invoke" | "ok" | "fail" | "unknown", "at": s, "sender": id, "chat": id,
                 "nonce": text}; `ok` also has "message".
clients/*.jsonl  what one client saw, in its order. Each line has "at" (s) and "kind":
                 "start":     {"client": name, "user": id, "state": position}: the client has a state as of a position
                              of the log, and everything after it is to come.
                 "open":      {"connection": n, "cursor": {"epoch": text, "position": n}}
                 "event":     {"connection": n, "position": n, "type": text, "chat": id | null, "message": id | null}
                 "reset":     {"connection": n, "reason": text}; a "start" has to follow before the next event.
                 "close":     {"connection": n}
                 "revoked":   {}: the session of the client ended at this time.
                 "state":     {"state": any, "fresh": any}: what the client computed from events, and what a new
                              request returned at the same position.
log.jsonl        the log at the end, in order: {"position": n, "type": text, "chat": id | null, "user": id | null,
                 "message": id | null}. "user" is the recipient of an event that has one, else all members get it.
messages.jsonl   the messages at the end: {"id": id, "chat": id, "sender": id, "nonce": text | null}
run.json         {"epoch": text, "members": {chat: [user, …]}, "oldest": n, "healed_at": s, "ended_at": s}: the members
                 before the first position of the log, the first position that the log still has, when the last fault
                 ended, and when the run did.

    python3 checker/check.py FOLDER

It prints one line for each violation and a summary, and fails if there is a violation.
"""

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

# Seconds in which an open stream must end after its session did, and in which clients must be whole after a fault.
REVOCATION_S = 2.0
LIVENESS_S = 10.0

JOINS = {"chat.new", "chat.added"}
LEAVES = {"chat.removed", "chat.deleted"}


def read_lines(path):
    """Reads a file of JSON objects, one in each line."""
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


class Run:
    """The journals of a run."""

    def __init__(self, sends, clients, log, messages, about):
        self.sends, self.clients, self.log, self.messages, self.about = sends, clients, log, messages, about

    @classmethod
    def read(cls, folder):
        """Reads a run from a folder."""
        folder = Path(folder)
        clients = [read_lines(path) for path in sorted((folder / "clients").glob("*.jsonl"))]
        about = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        return cls(
            read_lines(folder / "sends.jsonl"),
            clients,
            read_lines(folder / "log.jsonl"),
            read_lines(folder / "messages.jsonl"),
            about,
        )


class Report:
    """The violations, and counts of what was seen."""

    def __init__(self):
        self.violations = []
        self.seen = Counter()

    def violation(self, rule, kind, text):
        """Records that a rule does not hold."""
        self.violations.append((rule, kind, text))

    def kinds(self):
        """The kinds of violations, such as `lost`."""
        return {kind for _, kind, _ in self.violations}


def check(run):
    """Judges a run."""
    report = Report()
    check_sends(run, report)
    check_log(run, report)
    audiences = find_audiences(run)
    for journal in run.clients:
        check_client(run, journal, audiences, report)
    return report


def check_sends(run, report):
    """C1: what was acknowledged is stored. C6: a nonce stands for one message."""
    stored = {message["id"]: message for message in run.messages}
    by_nonce = defaultdict(set)
    for message in run.messages:
        if message["nonce"] is not None:
            by_nonce[message["sender"], message["chat"], message["nonce"]].add(message["id"])
    for key, ids in by_nonce.items():
        if len(ids) > 1:
            report.violation("C6", "doubled", f"nonce {key} has the messages {sorted(ids)}")
    refused, acknowledged = set(), set()
    for send in run.sends:
        key = (send["sender"], send["chat"], send["nonce"])
        report.seen[f"send {send['op']}"] += 1
        if send["op"] == "fail":
            refused.add(key)
        if send["op"] != "ok":
            continue
        acknowledged.add(key)
        message = stored.get(send["message"])
        if message is None:
            report.violation("C1", "lost", f"message {send['message']} of {key} was acknowledged and is not stored")
        elif (message["sender"], message["chat"], message["nonce"]) != key:
            report.violation("C6", "foreign", f"{key} was acknowledged with message {send['message']} of another send")
    for key in refused - acknowledged:
        if key in by_nonce:
            report.violation("C1", "refused", f"{key} was refused and is stored")


def check_log(run, report):
    """The log has each stored message once, in the order of ids, and its positions grow."""
    positions = [entry["position"] for entry in run.log]
    if any(later <= earlier for earlier, later in zip(positions, positions[1:])):
        report.violation("C3", "reordered", "the positions of the log do not grow")
    new = [entry["message"] for entry in run.log if entry["type"] == "message.new"]
    if new != sorted(new):
        report.violation("C3", "reordered", "the ids of messages do not grow with the positions of the log")
    for message, count in Counter(new).items():
        if count > 1:
            report.violation("C5", "duplicated", f"message {message} is in the log {count} times")
    if run.about["oldest"] <= 1:
        for missing in sorted({message["id"] for message in run.messages} - set(new)):
            report.violation("C2", "gapped", f"message {missing} is stored and not in the log")


def find_audiences(run):
    """Who receives each event: its recipient, or the members of its chat at its position."""
    members = defaultdict(set)
    for chat, users in run.about["members"].items():
        members[int(chat)] = set(users)
    audiences = {}
    for entry in run.log:
        chat, user = entry["chat"], entry["user"]
        audiences[entry["position"]] = frozenset({user} if user is not None else members[chat])
        if user is not None and entry["type"] in JOINS:
            members[chat].add(user)
        if user is not None and entry["type"] in LEAVES:
            members[chat].discard(user)
    return audiences


def check_client(run, journal, audiences, report):
    """C2 to C5 and C7 to C10, for one client."""
    if not journal or journal[0]["kind"] != "start":
        report.violation("C2", "stuck", "a journal does not begin with a state")
        return
    log = {entry["position"]: entry for entry in run.log}
    name, user = journal[0]["client"], journal[0]["user"]
    # What the client has to have: everything for it after `since`, up to where it is.
    since, received, needs_state = None, set(), False
    last_on, opened, revoked_at = {}, {}, None
    for line in journal:
        kind = line["kind"]
        report.seen[kind] += 1
        where = f"{name} (user {user})"
        if kind == "start":
            if since is not None and not needs_state:
                check_complete(run, where, user, since, received, max(received, default=since), audiences, report)
            since, received, needs_state = line["state"], set(), False
        elif kind == "open":
            opened[line["connection"]] = line
            last_on.pop(line["connection"], None)
        elif kind == "reset":
            report.seen[f"reset {line['reason']}"] += 1
            if not needs_state:
                check_complete(run, where, user, since, received, max(received, default=since), audiences, report)
            needs_state = True
            opened.pop(line["connection"], None)
        elif kind == "event":
            check_event(run, where, user, line, log, audiences, last_on, opened, report)
            if revoked_at is not None and line["at"] > revoked_at + REVOCATION_S:
                late = line["at"] - revoked_at
                report.violation("C10", "unrevoked", f"{where} got {line['position']} {late:.1f} s after its session")
            if needs_state:
                report.violation("C8", "continued", f"{where} got {line['position']} after a reset without a new state")
            received.add(line["position"])
        elif kind == "close":
            opened.pop(line["connection"], None)
        elif kind == "revoked":
            revoked_at = line["at"]
        elif kind == "state" and line["state"] != line["fresh"]:
            report.violation("C9", "diverged", f"{where} computed {line['state']!r}, a request returns {line['fresh']!r}")
    if needs_state or since is None:
        report.violation("C7", "stuck", f"{name} (user {user}) has no state after a reset")
        return
    head = max(audiences, default=since)
    if revoked_at is not None:
        head = max(received, default=since)
    elif run.about["ended_at"] - run.about["healed_at"] < LIVENESS_S:
        report.violation("C7", "short", "the run ended before clients had to be whole")
    check_complete(run, f"{name} (user {user})", user, since, received, head, audiences, report)


def check_event(run, where, user, line, log, audiences, last_on, opened, report):
    """Judges one event that a client received."""
    position, connection = line["position"], line["connection"]
    entry = log.get(position)
    if entry is None:
        if position >= run.about["oldest"]:
            report.violation("C2", "phantom", f"{where} got {position}, which the log does not have")
    elif (entry["type"], entry["chat"], entry["message"]) != (line["type"], line["chat"], line["message"]):
        report.violation("C3", "reordered", f"{where} got {line['type']} at {position}, the log has {entry['type']}")
    elif user not in audiences[position]:
        report.violation("C4", "leaked", f"{where} got {position} of chat {entry['chat']} without being a member")
    last = last_on.get(connection)
    if last is not None and position == last:
        report.violation("C5", "duplicated", f"{where} got {position} twice on connection {connection}")
    elif last is not None and position < last:
        report.violation("C3", "reordered", f"{where} got {position} after {last} on connection {connection}")
    last_on[connection] = max(position, last or 0)
    start = opened.get(connection)
    if start is None:
        report.violation("C3", "unopened", f"{where} got {position} on connection {connection}, which is not open")
        return
    cursor = start["cursor"]
    if cursor["epoch"] != run.about["epoch"]:
        report.violation("C8", "continued", f"{where} continues with a cursor of the history {cursor['epoch']}")
    elif cursor["position"] + 1 < run.about["oldest"] and start["at"] > run.about.get("trimmed_at", 0.0):
        report.violation("C8", "continued", f"{where} continues at {cursor['position']}, before the log begins")


def check_complete(run, where, user, since, received, until, audiences, report):
    """C2: a client has every event for it after its state, up to a position."""
    expected = {
        position
        for position, audience in audiences.items()
        if since < position <= until and user in audience and position >= run.about["oldest"]
    }
    missing = sorted(expected - received)
    if missing:
        rule, kind = ("C7", "stuck") if missing[0] > max(received, default=since) else ("C2", "gapped")
        report.violation(rule, kind, f"{where} lacks {len(missing)} events from {missing[0]} on, up to {until}")


def main():
    """Judges the run in a folder."""
    if len(sys.argv) != 2:
        sys.exit("usage: check.py FOLDER")
    report = check(Run.read(sys.argv[1]))
    for rule, kind, text in report.violations:
        print(f"{rule} {kind}: {text}")
    counts = Counter(kind for _, kind, _ in report.violations)
    print("seen: " + ", ".join(f"{count} {what}" for what, count in sorted(report.seen.items())))
    print("violations: " + (", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) or "0"))
    sys.exit(1 if report.violations else 0)


if __name__ == "__main__":
    main()
