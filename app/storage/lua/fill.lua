-- Put a value into the cache if, and only if, the lease under which it was read still stands.
-- KEYS: value, lease. ARGV: lease token, value, time to live in milliseconds. Returns 1 when it was put.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
    return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[2])
return 1
