-- Replace the document that the fleet holds, unless somebody else has meanwhile.
-- KEYS: document, holders. ARGV: run; the version to be replaced; the new version; its text; seconds to keep; '1' to begin anew.
-- Returns 1 when it was replaced.
if tonumber(redis.call('HGET', KEYS[1], 'version') or '0') ~= tonumber(ARGV[2]) then
    return 0
end
local time = redis.call('TIME')
if ARGV[6] == '1' then
    redis.call('DEL', KEYS[2])
end
redis.call('HSET', KEYS[1], 'version', ARGV[3], 'text', ARGV[4])
redis.call('ZADD', KEYS[2], string.format('%.6f', time[1] + time[2] / 1000000), ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[5])
redis.call('EXPIRE', KEYS[2], ARGV[5])
return 1
