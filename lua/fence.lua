#!lua flags=allow-oom
-- fence.lua: the first step of a rebuild. Nothing is reserved, acknowledged
-- or released after it until load.lua and renew.lua have run.
--
-- KEYS  loaded, gate
-- ARGV  token, run_id, nonce (fresh for each fence)
-- Returns DONE or SUPERSEDED.

--@ifndef SPEEDY_BUG_NO_FENCING_TOKEN
local token = redis.call('HGET', KEYS[1], 'token')
if token and tonumber(token) > tonumber(ARGV[1]) then
    return 'SUPERSEDED'
end
--@endif
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'token', ARGV[1], 'run_id', ARGV[2], 'nonce',
    ARGV[3])
return 'DONE'
