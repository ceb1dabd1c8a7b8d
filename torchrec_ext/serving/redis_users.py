"""RedisUserEvents: the newest events of each user of a topic, and where each id was stored first."""

from collections.abc import Iterable, Sequence
from typing import Any

from torchrec_ext.errors import InputError
from torchrec_ext.serving.outage import Outage

_ID_SECONDS = 7 * 86_400
# Adds events after ARGV[1], which Redis has to know up to there, until ARGV[2]. Redis runs it as a whole, so
# that a process that is killed, or that is slower than another, leaves nothing half done.
_ADD = """
local indexed = tonumber(redis.call('HGET', KEYS[1], 'indexed') or '0')
if indexed < tonumber(ARGV[1]) then return indexed end
for place = 5, #ARGV, 4 do
    local position, user, id, value = ARGV[place], ARGV[place + 1], ARGV[place + 2], ARGV[place + 3]
    if tonumber(position) > indexed then
        if id ~= '' and not redis.call('SET', KEYS[1] .. ':id:' .. id, position, 'NX', 'EX', ARGV[4]) then
            redis.call('ZADD', KEYS[1] .. ':repeats', position, position)
        else
            redis.call('HSET', KEYS[1], 'newest', position)
            if user ~= '' then
                redis.call('ZADD', KEYS[1] .. ':user:' .. user, position, position .. ' ' .. value)
                redis.call('ZREMRANGEBYRANK', KEYS[1] .. ':user:' .. user, 0, -1 - tonumber(ARGV[3]))
            end
        end
    end
end
if tonumber(ARGV[2]) > indexed then
    redis.call('HSET', KEYS[1], 'indexed', ARGV[2])
    return tonumber(ARGV[2])
end
return indexed
"""

Row = tuple[int, str, str, bytes]
"""Position, user, id and content of an event; no user for one that is not kept, no id for one without."""


class RedisUserEvents:
    """What a service asks of its users, made from a topic: it may be emptied, and is made again.

    Redis keeps the newest events of each user, the first position of each id for 7 days, and up to which
    position it knows the topic. Its ``maxmemory-policy`` has to be ``noeviction``.

    Args:
        url: of the server, ``redis://host:6379/0``, ``rediss://`` with TLS, or ``unix://``.
        topic: the name of the topic, with which all keys begin.
        most: events that are kept of a user.
        seconds: to wait for an answer.

    Raises:
        InputError: if the URL is not one of Redis, no Redis answers, or the package is missing.
    """

    def __init__(self, url: str, topic: str, most: int = 1000, seconds: float = 2) -> None:
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError:
            raise InputError("users in Redis need redis; pip install 'torchrec-ext[kafka]'") from None
        self._key, self._most = f"torchrec_ext:{topic}", most
        self._outage = Outage("the users' events (Redis) cannot be reached", (redis.RedisError, OSError))
        try:
            self._redis: Any = redis.Redis.from_url(
                url, socket_timeout=seconds, socket_connect_timeout=seconds, retry=Retry(NoBackoff(), 1)
            )
        except ValueError:  # whose text may hold a password
            raise InputError(
                "users should be the address of a Redis, redis://host:6379/0, rediss://... or unix://..."
            ) from None
        self._add = self._redis.register_script(_ADD)
        try:
            self._redis.ping()
        except redis.RedisError as error:
            raise InputError(
                f"users cannot be kept in Redis: {error}; start it, or mend its address"
            ) from None

    def add(self, rows: Sequence[Row], after: int, until: int) -> int:
        """Adds events of the topic, all there are from one position to another; twice is as good as once.

        Args:
            rows: the events, in order.
            after: the position before them; nothing is added if Redis does not know the topic up to there.
            until: the newest position that they cover.

        Returns:
            The position up to which Redis knows the topic now.
        """
        flat = [part for row in rows for part in row]
        with self._outage.reported():
            return int(self._add(keys=[self._key], args=[after, until, self._most, _ID_SECONDS, *flat]))

    def state(self) -> tuple[int, int]:
        """The position up to which Redis knows the topic, and that of the newest event that counts."""
        with self._outage.reported():
            indexed, newest = self._redis.hmget(self._key, "indexed", "newest")
        return int(indexed or 0), int(newest or 0)

    def of(self, user: str, after: int) -> tuple[int, list[tuple[int, bytes]]]:
        """The position up to which Redis knows the topic, and what it keeps of a user after a position."""
        with self._outage.reported(), self._redis.pipeline() as both:
            both.hget(self._key, "indexed")
            both.zrangebyscore(f"{self._key}:user:{user}", f"({after}", "+inf")
            indexed, found = both.execute()
        parts = [member.partition(b" ") for member in found]
        return int(indexed or 0), [(int(position), value) for position, _, value in parts]

    def first_positions(self, ids: Iterable[str | None]) -> dict[str, int]:
        """Where those ids that were stored in the last 7 days were stored first; asks Redis in any case."""
        wanted = [id for id in ids if id is not None]
        with self._outage.reported():
            if not wanted:
                self._redis.ping()
                return {}
            found = self._redis.mget([f"{self._key}:id:{id}" for id in wanted])
        return {id: int(position) for id, position in zip(wanted, found, strict=True) if position is not None}

    def repeats(self, after: int) -> set[int]:
        """The positions behind one at which an id was stored again."""
        with self._outage.reported():
            found = self._redis.zrangebyscore(f"{self._key}:repeats", f"({after}", "+inf")
        return {int(position) for position in found}

    def close(self) -> None:
        """Closes the connections."""
        self._redis.close()
