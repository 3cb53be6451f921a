"""The checker accepts correct histories and catches each mutation of one.

    python3 -m unittest discover checker
"""

import copy
import random
import unittest

from check import Run, check

EPOCH = "e1"
CHATS = [1, 2]


def make_run(seed):
    """A correct run: users send, join and leave, and clients lose and resume their streams."""
    rng = random.Random(seed)
    members = {1: {1, 2, 3}, 2: {1, 2}}
    about = {
        "epoch": EPOCH,
        "members": {str(chat): sorted(users) for chat, users in members.items()},
        "oldest": 1,
        "healed_at": 100.0,
        "ended_at": 120.0,
    }
    log, messages, sends = [], [], []

    def append(kind, chat, user=None, message=None):
        log.append({"position": len(log) * 2 + 2, "type": kind, "chat": chat, "user": user, "message": message})

    for n in range(60):
        if n % 12 == 6:
            append("chat.added" if 3 not in members[2] else "chat.removed", 2, user=3)
            members[2] ^= {3}
            continue
        chat = rng.choice(CHATS)
        sender = rng.choice(sorted(members[chat]))
        about_send = {"sender": sender, "chat": chat, "nonce": f"n{n}", "at": float(n)}
        sends.append({"op": "invoke", **about_send})
        if n % 20 == 19:
            sends.append({"op": "fail", **about_send})
            continue
        message = len(messages) + 1
        messages.append({"id": message, "chat": chat, "sender": sender, "nonce": f"n{n}"})
        append("message.new", chat, message=message)
        sends.append({"op": "unknown", **about_send} if n % 15 == 14 else {"op": "ok", "message": message, **about_send})
    run = Run(sends, [], log, messages, about)
    run.clients = [make_client(rng, run, user, f"client {user}") for user in (1, 2, 3)]
    return run


def receives(run, user):
    """The events that a user has to receive, in order."""
    members = {int(chat): set(users) for chat, users in run.about["members"].items()}
    for entry in run.log:
        if entry["user"] == user or (entry["user"] is None and user in members[entry["chat"]]):
            yield entry
        if entry["type"] == "chat.added":
            members[entry["chat"]].add(entry["user"])
        if entry["type"] == "chat.removed":
            members[entry["chat"]].discard(entry["user"])


def make_client(rng, run, user, name):
    """The journal of a client that reconnects, gets an event twice across connections, and is reset once."""
    journal = [{"at": 0.0, "kind": "start", "client": name, "user": user, "state": 0}]
    connection, last, is_open = 0, 0, False
    events = list(receives(run, user))
    reset_before = len(events) // 2
    for n, entry in enumerate(events):
        at = float(n)
        if n == reset_before:
            journal.append({"at": at, "kind": "reset", "connection": connection, "reason": "retention"})
            last = entry["position"] - 1
            journal.append({"at": at, "kind": "start", "client": name, "user": user, "state": last})
            is_open = False
        if is_open and rng.random() < 0.2:
            journal.append({"at": at, "kind": "close", "connection": connection})
            is_open = False
        if not is_open:
            connection += 1
            cursor = {"epoch": EPOCH, "position": last}
            journal.append({"at": at, "kind": "open", "connection": connection, "cursor": cursor})
            is_open = True
        event = {key: entry[key] for key in ("position", "type", "chat", "message")}
        journal.append({"at": at, "kind": "event", "connection": connection, **event})
        last = entry["position"]
    journal.append({"at": 115.0, "kind": "state", "state": {"last": last}, "fresh": {"last": last}})
    return journal


def events_of(run, user):
    """The lines of the events of a user's client."""
    return [line for line in run.clients[user - 1] if line["kind"] == "event"]


def drop(run, line, user=1):
    """Removes one line of a journal."""
    run.clients[user - 1] = [one for one in run.clients[user - 1] if one is not line]


def swap_on_one_connection(run):
    """Exchanges two events that follow each other on one connection."""
    journal = run.clients[0]
    for at, (one, other) in enumerate(zip(journal, journal[1:])):
        if one["kind"] == other["kind"] == "event":
            journal[at], journal[at + 1] = other, one
            return
    raise AssertionError("no connection has two events")


def duplicate_on_one_connection(run):
    at = run.clients[0].index(events_of(run, 1)[3])
    run.clients[0].insert(at, dict(run.clients[0][at]))


def leak(run):
    """User 3 gets a message of a chat of which user 3 is no member yet."""
    foreign = next(entry for entry in run.log if entry["chat"] == 2 and entry["type"] == "message.new")
    journal = run.clients[2]
    first = next(at for at, line in enumerate(journal) if line["kind"] == "event")
    event = {key: foreign[key] for key in ("position", "type", "chat", "message")}
    connection = journal[first]["connection"]
    while journal[first]["kind"] == "event" and journal[first]["position"] < foreign["position"]:
        first += 1
    journal.insert(first, {"at": 0.0, "kind": "event", "connection": connection, **event})


def lose_after_leaving(run):
    """User 3 stays in the audience of chat 2 for one event too many."""
    left = next(at for at, entry in enumerate(run.log) if entry["type"] == "chat.removed")
    late = next(entry for entry in run.log[left:] if entry["chat"] == 2 and entry["type"] == "message.new")
    journal = run.clients[2]
    at = next(at for at, line in enumerate(journal) if line["kind"] == "event" and line["type"] == "chat.removed")
    event = {key: late[key] for key in ("position", "type", "chat", "message")}
    journal.insert(at + 1, {"at": 0.0, "kind": "event", "connection": journal[at]["connection"], **event})


