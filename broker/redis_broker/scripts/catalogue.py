"""The Lua scripts: every change of state that must happen whole or not at all.

Two prefixes: `P` (KEYS[1]) for what must survive a crash of Redis, `V` (KEYS[2], `P:run:RUNID`) for what need
not. Sync invocations and who is idle live under V and are written with replication off, so that they never
reach the append-only file: a sync call waits for no disk. The run id of the server is in the name, because a
rewrite of the file saves all keys: after a restart what it saved of the last run must not be found again.

    P:messages          hash  request id -> header line + envelope
    P:lane:async:N      list  of request ids, oldest first
    P:parked:FUNCTION   list  of request ids that wait behind the function's concurrency gate
    P:parked            set   of functions with a parked list
    P:gate:FUNCTION     set   of request ids that hold a slot of the function's reserved concurrency
    P:limits            hash  function -> reserved concurrency; 0 stops sync calls and lets async ones pass,
                              for a worker to end them unrun
    P:delayed           zset  request id by due time (ms)
    P:workers           hash  epoch -> description
    P:held:EPOCH        set   of request ids in that worker's hands
    P:outcome:ID        string terminal state of an async invocation
    P:dead              stream of dead letters
    P:accepted:ID       string that such a message was accepted, for those that are accepted once
    V:messages, V:lane:sync:N, V:gate:FUNCTION, V:held:EPOCH      the same for sync invocations
    V:capacity          hash  epoch -> how many messages it may hold
    V:offers:F:VERSION  zset  epoch by how many provisioned environments of that version it has without work
    V:sent:F:VERSION    hash  epoch -> how many messages it was sent because it offers; each says its number
    V:idle              zset  epoch with room, by time it said so; the latest is asked first
    V:withdrawn         string how many ids on the lanes are of messages that were withdrawn
    V:lease:EPOCH       string that lapses
    V:janitor           string whose holder moves delayed messages and watches leases
    P:last_run          string run id whose V keys exist; a janitor deletes those of the one before

Messages that follow each other and share a route travel as one run, which takes few commands; and no text of
their length is made in Lua: these are what the hot scripts spend their time on.

The header line is `CLASS LANE_A LANE_B ATTEMPT DELIVERIES LOSSES FUNCTION`. A message is in exactly one place
(a lane, parked, delayed, or held) and holds a slot of its function's gate only on a lane or held, so a slot
cannot outlive its message. A worker with room is given a message by publishing it to `P:to:EPOCH` within
the script that accepts it: one hop, and the message is already in its held set.

Not for Redis Cluster: a script touches keys of many slots.
"""

from __future__ import annotations

from broker.redis_broker.scripts.departure import ALL, MORE
from broker.redis_broker.scripts.membership import MEMBERSHIP
from broker.redis_broker.scripts.operating import OPERATING
from broker.redis_broker.scripts.placement import ADMITTING, HANDING
from broker.redis_broker.scripts.provisioned import OFFERED, PROVISIONED
from broker.redis_broker.scripts.publishing import PUBLISHING
from broker.redis_broker.scripts.settling import SETTLING
from broker.redis_broker.scripts.tidying import TIDYING

# Lua makes its functions anew in every run of a script. The hot scripts take what the common case needs and
# call `more` only where they leave it; all others begin with everything.
_HOT = ("publish", "ack")
_LIBRARY = HANDING + OFFERED + ADMITTING + MORE

SCRIPTS: dict[str, str] = {
    name: _LIBRARY + ("" if name in _HOT else ALL) + body
    for room in (PUBLISHING, SETTLING, PROVISIONED, MEMBERSHIP, TIDYING, OPERATING)
    for name, body in room.items()
}
"""By name. KEYS are the two prefixes; each says what its ARGV are."""
