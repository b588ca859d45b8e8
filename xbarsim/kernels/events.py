"""The compiled event loop over a timed dataflow graph.

The whole simulation lives in one flat int64 array ``m``. A record (an actor, a lane, a channel …) is a
run of words; its *address* is the index of its first word, and a field is read as ``m[actor + A_ENDED]``.
Address 0 holds the header, so 0 serves as "none". All state is in ``m``: the loop can return at the end
of any instant (a ring is too small, a pause was asked for) and be called again.

A *lane* is a sequence of firings of one actor that follow each other: one per server for an actor with
copies, one in all for the others. At any time a lane has one firing, in one of four states: it waits for
tokens or slots (``L_MISSING`` of them), it waits in the queue of its unit, it is in service, or there is
none left. A *gate* lets the lanes through that wait for a counter to reach their threshold: each channel
has one for tokens (waiting: lanes of the target) and one for slots (waiting: lanes of the source).

Events are the leaves of a tree of minima: one leaf per server (end of the firing in service) and one per
actor (commit of its oldest uncommitted firing). The order in which events of one instant are processed
does not matter, since nothing starts on a shared unit before all of them took effect.

Times are integer picoseconds. Nothing is checked here; ``engine/layout.py`` lays out ``m``. Inside the loop
``m`` is a bare pointer: with arrays as arguments, reference counts and the handling of negative indices
took half of the time. All of it stands in one file because Numba's cache, which compares the file's own date,
would not notice a change in an imported one.
"""

import operator

import numpy as np
from numba import config, njit, types
from numba.extending import intrinsic, overload

NEVER = np.iinfo(np.int64).max
"""The time of an event that is not scheduled, and the threshold of a gate at which nobody waits."""
LATEST = 2**62
"""Simulated time at which the loop gives up (53 days in picoseconds)."""

# Header, at address 0.
H_NOW, H_TREE, H_LEAVES, H_SERVERS, H_MAP, H_TOUCHED, H_TOUCHES, H_STARTED = range(8)
H_STATUS, H_UNTIL, H_PAUSE, H_PAUSE_AT, H_LOGGING = range(8, 13)
HEADER_WORDS = 13

RUNNING, DONE, GROW, PAUSED, TOO_LATE = range(5)
"""Values of H_STATUS.

Still running; nothing happens any more; a ring must grow; the pause asked for; past the latest time.
"""

# Actor.
A_FIRINGS, A_LANES, A_IN, A_INS, A_OUT, A_OUTS, A_RING, A_MASK, A_LEAF = range(9)
A_ENDED, A_COMMITTED, A_LAST_COMMIT, A_MARK, A_MARK_WORK, A_LOG, A_GROUP, A_JUMP, A_LANE = range(9, 18)
ACTOR_WORDS = 18

# Lane: the sequence of firings of an actor that follow each other.
L_ACTOR, L_MODE, L_SERVER, L_UNIT, L_NEXT, L_LEFT, L_MISSING, L_WORK, L_PHASE, L_LATENCY, L_PORT = range(11)
LANE_WORDS = 11
OWN, PINNED, ANY = range(3)
"""Values of L_MODE: a server of its own, a server shared with other lanes, any server of the unit."""

# Port of a lane on an input channel: where in the channel's tables the lane's firing stands.
P_FLOW, P_PHASE, P_BASE = range(3)
PORT_WORDS = 3

# Channel; the first three words of its release cursor are those of a port.
C_CURSOR, C_SOURCE, C_TARGET, C_CAPACITY, C_RELEASED, C_TOKENS, C_SLOTS = 0, 3, 4, 5, 6, 7, 11
CHANNEL_WORDS = 15

# Gate, inside a channel.
G_WAIT, G_LANE, G_HEAP, G_COUNT = range(4)

# Flow segment of a channel, and work segment of an actor; firings FIRST <= i < END.
F_FIRST, F_END, F_PHASES, F_NEED, F_RELEASE, F_STEP, F_BASE = range(7)
FLOW_WORDS = 7
W_FIRST, W_END, W_PHASES, W_SERVICE, W_LATENCY = range(5)
W_FIRST_START, W_LAST_END, W_PERIOD_COMMIT, W_LAST_COMMIT = range(5, 9)
WORK_WORDS = 9