def forget_stored(run):
    acknowledged = next(send for send in run.sends if send["op"] == "ok")
    run.messages = [one for one in run.messages if one["id"] != acknowledged["message"]]
    run.log = [one for one in run.log if one["message"] != acknowledged["message"]]
    for at, journal in enumerate(run.clients):
        run.clients[at] = [line for line in journal if line.get("message") != acknowledged["message"]]


def store_refused(run):
    refused = next(send for send in run.sends if send["op"] == "fail")
    run.messages.append({"id": 900, "chat": refused["chat"], "sender": refused["sender"], "nonce": refused["nonce"]})
    run.log.append({"position": 900, "type": "message.new", "chat": refused["chat"], "user": None, "message": 900})


def store_twice(run):
    run.messages.append({**run.messages[3], "id": 901})
    run.log.append({"position": 901, "type": "message.new", "chat": run.messages[3]["chat"], "user": None, "message": 901})


def cut_end(run):
    """The last events never arrive."""
    for line in events_of(run, 2)[-3:]:
        drop(run, line, user=2)


def forget_reset_state(run):
    journal = run.clients[0]
    at = next(at for at, line in enumerate(journal) if line["kind"] == "reset")
    assert journal[at + 1]["kind"] == "start"
    del journal[at + 1]


def end_after_reset(run):
    journal = run.clients[0]
    at = next(at for at, line in enumerate(journal) if line["kind"] == "reset")
    del journal[at + 1 :]


def continue_in_another_history(run):
    line = [line for line in run.clients[0] if line["kind"] == "open"][-1]
    line["cursor"] = {**line["cursor"], "epoch": "e2"}


def continue_before_retention(run):
    run.about["oldest"] = run.log[20]["position"]
    run.log = run.log[20:]


def revoke_late(run):
    journal = run.clients[0]
    journal.insert(5, {"at": journal[5]["at"], "kind": "revoked"})


def set_field(find, **fields):
    """A mutation that changes the fields of one line."""

    def mutate(run):
        find(run).update(fields)

    return mutate


# Each mutation and the kind of violation that has to be found.
MUTATIONS = {
    "a live event is dropped": (lambda run: drop(run, events_of(run, 1)[4]), "gapped"),
    "the first event after a state is dropped": (lambda run: drop(run, events_of(run, 2)[0], user=2), "gapped"),
    "the event of joining is dropped": (
        lambda run: drop(run, next(e for e in events_of(run, 3) if e["type"] == "chat.added"), user=3),
        "gapped",
    ),
    "the end is missing": (cut_end, "stuck"),
    "all events of a client are missing": (
        lambda run: run.clients.__setitem__(1, [line for line in run.clients[1] if line["kind"] == "start"][:1]),
        "stuck",
    ),
    "two events are exchanged": (swap_on_one_connection, "reordered"),
    "an event is sent twice on a connection": (duplicate_on_one_connection, "duplicated"),
    "an event has another type": (set_field(lambda run: events_of(run, 1)[2], type="message.deleted"), "reordered"),
    "an event has another message": (set_field(lambda run: events_of(run, 1)[2], message=777), "reordered"),
    "an event is not in the log": (set_field(lambda run: events_of(run, 1)[-1], position=5_001), "phantom"),
    "an event reaches a user who is no member": (leak, "leaked"),
    "an event reaches a user who has left": (lose_after_leaving, "leaked"),
    "an event arrives on a closed connection": (
        set_field(lambda run: events_of(run, 1)[-1], connection=99),
        "unopened",
    ),
    "an acknowledged message is not stored": (forget_stored, "lost"),
    "an acknowledgement names another message": (
        set_field(lambda run: next(s for s in run.sends if s["op"] == "ok"), message=20),
        "foreign",
    ),
    "a refused message is stored": (store_refused, "refused"),
    "a nonce has two messages": (store_twice, "doubled"),
    "a stored message is not in the log": (lambda run: run.log.pop(30), "gapped"),
    "a message is in the log twice": (
        lambda run: run.log.append({**run.log[0], "position": 950}),
        "duplicated",
    ),
    "positions of the log go back": (set_field(lambda run: run.log[10], position=3), "reordered"),
    "message ids of the log go back": (
        lambda run: (run.log[0].update(message=2), run.log[1].update(message=1)),
        "reordered",
    ),
    "a client continues after a reset": (forget_reset_state, "continued"),
    "a client stays without a state": (end_after_reset, "stuck"),
    "a cursor of another history is accepted": (continue_in_another_history, "continued"),
    "a cursor before the retention is accepted": (continue_before_retention, "continued"),
    "the state differs from a new request": (
        set_field(lambda run: run.clients[0][-1], fresh={"last": -1}),
        "diverged",
    ),
    "events arrive after the session ended": (revoke_late, "unrevoked"),
    "the run ends before the clients are whole": (set_field(lambda run: run.about, ended_at=101.0), "short"),
}


class CheckerTest(unittest.TestCase):
    """Correct histories pass, and mutated ones do not."""

    def test_correct_histories_have_no_violation(self):
        for seed in range(50):
            report = check(make_run(seed))
            self.assertEqual(report.violations, [], f"seed {seed}")
            for seen in ("send ok", "send fail", "send unknown", "open", "close", "reset retention"):
                self.assertGreater(report.seen[seen], 0, f"seed {seed}: {seen} was never seen")

    def test_each_mutation_is_caught(self):
        for name, (mutate, kind) in MUTATIONS.items():
            for seed in range(10):
                run = copy.deepcopy(make_run(seed))
                mutate(run)
                with self.subTest(name, seed=seed):
                    self.assertIn(kind, check(run).kinds())


if __name__ == "__main__":
    unittest.main()
