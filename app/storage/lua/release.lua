-- Give a lease back, unless it has run out and is somebody else's by now.
-- KEYS: lease. ARGV: lease token. Returns 1 when it was given back.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return 0
end
return redis.call('DEL', KEYS[1])
