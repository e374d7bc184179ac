-- Look at the document that the fleet holds, and go on holding it.
-- KEYS: document (hash of version and text), holders (zset of runs by when each was heard of last).
-- ARGV: run; when the caller first looked, or ''; the version that it knows, 0 for none; that document; seconds to keep.
-- Returns the time; whether the caller holds the document; its version; its text, '' when the caller knows it.
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local known = tonumber(ARGV[3])
local version = tonumber(redis.call('HGET', KEYS[1], 'version') or '0')
local holds = redis.call('ZSCORE', KEYS[2], ARGV[1])
if known > version then
    -- The server has lost it, as a Redis that keeps nothing does: who knows it gives it back.
    redis.call('HSET', KEYS[1], 'version', known, 'text', ARGV[4])
    version = known
    holds = true
end
if not holds and ARGV[2] ~= '' then
    -- Whoever is heard of after the caller came lives beside it; holders that were there before may be dead.
    local newest = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
    holds = newest and tonumber(newest) > tonumber(ARGV[2])
end
if version == 0 or not holds then
    return {string.format('%.6f', now), 0, version, ''}
end
redis.call('ZADD', KEYS[2], string.format('%.6f', now), ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[5])
redis.call('EXPIRE', KEYS[2], ARGV[5])
local text = ''
if version ~= known then
    text = redis.call('HGET', KEYS[1], 'text')
end
return {string.format('%.6f', now), 1, version, text}
