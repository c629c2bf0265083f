#!lua flags=allow-oom,no-writes
-- ended.lua: the sessions that have ended, for a gateway.
--
-- KEYS  speedy:sessions:loaded, speedy:sessions:version, speedy:sessions:ended
-- ARGV  what the gateway holds: the second value of an earlier reply, or ''
-- Returns {loaded, state} when the gateway holds this state, else {loaded,
--   state, array of session ids}. `loaded` is the run_id of the Redis into
--   which the list was written whole, '' without one. The state is the version
--   with the length of the list: it changes with the list.

local loaded = redis.call('GET', KEYS[1])
if not loaded then
    return {'', ''}
end
local state = (redis.call('GET', KEYS[2]) or '') .. ':'
    .. redis.call('ZCARD', KEYS[3])
if state == ARGV[1] then
    return {loaded, state}
end
return {loaded, state, redis.call('ZRANGE', KEYS[3], 0, -1)}