# Server and unit; both begin with their queue.
Q_ENTRIES, Q_MASK, Q_HEAD, Q_COUNT, Q_TOUCHED = range(5)
S_LANE, S_LEAF, S_UNIT = range(5, 8)
SERVER_WORDS = 8
U_KIND, U_SERVER, U_SERVERS, U_BUSY, U_FREE, U_FREES = range(5, 11)
UNIT_WORDS = 11
LOG_WORDS = 3
"""Words per firing in the log, which is empty if no record is wanted: start, end, commit."""
FREE, FIXED, MIXED = range(3)
"""Values of U_KIND: lanes take any server, lanes have fixed servers, some do and some do not."""

if config.DISABLE_JIT:  # type: ignore[attr-defined]

    def words(array):
        """Return the array itself, which Python code reads and writes as compiled code does a pointer."""
        return array

else:

    @intrinsic
    def words(typing_context, array):
        """Return the address of the first word of an int64 array as a pointer without bounds or owner."""

        def generate(context, builder, signature, arguments):
            return context.make_array(signature.args[0])(context, builder, arguments[0]).data

        return types.CPointer(types.int64)(array), generate

    @intrinsic
    def load_word(typing_context, pointer, index):
        """Return ``pointer[index]``."""

        def generate(context, builder, signature, arguments):
            return builder.load(builder.gep(arguments[0], [arguments[1]]))

        return types.int64(pointer, types.int64), generate

    @intrinsic
    def store_word(typing_context, pointer, index, value):
        """Let ``pointer[index]`` be ``value``."""

        def generate(context, builder, signature, arguments):
            builder.store(arguments[2], builder.gep(arguments[0], [arguments[1]]))
            return context.get_dummy_value()

        return types.none(pointer, types.int64, types.int64), generate

    @overload(operator.getitem)
    def get_word(pointer, index):
        """Compile ``m[index]`` for a pointer."""
        if isinstance(pointer, types.CPointer):
            return lambda pointer, index: load_word(pointer, index)  # type: ignore[call-arg]
        return None

    @overload(operator.setitem)
    def set_word(pointer, index, value):
        """Compile ``m[index] = value`` for a pointer."""
        if isinstance(pointer, types.CPointer):
            return lambda pointer, index, value: store_word(pointer, index, value)  # type: ignore[call-arg]
        return None


@njit(cache=True)
def set_leaf(m, leaf, time):
    """Schedule the event ``leaf`` at ``time``."""
    tree = m[H_TREE]
    node = m[H_LEAVES] + leaf
    m[tree + node] = time
    while node > 1:
        least = min(m[tree + node], m[tree + (node ^ 1)])
        node >>= 1
        if m[tree + node] == least:
            break
        m[tree + node] = least


@njit(cache=True)
def first_leaf(m, now):
    """Return the lowest leaf whose event is at ``now``, the earliest time in the tree."""
    tree, leaves = m[H_TREE], m[H_LEAVES]
    node = 1
    while node < leaves:
        node <<= 1
        if m[tree + node] != now:
            node += 1
    return node - leaves


@njit(cache=True)
def seek_flow(m, port, firing, step):
    """Move a cursor, ``step`` firings behind ``firing``, onto ``firing``."""
    flow = m[port + P_FLOW]
    if firing < m[flow + F_END]:
        phase = m[port + P_PHASE] + step
        phases = m[flow + F_PHASES]
        if phase >= phases:
            periods = phase // phases
            phase -= periods * phases
            m[port + P_BASE] += periods * m[flow + F_STEP]
        m[port + P_PHASE] = phase
        return
    while firing >= m[flow + F_END]:
        flow += FLOW_WORDS
    inside = firing - m[flow + F_FIRST]
    periods = inside // m[flow + F_PHASES]
    m[port + P_FLOW] = flow
    m[port + P_PHASE] = inside - periods * m[flow + F_PHASES]
    m[port + P_BASE] = m[flow + F_BASE] + periods * m[flow + F_STEP]


@njit(cache=True)
def seek_work(m, lane, firing, step):
    """Move the lane's place in its actor's tables, ``step`` firings behind ``firing``, onto ``firing``."""
    work = m[lane + L_WORK]
    if firing < m[work + W_END]:
        phase = m[lane + L_PHASE] + step
        phases = m[work + W_PHASES]
        m[lane + L_PHASE] = phase if phase < phases else phase % phases
        return
    while firing >= m[work + W_END]:
        work += WORK_WORDS
    m[lane + L_WORK] = work
    m[lane + L_PHASE] = (firing - m[work + W_FIRST]) % m[work + W_PHASES]


