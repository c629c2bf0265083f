#!lua flags=allow-oom
-- sessions.lua: writes the list of ended sessions, which gateways read.
--
-- KEYS  speedy:sessions:ended, speedy:sessions:loaded, speedy:sessions:version
-- ARGV  run_id, `whole` (with these the list is whole) or `part`, a new
--       version, then for each session: Unix ms until which an access token
--       of it may live, its id
-- Returns {1 when the list stands whole in this Redis else 0, members added}.
-- A member whose time is over goes when the list changes anyway, or is
-- written whole. Safe to send again: a known member changes nothing.

local now = redis.call('TIME')
local added = 0
for i = 4, #ARGV, 2 do
    added = added + redis.call('ZADD', KEYS[1], 'NX', ARGV[i], ARGV[i + 1])
end
local whole = redis.call('GET', KEYS[2]) == ARGV[1]
if added > 0 or ARGV[2] == 'whole' then
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf',
        '(' .. now[1] * 1000 + math.floor(now[2] / 1000))
end
if ARGV[2] == 'whole' and not whole then
    redis.call('SET', KEYS[2], ARGV[1])
    whole = true
    added = added + 1
end
if added > 0 then
    redis.call('SET', KEYS[3], ARGV[3])
end
return {whole and 1 or 0, added}
