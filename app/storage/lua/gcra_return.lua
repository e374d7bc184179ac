-- Give back what a request took under several limits, and set the marker of a client that is known from now on.
-- KEYS and ARGV as of gcra.lua. Returns an empty list.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

for i, key in ipairs(KEYS) do
    local interval, depth = tonumber(ARGV[4 * i - 2]), tonumber(ARGV[4 * i - 1])
    if ARGV[4 * i - 3] == 'marker' then
        redis.call('SET', key, 1, 'PX', depth / 1000)
    else
        local level = tonumber(redis.call('GET', key) or now) - now - interval
        if level > 0 and level <= depth then
            redis.call('SET', key, string.format('%.0f', now + level), 'PX', math.ceil(level / 1000))
        else
            redis.call('DEL', key)
        end
    end
end
return {}