@njit(cache=True)
def start(m, lane, server, log):
    """Start the lane's firing on ``server`` now."""
    now, firing, work = m[H_NOW], m[lane + L_NEXT], m[lane + L_WORK]
    phase = m[lane + L_PHASE]
    service = m[m[work + W_SERVICE] + phase]
    end = now + service
    m[lane + L_LATENCY] = m[m[work + W_LATENCY] + phase]
    m[server + S_LANE] = lane
    set_leaf(m, m[server + S_LEAF], end)
    m[m[lane + L_UNIT] + U_BUSY] += service
    m[H_STARTED] += 1
    if m[work + W_FIRST_START] < 0:
        m[work + W_FIRST_START] = now
    if m[work + W_LAST_END] < end:
        m[work + W_LAST_END] = end
    actor = m[lane + L_ACTOR]
    if firing - m[actor + A_COMMITTED] > m[actor + A_MASK]:
        m[H_STATUS] = GROW
    if end > LATEST:
        m[H_STATUS] = TOO_LATE
    if m[H_LOGGING]:
        entry = m[actor + A_LOG] + LOG_WORDS * firing
        log[entry] = now
        log[entry + 1] = end


@njit(cache=True)
def offer(m, unit, server):
    """Let ``server`` (on other units than FIXED ones all servers) choose when the instant ends."""
    queue = server if m[unit + U_KIND] == FIXED else unit
    if m[queue + Q_TOUCHED] == 0:
        m[queue + Q_TOUCHED] = 1
        m[m[H_TOUCHED] + m[H_TOUCHES]] = queue if queue == unit else -queue
        m[H_TOUCHES] += 1


@njit(cache=True)
def enqueue(m, queue, lane):
    """Queue the lane's firing, ready now; among equal ready times the lane of the lower actor comes first."""
    entries, mask, now = m[queue + Q_ENTRIES], m[queue + Q_MASK], m[H_NOW]
    place = m[queue + Q_HEAD] + m[queue + Q_COUNT]
    m[queue + Q_COUNT] += 1
    while place > m[queue + Q_HEAD]:
        before = entries + 2 * ((place - 1) & mask)
        if m[before] < now or m[before + 1] < lane:
            break
        m[entries + 2 * (place & mask)] = m[before]
        m[entries + 2 * (place & mask) + 1] = m[before + 1]
        place -= 1
    m[entries + 2 * (place & mask)] = now
    m[entries + 2 * (place & mask) + 1] = lane


@njit(cache=True)
def dequeue(m, queue):
    """Take the first lane from a queue that is not empty."""
    head = m[queue + Q_HEAD]
    m[queue + Q_HEAD] = head + 1
    m[queue + Q_COUNT] -= 1
    return m[m[queue + Q_ENTRIES] + 2 * (head & m[queue + Q_MASK]) + 1]


@njit(cache=True)
def comes_first(m, one, other):
    """Whether the head of queue ``one`` goes before that of ``other`` (by ready time, then actor)."""
    if m[one + Q_COUNT] == 0:
        return False
    if m[other + Q_COUNT] == 0:
        return True
    a = m[one + Q_ENTRIES] + 2 * (m[one + Q_HEAD] & m[one + Q_MASK])
    b = m[other + Q_ENTRIES] + 2 * (m[other + Q_HEAD] & m[other + Q_MASK])
    return m[a] < m[b] or (m[a] == m[b] and m[a + 1] < m[b + 1])


@njit(cache=True)
def become_ready(m, lane, log):
    """The lane's firing has all it needs: start it if the server is its own, queue it otherwise."""
    mode = m[lane + L_MODE]
    if mode == OWN:
        start(m, lane, m[lane + L_SERVER], log)
    elif mode == PINNED:
        enqueue(m, m[lane + L_SERVER], lane)
        offer(m, m[lane + L_UNIT], m[lane + L_SERVER])
    else:
        enqueue(m, m[lane + L_UNIT], lane)
        offer(m, m[lane + L_UNIT], 0)


