-- Let a request pass under several limits at once, or refuse it under the first that is used up: GCRA, the leaky bucket
-- as a meter (ITU-T I.371), on this server's own time. A request that is refused uses up nothing.
-- KEYS: one for each limit; its value is the microsecond at which the bucket will be empty.
-- ARGV, four for each key: role; microseconds between two requests; the bucket's depth; its depth while alarmed.
-- Roles: 'all' binds every client. 'marker' says, by existing, that this client is known. 'known' and 'stranger' bind
-- clients that are, or are not. 'alarm' binds nobody: strangers fill it, and find shallower buckets while it is full.
-- Returns three for each key: the depth that bound the request (0: none did), microseconds to wait (0: it passes),
-- and how full the bucket is now, in microseconds (0: nothing was put in).
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local known, alarmed, refused = false, false, false
local answer, charges = {}, {}

for i, key in ipairs(KEYS) do
    local role = ARGV[4 * i - 3]
    local interval, depth = tonumber(ARGV[4 * i - 2]), tonumber(ARGV[4 * i - 1])
    local bound, wait, level = 0, 0, 0
    if role == 'marker' then
        known = redis.call('EXISTS', key) == 1
    elseif role == 'all' or known == (role == 'known') then
        local ahead = tonumber(redis.call('GET', key) or now) - now
        -- A bucket fuller than it can be was filled before the clock was set back, or under another limit.
        if ahead < 0 or ahead > depth then ahead = 0 end
        if role == 'stranger' and alarmed then depth = tonumber(ARGV[4 * i]) end
        level = ahead + interval
        if level <= depth then
            charges[#charges + 1] = {key, level}
        elseif role == 'alarm' then
            alarmed = true
        else
            refused, wait, level = true, level - depth, ahead
        end
        if role == 'alarm' then
            level = alarmed and 0 or level
        else
            bound = depth
        end
    end
    answer[3 * i - 2], answer[3 * i - 1], answer[3 * i] = bound, wait, level
end

if not refused then
    for _, charge in ipairs(charges) do
        redis.call('SET', charge[1], string.format('%.0f', now + charge[2]), 'PX', math.ceil(charge[2] / 1000))
    end
end
return answer