@njit(cache=True)
def wait_at(m, gate, threshold, lane):
    """Let ``lane`` wait until the gate's counter reaches ``threshold``."""
    if m[gate + G_LANE] != 0:
        m[gate + G_WAIT] = threshold
        return
    heap, place = m[gate + G_HEAP], m[gate + G_COUNT]
    m[gate + G_COUNT] = place + 1
    while place > 0:
        parent = (place - 1) >> 1
        if m[heap + 2 * parent] <= threshold:
            break
        m[heap + 2 * place] = m[heap + 2 * parent]
        m[heap + 2 * place + 1] = m[heap + 2 * parent + 1]
        place = parent
    m[heap + 2 * place] = threshold
    m[heap + 2 * place + 1] = lane
    m[gate + G_WAIT] = m[heap]


@njit(cache=True)
def pop_waiter(m, gate):
    """Remove and return the lane with the lowest threshold from a gate with a heap."""
    heap, count = m[gate + G_HEAP], m[gate + G_COUNT] - 1
    lane, place = m[heap + 1], 0
    m[gate + G_COUNT] = count
    threshold, last = m[heap + 2 * count], m[heap + 2 * count + 1]
    while 2 * place + 1 < count:
        child = 2 * place + 1
        if child + 1 < count and m[heap + 2 * child + 2] < m[heap + 2 * child]:
            child += 1
        if threshold <= m[heap + 2 * child]:
            break
        m[heap + 2 * place] = m[heap + 2 * child]
        m[heap + 2 * place + 1] = m[heap + 2 * child + 1]
        place = child
    m[heap + 2 * place] = threshold
    m[heap + 2 * place + 1] = last
    m[gate + G_WAIT] = m[heap] if count > 0 else NEVER
    return lane


@njit(cache=True)
def open_gate(m, gate, count, log):
    """Let every lane through that waits for at most ``count``."""
    while m[gate + G_WAIT] <= count:
        lane = m[gate + G_LANE]
        if lane != 0:
            m[gate + G_WAIT] = NEVER
        else:
            lane = pop_waiter(m, gate)
        m[lane + L_MISSING] -= 1
        if m[lane + L_MISSING] == 0:
            become_ready(m, lane, log)


@njit(cache=True)
def show_tokens(m, actor, log):
    """Let the lanes through that wait for the tokens committed so far."""
    out, committed = m[actor + A_OUT], m[actor + A_COMMITTED]
    for place in range(out, out + m[actor + A_OUTS]):
        gate = m[place] + C_TOKENS
        if m[gate + G_WAIT] <= committed:
            open_gate(m, gate, committed, log)


@njit(cache=True)
def prepare(m, lane, log):
    """Let the lane's next firing, whose place in all tables is set, wait for what it still misses."""
    actor, firing = m[lane + L_ACTOR], m[lane + L_NEXT]
    missing = 0
    port = m[lane + L_PORT]
    channel = m[actor + A_IN]
    for _ in range(m[actor + A_INS]):
        need = m[port + P_BASE] + m[m[m[port + P_FLOW] + F_NEED] + m[port + P_PHASE]]
        if need > m[m[channel + C_SOURCE] + A_COMMITTED]:
            wait_at(m, channel + C_TOKENS, need, lane)
            missing += 1
        port += PORT_WORDS
        channel += CHANNEL_WORDS
    out = m[actor + A_OUT]
    for place in range(out, out + m[actor + A_OUTS]):
        channel = m[place]
        threshold = firing - m[channel + C_CAPACITY] + 1
        if threshold > m[channel + C_RELEASED]:
            wait_at(m, channel + C_SLOTS, threshold, lane)
            missing += 1
    m[lane + L_MISSING] = missing
    if missing == 0:
        become_ready(m, lane, log)


@njit(cache=True)
def follow(m, lane, log):
    """Prepare the firing that follows the lane's last one, if there is one."""
    actor = m[lane + L_ACTOR]
    step = 1
    m[lane + L_LEFT] -= 1
    if m[lane + L_LEFT] == 0:
        m[lane + L_LEFT] = m[actor + A_GROUP]
        step += m[actor + A_JUMP]
    firing = m[lane + L_NEXT] + step
    m[lane + L_NEXT] = firing
    if firing >= m[actor + A_FIRINGS]:
        return
    seek_work(m, lane, firing, step)
    port = m[lane + L_PORT]
    for _ in range(m[actor + A_INS]):
        seek_flow(m, port, firing, step)
        port += PORT_WORDS
    prepare(m, lane, log)


@njit(cache=True)
def note_commit(m, actor, ended, commit):
    """Note the commit of the last firing of a segment's first period, or of the segment."""
    work = m[actor + A_MARK_WORK]
    if ended == m[work + W_FIRST] + m[work + W_PHASES]:
        m[work + W_PERIOD_COMMIT] = commit
    mark = m[work + W_END]
    if ended == mark:
        m[work + W_LAST_COMMIT] = commit
        work += WORK_WORDS
        m[actor + A_MARK_WORK] = work
        mark = m[work + W_FIRST] + m[work + W_PHASES] if ended < m[actor + A_FIRINGS] else NEVER
    m[actor + A_MARK] = mark


@njit(cache=True)
def finish(m, actor, shown, log):
    """End the actor's oldest unfinished firing: release its inputs, commit its token.

    ``shown`` is its end plus its latency. Returns whether the token was committed at once.
    """
    firing, now = m[actor + A_ENDED], m[H_NOW]
    commit = max(shown, m[actor + A_LAST_COMMIT])
    m[actor + A_LAST_COMMIT] = commit
    m[actor + A_ENDED] = firing + 1
    if firing + 1 == m[actor + A_MARK]:
        note_commit(m, actor, firing + 1, commit)
    if m[H_LOGGING]:
        log[m[actor + A_LOG] + LOG_WORDS * firing + 2] = commit
    channel = m[actor + A_IN]
    for _ in range(m[actor + A_INS]):
        cursor = channel + C_CURSOR
        released = m[cursor + P_BASE] + m[m[m[cursor + P_FLOW] + F_RELEASE] + m[cursor + P_PHASE]]
        if firing + 1 < m[actor + A_FIRINGS]:
            seek_flow(m, cursor, firing + 1, 1)
        m[channel + C_RELEASED] = released
        if m[channel + C_SLOTS + G_WAIT] <= released:
            open_gate(m, channel + C_SLOTS, released, log)
        channel += CHANNEL_WORDS
    ring = m[actor + A_RING] + (firing & m[actor + A_MASK])
    if commit == now and m[actor + A_COMMITTED] == firing:
        m[ring] = -1
        m[actor + A_COMMITTED] = firing + 1
        return True
    m[ring] = commit
    if m[actor + A_COMMITTED] == firing:
        set_leaf(m, m[actor + A_LEAF], commit)
    return False


@njit(cache=True)
def end_service(m, server, log):
    """The firing in service on ``server`` ends now."""
    lane = m[server + S_LANE]
    actor = m[lane + L_ACTOR]
    m[server + S_LANE] = 0
    if m[lane + L_MODE] != OWN:
        unit = m[server + S_UNIT]
        if m[unit + U_KIND] == FREE:
            m[m[unit + U_FREE] + m[unit + U_FREES]] = server
            m[unit + U_FREES] += 1
        offer(m, unit, server)
    shown = m[H_NOW] + m[lane + L_LATENCY]
    if m[actor + A_LANES] == 1:
        committed = finish(m, actor, shown, log)
    else:
        committed = end_copy(m, actor, m[lane + L_NEXT], shown, log)
    if committed:
        show_tokens(m, actor, log)
    follow(m, lane, log)


@njit(cache=True)
def end_copy(m, actor, firing, shown, log):
    """End ``firing`` of an actor with copies, and finish all firings that waited for it to end.

    The ring keeps -1 for a firing in service, else its end plus latency, then its commit.
    """
    ring, mask = m[actor + A_RING], m[actor + A_MASK]
    m[ring + (firing & mask)] = shown
    committed = False
    firing = m[actor + A_ENDED]
    if m[ring + (firing & mask)] < 0:
        return False
    while m[ring + (firing & mask)] >= 0:
        if finish(m, actor, m[ring + (firing & mask)], log):
            committed = True
        firing += 1
        if firing - m[actor + A_COMMITTED] > mask:
            break
    return committed


@njit(cache=True)
def commit_tokens(m, actor, log):
    """The tokens of the actor's oldest uncommitted firings appear now."""
    ring, mask, now = m[actor + A_RING], m[actor + A_MASK], m[H_NOW]
    committed, ended = m[actor + A_COMMITTED], m[actor + A_ENDED]
    while committed < ended and m[ring + (committed & mask)] == now:
        m[ring + (committed & mask)] = -1
        committed += 1
    m[actor + A_COMMITTED] = committed
    set_leaf(m, m[actor + A_LEAF], m[ring + (committed & mask)] if committed < ended else NEVER)
    show_tokens(m, actor, log)


@njit(cache=True)
def choose_fixed(m, server, log):
    """Let a server whose lanes are fixed take the first of its queue."""
    m[server + Q_TOUCHED] = 0
    if m[server + S_LANE] == 0 and m[server + Q_COUNT] > 0:
        start(m, dequeue(m, server), server, log)


@njit(cache=True)
def choose(m, unit, log):
    """Let every free server of a unit, ascending, take the first firing it may serve."""
    m[unit + Q_TOUCHED] = 0
    if m[unit + U_KIND] == FREE:
        # Its servers are alike to every lane, so which free one serves cannot be observed.
        while m[unit + U_FREES] > 0 and m[unit + Q_COUNT] > 0:
            m[unit + U_FREES] -= 1
            start(m, dequeue(m, unit), m[m[unit + U_FREE] + m[unit + U_FREES]], log)
        return
    server = m[unit + U_SERVER]
    for _ in range(m[unit + U_SERVERS]):
        if m[server + S_LANE] == 0:
            if comes_first(m, unit, server):
                start(m, dequeue(m, unit), server, log)
            elif m[server + Q_COUNT] > 0:
                start(m, dequeue(m, server), server, log)
        server += SERVER_WORDS


@njit(cache=True)
def choose_all(m, log):
    """Let every server and unit choose at which something changed in this instant."""
    touched = m[H_TOUCHED]
    for index in range(m[H_TOUCHES]):
        place = m[touched + index]
        if place < 0:
            choose_fixed(m, -place, log)
        else:
            choose(m, place, log)
    m[H_TOUCHES] = 0


@njit(cache=True)
def begin(m, lanes, count, log):
    """Prepare the first firing of ``count`` lanes, whose places in all tables are those of firing 0."""
    for index in range(count):
        lane = lanes + index * LANE_WORDS
        actor, firing, port = m[lane + L_ACTOR], m[lane + L_NEXT], m[lane + L_PORT]
        if firing < m[actor + A_FIRINGS]:
            seek_work(m, lane, firing, firing)
            for _ in range(m[actor + A_INS]):
                seek_flow(m, port, firing, firing)
                port += PORT_WORDS
            prepare(m, lane, log)


@njit(cache=True)
def advance(m, log):
    """Simulate until H_STATUS says that something is to be done outside."""
    tree, leaves, servers, places = m[H_TREE], m[H_LEAVES], m[H_SERVERS], m[H_MAP]
    m[H_STATUS] = RUNNING
    while True:
        if m[H_TOUCHES] > 0:
            choose_all(m, log)
        if m[H_STATUS] != RUNNING:
            return
        if m[H_STARTED] >= m[H_UNTIL] or m[m[H_PAUSE] + A_ENDED] >= m[H_PAUSE_AT]:
            m[H_STATUS] = PAUSED
            return
        now = m[tree + 1]
        if now == NEVER:
            m[H_STATUS] = DONE
            return
        m[H_NOW] = now
        while m[tree + 1] == now:
            leaf = first_leaf(m, now)
            place = m[places + leaf]
            if leaf < servers:
                end_service(m, place, log)
                if m[tree + leaves + leaf] == now:
                    set_leaf(m, leaf, NEVER)
            else:
                commit_tokens(m, place, log)


@njit(cache=True)
def start_all(memory, lanes, count, log):
    """Begin at time 0: let ``count`` lanes, from address ``lanes``, prepare their first firings.

    memory: (words,) as laid out; log: (LOG_WORDS * firings,) filled with -1, or empty for no record.
    """
    memory[H_LOGGING] = log.size > 0
    begin(words(memory), lanes, count, words(log))


@njit(cache=True)
def run(memory, log):
    """Simulate until nothing happens any more, or until something is to be done outside; see H_STATUS.

    Returns at the end of an instant: when a ring must grow (GROW), after H_UNTIL started firings or
    H_PAUSE_AT ended firings of the actor H_PAUSE (PAUSED), past the latest time (TOO_LATE), or at the
    end (DONE). ``memory`` and ``log`` are those of :func:`start_all`, and stay alive in the caller.
    """
    advance(words(memory), words(log))
